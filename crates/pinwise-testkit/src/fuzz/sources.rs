//! What is read of more than one text: a tree of sysfs, and several sources of one machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use pinwise::json::{read_host, write_host};
use pinwise_discover::facts::{Facts, overlay_host};
use pinwise_discover::{Assembly, Reading, sysfs};

use super::{Outcome, built, lossy, refused};
use crate::trees::{self, Folder};

/// A tree whose files are broken one at a time.
pub struct Tree {
    root: Folder,
    /// Every file and what it says when it is sound, in the order of their names.
    pub files: Vec<(PathBuf, Vec<u8>)>,
}

impl Tree {
    pub fn new() -> Self {
        let root = trees::small();
        let mut paths = Vec::new();
        all_files(&root.0, &mut paths);
        paths.sort();
        let read = |path: PathBuf| {
            let text = fs::read(&path).unwrap();
            (path, text)
        };
        Self { files: paths.into_iter().map(read).collect(), root }
    }

    /// Reads the tree with this text in one file of it.
    pub fn with(&mut self, at: usize, text: &[u8]) -> Outcome {
        let (path, sound) = &self.files[at % self.files.len()];
        fs::write(path, text).unwrap();
        let reading = sysfs::read(&self.root.0).map_err(|error| error.to_string());
        fs::write(path, sound).unwrap();
        let root = self.root.0.to_string_lossy();
        built(reading.map_err(|error| error.replace(&*root, "")), text)
    }
}

fn all_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => all_files(&entry.path(), found),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

/// The first byte chooses the file. The tree is the process's, and stays when that ends.
pub fn sysfs(bytes: &[u8]) -> Outcome {
    static TREE: OnceLock<Mutex<Tree>> = OnceLock::new();
    let tree = TREE.get_or_init(|| Mutex::new(Tree::new()));
    let mut tree = tree.lock().unwrap_or_else(PoisonError::into_inner);
    let (at, text) = bytes.split_first().unwrap_or((&0, bytes));
    tree.with(usize::from(*at), text)
}

/// Between two sources, as in no text that means anything.
pub const BETWEEN: &str = "\u{c}";

/// Sources of one machine, put together, and what was put together laid over its first source.
pub fn assembled(bytes: &[u8]) -> Outcome {
    let text = lossy(bytes);
    let mut assembly = Assembly::new();
    let mut texts = Vec::new();
    // A source that is refused is left out: the rest is put together all the same.
    let mut why = None;
    for (at, source) in text.split(BETWEEN).take(8).enumerate() {
        match assembly.add_text(&format!("source {at}"), source) {
            Ok(_) => texts.push(source),
            Err(error) => why = Some(error.to_string()),
        }
    }
    let whole = match assembly.finish() {
        Ok(whole) => whole,
        Err(error) => return refused(why.unwrap_or_else(|| error.to_string())),
    };
    let said = whole
        .conflicts
        .iter()
        .map(ToString::to_string)
        .chain(whole.notes.iter().map(ToString::to_string));
    for sentence in said {
        assert!(!sentence.contains(char::is_control), "{sentence:?}");
    }
    assert_eq!(read_host(&write_host(&whole.host)).unwrap(), whole.host);
    // Nothing is new in what is repeated; but what is no host may name what it does not have.
    let mut again = whole.host.clone();
    let laid = overlay_host(&mut again, &whole.host, "itself");
    let sound = whole.host.clone().build().is_ok();
    assert!(laid.conflicts.is_empty() || !sound, "{:?}", laid.conflicts);
    _ = Facts::of_host(&whole.host, "itself");
    built(Ok::<_, String>(Reading { host: whole.host, notes: whole.notes }), bytes)
}
