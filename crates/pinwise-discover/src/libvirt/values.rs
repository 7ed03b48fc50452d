//! The grammars of libvirt's values: lists, amounts of memory, numbers, PCI addresses.

use super::problem::LibvirtError;
use super::xml::{XmlNode, XmlValue, attribute, missing};
use crate::document;
use pinwise::sets::IdSet;
use pinwise::units::{Bytes, Id, PciAddr};

/// A list as libvirt writes and reads it: `0-3,8` or `0-7,^5`, with blanks allowed between all
/// parts. `^5` takes 5 out of what stands before it. An empty list is refused: libvirt never writes
/// one.
pub(super) fn list<T: Id>(text: &str) -> Option<IdSet<T>> {
    let number = |part: &str| {
        let part = part.trim();
        let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let number = if plain { part.parse::<u32>().ok() } else { None };
        number.filter(|number| *number < T::LIMIT)
    };
    let mut set = IdSet::new();
    // Numbers covered so far; bounded, as a list that repeats wide ranges would take long to read.
    let mut steps = 0;
    for part in text.split(',') {
        let part = part.trim();
        if let Some(out) = part.strip_prefix('^') {
            set.remove(T::from_index(number(out)?));
            steps += 1;
        } else {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            steps += 1 + last.checked_sub(first)?;
            if steps <= 4 * T::LIMIT {
                set.insert_range(T::from_index(first), T::from_index(last));
            }
        }
        if steps > 4 * T::LIMIT {
            return None;
        }
    }
    (!set.is_empty()).then_some(set)
}

/// A number in decimal digits, without sign or blanks.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// The number of bytes in a unit: `KiB`, `K` and `k` are 1024, `KB` is 1000.
fn unit(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "b" | "byte" | "bytes") {
        return Some(1);
    }
    let power = "kmgtpe".find(lower.chars().next()?)?;
    let base: u64 = match lower.get(1..)? {
        "" | "ib" => 1024,
        "b" => 1000,
        _ => return None,
    };
    base.checked_pow(u32::try_from(power).ok()? + 1)
}

/// An amount of memory in the `unit` of the element, or in KiB if the element has none.
pub(super) fn memory(node: XmlNode<'_>, value: &XmlValue<'_>) -> Result<Bytes, LibvirtError> {
    let scale = match attribute(node, "unit") {
        Some(name) => name.parse("a unit such as KiB, MiB or MB", unit)?,
        None => 1024,
    };
    let bytes = |text: &str| decimal(text)?.checked_mul(scale).map(Bytes);
    value.parse("an amount of memory", bytes)
}

/// The PCI address in an `<address>`; an omitted number is 0.
pub(super) fn pci_address(node: XmlNode<'_>) -> Result<PciAddr, LibvirtError> {
    document::pci_address(node, |name, expected| match attribute(node, name) {
        Some(value) => value.bad(expected),
        None => missing(node, name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinwise::sets::CpuSet;

    #[test]
    fn a_list_takes_out_what_stands_behind_a_caret() {
        for (text, expected) in [
            ("0-3,8", Some("0-3,8")),
            ("1-5,^3,7", Some("1-2,4-5,7")),
            (" 0 - 3 ,\n ^1 , 9 ", Some("0,2-3,9")),
            ("^3,1-5", Some("1-5")),
            ("1,2,3,5-7,^6", Some("1-3,5,7")),
            ("16383", Some("16383")),
            ("0-16383", Some("0-16383")),
            ("16384", None),
            ("3-1", None),
            ("^1", None),
            ("1,^1", None),
            ("0-3,^1-2", None),
            ("0,,1", None),
            ("", None),
            ("0x3", None),
            ("+1", None),
            ("0-3:1/2", None),
            ("all", None),
        ] {
            let expected = expected.map(|set| set.parse::<CpuSet>().unwrap());
            assert_eq!(list(text), expected, "{text:?}");
        }
        assert_eq!(list::<pinwise::units::PcpuId>(&"0-16383,".repeat(1 << 16)), None);
    }

    #[test]
    fn units_are_binary_unless_they_end_in_a_plain_b() {
        for (text, bytes) in [
            ("KiB", Some(1024)),
            ("k", Some(1024)),
            ("KB", Some(1000)),
            ("MB", Some(1_000_000)),
            ("GiB", Some(1 << 30)),
            ("G", Some(1 << 30)),
            ("bytes", Some(1)),
            ("EiB", Some(1 << 60)),
            ("", None),
            ("KX", None),
            ("ké", None),
            ("é", None),
            ("ZiB", None),
        ] {
            assert_eq!(unit(text), bytes, "{text:?}");
        }
    }
}
