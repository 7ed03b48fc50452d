//! Hosts and tenants by path: files, folders, captured trees, and the machine itself.
//!
//! This is the only module that opens files. It passes everything to the readers of texts, bounded
//! in length and number; it writes no file and runs no program.

mod error;
mod source;

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::assembly::Assembly;
use crate::pasted;
use crate::sysfs;
use crate::tenants::Tenants;
use pinwise::host::Host;

pub use error::FilesError;
pub use source::Source;

/// The largest file that is read, in bytes.
pub const MAX_FILE: u64 = 64 << 20;

/// The largest number of entries of a folder that are examined.
pub const MAX_ENTRIES: usize = 10_000;

/// The extensions by which a folder is searched for texts of a host. Descriptions are not among
/// them: a folder of descriptions is a fleet.
const HOST_TEXTS: [&str; 2] = ["xml", "txt"];

/// The extensions of texts of tenants.
const TENANT_TEXTS: [&str; 3] = ["xml", "json", "conf"];

/// Reads a file as text, or standard input for `-`, without what pasting puts around a text:
/// prompts, fences, colours, carriage returns.
///
/// # Errors
/// [`FilesError`] if the file cannot be read, is neither UTF-8 nor UTF-16, is longer than
/// [`MAX_FILE`], or is blank.
pub fn text(path: &Path) -> Result<String, FilesError> {
    let text = bounded(path, MAX_FILE)?;
    if text.trim().is_empty() {
        return Err(FilesError::Empty { path: path.to_owned() });
    }
    let clean = match pasted::clean(&text) {
        Cow::Borrowed(clean) if clean.len() == text.len() => None,
        clean => Some(clean.into_owned()),
    };
    Ok(clean.unwrap_or(text))
}

/// Text of bytes that a shell wrote: PowerShell writes UTF-16.
fn decoded(bytes: Vec<u8>) -> io::Result<String> {
    let word = |pair: &[u8]| u16::from_le_bytes([pair[0], pair[1]]);
    let text = match bytes.strip_prefix(&[0xff, 0xfe]) {
        Some(pairs) if pairs.len().is_multiple_of(2) => {
            String::from_utf16(&pairs.chunks_exact(2).map(word).collect::<Vec<_>>()).ok()
        }
        Some(_) => None,
        None => String::from_utf8(bytes).ok(),
    };
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "it is neither UTF-8 nor UTF-16");
    text.ok_or_else(bad)
}

/// Reads a file of at most `limit` bytes as text, or standard input for `-`. It may be empty.
///
/// # Errors
/// [`FilesError`] if the file cannot be read, is neither UTF-8 nor UTF-16, or is longer.
pub fn bounded(path: &Path, limit: u64) -> Result<String, FilesError> {
    let unread = FilesError::at(path);
    let mut bytes = Vec::new();
    let input: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(std::fs::File::open(path).map_err(&unread)?),
    };
    let read = input.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(&unread)?;
    if read as u64 > limit {
        return Err(FilesError::TooLong { path: path.to_owned(), limit });
    }
    decoded(bytes).map_err(&unread)
}

