//! UUIDs, the names of mediated devices.

/// Whether the text is a UUID in the kernel's notation: five groups of hexadecimal digits.
pub(crate) fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::is_uuid;

    #[test]
    fn five_groups_of_digits_are_a_uuid() {
        assert!(is_uuid("4b20d080-1b54-4048-85b3-a6a62d165c01"));
        for other in ["", "iommu_group", "4b20d080-1b54-4048-85b3-a6a62d165c0", "g-b-c-d-e"] {
            assert!(!is_uuid(other), "{other}");
        }
    }
}
