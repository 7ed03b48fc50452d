//! Finds parts of a domain, compares them, and inserts new ones where libvirt would write them.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

use super::edit::EditedText;
use super::problem::PatchError;
use crate::document;
use crate::libvirt::{values, xml};
use pinwise::emit::xml::{Element, Layout};
use pinwise::sets::IdSet;
use pinwise::units::{Bytes, Id, PciAddr};

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

/// The amount of memory that an element states; `None` if it cannot be read.
pub(super) fn amount(node: Node<'_, '_>) -> Option<Bytes> {
    values::memory(node, &xml::text(node, "memory")).ok()
}

/// The set that an attribute lists; `None` if it is absent or cannot be read.
pub(super) fn listed<T: Id>(node: Node<'_, '_>, name: &str) -> Option<IdSet<T>> {
    values::list(node.attribute(name)?)
}

/// Whether the domain's element says what `element` says: comments, blanks and the order of
/// attributes aside.
pub(super) fn says(node: Node<'_, '_>, element: &Element) -> bool {
    let text = element.render(&Layout::default(), "");
    Document::parse(&text).is_ok_and(|ours| alike(node, ours.root_element()))
}

fn alike(a: Node<'_, '_>, b: Node<'_, '_>) -> bool {
    fn attributes<'a>(node: Node<'a, '_>) -> BTreeMap<&'a str, &'a str> {
        node.attributes().map(|attribute| (attribute.name(), attribute.value())).collect()
    }
    let inside = |node: Node<'_, '_>| node.children().filter(Node::is_element).count();
    let text = |node: Node<'_, '_>| node.text().unwrap_or("").trim().to_owned();
    a.tag_name().name() == b.tag_name().name()
        && attributes(a) == attributes(b)
        && text(a) == text(b)
        && inside(a) == inside(b)
        && (a.children().filter(Node::is_element))
            .zip(b.children().filter(Node::is_element))
            .all(|(a, b)| alike(a, b))
}
