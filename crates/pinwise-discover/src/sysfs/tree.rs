//! Bounded access to the files below a root.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::problem::SysfsError;
use crate::cores::mask;
use pinwise::sets::CpuSet;
use pinwise::units::Bytes;

/// The folder of the pCPUs.
pub(super) const CPUS: &str = "sys/devices/system/cpu";
/// The largest file read, in bytes: a sysfs attribute is at most a page, and lists of pCPUs take
/// some KiB.
const MAX_FILE: usize = 1 << 20;
/// The largest number of entries in a folder: four times the limit of PCI functions of a host.
const MAX_ENTRIES: usize = 1 << 16;

/// The files below a root, by their paths from it.
pub(super) struct Tree<'a> {
    root: &'a Path,
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        self.root
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Whether there is an entry at this path, of whatever kind.
    pub(super) fn is_there(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    /// The first `limit` bytes of a file; `None` if it is absent, unreadable or not a plain file.
    /// Drivers answer a read with all kinds of errors, so these are not told apart from absence.
    /// Pipes and devices in a hostile tree must not be opened.
    pub(super) fn bytes(&self, path: &str, limit: u64) -> Option<Vec<u8>> {
        let path = self.path(path);
        if !fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The text of a file, trimmed; `None` if it is absent or unreadable.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>, SysfsError> {
        let Some(bytes) = self.bytes(path, MAX_FILE as u64 + 1) else { return Ok(None) };
        if bytes.len() > MAX_FILE {
            let path = self.path(path);
            return Err(SysfsError::TooLarge { path, limit: MAX_FILE, unit: "bytes" });
        }
        // Some tools that copy sysfs append a zero byte to a file.
        let blank = |c: char| c.is_whitespace() || c == '\0';
        Ok(Some(String::from_utf8_lossy(&bytes).trim_matches(blank).to_owned()))
    }

    /// The first 64 KiB of a file, which suffice for files that repeat the same lines for every
    /// pCPU.
    pub(super) fn beginning(&self, path: &str) -> String {
        let bytes = self.bytes(path, 64 << 10).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The value in a file; `None` if the file is absent or unreadable.
    pub(super) fn value<T: FromStr>(
        &self,
        path: &str,
        expected: &str,
    ) -> Result<Option<T>, SysfsError> {
        let Some(text) = self.text(path)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.bad(path, &text, expected))
    }

    /// The index in a file; `None` if it is unknown: some kernels then leave the file out, others
    /// write -1.
    pub(super) fn index(&self, path: &str) -> Result<Option<u32>, SysfsError> {
        let number: Option<i64> = self.value(path, "a number")?;
        match number {
            None => Ok(None),
            Some(number) if number < 0 => Ok(None),
            Some(number) => match u32::try_from(number) {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.bad(path, &number.to_string(), "a number below 2^32")),
            },
        }
    }

    /// The pCPUs in the file `list`, or, on kernels too old to have it, in the file `mask`.
    pub(super) fn cpus(&self, list: &str, mask: &str) -> Result<Option<CpuSet>, SysfsError> {
        if let Some(cpus) = self.value(list, "a list of pCPUs such as 0-3,8")? {
            return Ok(Some(cpus));
        }
        let Some(text) = self.text(mask)? else { return Ok(None) };
        match parse_mask(&text) {
            Some(cpus) => Ok(Some(cpus)),
            None => Err(self.bad(mask, &text, "a mask of pCPUs such as 00000000,0000ffff")),
        }
    }

    /// The names in a folder, sorted; none if the folder does not exist.
    pub(super) fn names(&self, path: &str) -> Result<Vec<String>, SysfsError> {
        let path = self.path(path);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(SysfsError::Unreadable { path, kind: error.kind() }),
        };
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => names.extend(entry.file_name().into_string()),
                Err(error) => return Err(SysfsError::Unreadable { path, kind: error.kind() }),
            }
            if names.len() > MAX_ENTRIES {
                return Err(SysfsError::TooLarge { path, limit: MAX_ENTRIES, unit: "entries" });
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The numbers that follow `prefix` in the names of a folder, ascending.
    pub(super) fn numbered(&self, path: &str, prefix: &str) -> Result<Vec<u32>, SysfsError> {
        let names = self.names(path)?;
        let number = |name: &String| {
            let digits = name.strip_prefix(prefix)?;
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if plain { digits.parse().ok() } else { None }
        };
        let mut numbers: Vec<_> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    /// The target of a symbolic link as written; it is not followed.
    pub(super) fn link(&self, path: &str) -> Option<PathBuf> {
        fs::read_link(self.path(path)).ok()
    }

    /// The last name in the target of a symbolic link.
    pub(super) fn link_name(&self, path: &str) -> Option<String> {
        Some(self.link(path)?.file_name()?.to_str()?.to_owned())
    }

    pub(super) fn bad(&self, path: &str, value: &str, expected: &str) -> SysfsError {
        let shown = pinwise::shown::shorten(value, 60);
        SysfsError::Value { path: self.path(path), problem: format!("{shown:?} is not {expected}") }
    }
}

/// The pCPUs of a mask: words of 32 bits in hexadecimal, the highest first.
fn parse_mask(text: &str) -> Option<CpuSet> {
    mask(text.rsplit(',').map(|word| {
        let word = word.trim();
        let plain = (1..=8).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_hexdigit());
        if plain { u32::from_str_radix(word, 16).ok() } else { None }
    }))
}

/// The size of a cache as the kernel writes it (`32768K`); `None` if it is unknown, as under some
/// hypervisors.
pub(super) fn cache_size(text: &str) -> Option<Bytes> {
    text.parse().ok().filter(|size| *size != Bytes::ZERO)
}

#[cfg(test)]
mod tests {
    use super::parse_mask;

    #[test]
    fn masks_are_read_from_the_right() {
        for (text, cpus) in
            [("3", "0-1"), ("00000001,80000000", "31-32"), ("0", ""), ("ff,00000000,0", "64-71")]
        {
            assert_eq!(parse_mask(text).unwrap().to_string(), cpus, "{text}");
        }
        let beyond = format!("1{}", ",0".repeat(512));
        for text in ["", "x", "1,,1", "123456789", "+1", &beyond] {
            assert!(parse_mask(text).is_none(), "{text}");
        }
    }
}
