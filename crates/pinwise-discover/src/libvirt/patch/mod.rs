//! Puts a placement into the XML of an existing domain.

mod cpu;
mod devices;
mod edit;
mod parts;
mod problem;

use roxmltree::Node;

use crate::document::{self, Bounds, DocumentError, number};
use edit::EditedText;
use parts::{child, insert};
use pinwise::emit::libvirt::cpu::tune;
use pinwise::emit::libvirt::{check, domain_parts, features, memory, pci};
use pinwise::emit::xml::Element;
use pinwise::placement::Placement;
use pinwise::shown::shorten;
use problem::MAX_SHOWN;
pub use problem::PatchError;

/// Limits on a document: far more than any domain needs.
const BOUNDS: Bounds = Bounds { bytes: 4 << 20, nodes: 200_000, document_type: false };

/// The domain with the placement in it. Every other byte stays: comments, CDATA, unknown elements,
/// quotes, blanks. Patching twice gives the same text as patching once.
///
/// - Replaced as a whole: `<memory>` (a `dumpCore` stays), `<currentMemory>`, `<vcpu>`,
///   `<numatune>`. Removed: `<vcpus>`; `<numatune>` if the placement binds no memory;
///   `<iothreadids>` if the placement has I/O threads. If it has none, the domain's own I/O threads
///   stay, without their pins.
/// - `<cputune>`: pins are replaced. If the vCPUs are dedicated, quotas and periods are removed:
///   they would only stall pCPUs that nobody else uses. All else (`shares`, `cachetune`, …) stays.
/// - `<memoryBacking>`: `<hugepages>` is replaced, all else stays.
/// - `<cpu>`: `<topology>`, `<numa>` and, if needed, the `topoext` feature are replaced. Mode,
///   model and other features stay, since the placement cannot know why a model was chosen; only if
///   neither mode nor model is given, the mode becomes host-passthrough. The host's caches are
///   shown if the mode allows it. `memAccess` and `discard` stay if they are the same in all cells.
/// - `<features>`: `<acpi>` and `<ioapic>` are added if needed.
/// - Host devices of the placement that the domain already has keep all but their guest address,
///   and get an alias (`ua-pinwise-…`) unless the user gave them one. Missing devices are added.
///   Devices with such an alias that are not in the placement stem from an earlier placement and
///   are removed; other devices stay.
/// - Controllers that held nothing but these devices are replaced. The new controllers take over
///   their numbers, and further ones follow the domain's highest number. A number that is not taken
///   over becomes a plain root port.
/// - The domain's name stays.
///
/// # Errors
/// [`PatchError`] if the placement is wrong; if the text is longer than 4 MiB, is not XML, declares
/// a document type, has more than 200,000 nodes or is not of a domain; or if the domain says
/// something that the placement would make wrong: memory devices or `<maxMemory>`, a device's I/O
/// thread, guest cells with caches of their own, a machine type other than q35 if there are
/// devices, bus numbers that collide.
pub fn patch(placement: &Placement, domain_xml: &str) -> Result<String, PatchError> {
    check(placement)?;
    let document = document::parse(domain_xml, &BOUNDS).map_err(|refused| match refused {
        DocumentError::TooLong => {
            PatchError::TooLong { bytes: domain_xml.len(), limit: BOUNDS.bytes }
        }
        DocumentError::Unread(reason) => PatchError::Xml { reason },
    })?;
    let root = document.root_element();
    if !root.has_tag_name("domain") {
        return Err(PatchError::NotADomain { found: shorten(root.tag_name().name(), MAX_SHOWN) });
    }
    if child(root, "maxMemory")?.is_some() {
        let reason = "memory that is plugged later belongs to no cell";
        return Err(PatchError::Conflict { element: "maxMemory", reason });
    }
    let mut source = EditedText::new(domain_xml, root);
    for element in domain_parts(placement) {
        // Elements with parts that are not the placement's are merged below.
        match element.name() {
            "cpu" | "cputune" | "memoryBacking" | "qemu:commandline" => {}
            name => {
                let existing = child(root, name)?;
                let dump = existing.and_then(|node| node.attribute_node("dumpCore"));
                let dump = dump.filter(|_| name == "memory").map(|a| source.text(a.range()));
                let element = dump.into_iter().fold(element.clone(), Element::raw_attr);
                match existing {
                    Some(node) => source.replace(node, &[element]),
                    None => insert(&mut source, root, element),
                }
            }
        }
    }
    let mut stale = vec!["vcpus"];
    stale.extend(memory::tune(placement).is_none().then_some("numatune"));
    stale.extend((!placement.iothreads.is_empty()).then_some("iothreadids"));
    for name in stale {
        child(root, name)?.into_iter().for_each(|node| source.remove(node));
    }
    check_iothreads(placement, root)?;
    let is_pin = |name: &str| matches!(name, "vcpupin" | "emulatorpin" | "iothreadpin");
    let is_quota = |name: &str| name.ends_with("quota") || name.ends_with("period");
    merge(&mut source, root, "cputune", tune(placement), |node| {
        let name = node.tag_name().name();
        is_pin(name) || (placement.dedicated && is_quota(name))
    })?;
    merge(&mut source, root, "memoryBacking", memory::backing(placement), |node| {
        node.has_tag_name("hugepages")
    })?;
    cpu::patch(&mut source, root, placement)?;
    patch_features(&mut source, root, placement)?;
    patch_window(&mut source, root, placement);
    devices::patch(&mut source, root, placement)?;
    Ok(source.finish())
}

