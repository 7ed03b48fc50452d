//! JSON texts that can be compared line by line.

use std::io::{Result, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// A value with its format before its own fields.
#[derive(Serialize)]
pub(super) struct Tagged<T> {
    pub(super) format: &'static str,
    #[serde(flatten)]
    pub(super) value: T,
}

/// `value`, a structure, with a line for each of its fields and for each item of a field that is a
/// list.
pub(super) fn to_lines<T: Serialize>(value: &T) -> String {
    let mut bytes = Vec::new();
    let mut json = Serializer::with_formatter(&mut bytes, Lines { depth: 0, is_empty: true });
    value.serialize(&mut json).expect("numbers, texts and lists of them have a JSON form");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("a JSON text is UTF-8")
}

/// The same on one line.
pub(super) fn to_line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("numbers, texts and lists of them have a JSON form")
}

/// Breaks lines in the outermost structure and in its lists, nowhere else.
struct Lines {
    /// The number of structures and lists that are open.
    depth: usize,
    /// Whether the innermost of them has nothing in it so far.
    is_empty: bool,
}

impl Lines {
    fn open<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> Result<()> {
        (self.depth, self.is_empty) = (self.depth + 1, true);
        writer.write_all(bracket)
    }

    /// Closes a structure or list that has its items on lines of their own below this depth.
    fn close<W: Write + ?Sized>(&mut self, writer: &mut W, most: usize, end: &[u8]) -> Result<()> {
        if self.depth <= most && !self.is_empty {
            write!(writer, "\n{:1$}", "", 2 * (self.depth - 1))?;
        }
        (self.depth, self.is_empty) = (self.depth - 1, false);
        writer.write_all(end)
    }

    fn item<W: Write + ?Sized>(&mut self, writer: &mut W, most: usize, first: bool) -> Result<()> {
        self.is_empty = false;
        writer.write_all(if first { b"" } else { b"," })?;
        if self.depth > most {
            return Ok(());
        }
        write!(writer, "\n{:1$}", "", 2 * self.depth)
    }
}

impl Formatter for Lines {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.close(writer, 2, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        self.item(writer, 2, first)
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.close(writer, 1, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        self.item(writer, 1, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(if self.depth == 1 { b": " } else { b":" })
    }
}

/// Whether a writer omits the flag.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
pub(super) fn is_off(value: &bool) -> bool {
    !*value
}

/// Whether a writer omits the number.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
pub(super) fn is_zero(number: &u32) -> bool {
    *number == 0
}
