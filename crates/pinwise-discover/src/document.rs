//! XML from outside, within bounds, for everyone who reads some.

use roxmltree::{Document, Error, Node, ParsingOptions};

use pinwise::shown::shorten;
use pinwise::units::PciAddr;

/// Attributes of one element, and namespaces in all, are compared with each other by the parser.
const MAX_QUOTES: usize = 4096;
const MAX_NAMESPACES: usize = 256;
/// The longest complaint of the parser's that is shown.
const MAX_SHOWN: usize = 80;

/// The most that a kind of document has.
pub(crate) struct Bounds {
    /// Its length in bytes.
    pub(crate) bytes: usize,
    /// Its elements, texts and comments.
    pub(crate) nodes: u32,
    /// Whether it may name a document type. Who allows that has to refuse the entities that one can
    /// declare, as they can blow a text up.
    pub(crate) document_type: bool,
}

/// Why a text is no document that is read.
pub(crate) enum DocumentError {
    TooLong,
    /// Not well-formed, or wider or deeper than the bounds.
    Unread(String),
}

/// The document, unless it is longer, wider or deeper than its kind ever is.
pub(crate) fn parse<'a>(text: &'a str, bounds: &Bounds) -> Result<Document<'a>, DocumentError> {
    if text.len() > bounds.bytes {
        return Err(DocumentError::TooLong);
    }
    let too_many =
        |what: &str, limit| DocumentError::Unread(format!("there are more than {limit} {what}"));
    // `<` stands nowhere inside a tag, so no tag has more attributes than such a part has quotes.
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

/// A number as libvirt reads addresses: decimal, `0x` hexadecimal, or octal.
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

/// The numbers of libvirt's `<address>`; what is left out is 0. `bad` is told the attribute that is
/// none of them, and what it should be.
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
