//! Finds parts of a domain, and inserts new ones where libvirt would write them.

use roxmltree::Node;

use super::edit::EditedText;
use super::problem::PatchError;
use crate::document;
use pinwise::emit::xml::Element;
use pinwise::units::PciAddr;

/// The child of this name; an error if there are several.
pub(super) fn child<'a, 'i>(
    parent: Node<'a, 'i>,
    name: &str,
) -> Result<Option<Node<'a, 'i>>, PatchError> {
    let mut found = parent.children().filter(|node| node.has_tag_name(name));
    let first = found.next();
    if found.next().is_some() {
        return Err(PatchError::Twice { element: name.to_owned() });
    }
    Ok(first)
}

/// The order in which libvirt writes the children of `<domain>`, as far as it matters here.
const ORDER: [&str; 23] = [
    "name",
    "uuid",
    "genid",
    "title",
    "description",
    "metadata",
    "maxMemory",
    "memory",
    "currentMemory",
    "memoryBacking",
    "vcpu",
    "vcpus",
    "iothreads",
    "iothreadids",
    "cputune",
    "numatune",
    "resource",
    "sysinfo",
    "os",
    "features",
    "cpu",
    "clock",
    "devices",
];

/// Inserts an element that the domain lacks where libvirt would write it.
pub(super) fn insert(source: &mut EditedText<'_>, root: Node<'_, '_>, element: Element) {
    let rank = ORDER.iter().position(|name| *name == element.name()).unwrap_or(ORDER.len());
    let has = |name: &&&str| root.children().any(|node| node.has_tag_name(**name));
    let before = ORDER[..rank].iter().rev().find(has);
    let anchor = before.and_then(|name| root.children().find(|node| node.has_tag_name(*name)));
    match anchor {
        _ if rank == ORDER.len() => source.insert_last(root, &[element]),
        Some(anchor) => source.insert_after(anchor, &[element]),
        None => source.insert_first(root, &[element]),
    }
}

/// The PCI address in an `<address>`; an omitted number is 0.
pub(super) fn pci_address(node: Node<'_, '_>) -> Result<PciAddr, PatchError> {
    document::pci_address(node, |name, expected| {
        PatchError::value(expected, node.attribute(name).unwrap_or_default())
    })
}
