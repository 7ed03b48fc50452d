//! The request of `pinwise recommend`: a file, a domain, or a VM put together from arguments.

use std::path::Path;

use pinwise::request::{DeviceWish, GpuRequest, Guest, WishNumber};
use pinwise::shown::plain;
use pinwise::{Bytes, Host, PciAddr, Policies, Request, RequestSpec};
use pinwise_discover::files;
use pinwise_discover::kubevirt::is_vm;
use pinwise_discover::libvirt::{DomainRequest, request_of_domain};
use pinwise_discover::proxmox::is_qemu_conf;
use pinwise_discover::read_vm;

use super::args::{Args, GpuKind};
use crate::input::at;
use crate::outcome::{Failure, sentence};

/// The request and its origin.
pub(super) struct Asked {
    pub(super) request: Request,
    /// The VM's UUID, if its domain has one.
    pub(super) uuid: Option<String>,
    /// Whether the VM was named: then a tenant of that name is the VM itself.
    pub(super) is_named: bool,
    /// GPU functions of the domain that the request does not ask for.
    pub(super) removed: Vec<PciAddr>,
    /// What is asked for, if a domain is the request.
    pub(super) asked: Option<String>,
    /// Differences between the domain and the request, and what was left out of the domain, one
    /// sentence each.
    pub(super) notes: Vec<String>,
}

/// The request of the arguments on `host`; `domain` is the text of the domain that will be patched.
/// Arguments count over the domain.
pub(super) fn request(args: &Args, host: &Host, domain: Option<&str>) -> Result<Asked, Failure> {
    let domain = domain.map(|text| domain_of(host, text)).transpose()?;
    let file = args.request.as_deref();
    let read = |file| read_vm(host, &files::text(file)?).map_err(|e| at(file, sentence(&e)));
    let filed = file.map(read).transpose()?;
    let spec = match (&filed, &domain) {
        (Some(filed), domain) => {
            let mut spec = filed.request.clone();
            spec.allow_group |= args.allow_group;
            if let (Guest::Any, Some(domain)) = (spec.guest, domain) {
                spec.guest = domain.request.guest;
            }
            spec
        }
        (None, Some(domain)) => of_arguments(args, of_domain(args, host, &domain.request)),
        (None, None) => of_arguments(args, of_sizes(args)?),
    };
    if domain.is_some() && filed.is_none() && spec.memory == Bytes::ZERO {
        return Err("--memory is missing: the domain states no memory".into());
    }
    let mut asked = Asked {
        request: spec.build().map_err(|e| match (&args.request, &domain) {
            (Some(file), _) => at(file, e),
            (None, Some(_)) => format!("--domain: {e}").into(),
            (None, None) => e.into(),
        })?,
        uuid: None,
        is_named: args.name.is_some() || args.request.is_some() || domain.is_some(),
        removed: Vec::new(),
        asked: None,
        notes: Vec::new(),
    };
    if let (Some(file), Some(filed)) = (file, filed) {
        asked.of_file(file, filed);
    }
    if let Some(domain) = domain {
        asked.compare(args, host, domain);
    }
    Ok(asked)
}

/// The domain that will be patched, as a request.
fn domain_of(host: &Host, text: &str) -> Result<DomainRequest, Failure> {
    match is_qemu_conf(text) || is_vm(text) {
        true => {
            Err("--domain: only domains of libvirt can be patched: give this VM with --request"
                .into())
        }
        false => {
            request_of_domain(host, text).map_err(|e| format!("--domain: {}", sentence(&e)).into())
        }
    }
}

/// The VM of `--vcpus` and `--memory`. Without a size, it is an example of 32 vCPUs, 256 GiB and
/// two GPUs for the embedded host. With a size, it gets only the requested GPUs.
fn of_sizes(args: &Args) -> Result<RequestSpec, Failure> {
    let (vcpus, memory, gpus) = match (args.vcpus, args.memory) {
        (None, None) if args.host.is_some() => {
            return Err("no VM is asked for: give its size (--vcpus 16 --memory 64GiB --gpus 1), \
                        a request (--request FILE) or a domain (--domain FILE)"
                .into());
        }
        (None, None) => (32, Bytes::from_gib(256), 2),
        (Some(vcpus), Some(memory)) => (vcpus, memory, 0),
        (Some(_), None) => return Err("--memory is missing: --vcpus needs it".into()),
        (None, Some(_)) => return Err("--vcpus is missing: --memory needs it".into()),
    };
    let model = args.gpu_model.clone();
    // Naming a model or a kind asks for one.
    let asks = model.is_some() || args.gpu_kind.is_some();
    let count = args.gpus.unwrap_or(if asks { gpus.max(1) } else { gpus });
    let gpus = match args.gpu.as_slice() {
        [] if args.gpu_kind == Some(GpuKind::Virtual) => GpuRequest::VfOf { count, model },
        [] if args.gpu_kind == Some(GpuKind::Virtual) => GpuRequest::VfOf { count, model },
        [] => GpuRequest::Count { count, model },
        named => GpuRequest::Addresses(named.to_vec()),
    };
    Ok(RequestSpec { gpus, ..RequestSpec::new("vm1", vcpus, memory) })
}

