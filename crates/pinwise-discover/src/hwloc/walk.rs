//! One pass over the objects, each with its ancestors.

use std::collections::BTreeSet;

use super::element::LstopoElement;
use super::function::{self, FoundDevice};
use super::problem::LstopoError;
use pinwise::host::{MAX_NODES, MAX_PCI_FUNCTIONS, MAX_PCPUS};
use pinwise::sets::CpuSet;
use pinwise::units::{Bytes, Id as _, NodeId, PciAddr, PcpuId};

/// The `cache_type` of a cache for instructions.
const INSTRUCTIONS: u64 = 2;

/// A core, or a pCPU without a core.
pub(super) struct FoundCore {
    pub(super) os_index: Option<u32>,
    /// The index of its package in [`Found::packages`].
    pub(super) package: Option<usize>,
    pub(super) die: Option<u32>,
    pub(super) pcpus: CpuSet,
}

pub(super) struct FoundL3 {
    pub(super) size: Option<Bytes>,
    pub(super) cpus: CpuSet,
}

pub(super) struct FoundNode<'a> {
    pub(super) id: NodeId,
    pub(super) element: LstopoElement<'a>,
    /// The number of objects above it.
    pub(super) depth: u64,
}

/// The objects found, in the file's order.
#[derive(Default)]
pub(super) struct Found<'a> {
    /// The first object of the file.
    pub(super) machine: Option<LstopoElement<'a>>,
    pub(super) packages: Vec<LstopoElement<'a>>,
    pub(super) cores: Vec<FoundCore>,
    pub(super) l3: Vec<FoundL3>,
    pub(super) nodes: Vec<FoundNode<'a>>,
    pub(super) devices: Vec<FoundDevice>,
    /// The pCPUs of the objects that I/O objects hang from; devices refer to them by index.
    pub(super) places: Vec<CpuSet>,
    pub(super) pcpus: CpuSet,
    dies: u32,
    addresses: BTreeSet<PciAddr>,
}

/// The ancestors of an object: indexes into the lists of [`Found`], unless said otherwise.
#[derive(Clone, Copy, Default)]
pub(super) struct Above {
    depth: u64,
    package: Option<usize>,
    die: Option<u32>,
    l3: Option<usize>,
    core: Option<usize>,
    /// The index into [`Found::places`]; `None` above all I/O objects.
    pub(super) place: Option<usize>,
    /// The nearest PCI-to-PCI bridge.
    pub(super) bridge: Option<PciAddr>,
    /// The index into [`Found::devices`] of the PCI function that an OS device belongs to.
    pub(super) function: Option<usize>,
}

impl<'a> Found<'a> {
    /// Visits all objects of a topology, without recursion: a hostile file may nest deeper than any
    /// stack.
    pub(super) fn in_topology(root: LstopoElement<'a>) -> Result<Self, LstopoError> {
        let mut found = Self { machine: root.children("object").next(), ..Self::default() };
        let mut left: Vec<_> =
            root.children("object").rev().map(|object| (object, Above::default())).collect();
        while let Some((object, above)) = left.pop() {
            let mut below = found.visit(object, above)?;
            below.depth += 1;
            left.extend(object.children("object").rev().map(|child| (child, below)));
        }
        Ok(found)
    }

    /// Records an object, and returns the ancestors of its children.
    fn visit(&mut self, object: LstopoElement<'a>, above: Above) -> Result<Above, LstopoError> {
        let mut below = above;
        match object.kind() {
            "" => return Err(object.missing("type")),
            // Early versions of hwloc 1 wrote Socket.
            "Package" | "Socket" => {
                below.package = Some(self.packages.len());
                below.die = None;
                self.packages.push(object);
            }
            "Die" => {
                below.die = Some(object.os_index()?.unwrap_or(self.dies));
                self.dies = self.dies.saturating_add(1);
            }
            "NUMANode" => {
                object.within(self.nodes.len(), MAX_NODES)?;
                let id = NodeId(object.own_index(NodeId::LIMIT)?);
                if self.nodes.iter().any(|node| node.id == id) {
                    return Err(object.twice(id.to_string()));
                }
                self.nodes.push(FoundNode { id, element: object, depth: above.depth });
            }
            "L3Cache" | "Cache" if is_l3(object)? => {
                below.l3 = Some(self.l3.len());
                let size = object.number("cache_size")?.filter(|size| *size > 0).map(Bytes);
                self.l3.push(FoundL3 { size, cpus: CpuSet::new() });
            }
            "Core" => below.core = Some(self.core(object.os_index()?, above)),
            "PU" => self.pcpu(object, above)?,
            "Bridge" | "PCIDev" => {
                below.place = Some(self.place(object, above)?);
                if let Some(device) = function::read(object, above.bridge, below.place)? {
                    if !self.addresses.insert(device.function.address) {
                        return Err(object.twice(device.function.address.to_string()));
                    }
                    below.function = Some(self.devices.len());
                    below.bridge = device.bridge_below(above.bridge);
                    self.devices.push(device);
                } else {
                    below.bridge = None;
                }
            }
            "OSDev" => {
                if let Some(device) = above.function.and_then(|at| self.devices.get_mut(at)) {
                    device.rename(object);
                }
            }
            _ => {}
        }
        Ok(below)
    }

    fn core(&mut self, os_index: Option<u32>, above: Above) -> usize {
        let Above { package, die, .. } = above;
        self.cores.push(FoundCore { os_index, package, die, pcpus: CpuSet::new() });
        self.cores.len() - 1
    }

    fn pcpu(&mut self, object: LstopoElement<'a>, above: Above) -> Result<(), LstopoError> {
        object.within(self.pcpus.len(), MAX_PCPUS)?;
        let pcpu = PcpuId(object.own_index(PcpuId::LIMIT)?);
        if !self.pcpus.insert(pcpu) {
            return Err(object.twice(pcpu.to_string()));
        }
        let core = above.core.unwrap_or_else(|| self.core(None, above));
        if let Some(core) = self.cores.get_mut(core) {
            core.pcpus.insert(pcpu);
        }
        if let Some(l3) = above.l3.and_then(|at| self.l3.get_mut(at)) {
            l3.cpus.insert(pcpu);
        }
        Ok(())
    }

    /// The index of the pCPUs near an I/O object: those of the object above the outermost I/O
    /// object.
    fn place(&mut self, object: LstopoElement<'a>, above: Above) -> Result<usize, LstopoError> {
        if let Some(place) = above.place {
            return Ok(place);
        }
        object.within(self.places.len(), MAX_PCI_FUNCTIONS)?;
        let parent = object.0.parent_element().map(LstopoElement);
        let cpus = parent.map(|parent| parent.cpus("cpuset")).transpose()?.flatten();
        self.places.push(cpus.unwrap_or_default());
        Ok(self.places.len() - 1)
    }
}

/// Whether the object is an L3 cache for data. hwloc 1 has one type for all caches, with the level
/// as `depth`.
fn is_l3(object: LstopoElement<'_>) -> Result<bool, LstopoError> {
    let data = object.number("cache_type")? != Some(INSTRUCTIONS);
    Ok(data && (object.kind() == "L3Cache" || object.number("depth")? == Some(3)))
}
