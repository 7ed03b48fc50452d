//! What goes out: the files of each package that is published. What comes in is `cargo deny`'s
//! matter, with `deny.toml`.
//!
//! cargo is asked, and may ask the registry, so this runs where it is asked for:
//! `cargo test --test it supply:: -- --ignored`.

use std::path::Path;
use std::process::Command;

use regex_lite::Regex;

fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(cargo).args(args).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "asks cargo; .ci/run runs it"]
fn no_package_has_a_stray_file() {
    let expected = Regex::new(
        r"(?x)^(
            src/[a-z0-9_/]+\.rs
          | examples/[a-z0-9_]+\.rs
          | fixtures/[a-z0-9_/-]+(\.1)?\.(json|xml|txt|md|tsv|schema\.json)
          | fixtures/cases/README\.md
          | Cargo\.(toml|lock) | Cargo\.toml\.orig | \.cargo_vcs_info\.json
          | README\.md | CHANGELOG\.md | SECURITY\.md | OPENSTACK\.md | LICENSE-(APACHE|MIT)
        )$",
    )
    .unwrap();
    for (package, folder) in [
        ("pinwise", ""),
        ("pinwise-discover", "crates/pinwise-discover"),
        ("pinwise-cli", "crates/pinwise-cli"),
    ] {
        let list = cargo(&["package", "--list", "--allow-dirty", "--package", package]);
        let stray: Vec<&str> = list.lines().filter(|line| !expected.is_match(line)).collect();
        assert!(stray.is_empty(), "{package}: {stray:?}");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let size = |line: &str| std::fs::metadata(folder.join(line)).map_or(0, |file| file.len());
        let whole: u64 = list.lines().map(size).sum();
        assert!((40_000..4 << 20).contains(&whole), "{package}: {whole} bytes");
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(list.lines().any(|line| line == file), "{package}: {file} is missing");
        }
    }
}
