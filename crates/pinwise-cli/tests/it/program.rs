//! Running the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
