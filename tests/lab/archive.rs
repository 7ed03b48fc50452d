//! Two archives, both simple enough to be written here: the kernel's first file system (cpio,
//! "newc") and what busybox's tar sends back.

use std::collections::BTreeMap;

/// A cpio archive, uncompressed: quickest in an emulator.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    entries: BTreeMap<String, (u32, Vec<u8>)>,
}

impl Archive {
    pub(crate) fn folder(&mut self, path: &str) {
        if path.is_empty() || self.entries.contains_key(path) {
            return;
        }
        self.folder(path.rsplit_once('/').map_or("", |(above, _)| above));
        self.entries.insert(path.to_owned(), (0o040_755, Vec::new()));
    }

    /// An executable file.
    pub(crate) fn file(&mut self, path: &str, bytes: &[u8]) {
        self.folder(path.rsplit_once('/').map_or("", |(above, _)| above));
        self.entries.insert(path.to_owned(), (0o100_755, bytes.to_vec()));
    }

    /// The device that init speaks to before there are others.
    pub(crate) fn console(&mut self) {
        self.folder("dev");
        self.entries.insert("dev/console".to_owned(), (0o020_600, Vec::new()));
    }

    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // By name, so that every folder comes before what is in it.
        for ((name, (mode, content)), inode) in self.entries.iter().zip(1_usize..) {
            entry(&mut bytes, name, *mode as usize, content, inode);
        }
        entry(&mut bytes, "TRAILER!!!", 0, &[], 0);
        bytes
    }
}

fn entry(bytes: &mut Vec<u8>, name: &str, mode: usize, content: &[u8], inode: usize) {
    // The console is the character device 5:1.
    let (major, minor) = if mode == 0o020_600 { (5, 1) } else { (0, 0) };
    let length = content.len();
    let fields = [inode, mode, 0, 0, 1, 0, length, 0, 0, major, minor, name.len() + 1, 0];
    bytes.extend(b"070701");
    fields.iter().for_each(|field| bytes.extend(format!("{field:08X}").bytes()));
    for part in [[name.as_bytes(), b"\0"].concat().as_slice(), content] {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
}

/// The files of a tar archive by path, without the leading `./`; links as their targets.
pub(crate) fn unpack(mut tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    while let Some((header, rest)) = tar.split_at_checked(512) {
        let text = |range: std::ops::Range<usize>| {
            let field = header[range].split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(field).trim().to_owned()
        };
        let Ok(length) = usize::from_str_radix(&text(124..136), 8) else { break };
        let Some(content) = rest.get(..length) else { break };
        let name = match text(345..500) {
            folder if folder.is_empty() => text(0..100),
            folder => format!("{folder}/{}", text(0..100)),
        };
        let name = name.trim_start_matches("./").to_owned();
        match header[156] {
            b'0' | 0 => _ = files.insert(name, content.to_vec()),
            b'2' => _ = files.insert(name, text(157..257).into_bytes()),
            _ => {}
        }
        tar = rest.get(length.next_multiple_of(512)..).unwrap_or_default();
    }
    files
}
