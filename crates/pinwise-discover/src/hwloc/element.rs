//! Typed access to the elements of the file; every complaint names line, column and value.

use roxmltree::Node;

use super::problem::{LstopoError, MAX_SHOWN};
use crate::cores::mask;
use pinwise::sets::CpuSet;
use pinwise::shown::shorten;
use pinwise::units::{Id as _, PcpuId};

/// An element of the file.
#[derive(Clone, Copy)]
pub(super) struct LstopoElement<'a>(pub(super) Node<'a, 'a>);

impl<'a> LstopoElement<'a> {
    /// The `type` of an object; empty if it has none.
    pub(super) fn kind(self) -> &'a str {
        self.0.attribute("type").unwrap_or_default()
    }

    pub(super) fn text(self, attribute: &str) -> Option<&'a str> {
        self.0.attribute(attribute)
    }

    /// The child elements of this name, in the file's order.
    pub(super) fn children(
        self,
        name: &'static str,
    ) -> impl DoubleEndedIterator<Item = LstopoElement<'a>> {
        self.0.children().filter(move |node| node.has_tag_name(name)).map(LstopoElement)
    }

    /// The value of the child `<info>` of this name.
    pub(super) fn info(self, name: &str) -> Option<&'a str> {
        self.children("info").find(|info| info.text("name") == Some(name))?.text("value")
    }

    /// The value of an attribute that is a decimal number.
    pub(super) fn number(self, attribute: &'static str) -> Result<Option<u64>, LstopoError> {
        let Some(text) = self.text(attribute) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.bad(attribute, "a number"))
    }

    /// The `os_index`; `None` if hwloc does not know it: then it is -1, the largest number, or
    /// absent.
    pub(super) fn os_index(self) -> Result<Option<u32>, LstopoError> {
        match self.text("os_index") {
            None | Some("-1") => Ok(None),
            Some(text) => match text.parse() {
                Ok(u32::MAX) => Ok(None),
                Ok(index) => Ok(Some(index)),
                Err(_) => Err(self.bad("os_index", "a number below 2^32")),
            },
        }
    }

    /// The `os_index` of an object that must have one below `limit`.
    pub(super) fn own_index(self, limit: u32) -> Result<u32, LstopoError> {
        match self.os_index()? {
            None => Err(self.missing("os_index")),
            Some(index) if index < limit => Ok(index),
            Some(_) => Err(self.bad("os_index", &format!("a number below {limit}"))),
        }
    }

    /// The value of an attribute that is a mask of pCPUs.
    pub(super) fn cpus(self, attribute: &'static str) -> Result<Option<CpuSet>, LstopoError> {
        let Some(text) = self.text(attribute) else { return Ok(None) };
        match parse_mask(text) {
            Some(cpus) => Ok(Some(cpus)),
            None => Err(self.bad(attribute, "a mask of pCPUs such as 0x00000001,0xffffffff")),
        }
    }

    /// The object's type, or else the element's name, for messages.
    fn name(self) -> String {
        match self.kind() {
            "" => shorten(self.0.tag_name().name(), MAX_SHOWN),
            kind => shorten(kind, MAX_SHOWN),
        }
    }

    fn place(self) -> (u32, u32) {
        let at = self.0.document().text_pos_at(self.0.range().start);
        (at.row, at.col)
    }

    pub(super) fn bad(self, attribute: &'static str, expected: &str) -> LstopoError {
        let (line, column) = self.place();
        let value = shorten(self.text(attribute).unwrap_or_default(), MAX_SHOWN);
        let (element, expected) = (self.name(), expected.to_owned());
        LstopoError::Value { line, column, element, attribute, value, expected }
    }

    pub(super) fn missing(self, attribute: &'static str) -> LstopoError {
        let (line, column) = self.place();
        LstopoError::Missing { line, column, element: self.name(), attribute }
    }

    /// Refuses this element if `limit` others came before it.
    pub(super) fn within(self, before: usize, limit: usize) -> Result<(), LstopoError> {
        if before < limit {
            return Ok(());
        }
        let (line, column) = self.place();
        Err(LstopoError::TooMany { line, column, element: self.name(), limit })
    }

    pub(super) fn twice(self, id: String) -> LstopoError {
        let (line, column) = self.place();
        LstopoError::Duplicate { line, column, element: self.name(), id }
    }
}

/// A mask of pCPUs: words of 32 bits in hexadecimal, the highest first. hwloc writes a word of
/// zeros as an empty word, and begins an infinite set with `0xf...f`.
pub(crate) fn parse_mask(text: &str) -> Option<CpuSet> {
    let (text, endless) = match text.strip_prefix("0xf...f") {
        Some(rest) => (rest.strip_prefix(',').unwrap_or(rest), true),
        None => (text, false),
    };
    let mut cpus = mask(text.rsplit(',').map(|word| {
        let digits = word.strip_prefix("0x").unwrap_or(word);
        let plain = digits.len() <= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        match digits {
            "" => Some(0),
            _ if plain => u32::from_str_radix(digits, 16).ok(),
            _ => None,
        }
    }))?;
    if endless {
        let words = if text.is_empty() { 0 } else { text.split(',').count() };
        let first = u32::try_from(words).ok()?.checked_mul(32)?;
        (first..PcpuId::LIMIT).for_each(|cpu| {
            cpus.insert(PcpuId(cpu));
        });
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read_in_all_their_spellings() {
        for (text, cpus) in [
            ("0x0", ""),
            ("", ""),
            ("0x00000003", "0-1"),
            ("0x00000001,,0x80000000", "31,64"),
            ("0x000000ff,0x0", "32-39"),
            ("0xf...f", "0-16383"),
            ("0xf...f,0xffff0000", "16-16383"),
        ] {
            assert_eq!(parse_mask(text).unwrap().to_string(), cpus, "{text}");
        }
        let beyond = format!("0x1{}", ",".repeat(512));
        for text in ["x", "0x123456789", "0x+1", "1 2", "0xg", &beyond] {
            assert!(parse_mask(text).is_none(), "{text}");
        }
    }
}
