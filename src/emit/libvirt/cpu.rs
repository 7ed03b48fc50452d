//! vCPUs: their pins, and the CPU model that the guest sees.

use super::shows_cells;
use crate::emit::xml::Element;
use crate::placement::Placement;
use crate::sets::CpuSet;

/// `<vcpu>`: where vCPUs float, with the pCPUs that they and all threads without a pin share.
pub fn vcpu(placement: &Placement) -> Element {
    let mut vcpu = Element::new("vcpu").attr("placement", "static");
    if placement.style.floats() {
        vcpu = vcpu.attr("cpuset", placement.vcpu_pcpus());
    }
    vcpu.text(placement.vcpus.len())
}

/// Whether one set on `<vcpu>` says it all: every vCPU may run on the same pCPUs.
fn shares_one_set(placement: &Placement) -> bool {
    placement.style.floats() && placement.vcpus.iter().all(|set| *set == placement.vcpus[0])
}

/// `<iothreads>`.
pub fn iothreads(placement: &Placement) -> Option<Element> {
    let count = placement.iothreads.len();
    (count > 0).then(|| Element::new("iothreads").text(count))
}

/// Whether every vCPU is pinned, so that the caches shown to the guest are true.
pub fn is_pinned(placement: &Placement) -> bool {
    placement.vcpus.iter().all(|set| !set.is_empty())
}

/// `<cputune>`, if anything is pinned.
pub fn tune(placement: &Placement) -> Option<Element> {
    let pin = |name| Element::new(name);
    let mut pins = Vec::new();
    let pinned = |set: &CpuSet| !set.is_empty() && !shares_one_set(placement);
    for (set, vcpu) in placement.vcpus.iter().zip(0_u32..).filter(|(set, _)| pinned(set)) {
        pins.push(pin("vcpupin").attr("vcpu", vcpu).attr("cpuset", set));
    }
    if !placement.emulator.is_empty() {
        pins.push(pin("emulatorpin").attr("cpuset", &placement.emulator));
    }
    // libvirt numbers I/O threads from 1.
    for (set, id) in placement.iothreads.iter().zip(1_u32..).filter(|(set, _)| !set.is_empty()) {
        pins.push(pin("iothreadpin").attr("iothread", id).attr("cpuset", set));
    }
    (!pins.is_empty()).then(|| Element::new("cputune").children(pins))
}

/// `<cpu>`: the host's model, because drivers and libraries in the guest choose code by it.
///
/// `migratable='off'` also shows the invariant clock, which only a VM that never migrates may rely
/// on; a VM with passed-through GPUs does not migrate.
pub fn cpu(placement: &Placement) -> Element {
    let cpu = Element::new("cpu").attr("mode", "host-passthrough").attr("check", "none");
    let cpu = cpu.attr("migratable", "off").child(topology(placement));
    let cpu = cpu.children(cache(placement)).children(topoext(placement));
    cpu.children(shows_cells(placement).then(|| numa(placement)))
}

/// `<topology>`, without `clusters`: x86 has none, and older libvirt does not know the attribute.
pub fn topology(placement: &Placement) -> Element {
    let topology = placement.topology;
    Element::new("topology")
        .attr("sockets", topology.sockets)
        .attr("dies", topology.dies)
        .attr("cores", topology.cores)
        .attr("threads", topology.threads)
}

/// The host's caches, if the vCPUs are pinned.
pub fn cache(placement: &Placement) -> Option<Element> {
    is_pinned(placement).then(|| Element::new("cache").attr("mode", "passthrough"))
}

/// `topoext`: without it, AMD guests ignore SMT siblings.
pub fn topoext(placement: &Placement) -> Option<Element> {
    let feature = || Element::new("feature").attr("policy", "require").attr("name", "topoext");
    placement.topoext.then(feature)
}

/// `<numa>` with the whole distance matrix: libvirt fills missing distances with 10 and 20.
pub fn numa(placement: &Placement) -> Element {
    numa_with(placement, |cell| cell)
}

/// `<numa>`, each cell passed through `more` before its distances are added.
pub fn numa_with(placement: &Placement, more: impl Fn(Element) -> Element) -> Element {
    let cells = placement.cells.iter().map(|cell| {
        let element = Element::new("cell")
            .attr("id", cell.id)
            .attr("cpus", &cell.vcpus)
            .attr("memory", cell.memory.kib())
            .attr("unit", "KiB");
        let siblings = placement.cells.iter().zip(&cell.distances).map(|(other, distance)| {
            Element::new("sibling").attr("id", other.id).attr("value", distance)
        });
        let distances = Element::new("distances").children(siblings);
        more(element).children((placement.cells.len() > 1).then_some(distances))
    });
    Element::new("numa").children(cells)
}

/// `<iommu>`, which provides x2APIC. With passed-through devices QEMU starts only in caching mode.
pub fn iommu(placement: &Placement) -> Option<Element> {
    let mut driver = Element::new("driver").attr("intremap", "on");
    if !placement.pci.functions.is_empty() {
        driver = driver.attr("caching_mode", "on");
    }
    let driver = driver.attr("eim", "on");
    placement.iommu.then(|| Element::new("iommu").attr("model", "intel").child(driver))
}
