//! Reading what the command line names. Every error is one sentence: what, where, which value.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use pinwise::discover::{Reading, hwloc, libvirt, read_described, read_host, read_request, sysfs};
use pinwise::{Bytes, Claim, GpuRequest, Host, Request, RequestBuilder};

use crate::args::Args;

/// Files larger than this are refused.
const MAX_FILE: u64 = 64 << 20;

/// The most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;

const EMBEDDED: &str = include_str!("../../fixtures/hosts/hgx-h200-snc2.json");

/// A host, and what its reader had to say.
pub(crate) struct Machine {
    pub(crate) host: Host,
    pub(crate) notes: Vec<String>,
    /// Tenants that the host's description names.
    pub(crate) tenants: Vec<(String, Claim)>,
    pub(crate) embedded: bool,
}

pub(crate) fn text(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let file = std::fs::File::open(path).map_err(|e| format!("{shown}: {e}"))?;
    let mut text = String::new();
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
    let read = read.map_err(|e| format!("{shown}: {e}"))?;
    if read as u64 > MAX_FILE {
        return Err(format!("{shown}: larger than {} MiB", MAX_FILE >> 20));
    }
    Ok(text)
}

/// Whether a text is XML rather than JSON.
pub(crate) fn is_xml(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with('<')
}

pub(crate) fn host(args: &Args) -> Result<Machine, String> {
    let mut tenants = Vec::new();
    let (Reading { host: description, notes }, from) = match args.host.as_deref() {
        None => {
            let host = read_host(EMBEDDED).map_err(|e| e.to_string())?;
            (Reading { host, notes: Vec::new() }, "the embedded fixture".to_owned())
        }
        Some(path) if path == Path::new("live") => (read_sysfs(Path::new("/"))?, "live".to_owned()),
        Some(path) if path.is_dir() && !path.join("sys").is_dir() && has_xml(path) => {
            (read_xml(&files(path)?)?, path.display().to_string())
        }
        Some(path) if path.is_dir() => (read_sysfs(path)?, path.display().to_string()),
        Some(path) => {
            let (text, shown) = (text(path)?, path.display().to_string());
            if is_xml(&text) {
                (read_xml(&[path.to_owned()])?, shown)
            } else {
                let described = read_described(&text).map_err(|e| format!("{shown}: {e}"))?;
                let host = described.host;
                tenants = described.tenants;
                (Reading { host, notes: Vec::new() }, shown)
            }
        }
    };
    let mut host = description.build().map_err(|e| format!("{from}: {e}"))?;
    if let Some(reserve) = &args.reserve {
        host =
            host.with_reserved(reserve.clone()).map_err(|e| format!("--reserve {reserve}: {e}"))?;
    }
    Ok(Machine { host, notes, tenants, embedded: args.host.is_none() })
}

/// A host's description among XML files, and the node devices beside it, each by its root element.
fn read_xml(files: &[PathBuf]) -> Result<Reading, String> {
    let (mut host, mut devices) = (None, Vec::new());
    for file in files.iter().filter(|file| files.len() == 1 || is_named_xml(file)) {
        let (text, shown) = (text(file)?, file.display());
        let bad = |e: &dyn std::fmt::Display| format!("{shown}: {e}");
        let reading = match root_element(&text) {
            Some("topology") => hwloc::read_lstopo(&text).map_err(|e| bad(&e))?,
            Some("device") => {
                devices.extend(libvirt::read_node_device(&text).map_err(|e| bad(&e))?);
                continue;
            }
            _ => libvirt::read_capabilities(&text).map_err(|e| bad(&e))?,
        };
        if host.replace(reading).is_some() {
            return Err(format!("{shown}: another description of the host before it"));
        }
    }
    let none = || "--host: there are neither capabilities nor a topology among the XML files";
    let mut reading = host.ok_or_else(none)?;
    reading.notes.extend(libvirt::add_node_devices(&mut reading.host, devices));
    Ok(reading)
}

/// The name of the first element, past the declaration, the DTD's name and comments; `None` where the
/// text is not XML.
fn root_element(text: &str) -> Option<&str> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while let Some(inside) = rest.strip_prefix('<') {
        let end = match inside {
            _ if inside.starts_with("!--") => "-->",
            _ if inside.starts_with(['?', '!']) => ">",
            _ => return inside.split(|c: char| c.is_whitespace() || "/>".contains(c)).next(),
        };
        rest = inside.split_once(end)?.1.trim_start();
    }
    None
}

fn is_named_xml(file: &Path) -> bool {
    file.extension().is_some_and(|kind| kind == "xml")
}

fn has_xml(folder: &Path) -> bool {
    files(folder).is_ok_and(|files| files.iter().any(|file| is_named_xml(file)))
}

/// The file, or the folder's JSON and XML files by name.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let shown = path.display();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| format!("{shown}: {e}"))?.take(MAX_ENTRIES) {
        let file = entry.map_err(|e| format!("{shown}: {e}"))?.path();
        if file.extension().is_some_and(|kind| kind == "xml" || kind == "json") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_sysfs(root: &Path) -> Result<Reading, String> {
    sysfs::read(root).map_err(|e| e.to_string())
}

pub(crate) fn request(args: &Args) -> Result<Request, String> {
    if let Some(file) = &args.request {
        let shown = file.display();
        let request = read_request(&text(file)?).map_err(|e| format!("{shown}: {e}"))?;
        return request.build().map_err(|e| format!("{shown}: {e}"));
    }
    // The VM that is asked for without arguments. Who gives a size gets no GPUs but those named.
    let (vcpus, memory, gpus) = match (args.vcpus, args.memory) {
        (None, None) => (32, Bytes::from_gib(256), 2),
        (Some(vcpus), Some(memory)) => (vcpus, memory, 0),
        (Some(_), None) => return Err("--memory is missing: a VM with --vcpus needs it".to_owned()),
        (None, Some(_)) => return Err("--vcpus is missing: a VM with --memory needs it".to_owned()),
    };
    let model = args.gpu_model.clone();
    let count = args.gpus.unwrap_or(if model.is_some() { gpus.max(1) } else { gpus });
    let gpus = match args.gpu.as_slice() {
        [] => GpuRequest::Count { count, model },
        named => GpuRequest::Addresses(named.to_vec()),
    };
    let name = args.name.as_deref().unwrap_or("vm1");
    let base = RequestBuilder::new(name, vcpus, memory);
    let request = RequestBuilder {
        gpus,
        page_size: args.page_size.and_then(|choice| choice.0),
        workload: args.workload.unwrap_or(base.workload),
        cells: args.cells.unwrap_or_default(),
        smt: args.smt.unwrap_or_default(),
        peer_to_peer: args.p2p.and_then(|choice| choice.0),
        ..base
    };
    request.build().map_err(|e| e.to_string())
}
