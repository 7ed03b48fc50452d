//! A domain as it is, for an audit: pins, memory, the guest's view and devices, read from its XML.

use std::collections::{BTreeMap, BTreeSet};

use super::domain::{GuestMemory, bindings, cells, hugepages, is_windows_at, name, source};
use super::guest_pci::{self, GuestBuses};
use super::problem::LibvirtError;
use super::request::vcpus;
use super::values::{decimal, list, pci_address};
use super::xml::{
    self, XmlNode, XmlValue, attribute, child, children, descend, missing, required, root, text,
    twice,
};
use crate::notes::{Note, Notes};
use pinwise::audit::{AsIs, Binding, CellAsIs, CpuAsIs, DeviceAsIs};
use pinwise::host::Host;
use pinwise::placement::GuestTopology;
use pinwise::request::MAX_IO_THREADS;
use pinwise::sets::{CellSet, CpuSet, VcpuSet};
use pinwise::units::{Bytes, Id as _, VcpuId};

/// A domain as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainAsIs {
    /// The domain.
    pub domain: AsIs,
    /// What was left out or guessed, and why.
    pub notes: Vec<Note>,
}

const LIST: &str = "a list of pCPUs such as 0-3,8 or 0-7,^5";

/// Reads the XML of a domain as it is, for [`audit`](pinwise::audit::audit()).
///
/// - Pins are read as they are written: pCPUs may be offline. vCPUs, emulator and I/O threads
///   without pins have the `cpuset` of `<vcpu>`. All vCPUs count, also those that are not plugged
///   in yet.
/// - Memory is that of the guest's cells, or `<memory>`; memory modules are left out.
/// - Devices are those of `<hostdev>`, of interfaces of type `hostdev` and of NVMe disks. A device
///   is in the cell of the expander bus that its guest address leads up to.
///
/// # Errors
/// [`LibvirtError`] if the text is too long or is not XML of a domain, lacks a name or memory, has
/// a value that libvirt would refuse, or names a node that the host does not have.
pub fn domain_as_is(host: &Host, xml: &str) -> Result<DomainAsIs, LibvirtError> {
    let document = xml::parse(xml)?;
    let root = root(&document, "domain")?;
    let mut notes = Notes::default();
    let count = vcpus(root, &mut notes)?;
    let mut domain = AsIs::new(&name(root)?, count, Bytes::ZERO);
    domain.running = attribute(root, "id").is_some_and(|id| id.trimmed() != "-1");
    pins(root, &mut domain)?;
    memory(root, host, &mut domain, &mut notes)?;
    cpu(root, &mut domain)?;
    domain.windows = is_windows_at(root);
    let buses = guest_pci::read(root)?;
    devices(root, &buses, &mut domain)?;
    domain.expanders = buses.expanders();
    domain.mmio64_mib = guest_pci::window(root);
    Ok(DomainAsIs { domain, notes: notes.finish() })
}

fn cpus(value: &XmlValue<'_>) -> Result<CpuSet, LibvirtError> {
    value.parse(LIST, list)
}

/// The pCPUs of all threads, and quotas.
fn pins(root: XmlNode<'_>, domain: &mut AsIs) -> Result<(), LibvirtError> {
    let vcpu = child(root, "vcpu")?;
    let placement = vcpu.and_then(|vcpu| attribute(vcpu, "placement"));
    domain.placed_by_numad = placement.is_some_and(|placement| placement.trimmed() == "auto");
    let area = vcpu.and_then(|vcpu| attribute(vcpu, "cpuset"));
    let area = area.filter(|_| !domain.placed_by_numad);
    let area = area.map(|value| cpus(&value)).transpose()?.unwrap_or_default();
    let tune = child(root, "cputune")?;
    domain.vcpus.fill(area.clone());
    let mut pinned = BTreeSet::new();
    for pin in tune.into_iter().flat_map(|tune| children(tune, "vcpupin")) {
        let vcpu = required(pin, "vcpu")?.parse("a vCPU's number", decimal)?;
        if !pinned.insert(vcpu) {
            return Err(twice(pin, format!("the <vcpupin> of vCPU {vcpu}")));
        }
        let set = cpus(&required(pin, "cpuset")?)?;
        // libvirt ignores the pins of vCPUs that the domain does not have.
        if let Some(own) = usize::try_from(vcpu).ok().and_then(|at| domain.vcpus.get_mut(at)) {
            *own = set;
        }
    }
    let emulator = tune.map(|tune| child(tune, "emulatorpin")).transpose()?.flatten();
    domain.emulator = match emulator {
        Some(pin) => cpus(&required(pin, "cpuset")?)?,
        None => area.clone(),
    };
    iothreads(root, tune, &area, domain)?;
    for name in ["quota", "global_quota"] {
        let node = tune.map(|tune| child(tune, name)).transpose()?.flatten();
        let quota = node.map(|node| text(node, name).parse("a quota", |text| text.parse().ok()));
        domain.quota |= quota.transpose()?.is_some_and(|quota: i64| quota > 0);
    }
    Ok(())
}

