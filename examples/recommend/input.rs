//! Reading what the command line names. Every error is one sentence: what, where, which value.

use std::io::Read as _;
use std::path::Path;

use pinwise::discover::{Reading, hwloc, read_host, read_request, read_tenant, sysfs};
use pinwise::{Bytes, GpuRequest, Host, HostBuilder, Request, RequestBuilder, Usage};

use crate::args::Args;

/// Files larger than this are refused.
const MAX_FILE: u64 = 64 << 20;

const EMBEDDED: &str = include_str!("../../fixtures/hosts/hgx-h200-snc2.json");

/// A host, and what its reader had to say.
pub(crate) struct Machine {
    pub(crate) host: Host,
    pub(crate) notes: Vec<String>,
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

pub(crate) fn host(args: &Args) -> Result<Machine, String> {
    let (description, notes, from) = match args.host.as_deref() {
        None => {
            let host = read_host(EMBEDDED).map_err(|e| e.to_string())?;
            (host, Vec::new(), "the embedded fixture".to_owned())
        }
        Some(path) if path == Path::new("live") => read_sysfs(Path::new("/"), "live")?,
        Some(path) if path.is_dir() => read_sysfs(path, &path.display().to_string())?,
        Some(path) => {
            let shown = path.display().to_string();
            let reading = host_from_text(&text(path)?).map_err(|e| format!("{shown}: {e}"))?;
            (reading.host, reading.notes, shown)
        }
    };
    let mut host = description.build().map_err(|e| format!("{from}: {e}"))?;
    if let Some(reserve) = &args.reserve {
        host =
            host.with_reserved(reserve.clone()).map_err(|e| format!("--reserve {reserve}: {e}"))?;
    }
    Ok(Machine { host, notes, embedded: args.host.is_none() })
}

/// A snapshot, or XML by its root element.
fn host_from_text(text: &str) -> Result<Reading, String> {
    match root_element(text) {
        Some("topology") => hwloc::read_lstopo(text).map_err(|e| e.to_string()),
        Some(root) => Err(format!("<{root:.60}> is no root element of a host's description")),
        None => {
            let host = read_host(text).map_err(|e| e.to_string())?;
            Ok(Reading { host, notes: Vec::new() })
        }
    }
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

fn read_sysfs(root: &Path, shown: &str) -> Result<(HostBuilder, Vec<String>, String), String> {
    let reading = sysfs::read(root).map_err(|e| e.to_string())?;
    Ok((reading.host, reading.notes, shown.to_owned()))
}

pub(crate) fn usage(host: &Host, files: &[std::path::PathBuf]) -> Result<Usage, String> {
    let mut tenants = Vec::new();
    for file in files {
        let shown = file.display();
        tenants.push(read_tenant(&text(file)?).map_err(|e| format!("{shown}: {e}"))?);
    }
    Usage::with_running(host, tenants).map_err(|e| format!("--tenant: {e}"))
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
