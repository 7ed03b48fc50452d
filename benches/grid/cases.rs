//! What is measured: cases by name, and how each is prepared.

use std::hint::black_box;

use pinwise::capacity::Shape as VmShape;
use pinwise::capacity::{capacity, reference_shapes};
use pinwise::host::Node;
use pinwise::json::{read_host, write_host};
use pinwise::request::GpuRequest;
use pinwise::{
    Bytes, Host, HostSpec, Options, PageSize, Placement, Policy, Question, Request, RequestSpec,
    Usage, emit, recommend, verify,
};
use pinwise_discover::libvirt::{read_capabilities, read_domain};

use pinwise_testkit::shapes::{Shape, vm};

/// How full the hosts are, in percent.
pub(crate) const FILLS: [u32; 3] = [0, 50, 90];
/// Cells of the requests, as far as the host has nodes.
const CELLS: [u32; 4] = [1, 2, 4, 8];
const GPUS: [u32; 5] = [0, 1, 2, 4, 8];

/// What is done once. The name says it: `2c/4g`, `2c/no-cpus`, `build`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// A VM with these numbers of cells and GPUs.
    Fit {
        cells: u32,
        gpus: u32,
    },
    /// The smallest cells of which one fewer has the pCPUs.
    NoCpus {
        cells: u32,
    },
    /// The smallest cells of which one fewer has the pages.
    NoPages {
        cells: u32,
    },
    /// GPUs enough, but not on so few nodes that also have the pCPUs.
    NoLocalGpus {
        cells: u32,
    },
    Build,
    ReadJson,
    ReadCapabilities,
    ReadDomain,
    EmitFragments,
    EmitDomain,
    EmitJson,
    Verify,
    /// How many VMs of one GPU and its share fit.
    CapacityGpu,
    /// How many VMs of two cells fit.
    CapacityCells,
}

impl Task {
    /// The GPUs of a request that may fit.
    pub(crate) fn gpus(self) -> Option<u32> {
        if let Self::Fit { gpus, .. } = self { Some(gpus) } else { None }
    }

    /// All requests for a host with this number of nodes.
    pub(crate) fn all(nodes: u32) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        for cells in CELLS.into_iter().filter(|cells| *cells <= nodes) {
            let fits = GPUS.map(|gpus| (format!("{cells}c/{gpus}g"), Self::Fit { cells, gpus }));
            all.extend(fits);
            all.push((format!("{cells}c/no-cpus"), Self::NoCpus { cells }));
            all.push((format!("{cells}c/no-pages"), Self::NoPages { cells }));
            all.push((format!("{cells}c/no-local-gpus"), Self::NoLocalGpus { cells }));
        }
        let others = [
            ("build", Self::Build),
            ("read-json", Self::ReadJson),
            ("read-capabilities", Self::ReadCapabilities),
            ("read-domain", Self::ReadDomain),
            ("emit-fragments", Self::EmitFragments),
            ("emit-domain", Self::EmitDomain),
            ("emit-json", Self::EmitJson),
            ("verify", Self::Verify),
            ("capacity-gpu", Self::CapacityGpu),
            ("capacity-cells", Self::CapacityCells),
        ];
        all.extend(others.map(|(name, task)| (name.to_owned(), task)));
        all
    }
}

/// A host with its neighbours.
pub(crate) struct Place {
    shape: Shape,
    host: Host,
    usage: Usage,
}

/// A case that is ready to run; `false` where a VM is refused.
pub(crate) type Run<'a> = Box<dyn FnMut() -> bool + 'a>;

impl Place {
    pub(crate) fn new(shape: Shape, fill: u32) -> Self {
        let host = shape.host();
        let usage = shape.usage(&host, fill);
        Self { shape, host, usage }
    }