fn iothreads(
    root: XmlNode<'_>,
    tune: Option<XmlNode<'_>>,
    area: &CpuSet,
    domain: &mut AsIs,
) -> Result<(), LibvirtError> {
    let number = |text: &str| {
        let number = u32::try_from(decimal(text)?).ok()?;
        (number <= MAX_IO_THREADS).then_some(number)
    };
    let expected = "a number of I/O threads";
    let node = child(root, "iothreads")?;
    let count = node.map(|node| text(node, "iothreads").parse(expected, number)).transpose()?;
    let mut ids = BTreeMap::new();
    let named = child(root, "iothreadids")?;
    for node in named.into_iter().flat_map(|ids| children(ids, "iothread")) {
        let id = required(node, "id")?.parse("an I/O thread's number", decimal)?;
        ids.insert(u32::try_from(id).unwrap_or(u32::MAX), area.clone());
    }
    // libvirt gives the others the lowest numbers that are free.
    let mut next = 1;
    while ids.len() < count.unwrap_or(0) as usize {
        ids.entry(next).or_insert_with(|| area.clone());
        next += 1;
    }
    for pin in tune.into_iter().flat_map(|tune| children(tune, "iothreadpin")) {
        let id = required(pin, "iothread")?.parse("an I/O thread's number", decimal)?;
        let set = cpus(&required(pin, "cpuset")?)?;
        if let Some(own) = u32::try_from(id).ok().and_then(|id| ids.get_mut(&id)) {
            *own = set;
        }
    }
    domain.iothreads = ids.into_iter().collect();
    Ok(())
}

fn memory(
    root: XmlNode<'_>,
    host: &Host,
    domain: &mut AsIs,
    notes: &mut Notes,
) -> Result<(), LibvirtError> {
    let parts = cells(root)?;
    let ids: CellSet = parts.iter().map(|part| part.cell).collect();
    let pages = hugepages(root, host, &ids, notes)?;
    let (all, by_cell) = bindings(root, host, &ids, domain.placed_by_numad, notes)?;
    let numa = descend(root, &["cpu", "numa"])?;
    let shown: Vec<XmlNode<'_>> =
        numa.into_iter().flat_map(|numa| children(numa, "cell")).collect();
    let everyone = domain.cells[0].vcpus.clone();
    domain.shows_cells = !shown.is_empty();
    let mut vcpus = Vec::new();
    for node in &shown {
        let of_cell = attribute(*node, "cpus");
        let set = of_cell.map(|value| value.parse("a list of vCPUs", list)).transpose()?;
        vcpus.push(set.unwrap_or_else(VcpuSet::new));
    }
    let placed = descend(root, &["numatune", "memory"])?;
    let placement = placed.and_then(|memory| attribute(memory, "placement"));
    domain.placed_by_numad |= placement.is_some_and(|placement| placement.trimmed() == "auto");
    let vcpus = vcpus.into_iter().map(Some).chain(std::iter::repeat(None));
    let cell = |(part, vcpus): (GuestMemory, Option<VcpuSet>)| {
        let bound = by_cell.get(&part.cell).unwrap_or(&all);
        CellAsIs {
            id: part.cell,
            vcpus: vcpus.unwrap_or_else(|| everyone.clone()),
            memory: part.memory,
            page_size: pages.by_cell.get(&part.cell).copied().or(pages.all),
            nodes: bound.nodes.clone(),
            binding: match (bound.preferred, bound.interleaved) {
                (true, _) => Binding::Preferred,
                (_, true) => Binding::Interleave,
                _ => Binding::Strict,
            },
        }
    };
    domain.cells = parts.into_iter().zip(vcpus).map(cell).collect();
    domain.cells.iter_mut().for_each(|cell| {
        // A domain may have pages of the base size in <hugepages>.
        cell.page_size = cell.page_size.filter(|size| size.is_huge());
    });
    Ok(())
}