/// Whether a model or a kind is named, which asks for one GPU.
fn asks_for_gpus(args: &Args) -> bool {
    args.gpu_model.is_some() || args.gpu_kind.is_some()
}

/// The VM of the domain, of the size and with the GPUs that the arguments say.
fn of_domain(args: &Args, host: &Host, domain: &RequestSpec) -> RequestSpec {
    let mut spec = domain.clone();
    spec.vcpus = args.vcpus.unwrap_or(spec.vcpus);
    spec.memory = args.memory.unwrap_or(spec.memory);
    let had = u32::try_from(domain.gpus.count()).unwrap_or(u32::MAX);
    let asks = asks_for_gpus(args);
    let count = args.gpus.unwrap_or(if asks { had.max(1) } else { had });
    // Another number of the domain's virtual functions is one of virtual functions.
    let of_host = |address: &PciAddr| host.gpu(*address).is_some();
    let were_virtual = match &domain.gpus {
        GpuRequest::Addresses(gpus) => !gpus.iter().any(of_host),
        GpuRequest::Count { .. } | GpuRequest::VfOf { .. } => false,
    };
    if !args.gpu.is_empty() {
        spec.gpus = GpuRequest::Addresses(args.gpu.clone());
    } else if asks || count != had {
        let model = args.gpu_model.clone();
        spec.gpus = match args.gpu_kind {
            Some(GpuKind::Virtual) => GpuRequest::VfOf { count, model },
            None if were_virtual => GpuRequest::VfOf { count, model },
            Some(GpuKind::Whole) | None => GpuRequest::Count { count, model },
        };
    }
    if let GpuRequest::Addresses(gpus) = &spec.gpus {
        spec.devices.retain(|device| !gpus.contains(device));
    }
    // A page size that the domain names may not divide another amount of memory.
    spec.page_size = spec.page_size.filter(|size| size.pages_in(spec.memory).is_some());
    spec
}

/// The request with everything that the arguments say beside sizes and GPUs.
fn of_arguments(args: &Args, base: RequestSpec) -> RequestSpec {
    let policies = Policies {
        dedicated_cpus: args.dedicated_cpus.unwrap_or(base.policies.dedicated_cpus),
        whole_cores: args.whole_cores.unwrap_or(base.policies.whole_cores),
        own_l3: args.own_l3.unwrap_or(base.policies.own_l3),
        one_node: args.one_node.unwrap_or(base.policies.one_node),
        gpu_locality: args.gpu_locality.unwrap_or(base.policies.gpu_locality),
        same_switch: args.same_switch.unwrap_or(base.policies.same_switch),
        fabric_partition: args.fabric_partition.unwrap_or(base.policies.fabric_partition),
        ..base.policies
    };
    // The domain keeps its devices: those of the arguments are added.
    let mut devices = base.devices;
    for device in &args.device {
        if !devices.contains(device) {
            devices.push(*device);
        }
    }
    RequestSpec {
        name: args.name.clone().unwrap_or(base.name),
        devices,
        device_wishes: args.wishes.wishes(),
        allow_group: args.allow_group,
        policies,
        io_threads: args.threads.io_threads.unwrap_or(base.io_threads),
        emulator_pcpus: args.threads.emulator_pcpus.unwrap_or(base.emulator_pcpus),
        page_size: args.page_size.map_or(base.page_size, |choice| choice.0),
        workload: args.workload.unwrap_or(base.workload),
        guest: args.guest.unwrap_or(base.guest),
        cells: args.cells.unwrap_or_default(),
        smt: args.smt.unwrap_or(base.smt),
        peer_to_peer: args.p2p.and_then(|choice| choice.0),
        shared: args.shared.or(base.shared),
        cpus: args.cpus.clone(),
        nodes: args.nodes.clone(),
        memory_nodes: args.memory_nodes.clone(),
        ..base
    }
}

impl Asked {
    /// Takes what a request in a file has beside the request. A request in our own format needs no
    /// word.
    fn of_file(&mut self, file: &Path, filed: DomainRequest) {
        let DomainRequest { uuid, notes, is_foreign, .. } = filed;
        let shown = file.display();
        self.notes.extend(notes.iter().map(|note| format!("{shown}: {note}")));
        self.uuid = uuid;
        if is_foreign {
            self.asked = Some(summary(self.request.spec()));
        }
    }

