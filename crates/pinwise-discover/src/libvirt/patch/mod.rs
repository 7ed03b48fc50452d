//! Puts a placement into the XML of an existing domain.

mod cpu;
mod devices;
mod edit;
mod keep;
mod memory;
mod numbering;
mod parts;
mod problem;
mod reasons;
mod settle;
mod sizes;
mod tree;
mod tune;

use std::collections::BTreeSet;

use roxmltree::Node;

use crate::document::{self, Bounds, DocumentError};
use edit::EditedText;
use parts::{child, insert, says};
use pinwise::emit::DomainChange;
use pinwise::emit::libvirt::{check, features, pci, shows_cells};
use pinwise::emit::xml::Element;
use pinwise::placement::Placement;
use pinwise::shown::shorten;
use pinwise::units::{PageSize, PciAddr};
use pinwise::{Host, Question};
use problem::MAX_SHOWN;
pub use problem::PatchError;

/// Limits on a document: far more than any domain needs.
const BOUNDS: Bounds = Bounds { bytes: 4 << 20, nodes: 200_000, document_type: false };

/// What [`patch_with`] knows beside the placement.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct PatchOptions<'a> {
    /// The question that the placement answers. With it the domain's own sets of emulator and I/O
    /// threads stay where the checker accepts them, and changes of pins say what was wrong.
    pub question: Option<Question<'a>>,
    /// Host devices that the VM gives back: their `<hostdev>` are removed.
    pub removed: &'a [PciAddr],
}

impl<'a> PatchOptions<'a> {
    /// Options for the answer to `question`, with `removed` devices.
    #[must_use]
    pub const fn new(question: Question<'a>, removed: &'a [PciAddr]) -> Self {
        Self { question: Some(question), removed }
    }
}

/// A patched domain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatchedDomain {
    /// The domain's XML.
    pub xml: String,
    /// The changes, in the order of the XML; empty if the XML is the same.
    pub changes: Vec<DomainChange>,
}

/// The domain with the placement in it. Only what contradicts the placement changes; every other
/// byte stays: comments, CDATA, unknown elements, quotes, blanks. A domain that says the placement
/// already stays as it is.
///
/// - Sizes: `<memory>`, `<vcpu>`. `<currentMemory>`, `<vcpus>` and the number of vCPUs plugged in
///   stay while they agree with these; `<maxMemory>` grows to the memory. A `cpuset` of `<vcpu>`
///   goes if the pins leave it.
/// - I/O threads: if the placement has none, the domain's stay, pinned beside the emulator threads.
/// - `<cputune>`: pins. If the vCPUs are dedicated, quotas on their time are removed. vCPUs that
///   are gone leave `vcpusched`, `cachetune` and `memorytune`.
/// - `<memoryBacking>`: `<hugepages>`. `<numatune>`: nodes, unless it is known that the host has
///   only one; the modes `preferred` and `restrictive` stay where they hold the memory to the same
///   nodes.
/// - `<cpu>`: `<topology>`, `<numa>` and, if needed, the `topoext` feature. Mode, model and other
///   features stay, since the placement cannot know why a model was chosen; only if neither mode
///   nor model is given, the mode becomes host-passthrough. The host's caches are shown if the mode
///   allows it. `memAccess` and `discard` stay if they are the same in all cells.
/// - `<features>`: `<acpi>` and `<ioapic>` are added if needed.
/// - Host devices of the placement that the domain has keep everything, also their guest address,
///   unless the placement shows the guest which cell they are near and they are elsewhere. Missing
///   devices are added with an alias (`ua-pinwise-…`). Devices with such an alias that are not in
///   the placement stem from an earlier placement and are removed; other devices stay.
/// - Controllers that held nothing but devices that move are replaced. New controllers take over
///   their numbers, and further ones follow the domain's highest number. A number that is not taken
///   over becomes a plain root port. On machine types without PCIe ports (`pc-i440fx`) libvirt
///   finds the new devices their slots.
/// - The domain's name stays.
///
/// # Errors
/// [`PatchError`] if the placement is wrong; if the text is longer than 4 MiB, is not XML, declares
/// a document type, has more than 200,000 nodes or is not of a domain; or if the domain says
/// something that the placement would make wrong: memory devices, a device's I/O thread, guest
/// cells with caches of their own, a machine type other than q35 if the guest sees which cell its
/// devices are near, bus numbers that collide.
pub fn patch(placement: &Placement, domain_xml: &str) -> Result<String, PatchError> {
    patch_with(placement, domain_xml, PatchOptions::default()).map(|patched| patched.xml)
}