/// Replaces the children of an element for which `is_ours` holds by the placement's; others stay.
fn merge(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    name: &str,
    ours: Option<Element>,
    is_ours: impl Fn(&Node<'_, '_>) -> bool,
) -> Result<(), PatchError> {
    let Some(container) = child(root, name)? else {
        ours.into_iter().for_each(|element| insert(source, root, element));
        return Ok(());
    };
    let (owned, kept): (Vec<_>, Vec<_>) = container
        .children()
        .filter(|node| node.is_element() || node.is_comment())
        .partition(|node| node.is_element() && is_ours(node));
    let ours = ours.map(Element::into_children).unwrap_or_default();
    if ours.is_empty() && kept.is_empty() && !owned.is_empty() {
        source.remove(container);
    } else {
        source.exchange(container, &owned, &ours);
    }
    Ok(())
}

fn patch_features(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    placement: &Placement,
) -> Result<(), PatchError> {
    let existing = child(root, "features")?;
    let mut owned = Vec::new();
    let mut ours = Vec::new();
    for feature in features(placement) {
        let node = existing.map(|node| child(node, feature.name())).transpose()?.flatten();
        match node {
            Some(_) if feature.name() == "acpi" => {}
            node => {
                owned.extend(node);
                ours.push(feature);
            }
        }
    }
    match existing {
        _ if ours.is_empty() => {}
        Some(node) => source.exchange(node, &owned, &ours),
        None => insert(source, root, Element::new("features").children(ours)),
    }
    Ok(())
}

/// Sets the MMIO window among the domain's own arguments to QEMU. If the placement needs no window,
/// an existing one stays: a window larger than needed does no harm.
fn patch_window(source: &mut EditedText<'_>, root: Node<'_, '_>, placement: &Placement) {
    let Some(window) = pci::window(placement) else { return };
    let existing = root.children().find(|node| node.has_tag_name((pci::QEMU_NS, "commandline")));
    let Some(node) = existing else {
        insert(source, root, window);
        return;
    };
    let arguments: Vec<_> =
        node.children().filter(|node| node.has_tag_name((pci::QEMU_NS, "arg"))).collect();
    let is_key = |node: &Node<'_, '_>| {
        node.attribute("value").is_some_and(|value| value.contains(pci::WINDOW_KEY))
    };
    let pair = arguments
        .windows(2)
        .find(|pair| pair[0].attribute("value") == Some("-fw_cfg") && is_key(&pair[1]));
    // The prefix that the domain uses: its namespace is declared further up under that name.
    let tag = source.text(node.range());
    let prefix =
        tag[1..].split_once(':').filter(|(prefix, _)| !prefix.contains(char::is_whitespace));
    let prefix = prefix.map_or("", |(prefix, _)| prefix);
    let ours = pci::window_arguments(placement, prefix);
    source.exchange(
        node,
        pair.unwrap_or_default(),
        ours.as_ref().map_or(&[], |all| all.as_slice()),
    );
}

/// Refuses a domain with a device whose I/O thread, named by number, is not in the placement.
fn check_iothreads(placement: &Placement, root: Node<'_, '_>) -> Result<(), PatchError> {
    let count = placement.iothreads.len();
    if count == 0 {
        return Ok(());
    }
    let devices = root.children().filter(|node| node.has_tag_name("devices"));
    for node in devices.flat_map(|node| node.descendants()) {
        let id = match node.tag_name().name() {
            "driver" => node.attribute("iothread"),
            "iothread" => node.attribute("id"),
            _ => None,
        };
        if let Some(text) = id {
            let id = number(text)
                .ok_or_else(|| PatchError::value("the number of an I/O thread", text))?;
            if !usize::try_from(id).is_ok_and(|id| (1..=count).contains(&id)) {
                return Err(PatchError::IoThread { id, count });
            }
        }
    }
    Ok(())
}
