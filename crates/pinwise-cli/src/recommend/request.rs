//! The request of `pinwise recommend`: a file, or a VM put together from arguments.

use pinwise::json::read_request;
use pinwise::request::{GpuRequest, Guest};
use pinwise::{Bytes, Policies, Request, RequestSpec};
use pinwise_discover::files;
use pinwise_discover::libvirt::is_windows;

use super::args::Args;
use crate::input::at;
use crate::outcome::Failure;

/// The request; `domain` is the text of the domain that will be patched.
pub(super) fn request(args: &Args, domain: Option<&str>) -> Result<Request, Failure> {
    let in_domain = |said: Guest| match domain {
        Some(xml) if said == Guest::Any && is_windows(xml) => Guest::Windows,
        _ => said,
    };
    if let Some(file) = &args.request {
        let mut request = read_request(&files::text(file)?).map_err(|e| at(file, e))?;
        request.guest = in_domain(request.guest);
        request.allow_group |= args.allow_group;
        return request.build().map_err(|e| at(file, e));
    }
    // Without a size, the VM is an example of 32 vCPUs, 256 GiB and two GPUs. With a size, it gets
    // only the requested GPUs.
    let (vcpus, memory, gpus) = match (args.vcpus, args.memory) {
        (None, None) => (32, Bytes::from_gib(256), 2),
        (Some(vcpus), Some(memory)) => (vcpus, memory, 0),
        (Some(_), None) => return Err("--memory is missing: --vcpus needs it".into()),
        (None, Some(_)) => return Err("--vcpus is missing: --memory needs it".into()),
    };
    let model = args.gpu_model.clone();
    let count = args.gpus.unwrap_or(if model.is_some() { gpus.max(1) } else { gpus });
    let gpus = match args.gpu.as_slice() {
        [] => GpuRequest::Count { count, model },
        named => GpuRequest::Addresses(named.to_vec()),
    };
    let name = args.name.as_deref().unwrap_or("vm1");
    let base = RequestSpec::new(name, vcpus, memory);
    let policies = Policies {
        dedicated_cpus: args.dedicated_cpus.unwrap_or(base.policies.dedicated_cpus),
        whole_cores: args.whole_cores.unwrap_or(base.policies.whole_cores),
        one_node: args.one_node.unwrap_or(base.policies.one_node),
        gpu_locality: args.gpu_locality.unwrap_or(base.policies.gpu_locality),
        same_switch: args.same_switch.unwrap_or(base.policies.same_switch),
        ..base.policies
    };
    let request = RequestSpec {
        gpus,
        allow_group: args.allow_group,
        policies,
        page_size: args.page_size.and_then(|choice| choice.0),
        workload: args.workload.unwrap_or(base.workload),
        guest: args.guest.unwrap_or_else(|| in_domain(Guest::Any)),
        cells: args.cells.unwrap_or_default(),
        smt: args.smt.unwrap_or_default(),
        peer_to_peer: args.p2p.and_then(|choice| choice.0),
        cpus: args.cpus.clone(),
        nodes: args.nodes.clone(),
        ..base
    };
    Ok(request.build()?)
}
