//! The program and NVML, which a library of our own plays (`pinwise-discover/tests/nvml/fake.rs`).

use std::fs;
use std::path::Path;
use std::process::Command;

use pinwise::PciAddr;

use crate::program::text;

/// Lays the fake's facts over sysfs, which on this machine may have no GPUs at all.
#[test]
fn the_live_machine_has_what_nvml_knows() {
    // Cargo builds examples for `cargo test`, next to the folder of the tests.
    let tests = std::env::current_exe().unwrap();
    let fake = tests.parent().unwrap().with_file_name("examples/libfake_nvml.so");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nvml");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(&fake, folder.join("libnvidia-ml.so.1")).unwrap_or_else(|e| {
        let build = "cargo build -p pinwise-discover --example fake-nvml --features nvml";
        panic!("{}: {e}: {build}", fake.display())
    });
    let ask = |library: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinwise"));
        command.args(["recommend", "--host", "live", "--vcpus", "1", "--memory", "64MiB"]);
        command.env("PINWISE_FAKE_NVML", "hgx").env("LD_LIBRARY_PATH", library);
        text(&command.output().unwrap().stdout)
    };
    let known: PciAddr = "1b:00.0".parse().unwrap();
    let own = pinwise_discover::sysfs::read(Path::new("/")).unwrap().host.devices;
    let there = own.iter().any(|device| device.address == known);
    let says = format!("NVML names GPU {known}");
    let answer = ask(&folder);
    assert!(there || answer.contains(&says), "{answer}");
    let answer = ask(Path::new("/nowhere"));
    assert!(!answer.contains(&says), "{answer}");
}
