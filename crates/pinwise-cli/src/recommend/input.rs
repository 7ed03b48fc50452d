//! Reading what the command line names. Every error is one sentence: what, where, which value.

use std::path::Path;

use pinwise::json::{read_request, write_host};
use pinwise_discover::{Assembly, PLACEMENT_FORMAT, read_described};
use pinwise::request::{GpuRequest};
use pinwise::{Bytes, Claim, Host, Request, RequestSpec};

use crate::args::Args;
use crate::sources::{self, text};

const EMBEDDED: &str = include_str!("../../fixtures/hosts/hgx-h200-snc2.json");

/// A host, and what its readers had to say.
pub(crate) struct Machine {
    pub(crate) host: Host,
    pub(crate) notes: Vec<String>,
    /// What its sources disagree about, a sentence each.
    pub(crate) conflicts: Vec<String>,
    /// Tenants that the host's description names.
    pub(crate) tenants: Vec<(String, Claim)>,
    pub(crate) embedded: bool,
}

/// Whether a text is XML rather than JSON.
pub(crate) fn is_xml(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with('<')
}

/// Whether a text is a description that has its tenants in it; only the reader knows for sure.
fn has_tenants(text: &str) -> bool {
    !is_xml(text) && text.contains(PLACEMENT_FORMAT)
}

pub(crate) fn host(args: &Args) -> Result<Machine, String> {
    let mut assembly = Assembly::new();
    let mut tenants = Vec::new();
    let from = match args.host.as_deref() {
        None => {
            let name = "the embedded fixture";
            assembly.add_text(name, EMBEDDED).map_err(|e| e.to_string())?;
            name.to_owned()
        }
        Some(path) if path.is_file() && has_tenants(&text(path)?) => {
            let name = path.display().to_string();
            let described = read_described(&text(path)?).map_err(|e| format!("{name}: {e}"))?;
            tenants = described.tenants;
            let host = write_host(&described.host);
            assembly.add_text(&name, &host).map_err(|e| e.to_string())?;
            name
        }
        Some(path) => {
            sources::add(&mut assembly, path)?;
            path.display().to_string()
        }
    };
    for file in &args.facts {
        sources::add(&mut assembly, Path::new(file))?;
    }
    let assembled = assembly.finish().map_err(|e| format!("{from}: {e}"))?;
    let mut host = assembled.host.build().map_err(|e| format!("{from}: {e}"))?;
    if let Some(reserve) = &args.reserve {
        host =
            host.with_reserved(reserve.clone()).map_err(|e| format!("--reserve {reserve}: {e}"))?;
    }
    let conflicts = assembled.conflicts.iter().map(ToString::to_string).collect();
    Ok(Machine { host, notes: assembled.notes, conflicts, tenants, embedded: args.host.is_none() })
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
    let base = RequestSpec::new(name, vcpus, memory);
    let request = RequestSpec {
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