    /// Makes ready what the task needs. `None` if the host has no such case.
    pub(crate) fn prepare(&self, task: Task) -> Option<Run<'_>> {
        let (host, usage) = (&self.host, &self.usage);
        Some(match task {
            Task::Fit { cells, gpus } => self.ask(vm(cells, gpus)),
            Task::NoCpus { cells } => self.refuse(self.no_cpus(cells)?),
            Task::NoPages { cells } => self.refuse(self.no_pages(cells)?),
            Task::NoLocalGpus { cells } => self.refuse(self.no_local_gpus(cells)?),
            Task::Build => {
                let description = host.description();
                Box::new(move || black_box(description).clone().build().is_ok())
            }
            Task::ReadJson => {
                let text = write_host(host.description());
                Box::new(move || read_host(black_box(&text)).is_ok())
            }
            Task::ReadCapabilities => {
                let text = capabilities(host.description());
                Box::new(move || read_capabilities(black_box(&text)).is_ok())
            }
            Task::ReadDomain => {
                let text = emit::libvirt::domain(&self.answer()?.1).expect("it has a domain");
                Box::new(move || read_domain(host, black_box(&text)).is_ok())
            }
            Task::EmitFragments => {
                let (_, placement) = self.answer()?;
                Box::new(move || emit::libvirt::fragments(black_box(&placement)).is_ok())
            }
            Task::EmitDomain => {
                let (_, placement) = self.answer()?;
                Box::new(move || emit::libvirt::domain(black_box(&placement)).is_ok())
            }
            Task::EmitJson => {
                let request = vm(2, 2).build().expect("in range");
                let answer = recommend(Question::new(host, usage, &request)).ok()?;
                Box::new(move || {
                    !pinwise::json::recommendation(
                        Question::new(host, usage, &request),
                        black_box(&answer),
                    )
                    .is_empty()
                })
            }
            Task::Verify => {
                let (request, placement) = self.answer()?;
                Box::new(move || {
                    verify(Question::new(host, usage, &request), black_box(&placement)).is_ok()
                })
            }
            Task::CapacityGpu => {
                let shape = reference_shapes(host).into_iter().next()?;
                Box::new(move || {
                    black_box(capacity(host, black_box(usage), &shape)).at_most() < u64::MAX
                })
            }
            Task::CapacityCells => {
                let shape = VmShape::new(2, 8, Bytes::from_gib(16), PageSize::MIB_2);
                Box::new(move || {
                    black_box(capacity(host, black_box(usage), &shape)).at_most() < u64::MAX
                })
            }
        })
    }

    fn ask(&self, request: RequestSpec) -> Run<'_> {
        let (request, options) = (request.build().expect("in range"), Options::default());
        Box::new(move || {
            black_box(recommend(
                Question::new(black_box(&self.host), &self.usage, &request).with(&options),
            ))
            .is_ok()
        })
    }

    fn refuse(&self, request: RequestSpec) -> Run<'_> {
        let name = format!("{}: {request:?}", self.shape.name());
        let mut run = self.ask(request);
        assert!(!run(), "this should fit nowhere: {name}");
        run
    }

    /// The request of two cells and two GPUs, and the best answer.
    fn answer(&self) -> Option<(Request, Placement)> {
        let request = vm(2, 2).build().expect("in range");
        let answer = recommend(Question::new(&self.host, &self.usage, &request)).ok()?;
        Some((request, answer.best().placement.clone()))
    }

    fn free_pcpus(&self, node: &Node) -> u32 {
        let free = node.cpus.difference(self.usage.dedicated()).len();
        u32::try_from(free).expect("at most MAX_PCPUS")
    }

    /// What the node has that is `cells`th best off.
    fn at_place(&self, cells: u32, of: impl Fn(&Node) -> u64) -> Option<u64> {
        let mut free: Vec<u64> = self.host.nodes().iter().map(of).collect();
        free.sort_unstable();
        free.iter().rev().nth(cells as usize - 1).copied()
    }

    fn no_cpus(&self, cells: u32) -> Option<RequestSpec> {
        let free = self.at_place(cells, |node| u64::from(self.free_pcpus(node)))?;
        let vcpus = cells * (u32::try_from(free).expect("a node's pCPUs") + 2);
        Some(RequestSpec { vcpus, ..cell_a_node(cells, 0) })
    }

    fn no_pages(&self, cells: u32) -> Option<RequestSpec> {
        let size = PageSize::MIB_2;
        let free = |node: &Node| self.usage.free_pages(&self.host, node.id, size);
        let memory = size.times((self.at_place(cells, free)? + 1) * u64::from(cells));
        Some(RequestSpec { memory, ..cell_a_node(cells, 0) })
    }

    fn no_local_gpus(&self, cells: u32) -> Option<RequestSpec> {
        let (nodes, each) = self.shape.gpu_nodes();
        let most = u32::try_from(nodes.len()).expect("at most 64 nodes");
        if cells < most {
            let gpus = (cells * each + 1).next_power_of_two().min(self.shape.gpus);
            return Some(RequestSpec {
                gpus: GpuRequest::Count { count: gpus, model: None },
                ..cell_a_node(cells, 0)
            });
        }
        // Every node with GPUs has to take part, and one of them lacks two pCPUs.
        let with_gpus = self.host.nodes().iter().filter(|node| nodes.contains(&node.id.0));
        let vcpus = with_gpus.map(|node| self.free_pcpus(node)).min()? + 2;
        let enough = self.at_place(cells, |node| u64::from(self.free_pcpus(node)))?;
        let request = cell_a_node(cells, self.shape.gpus);
        (enough >= u64::from(vcpus)).then_some(RequestSpec { vcpus: vcpus * cells, ..request })
    }
}

/// As `vm`, where a single cell may not span nodes either.
fn cell_a_node(cells: u32, gpus: u32) -> RequestSpec {
    let mut request = vm(cells, gpus);
    if cells == 1 {
        request.policies.one_node = Policy::Require;
    }
    request
}

/// What `virsh capabilities` prints of such a host.
fn capabilities(host: &HostSpec) -> String {
    let mut cells = String::new();
    for node in &host.nodes {
        let mut row = |text: String| cells.push_str(&text);
        row(format!("<cell id='{}'>\n", node.id));
        row(format!("<memory unit='KiB'>{}</memory>\n", node.memory.0 / 1024));
        for pool in &node.pools {
            let kib = pool.size.bytes() / 1024;
            row(format!("<pages unit='KiB' size='{kib}'>{}</pages>\n", pool.total));
        }
        row("<distances>\n".to_owned());
        for (to, distance) in host.nodes.iter().zip(&node.distances) {
            row(format!("<sibling id='{}' value='{distance}'/>\n", to.id));
        }
        row(format!("</distances>\n<cpus num='{}'>\n", node.cpus.len()));
        for core in host.cores.iter().filter(|core| core.pcpus.intersects(&node.cpus)) {
            for pcpu in core.pcpus.iter() {
                row(format!(
                    "<cpu id='{pcpu}' socket_id='{}' die_id='0' core_id='{}' siblings='{}'/>\n",
                    core.package, core.core, core.pcpus
                ));
            }
        }
        row("</cpus>\n</cell>\n".to_owned());
    }
    let banks = host.l3_domains.iter().enumerate().map(|(id, l3)| {
        let cpus = &l3.cpus;
        format!("<bank id='{id}' level='3' type='both' size='32' unit='MiB' cpus='{cpus}'/>\n")
    });
    format!(
        "<capabilities>\n<host>\n<topology>\n<cells num='{}'>\n{cells}</cells>\n</topology>\n\
         <cache>\n{}</cache>\n</host>\n</capabilities>\n",
        host.nodes.len(),
        banks.collect::<String>()
    )
}