/// [`patch`] with the question that the placement answers, and the changes as a list.
///
/// # Errors
/// As for [`patch`].
pub fn patch_with(
    placement: &Placement,
    domain_xml: &str,
    options: PatchOptions<'_>,
) -> Result<PatchedDomain, PatchError> {
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
    check_namespaces(root)?;
    let mut source = EditedText::new(domain_xml, root);
    let ids = sizes::iothread_ids(root)?;
    let pins = tune::pins(root)?;
    let mut placement = placement.clone();
    if placement.iothreads.is_empty() {
        placement.iothreads = vec![placement.emulator.clone(); ids.len()];
    }
    if let Some(question) = options.question {
        placement = keep::kept(question, &placement, &pins, &ids);
    }
    let placement = &placement;
    let siblings = shown_siblings(root)?;
    let reasons = reasons::reasons(options.question, placement, &pins, siblings);
    sizes::memory(&mut source, root, placement)?;
    let default_page = options.question.and_then(|question| default_page(question.host));
    memory::backing(&mut source, root, placement, default_page)?;
    sizes::vcpus(&mut source, root, placement)?;
    let ids = sizes::iothreads(&mut source, root, placement, ids)?;
    if !ids.is_empty() {
        sizes::check_iothreads(root, &ids)?;
    }
    tune::patch(&mut source, root, placement, &ids, &reasons)?;
    let one_node = options.question.is_some_and(|question| question.host.nodes().len() == 1);
    memory::nodes(&mut source, root, placement, one_node)?;
    patch_features(&mut source, root, placement)?;
    cpu::patch(&mut source, root, placement)?;
    let cells =
        if cpu::shows_one(root)? || shows_cells(placement) { placement.cells.len() } else { 0 };
    if devices::patch(&mut source, root, placement, options.removed, cells)? {
        patch_window(&mut source, root, placement);
    }
    let (xml, changes) = source.finish();
    Ok(PatchedDomain { xml, changes })
}

/// libvirt reads no element whose default namespace is another, and a patch of it would say
/// nothing.
fn check_namespaces(root: Node<'_, '_>) -> Result<(), PatchError> {
    let parts = root.children().filter(|part| !part.has_tag_name("metadata"));
    let mut all = parts.flat_map(|part| part.descendants()).filter(Node::is_element);
    let foreign = all.find(|node| {
        let namespace = node.tag_name().namespace();
        namespace.is_some_and(|namespace| node.lookup_prefix(namespace).is_none())
    });
    match foreign {
        Some(node) => {
            let element = shorten(node.tag_name().name(), MAX_SHOWN);
            Err(PatchError::Namespace { element })
        }
        None => Ok(()),
    }
}

/// The number of siblings that the domain shows its guest in each core.
fn shown_siblings(root: Node<'_, '_>) -> Result<u32, PatchError> {
    let topology = child(root, "cpu")?.map(|cpu| child(cpu, "topology")).transpose()?.flatten();
    let threads = topology.and_then(|node| node.attribute("threads"));
    Ok(threads.and_then(|text| text.trim().parse().ok()).unwrap_or(1))
}

/// The page size of `<hugepages/>`, if the host has hugepages of one size only.
fn default_page(host: &Host) -> Option<PageSize> {
    let pools = host.nodes().iter().flat_map(|node| &node.pools);
    let sizes: BTreeSet<PageSize> =
        pools.filter(|pool| pool.size.is_huge() && pool.total > 0).map(|pool| pool.size).collect();
    sizes.first().copied().filter(|_| sizes.len() == 1)
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
            Some(node) if says(node, &feature) => {}
            node => {
                let why = "the guest's cells or its interrupts need it";
                source.changed(
                    format!("feature {}", feature.name()),
                    None,
                    Some("on".to_owned()),
                    why,
                );
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

/// Sets the MMIO window among the domain's own arguments to QEMU. An existing one that is large
/// enough stays.
fn patch_window(source: &mut EditedText<'_>, root: Node<'_, '_>, placement: &Placement) {
    let (Some(window), Some(mib)) = (pci::window(placement), placement.pci.mmio64_mib) else {
        return;
    };
    let why = "the firmware's default window is too small for the memory of the GPUs";
    let change = |source: &mut EditedText<'_>, before: Option<String>| {
        source.changed("MMIO window", before, Some(format!("{mib} MiB")), why);
    };
    let existing = root.children().find(|node| node.has_tag_name((pci::QEMU_NS, "commandline")));
    let Some(node) = existing else {
        change(source, None);
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
    let size = |node: &Node<'_, '_>| {
        let value = node.attribute("value")?.split("string=").nth(1)?;
        value.split(',').next()?.trim().parse::<u64>().ok()
    };
    let before = pair.and_then(|pair| size(&pair[1]));
    if before.is_some_and(|before| before >= mib) {
        return;
    }
    change(source, before.map(|before| format!("{before} MiB")));
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
