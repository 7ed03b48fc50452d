//! XML from outside, within bounds, for everyone who reads some.

use roxmltree::{Document, Error, ParsingOptions};

use crate::shown::shorten;

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
pub(crate) enum Refused {
    TooLong,
    /// Not well-formed, or wider or deeper than the bounds.
    Unread(String),
}

/// The document, unless it is longer, wider or deeper than its kind ever is.
pub(crate) fn parse<'a>(text: &'a str, bounds: &Bounds) -> Result<Document<'a>, Refused> {
    if text.len() > bounds.bytes {
        return Err(Refused::TooLong);
    }
    let too_many =
        |what: &str, limit| Refused::Unread(format!("there are more than {limit} {what}"));
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
        Error::DtdDetected => Refused::Unread("it has a document type".to_owned()),
        error => Refused::Unread(shorten(&error.to_string(), MAX_SHOWN)),
    })
}