/// The file at `path`, or the files in that folder with one of these extensions, sorted by name.
/// Subfolders are not searched.
///
/// # Errors
/// [`FilesError::Io`] if the folder cannot be listed. Entries beyond [`MAX_ENTRIES`] are ignored.
pub fn list(path: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, FilesError> {
    list_up_to(path, endings, MAX_ENTRIES)
}

/// Like [`list`], with another limit.
///
/// # Errors
/// [`FilesError::Io`] if the folder cannot be listed.
pub fn list_up_to(path: &Path, endings: &[&str], limit: usize) -> Result<Vec<PathBuf>, FilesError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unread = FilesError::at(path);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(&unread)?.take(limit) {
        let file = entry.map_err(&unread)?.path();
        let ending = file.extension().and_then(|ending| ending.to_str());
        if ending.is_some_and(|ending| endings.contains(&ending)) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The XML of a domain: standard input for `-`, the domain of this name of a libvirt for
/// `live:NAME`, otherwise a file. `home` is the source of the host's description: if that is a
/// libvirt, `live:NAME` means a domain there, as it is defined; otherwise one of this machine.
///
/// # Errors
/// [`FilesError`] as for [`text`], if libvirt does not give the domain, or if the feature is not
/// built in.
pub fn domain(path: &Path, home: Option<Source<'_>>) -> Result<String, FilesError> {
    match path.to_str() {
        Some(name) if name.starts_with("live:") => {
            let uri = if let Some(Source::Libvirt(uri)) = home { uri } else { None };
            source::domain_xml(uri, &name["live:".len()..])
        }
        _ => text(path),
    }
}

/// The XML of domains, each with the name of its source: standard input for `-`, all domains of a
/// libvirt for `live` or `libvirt:URI`, the domain of this name for `live:NAME`, otherwise a file,
/// or the `*.xml` of a folder. `home` counts as for [`domain`].
///
/// # Errors
/// [`FilesError`] as for [`domain`].
pub fn domains(path: &Path, home: Option<Source<'_>>) -> Result<Vec<(String, String)>, FilesError> {
    let named = |name: &str, xml: String| (format!("live:{name}"), xml);
    let all = match (Source::named(path), home) {
        (Source::Libvirt(uri), _) | (Source::Machine, Some(Source::Libvirt(uri))) => {
            source::domain_xmls(uri)?
        }
        (Source::Machine, _) => source::domain_xmls(None)?,
        _ if path.is_dir() => {
            let read = |file: PathBuf| Ok((file.display().to_string(), text(&file)?));
            return list(path, &TENANT_TEXTS[..1])?.into_iter().map(read).collect();
        }
        _ => return Ok(vec![(path.display().to_string(), domain(path, home)?)]),
    };
    Ok(all.into_iter().map(|(name, xml)| named(&name, xml)).collect())
}

/// Adds a source of a host: the machine itself, a text of any kind, a folder of texts (`*.xml`,
/// `*.txt`), or a captured root with `sys/` and optionally `proc/`, which may have texts beside
/// them.
///
/// # Errors
/// [`FilesError`] if a file or folder cannot be read, a text is invalid, the machine cannot be
/// read, or the source needs a feature that is not built in.
pub fn add_host(assembly: &mut Assembly, source: Source<'_>) -> Result<(), FilesError> {
    let Source::Path(path) = source else { return source.add_host(assembly) };
    let texts = list(path, &HOST_TEXTS)?;
    if path.is_dir() && (path.join("sys").is_dir() || texts.is_empty()) {
        assembly.add_reading(&path.display().to_string(), sysfs::read(path)?)?;
    }
    for file in texts {
        assembly.add_text(&file.display().to_string(), &text(&file)?)?;
    }
    Ok(())
}

/// Adds a source of tenants of `host`: the running domains of a libvirt, a text, or a folder of
/// texts (`*.xml`, `*.json`, `*.conf`). Returns the source's notes, one sentence each.
///
/// `home` is the source of the host's description. If that is a libvirt, [`Source::Machine`] means
/// that libvirt's domains; otherwise this machine's.
///
/// # Errors
/// [`FilesError`] as for [`add_host`], and [`FilesError::NoTenants`] for [`Source::Hwloc`].
pub fn add_tenants(
    tenants: &mut Tenants,
    host: &Host,
    source: Source<'_>,
    home: Option<Source<'_>>,
) -> Result<Vec<String>, FilesError> {
    let path = match (source, home) {
        (Source::Path(path), _) => path,
        (Source::Libvirt(uri), _) | (Source::Machine, Some(Source::Libvirt(uri))) => {
            return source::add_running(tenants, host, uri);
        }
        (Source::Machine, _) => return source::add_running(tenants, host, None),
        (Source::Hwloc, _) => return Err(FilesError::NoTenants { source_name: "hwloc" }),
    };
    for file in list(path, &TENANT_TEXTS)? {
        // A file of Proxmox is named after the VM's number.
        let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("vm");
        let added = tenants.add_named_text(host, name, &text(&file)?);
        added.map_err(|problem| FilesError::Tenant { path: file.clone(), problem })?;
    }
    Ok(Vec::new())
}
