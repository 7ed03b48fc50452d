//! XML from outside, parsed within bounds, for all readers of XML.

use roxmltree::{Document, Error, Node, ParsingOptions};

use pinwise::shown::shorten;
use pinwise::units::PciAddr;

/// The parser compares all attributes of an element, and all namespaces, with each other.
const MAX_QUOTES: usize = 4096;
const MAX_NAMESPACES: usize = 256;
/// The largest part of a parser error that a message shows, in bytes.
const MAX_SHOWN: usize = 80;

/// The limits of a kind of document.
pub(crate) struct Bounds {
    /// The length in bytes.
    pub(crate) bytes: usize,
    /// The number of elements, texts and comments.
    pub(crate) nodes: u32,
    /// Whether it may have a document type. A caller that allows it must refuse entity
    /// declarations, which can blow a text up.
    pub(crate) document_type: bool,
}

/// The reason why a text was not read.
pub(crate) enum DocumentError {
    TooLong,
    /// Not well-formed, or wider or deeper than the limits.
    Unread(String),
}

/// Parses the document, unless it exceeds the limits of its kind.
pub(crate) fn parse<'a>(text: &'a str, bounds: &Bounds) -> Result<Document<'a>, DocumentError> {
    if text.len() > bounds.bytes {
        return Err(DocumentError::TooLong);
    }
    let too_many =
        |what: &str, limit| DocumentError::Unread(format!("it has more than {limit} {what}"));
    // A tag contains no `<`, so it has at most as many attributes as the part up to the next `<`
    // has quotes.
    let quotes = |part: &str| part.bytes().filter(|b| matches!(b, b'"' | b'\'')).count();
    if text.split('<').any(|part| quotes(part) > MAX_QUOTES) {
        return Err(too_many("quotes in one tag or text", MAX_QUOTES));
    }
    if text.matches("xmlns").nth(MAX_NAMESPACES).is_some() {
        return Err(too_many("namespaces", MAX_NAMESPACES));
    }
    let options = ParsingOptions {
        nodes_limit: bounds.nodes,
        allow_dtd: bounds.document_type,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options).map_err(|error| match error {
        Error::NodesLimitReached => too_many("elements", bounds.nodes as usize),
        Error::DtdDetected => DocumentError::Unread("it has a document type".to_owned()),
        error => DocumentError::Unread(shorten(&error.to_string(), MAX_SHOWN)),
    })
}

/// A number in libvirt's notation of addresses: decimal, `0x` hexadecimal, or octal.
pub(crate) fn number(text: &str) -> Option<u32> {
    let digits = |text: &str, radix| {
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(text, radix).ok()).flatten()
    };
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return digits(hex, 16);
    }
    if text.len() > 1 && text.starts_with('0') { digits(text, 8) } else { digits(text, 10) }
}

/// The numbers of libvirt's `<address>`; omitted ones are 0. `bad` makes the error from the invalid
/// attribute and the expected value.
pub(crate) fn pci_address<E>(
    node: Node<'_, '_>,
    bad: impl Fn(&'static str, &'static str) -> E,
) -> Result<PciAddr, E> {
    let domain = || bad("domain", "a PCI domain");
    let small = |name, expected, limit: u8| {
        let text = node.attribute(name).unwrap_or("0").trim();
        let number = number(text).and_then(|number| u8::try_from(number).ok());
        number.filter(|number| *number <= limit).ok_or_else(|| bad(name, expected))
    };
    Ok(PciAddr {
        domain: number(node.attribute("domain").unwrap_or("0").trim()).ok_or_else(domain)?,
        bus: small("bus", "a PCI bus up to 255", u8::MAX)?,
        device: small("slot", "a PCI slot up to 31", 31)?,
        function: small("function", "a PCI function up to 7", 7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_of_addresses_are_hexadecimal_octal_or_decimal() {
        for (text, expected) in [
            ("0x21", Some(33)),
            ("222", Some(222)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("0xffffffff", Some(u32::MAX)),
            ("0x100000000", None),
            ("09", None),
            ("-1", None),
            ("0x", None),
            ("", None),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }
}
