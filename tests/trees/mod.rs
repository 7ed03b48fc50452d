//! Folders with sysfs trees: written by a test, or unpacked from archives of real machines' trees.
#![allow(dead_code, unreachable_pub, reason = "every test file takes what it needs of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own, gone when the test is over.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pinwise-sysfs-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A folder of real machines' files, if they are.
#[expect(clippy::disallowed_methods, reason = "a test is told by the environment where they are")]
pub fn corpus(folder: &str) -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let all = std::env::var_os("PINWISE_CORPUS").map_or_else(default, PathBuf::from);
    let folder = all.join(folder);
    folder.is_dir().then_some(folder)
}

/// The first folder with `sys` in it, at most three levels down.
pub fn root_below(folder: &Path, levels: u32) -> Option<PathBuf> {
    if folder.join("sys").is_dir() {
        return Some(folder.to_owned());
    }
    let below = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    below.filter(|_| levels > 0).find_map(|folder| root_below(&folder, levels - 1))
}

/// What the reader does not look at, which is most of the files, and of the time.
pub const UNREAD: [&str; 22] = [
    "cpuidle",
    "power",
    "uevent",
    "memory[0-9]*",
    "LNXSYSTM*",
    "firmware",
    "device-tree",
    "index[01]",
    "ways_of_associativity",
    "number_of_sets",
    "coherency_line_size",
    "physical_line_partition",
    "core_siblings*",
    "package_cpus*",
    "die_cpus*",
    "microcode",
    "net",
    "infiniband",
    "host[0-9]*",
    "usb[0-9]*",
    "crash_notes*",
    "thermal_throttle",
];

/// Unpacks what the reader looks at.
pub fn unpack(archive: &Path, folder: &Folder) {
    extract(archive, folder, &UNREAD);
}

/// Unpacks all but what has these names.
pub fn extract(archive: &Path, folder: &Folder, without: &[&str]) {
    let mut tar = Command::new("tar");
    tar.args(without.iter().map(|name| format!("--exclude={name}")));
    let output = tar.arg("-xf").arg(archive).arg("-C").arg(&folder.0).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
