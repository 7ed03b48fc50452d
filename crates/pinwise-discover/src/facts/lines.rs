//! A text as numbered lines, without terminal escape sequences.

use std::borrow::Cow;

use super::problem::FactsError;
use crate::pasted;
use pinwise::shown::shorten;

/// The largest part of a foreign text that a message shows, in bytes.
const MAX_SHOWN: usize = 60;

/// A line and its number, from 1.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) text: &'a str,
}

/// The lines of a text, without escape sequences and carriage returns.
pub(super) struct Lines<'a> {
    text: Cow<'a, str>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text: pasted::plain(text) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        self.text.lines().zip(1..).map(|(text, number)| Line { number, text })
    }

    /// The first line that is not empty, shortened.
    pub(super) fn beginning(&self) -> String {
        let first = self.text.lines().map(str::trim).find(|line| !line.is_empty());
        shorten(first.unwrap_or_default(), MAX_SHOWN)
    }
}

impl Line<'_> {
    /// The error that a value is not allowed in its place.
    pub(super) fn bad(self, what: &str, value: &str, expected: &'static str) -> FactsError {
        let (what, value) = (shorten(what, MAX_SHOWN), shorten(value, MAX_SHOWN));
        FactsError::Value { line: self.number, what, value, expected }
    }

    pub(super) fn twice(self, what: String) -> FactsError {
        FactsError::Twice { line: self.number, what: shorten(&what, MAX_SHOWN) }
    }
}

/// Decimal digits only.
pub(super) fn decimal(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// The text; `None` for the placeholders that programs print for unknown values.
pub(super) fn known(text: &str) -> Option<&str> {
    Some(text).filter(|text| !matches!(*text, "N/A" | "n/a" | "-" | "-1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_carriage_returns_go_and_line_numbers_stay() {
        let text = "\u{1b}[4m\tGPU0\u{1b}[0m\r\nGPU0\t X \u{1b}[\nend\u{1b}";
        let lines = Lines::new(text);
        let lines: Vec<_> = lines.iter().map(|line| (line.number, line.text.to_owned())).collect();
        let expected = [(1, "\tGPU0"), (2, "GPU0\t X "), (3, "end")];
        assert_eq!(lines, expected.map(|(number, text)| (number, text.to_owned())));
    }
}
