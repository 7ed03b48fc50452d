//! Quantities of Kubernetes: `8Gi`, `1.5G`, `3500m`, `4`.

use pinwise::units::Bytes;
use serde_json::Value;

/// The longest quantity that is read, in bytes.
const MAX_LENGTH: usize = 32;
/// The suffixes, each with its factor in thousandths.
const SUFFIXES: [(&str, u128); 13] = [
    ("m", 1),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
    ("Ki", 1000 << 10),
    ("Mi", 1000 << 20),
    ("Gi", 1000 << 30),
    ("Ti", 1000 << 40),
    ("Pi", 1000 << 50),
    ("Ei", 1000 << 60),
    ("", 1000),
];

/// A quantity in thousandths, rounded up.
pub(super) fn thousandths(value: &Value) -> Option<u128> {
    let text = shown(value);
    if text.len() > MAX_LENGTH {
        return None;
    }
    let digits =
        text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, suffix) = text.split_at(digits);
    let (_, factor) = SUFFIXES.into_iter().find(|(known, _)| *known == suffix)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()) && digits.len() <= 18;
    if whole.is_empty() && part.is_empty() || !plain(whole) || !plain(part) {
        return None;
    }
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse().ok() };
    let (whole, above): (u128, u128) = (number(whole)?, number(part)?);
    let below = 10_u128.pow(u32::try_from(part.len()).ok()?);
    whole.checked_mul(factor)?.checked_add(above.checked_mul(factor)?.div_ceil(below))
}

/// A quantity of bytes, rounded up.
pub(super) fn bytes(value: &Value) -> Option<Bytes> {
    let bytes = thousandths(value)?.div_ceil(1000);
    u64::try_from(bytes).ok().map(Bytes)
}

/// The value as a person wrote it.
pub(super) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{bytes, thousandths};
    use pinwise::units::Bytes;
    use serde_json::json;

    #[test]
    fn quantities_are_read_with_their_suffixes() {
        for (text, expected) in [
            (json!("8Gi"), Some(8 << 30)),
            (json!("1.5Gi"), Some(3 << 29)),
            (json!("1G"), Some(1_000_000_000)),
            (json!("100m"), Some(1)),
            (json!(4096), Some(4096)),
            (json!(".5Ki"), Some(512)),
            (json!("99999999999999999Ei"), None),
            (json!("1gb"), None),
            (json!("-1"), None),
            (json!("1.2.3"), None),
            (json!(""), None),
            (json!([1]), None),
        ] {
            assert_eq!(bytes(&text), expected.map(Bytes), "{text}");
        }
        assert_eq!(thousandths(&json!("3500m")), Some(3500));
        assert_eq!(thousandths(&json!(2.5)), Some(2500));
    }
}
