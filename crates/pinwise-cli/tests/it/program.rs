//! Running the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the program in the root of the repository.
pub(crate) fn pinwise(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pinwise"))
        .args(arguments)
        .current_dir(repository())
        .output()
        .expect("the program is built with the tests")
}

/// The root of the repository, where `fixtures/` is.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The exit status.
pub(crate) fn status(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

/// What was printed, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes a file of this name for a test; no two tests write the same.
pub(crate) fn file(name: &str, content: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).expect("the target folder can be written");
    path
}

/// Runs `pinwise recommend`.
pub(crate) fn recommend(arguments: &[&str]) -> Output {
    pinwise(&[&["recommend"], arguments].concat())
}

/// The exit status of `pinwise recommend`, and its answer as JSON.
pub(crate) fn json(arguments: &[&str]) -> (i32, Value) {
    let output = recommend(&[arguments, &["--format", "json"]].concat());
    let value = serde_json::from_slice(&output.stdout);
    (
        status(&output),
        value.unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", text(&output.stderr))),
    )
}

/// The text of a fixture in `fixtures/hosts`.
pub(crate) fn fixture(name: &str) -> String {
    std::fs::read_to_string(repository().join("fixtures/hosts").join(name)).unwrap()
}
