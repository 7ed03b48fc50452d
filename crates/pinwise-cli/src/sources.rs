//! Files and folders as sources of a host. Every error is one sentence: what, where, which value.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use pinwise_discover::{Assembly, sysfs};

pub(crate) mod live;

use live::Live;

/// Files larger than this are refused.
const MAX_FILE: u64 = 64 << 20;

/// The most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// The text of a file.
pub(crate) fn text(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let file = std::fs::File::open(path).map_err(|e| format!("{shown}: {e}"))?;
    let mut text = String::new();
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
    let read = read.map_err(|e| format!("{shown}: {e}"))?;
    if read as u64 > MAX_FILE {
        return Err(format!("{shown}: larger than {} MiB", MAX_FILE >> 20));
    }
    if text.trim().is_empty() {
        return Err(format!("{shown}: the file is empty"));
    }
    Ok(text)
}

/// The file, or the folder's files with one of these endings, by name.
pub(crate) fn files(path: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let shown = path.display();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| format!("{shown}: {e}"))?.take(MAX_ENTRIES) {
        let file = entry.map_err(|e| format!("{shown}: {e}"))?.path();
        let ending = file.extension().and_then(|ending| ending.to_str());
        if ending.is_some_and(|ending| endings.contains(&ending)) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Adds what a path names: `live`, `hwloc`, `libvirt` or `libvirt:URI`, a captured root with sys/ and
/// proc/, a folder of texts, or a text of any kind. A captured root may have texts beside its sys/.
pub(crate) fn add(assembly: &mut Assembly, path: &Path) -> Result<(), String> {
    if let Some(live) = Live::named(path) {
        return live.add(assembly);
    }
    let texts = files(path, &["xml", "txt"])?;
    if path.is_dir() && (path.join("sys").is_dir() || texts.is_empty()) {
        add_sysfs(assembly, path)?;
    }
    for file in texts {
        let text = text(&file)?;
        assembly.add_text(&file.display().to_string(), &text).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn add_sysfs(assembly: &mut Assembly, root: &Path) -> Result<(), String> {
    let reading = sysfs::read(root).map_err(|e| e.to_string())?;
    assembly.add_reading(&root.display().to_string(), reading).map_err(|e| e.to_string())
}
