//! Access to a document of libvirt: bounded, and every value knows its place.

use std::borrow::Cow;

use roxmltree::Document;

use super::problem::{LibvirtError, TextPlace};
use crate::document::{self, Bounds, DocumentError};
use pinwise::shown;

/// Limits on a document. The capabilities of a host with 4096 pCPUs take less than 1 MiB.
const BOUNDS: Bounds = Bounds { bytes: 8 << 20, nodes: 200_000, document_type: false };
/// The largest part of a foreign text that a message shows, in bytes.
const MAX_SHOWN: usize = 60;

/// An element of the document.
pub(crate) type XmlNode<'a> = roxmltree::Node<'a, 'a>;

/// The parsed document; an error if it exceeds what libvirt ever writes.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, LibvirtError> {
    document::parse(text, &BOUNDS).map_err(|refused| match refused {
        DocumentError::TooLong => LibvirtError::TooLong { bytes: text.len(), limit: BOUNDS.bytes },
        DocumentError::Unread(reason) => LibvirtError::Xml { reason },
    })
}

/// The root element; an error unless it has the expected name. libvirt keeps the domains that run
/// as `<domstatus>` in `/run/libvirt/qemu`, with the domain inside.
pub(crate) fn root<'a>(
    document: &'a Document<'a>,
    expected: &'static str,
) -> Result<XmlNode<'a>, LibvirtError> {
    let root = document.root_element();
    if is(root, expected) {
        return Ok(root);
    }
    if expected == "domain" && is(root, "domstatus") {
        return child(root, expected)?.ok_or_else(|| missing(root, "<domain>"));
    }
    Err(LibvirtError::Document { found: shorten(root.tag_name().name()), expected })
}

/// The beginning of a foreign text, for a message.
pub(crate) fn shorten(text: &str) -> String {
    shown::shorten(text, MAX_SHOWN)
}

/// Whether the element has this name, in the namespace of the root: foreign ones are ignored.
fn is(node: XmlNode<'_>, name: &str) -> bool {
    let own = node.document().root_element().tag_name().namespace();
    node.is_element() && node.tag_name().name() == name && node.tag_name().namespace() == own
}

pub(crate) fn place(node: XmlNode<'_>) -> TextPlace {
    place_at(node, node.range().start)
}

fn place_at(node: XmlNode<'_>, at: usize) -> TextPlace {
    let position = node.document().text_pos_at(at);
    TextPlace { line: position.row, column: position.col }
}

/// The children of that name.
pub(crate) fn children<'a>(node: XmlNode<'a>, name: &'a str) -> impl Iterator<Item = XmlNode<'a>> {
    node.children().filter(move |child| is(*child, name))
}

/// The child of that name; an error if there are several.
pub(crate) fn child<'a>(
    node: XmlNode<'a>,
    name: &'static str,
) -> Result<Option<XmlNode<'a>>, LibvirtError> {
    let mut found = children(node, name);
    let first = found.next();
    match found.next() {
        Some(second) => Err(twice(second, format!("<{name}>"))),
        None => Ok(first),
    }
}

/// The element reached from `node` by one child of each name in turn.
pub(crate) fn descend<'a>(
    node: XmlNode<'a>,
    way: &[&'static str],
) -> Result<Option<XmlNode<'a>>, LibvirtError> {
    let mut at = node;
    for name in way {
        match child(at, name)? {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

pub(crate) fn twice(node: XmlNode<'_>, what: String) -> LibvirtError {
    LibvirtError::Twice { place: place(node), what }
}

pub(crate) fn missing(node: XmlNode<'_>, what: &'static str) -> LibvirtError {
    let element = node.tag_name().name();
    LibvirtError::Missing { place: place(node), element: shorten(element), what }
}

/// A text in the document, with its place.
pub(crate) struct XmlValue<'a> {
    node: XmlNode<'a>,
    at: usize,
    name: &'static str,
    text: Cow<'a, str>,
}

/// The text inside an element, without comments.
pub(crate) fn text<'a>(node: XmlNode<'a>, name: &'static str) -> XmlValue<'a> {
    let mut parts = node.children().filter(roxmltree::Node::is_text);
    let first = parts.next();
    let at = first.map_or(node.range().start, |part| part.range().start);
    let mut text = Cow::Borrowed(first.and_then(|part| part.text()).unwrap_or_default());
    for part in parts {
        text.to_mut().push_str(part.text().unwrap_or_default());
    }
    XmlValue { node, at, name, text }
}

/// The attribute of that name.
pub(crate) fn attribute<'a>(node: XmlNode<'a>, name: &'static str) -> Option<XmlValue<'a>> {
    let attribute = node.attribute_node(name)?;
    let text = Cow::Borrowed(attribute.value());
    Some(XmlValue { node, at: attribute.range().start, name, text })
}

/// The attribute of that name; an error if it is absent.
pub(crate) fn required<'a>(
    node: XmlNode<'a>,
    name: &'static str,
) -> Result<XmlValue<'a>, LibvirtError> {
    attribute(node, name).ok_or_else(|| missing(node, name))
}

impl XmlValue<'_> {
    /// The text as written, with white space around it.
    pub(crate) fn raw(&self) -> &str {
        &self.text
    }

    /// The text without white space around it.
    pub(crate) fn trimmed(&self) -> &str {
        self.text.trim()
    }

    pub(crate) fn place(&self) -> TextPlace {
        place_at(self.node, self.at)
    }

    /// The error that this value is not what is expected.
    pub(crate) fn bad(&self, expected: &'static str) -> LibvirtError {
        let text = shorten(self.trimmed());
        LibvirtError::Value { place: self.place(), name: self.name, text, expected }
    }

    /// The error that the host does not have what this value names.
    pub(crate) fn absent(&self, what: String) -> LibvirtError {
        LibvirtError::Absent { place: self.place(), name: self.name, what }
    }

    /// The result of `parse`, or the error that the value is not what is expected.
    pub(crate) fn parse<T>(
        &self,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, LibvirtError> {
        parse(self.trimmed()).ok_or_else(|| self.bad(expected))
    }
}
