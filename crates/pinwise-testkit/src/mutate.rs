//! Breaks a text, in its bytes or in its structure. The same generator breaks it the same way.

use std::ops::Range;

use super::rng::Rng;

/// A broken text is cut here: the point is odd texts, long ones have tests of their own.
const LONGEST: usize = 64 << 10;

/// What stands in place of a value: limits of numbers, empty, foreign, and what ends other things.
const VALUES: [&str; 40] = [
    "",
    "0",
    "-1",
    "1",
    "2",
    "3",
    "7",
    "63",
    "64",
    "255",
    "256",
    "4095",
    "4096",
    "16383",
    "16384",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "0x",
    "0xffffffff",
    "0xf...f",
    "1e400",
    "0.5",
    "0-16383",
    "3-1",
    "0-31:2/4",
    "0,0,0",
    "^1,0-3",
    "ffff:ff:1f.7",
    "00000000:00:00.0",
    "null",
    "\u{feff}",
    "\u{1b}[2J",
    "a b",
    "𝟙",
    "16.0 GT/s PCIe",
];

/// What is put somewhere: parts of XML, JSON and tables, whole and unfinished.
const PIECES: [&str; 22] = [
    "<",
    ">",
    "/>",
    "</",
    "<a>",
    "<!--",
    "-->",
    "<![CDATA[",
    "&#0;",
    "&lt;",
    "<!DOCTYPE a>",
    "<?x?>",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "'",
    "\0",
    "\n",
];

/// The text with one to four things broken.
pub fn broken(text: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut text = text.to_vec();
    // One change may be read as something else; several are mostly refused.
    let changes = if rng.percent(60) { 1 } else { rng.between(2, 4) };
    for _ in 0..changes {
        if rng.percent(35) {
            bytes(&mut text, rng)
        } else {
            structure(&mut text, rng)
        }
        text.truncate(LONGEST);
    }
    text
}

fn bytes(text: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.below(text.len());
    let few = at..(at + rng.between(1, 12)).min(text.len());
    match rng.below(8) {
        _ if text.is_empty() => text.extend(rng.pick(&PIECES).bytes()),
        0 => text[at] ^= 1 << rng.below(8),
        1 => text[at] = u8::try_from(rng.below(256)).unwrap(),
        2 => _ = text.drain(few),
        3 => insert(text, at, rng.pick(&PIECES).as_bytes()),
        4 => {
            let copy = text[few].to_vec();
            let to = rng.below(text.len());
            insert(text, to, &copy);
        }
        5 => text.truncate(at),
        // Another number.
        _ => {
            let digit = text[at..].iter().position(u8::is_ascii_digit).map_or(at, |n| at + n);
            text[digit] = b'0' + u8::try_from(rng.below(10)).unwrap();
        }
    }
}

fn structure(text: &mut Vec<u8>, rng: &mut Rng) {
    let part = match rng.below(4) {
        0 => line(text, rng),
        1 | 2 => value(text, rng),
        _ => block(text, rng),
    };
    let Some(part) = part else { return bytes(text, rng) };
    match rng.below(7) {
        0 => _ = text.drain(part),
        // Twice the same, or much more often.
        1 => {
            let times = if rng.percent(90) { 1 } else { 1000 };
            let copy = text[part.clone()].repeat(times.min(LONGEST / part.len().max(1)));
            insert(text, part.end, &copy);
        }
        2 => {
            let copy = text[part].to_vec();
            let to = rng.below(text.len() + 1);
            insert(text, to, &copy);
        }
        // One value or block in place of another.
        3 => {
            let other = match rng.percent(50) {
                true => value(text, rng),
                false => block(text, rng),
            };
            let copy = text[other.unwrap_or(0..0)].to_vec();
            _ = text.splice(part, copy);
        }
        // Deeper than anything is.
        4 if rng.percent(20) => {
            let (open, close) = rng.pick(&[("<a>", "</a>"), ("[", "]"), ("{\"a\":", "}")]);
            let deep = rng.between(1, 3000);
            insert(text, part.end, close.repeat(deep).as_bytes());
            insert(text, part.start, open.repeat(deep).as_bytes());
        }
        _ => {
            let value = rng.pick(&VALUES);
            _ = text.splice(part, value.bytes());
        }
    }
}

fn insert(text: &mut Vec<u8>, at: usize, piece: &[u8]) {
    _ = text.splice(at..at, piece.iter().copied());
}

/// A line with its end.
fn line(text: &[u8], rng: &mut Rng) -> Option<Range<usize>> {
    let at = rng.below(text.len());
    let start = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let end = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |n| at + n + 1);
    (start < end).then_some(start..end)
}

/// What stands in quotes, or a run of letters and digits.
fn value(text: &[u8], rng: &mut Rng) -> Option<Range<usize>> {
    let at = rng.below(text.len());
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let quoted = |byte: &u8| b"\"'".contains(byte);
    let open = at + text[at..].iter().position(|byte| inside(byte) || quoted(byte))?;
    if quoted(&text[open]) {
        let length = text[open + 1..].iter().position(|byte| *byte == text[open])?;
        return Some(open + 1..open + 1 + length);
    }
    let length = text[open..].iter().position(|byte| !inside(byte)).unwrap_or(text.len() - open);
    Some(open..open + length)
}

/// An element with all in it, an object or a list.
fn block(text: &[u8], rng: &mut Rng) -> Option<Range<usize>> {
    let at = rng.below(text.len());
    let start = at + text[at..].iter().position(|byte| b"<{[".contains(byte))?;
    let mut depth = 0_i32;
    for (at, byte) in text.iter().enumerate().skip(start) {
        let next = text.get(at + 1);
        match byte {
            b'<' if next == Some(&b'/') => depth -= 1,
            b'<' | b'{' | b'[' => depth += 1,
            b'/' if next == Some(&b'>') => depth -= 1,
            b'}' | b']' => depth -= 1,
            _ => continue,
        }
        if depth <= 0 {
            let length = text[at..].iter().position(|byte| b">}]".contains(byte))?;
            return Some(start..at + length + 1);
        }
    }
    None
}