fn cpu(root: XmlNode<'_>, domain: &mut AsIs) -> Result<(), LibvirtError> {
    let Some(cpu) = child(root, "cpu")? else { return Ok(()) };
    let mode = attribute(cpu, "mode");
    let host = mode.is_some_and(|mode| matches!(mode.trimmed(), "host-passthrough" | "maximum"));
    let is_topoext = |node: &XmlNode<'_>| node.attribute("name") == Some("topoext");
    let on =
        |node: XmlNode<'_>| matches!(node.attribute("policy"), None | Some("require" | "force"));
    let topoext = children(cpu, "feature").filter(is_topoext).any(on);
    domain.cpu = CpuAsIs { host, topoext, caches: children(cpu, "cache").next().is_some() };
    let Some(topology) = child(cpu, "topology")? else { return Ok(()) };
    let number = |name| match attribute(topology, name) {
        None => Ok(1),
        Some(value) => value.parse("a number from 1 to all vCPUs", |text| {
            let number = u32::try_from(decimal(text)?).ok()?;
            (1..=VcpuId::LIMIT).contains(&number).then_some(number)
        }),
    };
    let cores = number("cores")?.saturating_mul(number("clusters")?);
    let (sockets, dies, threads) = (number("sockets")?, number("dies")?, number("threads")?);
    domain.topology = GuestTopology { sockets, dies, cores, threads };
    Ok(())
}

