//! The JSON form of a placement, and the conversions.

use serde::{Deserialize, Serialize};

use crate::host::pcie::RootComplex;
use crate::json::text::JsonError;
use crate::json::write::is_off;
use crate::placement::{
    Cell, ExpanderBus, GuestFunction, GuestPci, GuestPort, GuestSwitch, GuestTopology, MemoryMode,
    PlacedDevice, Placement, Style,
};
use crate::sets::{CpuSet, NodeSet, VcpuSet};
use crate::units::{Bytes, CellId, Distance, Id, NodeId, PageSize, PciAddr};

/// A placement as written. GPUs are apart from other devices, and each vCPU has its number, because
/// scripts look for both.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::json) struct PlacementJson {
    name: String,
    style: Style,
    memory_mode: MemoryMode,
    dedicated: bool,
    topology: GuestTopology,
    vcpus: Vec<VcpuJson>,
    #[serde(default)]
    idle: CpuSet,
    #[serde(default)]
    emulator: CpuSet,
    #[serde(default, skip_serializing_if = "CpuSet::is_empty")]
    emulator_own: CpuSet,
    #[serde(default)]
    iothreads: Vec<CpuSet>,
    cells: Vec<CellJson>,
    #[serde(default)]
    gpus: Vec<DeviceJson>,
    #[serde(default)]
    devices: Vec<DeviceJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fabric_partition: Option<u32>,
    #[serde(default, skip_serializing_if = "PciJson::is_empty")]
    pci: PciJson,
    #[serde(default, skip_serializing_if = "is_off")]
    iommu: bool,
    #[serde(default, skip_serializing_if = "is_off")]
    topoext: bool,
    #[serde(default, skip_serializing_if = "is_off")]
    whole_cores: bool,
    #[serde(default, skip_serializing_if = "is_off")]
    own_l3: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VcpuJson {
    vcpu: usize,
    pcpus: CpuSet,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CellJson {
    id: CellId,
    nodes: NodeSet,
    vcpus: VcpuSet,
    memory_kib: u64,
    page_kib: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pages: Vec<PagesJson>,
    distances: Vec<Distance>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PagesJson {
    node: NodeId,
    count: u64,
}

/// A device. Unknown values are null rather than omitted: scripts read these fields.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceJson {
    address: PciAddr,
    #[serde(default)]
    node: Option<NodeId>,
    #[serde(default)]
    cell: Option<CellId>,
    #[serde(default)]
    functions: Vec<PciAddr>,
    #[serde(default)]
    withheld: Vec<PciAddr>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PciJson {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    expanders: Vec<ExpanderJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<PortJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    switches: Vec<SwitchJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    functions: Vec<FunctionJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mmio64_mib: Option<u64>,
}

impl PciJson {
    fn is_empty(&self) -> bool {
        let Self { expanders, ports, switches, functions, mmio64_mib } = self;
        expanders.is_empty()
            && ports.is_empty()
            && switches.is_empty()
            && functions.is_empty()
            && mmio64_mib.is_none()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpanderJson {
    index: u32,
    cell: CellId,
    bus_nr: u8,
    root: RootJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootJson {
    domain: u32,
    bus: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortJson {
    index: u32,
    parent: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slot: Option<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchJson {
    index: u32,
    port: u32,
    host: PciAddr,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FunctionJson {
    host: PciAddr,
    port: u32,
    function: u8,
    #[serde(default, skip_serializing_if = "is_off")]
    multifunction: bool,
}

impl From<&Placement> for PlacementJson {
    fn from(placement: &Placement) -> Self {
        let Placement {
            name,
            style,
            dedicated,
            memory_mode,
            topology,
            vcpus,
            idle,
            emulator_own,
            emulator,
            iothreads,
            cells,
            devices,
            fabric_partition,
            pci,
            iommu,
            topoext,
            whole_cores,
            own_l3,
        } = placement;
        let pinned = |(vcpu, pcpus): (usize, &CpuSet)| VcpuJson { vcpu, pcpus: pcpus.clone() };
        let devices = |gpus: bool| {
            let of_kind = devices.iter().filter(move |device| device.is_gpu == gpus);
            of_kind.map(DeviceJson::from).collect()
        };
        Self {
            name: name.clone(),
            style: *style,
            memory_mode: *memory_mode,
            dedicated: *dedicated,
            topology: *topology,
            vcpus: vcpus.iter().enumerate().map(pinned).collect(),
            idle: idle.clone(),
            emulator: emulator.clone(),
            emulator_own: emulator_own.clone(),
            iothreads: iothreads.clone(),
            cells: cells.iter().map(CellJson::from).collect(),
            gpus: devices(true),
            devices: devices(false),
            fabric_partition: *fabric_partition,
            pci: pci.into(),
            iommu: *iommu,
            topoext: *topoext,
            whole_cores: *whole_cores,
            own_l3: *own_l3,
        }
    }
}

impl PlacementJson {
    /// The placement. `path` leads to it in the text, with a dot at its end if it is not empty.
    pub(in crate::json) fn placement(self, path: &str) -> Result<Placement, JsonError> {
        let Self {
            name,
            style,
            memory_mode,
            dedicated,
            topology,
            vcpus,
            idle,
            emulator,
            emulator_own,
            iothreads,
            cells,
            gpus,
            devices,
            fabric_partition,
            pci,
            iommu,
            topoext,
            whole_cores,
            own_l3,
        } = self;
        let pinned = |(at, vcpu): (usize, VcpuJson)| {
            let VcpuJson { vcpu, pcpus } = vcpu;
            let problem = || format!("vCPU {vcpu}, where vCPU {at} is next");
            if vcpu == at {
                Ok(pcpus)
            } else {
                wrong(&format!("{path}vcpus[{at}].vcpu"), problem())
            }
        };
        let cell = |(at, cell): (usize, CellJson)| cell.cell(&format!("{path}cells[{at}]"));
        let mut all = Vec::with_capacity(gpus.len() + devices.len());
        for (key, list, is_gpu) in [("gpus", gpus, true), ("devices", devices, false)] {
            for (at, device) in list.into_iter().enumerate() {
                all.push(device.device(&format!("{path}{key}[{at}]"), is_gpu)?);
            }
        }
        Ok(Placement {
            name,
            style,
            dedicated,
            memory_mode,
            topology,
            vcpus: vcpus.into_iter().enumerate().map(pinned).collect::<Result<_, _>>()?,
            idle,
            emulator_own,
            emulator,
            iothreads,
            cells: cells.into_iter().enumerate().map(cell).collect::<Result<_, _>>()?,
            devices: all,
            fabric_partition,
            pci: pci.pci(&format!("{path}pci"))?,
            iommu,
            topoext,
            whole_cores,
            own_l3,
        })
    }
}

fn wrong<T>(path: &str, problem: String) -> Result<T, JsonError> {
    Err(JsonError::Wrong { path: path.to_owned(), problem })
}

/// The identifier, if it is one that a set can hold.
fn in_range<T: Id>(path: &str, id: T) -> Result<T, JsonError> {
    if id.index() < T::LIMIT {
        return Ok(id);
    }
    wrong(path, format!("{} is not {} below {}", id.index(), T::WHAT, T::LIMIT))
}

impl From<&Cell> for CellJson {
    fn from(cell: &Cell) -> Self {
        let Cell { id, nodes, vcpus, memory, page_size, pages, distances } = cell;
        let pages = pages.iter().map(|(node, count)| PagesJson { node: *node, count: *count });
        Self {
            id: *id,
            nodes: nodes.clone(),
            vcpus: vcpus.clone(),
            memory_kib: memory.kib(),
            page_kib: page_size.kib(),
            pages: pages.collect(),
            distances: distances.clone(),
        }
    }
}

impl CellJson {
    fn cell(self, path: &str) -> Result<Cell, JsonError> {
        let Self { id, nodes, vcpus, memory_kib, page_kib, pages, distances } = self;
        let Some(page_size) = PageSize::from_kib(page_kib) else {
            let problem =
                format!("{page_kib} KiB is no page size: a power of two from 4 KiB to 1 TiB");
            return wrong(&format!("{path}.page_kib"), problem);
        };
        let Some(memory) = memory_kib.checked_mul(1024).map(Bytes) else {
            return wrong(&format!("{path}.memory_kib"), format!("{memory_kib} KiB is too much"));
        };
        let on_node = |(at, PagesJson { node, count }): (usize, PagesJson)| {
            Ok((in_range(&format!("{path}.pages[{at}].node"), node)?, count))
        };
        Ok(Cell {
            id: in_range(&format!("{path}.id"), id)?,
            nodes,
            vcpus,
            memory,
            page_size,
            pages: pages.into_iter().enumerate().map(on_node).collect::<Result<_, JsonError>>()?,
            distances,
        })
    }
}

impl From<&PlacedDevice> for DeviceJson {
    fn from(device: &PlacedDevice) -> Self {
        let PlacedDevice { address, is_gpu: _, node, cell, functions, withheld } = device;
        Self {
            address: *address,
            node: *node,
            cell: *cell,
            functions: functions.clone(),
            withheld: withheld.clone(),
        }
    }
}

impl DeviceJson {
    fn device(self, path: &str, is_gpu: bool) -> Result<PlacedDevice, JsonError> {
        let Self { address, node, cell, functions, withheld } = self;
        let node = node.map(|node| in_range(&format!("{path}.node"), node)).transpose()?;
        let cell = cell.map(|cell| in_range(&format!("{path}.cell"), cell)).transpose()?;
        Ok(PlacedDevice { address, is_gpu, node, cell, functions, withheld })
    }
}

impl From<&GuestPci> for PciJson {
    fn from(pci: &GuestPci) -> Self {
        let GuestPci { expanders, ports, switches, functions, mmio64_mib } = pci;
        let expander = |expander: &ExpanderBus| {
            let ExpanderBus { index, cell, bus_nr, root } = *expander;
            let root = RootJson { domain: root.domain, bus: root.bus };
            ExpanderJson { index, cell, bus_nr, root }
        };
        let port = |port: &GuestPort| {
            let GuestPort { index, parent, slot } = *port;
            PortJson { index, parent, slot }
        };
        let switch = |switch: &GuestSwitch| {
            let GuestSwitch { index, port, host } = *switch;
            SwitchJson { index, port, host }
        };
        let function = |of: &GuestFunction| {
            let GuestFunction { host, port, function, multifunction } = *of;
            FunctionJson { host, port, function, multifunction }
        };
        Self {
            expanders: expanders.iter().map(expander).collect(),
            ports: ports.iter().map(port).collect(),
            switches: switches.iter().map(switch).collect(),
            functions: functions.iter().map(function).collect(),
            mmio64_mib: *mmio64_mib,
        }
    }
}

impl PciJson {
    fn pci(self, path: &str) -> Result<GuestPci, JsonError> {
        let Self { expanders, ports, switches, functions, mmio64_mib } = self;
        let expander = |(at, expander): (usize, ExpanderJson)| {
            let ExpanderJson { index, cell, bus_nr, root: RootJson { domain, bus } } = expander;
            let cell = in_range(&format!("{path}.expanders[{at}].cell"), cell)?;
            Ok(ExpanderBus { index, cell, bus_nr, root: RootComplex { domain, bus } })
        };
        let expanders = expanders.into_iter().enumerate().map(expander);
        let port = |PortJson { index, parent, slot }| GuestPort { index, parent, slot };
        let switch = |SwitchJson { index, port, host }| GuestSwitch { index, port, host };
        let function = |FunctionJson { host, port, function, multifunction }| GuestFunction {
            host,
            port,
            function,
            multifunction,
        };
        Ok(GuestPci {
            expanders: expanders.collect::<Result<_, JsonError>>()?,
            ports: ports.into_iter().map(port).collect(),
            switches: switches.into_iter().map(switch).collect(),
            functions: functions.into_iter().map(function).collect(),
            mmio64_mib,
        })
    }
}
