//! The interface of a reader of facts, and its input text.

use super::data::Facts;
use super::lines::{Line, Lines};
use super::matrix::{Matrix, tables};
use super::problem::FactsError;

/// A reader for one kind of text. [`READERS`](super::READERS) lists them.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Reader {
    /// The text in words that a person recognises.
    pub name: &'static str,
    /// The command that prints such a text.
    pub command: &'static str,
    /// Whether such a text describes a host if no other source does.
    pub describes_host: bool,
    /// Whether a text has something for this reader. A false positive only costs time: the reader
    /// then gives no facts.
    pub(super) looks_like: fn(&FactsText<'_>) -> bool,
    /// The facts of each part of the text that this reader recognises.
    pub(super) read: fn(&FactsText<'_>) -> Result<Vec<Facts>, FactsError>,
}

/// A table of devices with the title above it.
pub(super) type TitledTable<'a> = (Option<&'a str>, Matrix<'a>);

/// A text, split once for all readers.
pub(super) struct FactsText<'a> {
    /// The text if it is XML. It then has no lines or tables.
    #[cfg_attr(not(feature = "xml"), expect(dead_code, reason = "its reader is not built in"))]
    pub(super) xml: Option<&'a str>,
    lines: &'a Lines<'a>,
    /// Tables whose rows and columns are devices.
    pub(super) tables: Vec<TitledTable<'a>>,
}

impl<'a> FactsText<'a> {
    /// An XML text, which is not split into lines.
    pub(super) fn of_xml(text: &'a str, no_lines: &'a Lines<'a>) -> Self {
        Self { xml: Some(text), lines: no_lines, tables: Vec::new() }
    }

    /// A text of lines, with their tables.
    ///
    /// # Errors
    /// [`FactsError`] if a table has a row that is too short, or repeats a device.
    pub(super) fn of_lines(lines: &'a Lines<'a>) -> Result<Self, FactsError> {
        Ok(Self { xml: None, tables: tables(lines.iter())?, lines })
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        self.lines.iter()
    }
}