fn devices(root: XmlNode<'_>, buses: &GuestBuses, domain: &mut AsIs) -> Result<(), LibvirtError> {
    let devices = child(root, "devices")?;
    let mut seen = BTreeSet::new();
    for node in devices.into_iter().flat_map(|devices| devices.children()) {
        if node.tag_name().name() == "iommu" {
            let driver = child(node, "driver")?;
            domain.iommu |= driver.is_some_and(|driver| driver.attribute("eim") == Some("on"));
        }
        if (node.tag_name().name(), node.attribute("type")) == ("hostdev", Some("mdev")) {
            domain.mediated = domain.mediated.saturating_add(1);
            continue;
        }
        let Some(source) = source(node)? else { continue };
        let address = child(source, "address")?.ok_or_else(|| missing(source, "<address>"))?;
        let address = pci_address(address)?;
        let bus = children(node, "address").next().and_then(guest_pci::bus);
        let cell = bus.and_then(|bus| buses.cell_of(bus));
        if seen.insert(address) {
            domain.devices.push(DeviceAsIs { address, cell });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinwise::audit::ExpanderAsIs;
    use pinwise::host::{CoreSpec, HostSpec, NodeSpec};
    use pinwise::units::{CellId, NodeId, PackageId, PcpuId};

    /// Two nodes of two cores.
    fn host() -> Host {
        let core = |n: u32| {
            let pcpus = [PcpuId(n)].into_iter().collect();
            CoreSpec::new(PackageId(n / 2), n, pcpus)
        };
        let node = |n: u32| {
            let pcpus = [2 * n, 2 * n + 1].map(PcpuId).into_iter().collect();
            NodeSpec::new(NodeId(n), pcpus, Bytes::from_gib(8))
        };
        let (nodes, cores) = ((0..2).map(node).collect(), (0..4).map(core).collect());
        HostSpec { nodes, cores, ..HostSpec::default() }.build().unwrap()
    }

    fn read(inside: &str) -> AsIs {
        let xml = format!("<domain><name>vm</name><memory unit='GiB'>2</memory>{inside}</domain>");
        domain_as_is(&host(), &xml).unwrap().domain
    }

    fn cpus(text: &str) -> CpuSet {
        text.parse().unwrap()
    }

    #[test]
    fn a_domain_that_states_nothing_has_a_socket_for_each_vcpu() {
        let domain = read("<vcpu>3</vcpu>");
        assert_eq!(domain, AsIs::new("vm", 3, Bytes::from_gib(2)));
    }

    #[test]
    fn pins_are_as_written_and_threads_without_pins_have_the_area() {
        let domain = read(
            "<vcpu cpuset='0-2,^1'>3</vcpu><iothreads>3</iothreads>\
             <iothreadids><iothread id='7'/><iothread id='1'/></iothreadids>\
             <cputune><vcpupin vcpu='1' cpuset='900'/><vcpupin vcpu='9' cpuset='1'/>\
             <iothreadpin iothread='2' cpuset='3'/><quota>-1</quota>\
             <global_quota>5000</global_quota></cputune>",
        );
        assert_eq!(domain.vcpus, [cpus("0,2"), cpus("900"), cpus("0,2")]);
        assert_eq!(domain.emulator, cpus("0,2"));
        let iothreads = [(1, cpus("0,2")), (2, cpus("3")), (7, cpus("0,2"))];
        assert_eq!(domain.iothreads, iothreads);
        assert!(domain.quota);
        assert!(!read("<vcpu>1</vcpu><cputune><quota>-1</quota></cputune>").quota);
    }

    #[test]
    fn cells_have_their_vcpus_pages_and_nodes() {
        let domain = read(
            "<vcpu>4</vcpu><memoryBacking><hugepages><page size='2' unit='MiB' nodeset='1'/>\
             </hugepages></memoryBacking>\
             <numatune><memory mode='interleave' nodeset='0-1'/>\
             <memnode cellid='1' mode='preferred' nodeset='1'/></numatune>\
             <cpu mode='maximum'><topology sockets='1' clusters='2' cores='1' threads='2'/>\
             <cache mode='passthrough'/><feature name='topoext' policy='disable'/>\
             <numa><cell cpus='0-1' memory='1' unit='GiB'/>\
             <cell cpus='2-3' memory='1' unit='GiB'/></numa></cpu>",
        );
        let cell = |id: u32, vcpus: &str, nodes: &str| CellAsIs {
            id: CellId(id),
            vcpus: vcpus.parse().unwrap(),
            memory: Bytes::from_gib(1),
            page_size: (id == 1).then_some(pinwise::PageSize::MIB_2),
            nodes: nodes.parse().unwrap(),
            binding: if id == 1 { Binding::Preferred } else { Binding::Interleave },
        };
        assert_eq!(domain.cells, [cell(0, "0-1", "0-1"), cell(1, "2-3", "1")]);
        assert!(domain.shows_cells);
        let topology = GuestTopology { sockets: 1, dies: 1, cores: 2, threads: 2 };
        assert_eq!(domain.topology, topology);
        assert_eq!(domain.cpu, CpuAsIs { host: true, topoext: false, caches: true });
    }

    #[test]
    fn devices_are_in_the_cell_of_the_expander_above_them() {
        let controller = |index: u32, model: &str, bus: u32, rest: &str| {
            format!(
                "<controller type='pci' index='{index}' model='{model}'>{rest}\
                 <address type='pci' bus='0x{bus:02x}'/></controller>"
            )
        };
        let device = |bus: u32, at: u32| {
            format!(
                "<hostdev type='pci'><source><address bus='0x{bus:02x}'/></source>\
                 <address type='pci' bus='{at}'/></hostdev>"
            )
        };
        let domain = read(&format!(
            "<vcpu>2</vcpu><cpu><numa><cell cpus='0' memory='1' unit='GiB'/>\
             <cell cpus='1' memory='1' unit='GiB'/></numa></cpu><devices>{}{}{}{}{}{}{}\
             <hostdev type='mdev'/><iommu model='intel'><driver eim='on'/></iommu></devices>",
            controller(1, "pcie-expander-bus", 0, "<target busNr='200'><node>1</node></target>"),
            controller(2, "pcie-root-port", 1, ""),
            controller(3, "pcie-root-port", 0, ""),
            // A circle.
            controller(4, "pcie-root-port", 5, "") + &controller(5, "pcie-root-port", 4, ""),
            device(0x41, 2),
            device(0x42, 3),
            device(0x43, 4) + &device(0x43, 4),
        ));
        let cells: Vec<_> = domain.devices.iter().map(|d| (d.address.bus, d.cell)).collect();
        assert_eq!(cells, [(0x41, Some(CellId(1))), (0x42, None), (0x43, None)]);
        assert_eq!((domain.mediated, domain.iommu), (1, true));
        assert_eq!(domain.expanders, [ExpanderAsIs { bus_nr: 200, buses: 1 }]);
    }

    #[test]
    fn what_libvirt_would_refuse_is_one_sentence() {
        for (inside, said) in [
            ("<vcpu cpuset='x'>1</vcpu>", "cpuset \"x\" is not a list of pCPUs"),
            ("<vcpu>1</vcpu><cputune><quota>y</quota></cputune>", "quota \"y\" is not a quota"),
            (
                "<vcpu>1</vcpu><cpu><topology cores='0'/></cpu>",
                "cores \"0\" is not a number from 1",
            ),
            (
                "<vcpu>1</vcpu><cputune><vcpupin vcpu='0' cpuset='1'/>\
                 <vcpupin vcpu='0' cpuset='2'/></cputune>",
                "the <vcpupin> of vCPU 0 is repeated",
            ),
            (
                "<vcpu>1</vcpu><devices><controller type='pci' index='1' \
                 model='pcie-expander-bus'><target busNr='256'/></controller></devices>",
                "busNr \"256\" is not a bus number",
            ),
        ] {
            let xml = format!("<domain><name>vm</name><memory>4096</memory>{inside}</domain>");
            let error = domain_as_is(&host(), &xml).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains('\n'), "{said} in {error}");
        }
    }
}