    /// Notes every difference between the request and the domain, and which of the domain's GPU
    /// functions go.
    fn compare(&mut self, args: &Args, host: &Host, domain: DomainRequest) {
        let DomainRequest { request: had, uuid, gpu_functions, notes, .. } = domain;
        self.uuid = uuid.or(self.uuid.take());
        let shown = plain(&had.name);
        self.notes.extend(notes.iter().map(|note| format!("{shown}: {note}")));
        let wanted = self.request.spec().clone();
        let from = if args.request.is_some() { "--request" } else { "the arguments" };
        self.asked = Some(summary(&wanted));
        let mut differs = |what: &str, before: String, after: String| {
            if before != after {
                let (name, verb) = (&had.name, if args.request.is_some() { "asks" } else { "ask" });
                self.notes.push(format!(
                    "domain {name} has {what}{before}, but {from} {verb} for {after}"
                ));
            }
        };
        differs("the name ", shown.clone(), wanted.name.clone());
        differs("", format!("{} vCPUs", had.vcpus), format!("{} vCPUs", wanted.vcpus));
        let states_memory = had.memory > Bytes::ZERO;
        let memory = if states_memory { had.memory } else { wanted.memory };
        differs("", format!("{memory} of memory"), format!("{} of memory", wanted.memory));
        if let Some(size) = had.page_size {
            let other = wanted
                .page_size
                .map_or_else(|| "any pages".to_owned(), |s| format!("pages of {s}"));
            differs("", format!("pages of {size}"), other);
        }
        differs("", gpus(&had.gpus), gpus(&wanted.gpus));
        if args.request.is_some() || !args.device.is_empty() {
            let devices = |spec: &RequestSpec| list("devices", &spec.devices);
            differs("", devices(&had), devices(&wanted));
        }
        if args.request.is_some() || args.threads.io_threads.is_some() {
            let threads = |n| format!("{n} I/O threads");
            differs("", threads(had.io_threads), threads(wanted.io_threads));
        }
        if had.guest != wanted.guest {
            let guest = |guest: Guest| format!("guest {}", guest.name());
            differs("", guest(had.guest), guest(wanted.guest));
        }
        // A request in a file that names no GPUs leaves the domain's to it.
        let names_gpus = wanted.gpus.count() > 0 || args.request.is_none();
        if names_gpus && had.gpus != wanted.gpus {
            let of = |gpu: &PciAddr| host.pci().companions_of(*gpu);
            let stays = |address: &PciAddr| match &wanted.gpus {
                GpuRequest::Addresses(gpus) => {
                    gpus.contains(address) || gpus.iter().any(|gpu| of(gpu).contains(address))
                }
                GpuRequest::Count { .. } | GpuRequest::VfOf { .. } => false,
            };
            self.removed = gpu_functions.into_iter().filter(|address| !stays(address)).collect();
        }
    }
}

/// What is asked for, in a line.
fn summary(wanted: &RequestSpec) -> String {
    let RequestSpec { name, vcpus, memory, .. } = wanted;
    let devices = list("other devices", &wanted.devices);
    let mut parts = vec![format!("{vcpus} vCPUs"), memory.to_string(), gpus(&wanted.gpus), devices];
    parts.extend(wanted.device_wishes.iter().map(wished));
    format!("{}: {}", plain(name), parts.join(", "))
}

fn gpus(gpus: &GpuRequest) -> String {
    let (what, count, model) = match gpus {
        GpuRequest::Addresses(addresses) => return list("GPUs", addresses),
        GpuRequest::Count { count, model } => ("GPUs", count, model),
        GpuRequest::VfOf { count, model } => ("virtual functions of GPUs", count, model),
    };
    match (count, model) {
        (0, _) => "no GPUs".to_owned(),
        (count, None) => format!("{count} {what}"),
        (count, Some(model)) => format!("{count} {what} of {model:?}"),
    }
}

fn wished(wish: &DeviceWish) -> String {
    let kind = wish.kind;
    let model = wish.model.as_ref().map_or_else(String::new, |model| format!(" of {model:?}"));
    match wish.number {
        WishNumber::PerGpu => format!("one {kind}{model} for each GPU"),
        WishNumber::Count(1) => format!("one {kind}{model}"),
        WishNumber::Count(count) => format!("{count} {kind}s{model}"),
    }
}

fn list(what: &str, addresses: &[PciAddr]) -> String {
    let mut addresses = addresses.to_vec();
    addresses.sort_unstable();
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if addresses.is_empty() {
        format!("no {what}")
    } else {
        format!("{what} {}", addresses.join(" "))
    }
}
