//! A configuration as its options, each with its line.

use std::collections::BTreeMap;

use super::problem::ProxmoxError;
use crate::pasted;
use pinwise::shown::shorten;

/// The longest configuration that is read, in bytes: Proxmox limits its files to 1 MiB.
const MAX_BYTES: usize = 1 << 20;
/// The largest number of options: a few for each of the disks, devices and networks that a VM may
/// have.
const MAX_OPTIONS: usize = 4096;
/// The largest part of a foreign text that a message shows, in bytes.
pub(super) const MAX_SHOWN: usize = 60;

/// Options by which a configuration is recognised.
const SIGNS: [&str; 12] = [
    "affinity",
    "balloon",
    "bios",
    "boot",
    "bootdisk",
    "cores",
    "hugepages",
    "memory",
    "numa",
    "ostype",
    "scsihw",
    "sockets",
];

/// The options of a configuration, those of its snapshots and pending changes aside.
pub(super) struct Conf(BTreeMap<String, Setting>);

/// The value of an option.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) value: String,
    /// The line, from 1.
    pub(super) line: usize,
}

/// The option of a line `key: value`. Prompts, fences and descriptions (`#`) have none.
fn option(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    let is_key = !key.is_empty() && key.len() <= 32 && key.bytes().all(letter);
    (is_key && value.starts_with([' ', '\t'])).then(|| (key, value.trim()))
}

/// Whether a line begins a section: a snapshot, or changes that a restart makes.
fn is_section(line: &str) -> bool {
    let inside = line.trim_end().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let word = |c: char| c.is_ascii_alphanumeric() || "_-:.".contains(c);
    inside.is_some_and(|name| !name.is_empty() && name.chars().all(word))
}

impl Conf {
    /// Whether a text has two of the options by which a configuration is recognised.
    pub(super) fn is(text: &str) -> bool {
        let text = pasted::plain(text);
        let options = text.lines().take(MAX_OPTIONS).take_while(|line| !is_section(line));
        let mut signs = options.filter_map(option).filter(|(key, _)| SIGNS.contains(key));
        let first = signs.next();
        first.is_some_and(|(first, _)| signs.any(|(key, _)| key != first))
    }

    pub(super) fn read(text: &str) -> Result<Self, ProxmoxError> {
        if text.len() > MAX_BYTES {
            return Err(ProxmoxError::TooLong { bytes: text.len(), limit: MAX_BYTES });
        }
        if !Self::is(text) {
            return Err(ProxmoxError::Unlike);
        }
        let text = pasted::plain(text);
        let mut options = BTreeMap::new();
        for (text, line) in text.lines().zip(1..).take_while(|(text, _)| !is_section(text)) {
            let Some((key, value)) = option(text) else { continue };
            let (key, value) = (key.to_owned(), value.to_owned());
            let setting = Setting { key: key.clone(), value, line };
            if options.len() >= MAX_OPTIONS {
                return Err(ProxmoxError::TooMany { line, limit: MAX_OPTIONS });
            }
            if options.insert(key.clone(), setting).is_some() {
                return Err(ProxmoxError::Twice { line, key });
            }
        }
        Ok(Self(options))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// The options `prefix0`, `prefix1` and so on, by their number.
    pub(super) fn numbered<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Setting> {
        let number = move |key: &str| {
            let digits = key.strip_prefix(prefix)?;
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse::<u32>().ok()).flatten()
        };
        let mut found: Vec<_> =
            self.0.iter().filter_map(|(key, setting)| Some((number(key)?, setting))).collect();
        found.sort_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, setting)| setting)
    }
}

impl Setting {
    /// The parts of a value such as `0000:01:00,pcie=1`: each with its name, which is empty for a
    /// part without one.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.value.split(',').map(|part| {
            let (name, value) = part.split_once('=').unwrap_or(("", part));
            (name.trim(), value.trim())
        })
    }

    /// The part of this name, or the one without a name.
    pub(super) fn part(&self, name: &str) -> Option<&str> {
        let mut parts = self.parts().filter(|(of, _)| *of == name || of.is_empty());
        parts.next().map(|(_, value)| value)
    }

    /// Whether this switch is on.
    pub(super) fn is_on(&self) -> bool {
        matches!(self.value.as_str(), "1" | "on" | "yes" | "true")
    }

    /// The error that `value`, this or a part of it, is not what is expected.
    pub(super) fn bad(&self, value: &str, expected: &'static str) -> ProxmoxError {
        let (key, value) = (self.key.clone(), shorten(value, MAX_SHOWN));
        ProxmoxError::Value { line: self.line, key, value, expected }
    }

    /// The error that the host does not have what this names.
    pub(super) fn absent(&self, what: String) -> ProxmoxError {
        let what = shorten(&what, MAX_SHOWN);
        ProxmoxError::Absent { line: self.line, key: self.key.clone(), what }
    }
}
