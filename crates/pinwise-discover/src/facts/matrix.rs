//! Tables whose rows and columns are devices: `nvidia-smi topo` and `rocm-smi --showtopo`.

use std::collections::BTreeMap;

use super::lines::{Line, decimal};
use super::note::FactsNote;
use super::problem::FactsError;
use crate::notes::Note;
use pinwise::shown::shorten;

/// The largest number of devices of a table: GPUs and NICs.
pub(super) const MAX_COLUMNS: usize = 256;

/// A device that names a row or a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TableDevice {
    Gpu(u32),
    Nic(String),
}

impl TableDevice {
    /// `GPU0`; any other word that can be a device name is a NIC: `NIC0`, `mlx5_0`, `hfi1_0`.
    fn parse(word: &str) -> Option<Self> {
        if let Some(number) = word.strip_prefix("GPU") {
            return decimal(number).map(Self::Gpu);
        }
        let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let fine = word.len() <= 32 && word.bytes().all(name);
        let numbered = word.bytes().next_back().is_some_and(|b| b.is_ascii_digit());
        let lettered = word.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        (fine && numbered && lettered && !is_cell(word)).then(|| Self::Nic(word.to_owned()))
    }
}

/// Whether a word is a cell: `NV4` looks like a name.
fn is_cell(word: &str) -> bool {
    word.strip_prefix("NV").and_then(decimal).is_some()
}

impl std::fmt::Display for TableDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gpu(number) => write!(f, "GPU{number}"),
            Self::Nic(name) => f.write_str(name),
        }
    }
}

/// A row of a table.
pub(super) struct TableRow<'a> {
    pub(super) line: Line<'a>,
    pub(super) device: TableDevice,
    /// One word per column.
    pub(super) cells: Vec<&'a str>,
    /// The words after the cells.
    pub(super) rest: Vec<&'a str>,
}

/// A table.
pub(super) struct Matrix<'a> {
    pub(super) header: Line<'a>,
    pub(super) columns: Vec<TableDevice>,
    /// The number of further columns in the header: CPU affinity, NUMA affinity, GPU NUMA id.
    pub(super) affinities: usize,
    pub(super) rows: Vec<TableRow<'a>>,
}

impl<'a> Matrix<'a> {
    /// The table that begins with this line; `None` if it is not a table's header.
    pub(super) fn begin(line: Line<'a>) -> Result<Option<Self>, FactsError> {
        let words: Vec<&str> = line.text.split_whitespace().take(2 * MAX_COLUMNS).collect();
        // "GPU NUMA ID" is not a device.
        let devices = words.iter().map_while(|word| TableDevice::parse(word));
        let columns: Vec<TableDevice> = devices.collect();
        let rest = &words[columns.len()..];
        let affinities = ["CPU Affinity", "NUMA Affinity", "GPU NUMA ID"];
        let joined = rest.join(" ");
        let known = (0..=3).find(|count| affinities[..*count].join(" ") == joined);
        let has_gpu = columns.iter().any(|device| matches!(device, TableDevice::Gpu(_)));
        // A header contains only devices and affinities. It cannot be a row: a row repeats its name
        // at most once and has cells.
        let Some(affinities) = known.filter(|_| has_gpu) else { return Ok(None) };
        if columns.len() > MAX_COLUMNS {
            let (line, limit) = (line.number, MAX_COLUMNS);
            return Err(FactsError::TooMany { line, what: "devices in a table", limit });
        }
        let mut seen: Vec<&TableDevice> = columns.iter().collect();
        seen.sort_unstable();
        if let Some(pair) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(line.twice(format!("column {}", pair[0])));
        }
        Ok(Some(Self { header: line, columns, affinities, rows: Vec::new() }))
    }

    /// Takes a line as a row; `false` if it is none, which ends the table.
    pub(super) fn take(&mut self, line: Line<'a>) -> Result<bool, FactsError> {
        let mut words = line.text.split_whitespace();
        let Some(device) = words.next().and_then(TableDevice::parse) else { return Ok(false) };
        let of_gpu = matches!(device, TableDevice::Gpu(_));
        if !of_gpu && !self.columns.contains(&device) {
            return Ok(false);
        }
        if !self.columns.contains(&device) {
            let expected = "one of the table's columns";
            return Err(line.bad("the row", &device.to_string(), expected));
        }
        if self.rows.iter().any(|row| row.device == device) {
            return Err(line.twice(format!("the row of {device}")));
        }
        let cells: Vec<&str> = words.by_ref().take(self.columns.len()).collect();
        if cells.len() < self.columns.len() {
            return Err(FactsError::Short {
                line: line.number,
                row: shorten(&device.to_string(), 40),
                found: cells.len(),
                columns: self.columns.len(),
            });
        }
        let rest: Vec<&str> = words.take(8).collect();
        self.rows.push(TableRow { line, device, cells, rest });
        Ok(true)
    }

    /// The number of the table's GPUs, which must be numbered from 0 without gaps: a vendor's tool
    /// numbers all GPUs that it sees, and a missing number would shift the later ones.
    pub(super) fn gpus(&self) -> Result<u32, FactsError> {
        let mut numbers: Vec<u32> = self
            .columns
            .iter()
            .filter_map(|device| match device {
                TableDevice::Gpu(number) => Some(*number),
                TableDevice::Nic(_) => None,
            })
            .collect();
        numbers.sort_unstable();
        let gap = numbers.iter().zip(0..).find(|(number, at)| *number != at);
        if let Some((_, at)) = gap {
            let what = format!("the column of GPU{at}");
            return Err(FactsError::Missing { line: self.header.number, what });
        }
        u32::try_from(numbers.len()).map_err(|_| FactsError::TooMany {
            line: self.header.number,
            what: "devices in a table",
            limit: MAX_COLUMNS,
        })
    }

    /// The cell of each pair that comes first in the table. Each must be `sound`, or else it is
    /// reported as not `expected`, and equal in both directions.
    pub(super) fn pairs(
        &self,
        itself: &[&str],
        sound: impl Fn(&str) -> bool,
        expected: &'static str,
    ) -> Result<Vec<Pair<'_, 'a>>, FactsError> {
        let mut seen: BTreeMap<(&TableDevice, &TableDevice), &str> = BTreeMap::new();
        let mut pairs = Vec::new();
        for row in &self.rows {
            for (column, cell) in self.columns.iter().zip(&row.cells) {
                if *column == row.device {
                    if !itself.contains(cell) {
                        let what = format!("{column} with itself");
                        return Err(row.line.bad(&what, cell, "the mark of the device itself"));
                    }
                    continue;
                }
                if !sound(cell) {
                    return Err(row.line.bad(
                        &format!("{} with {column}", row.device),
                        cell,
                        expected,
                    ));
                }
                if let Some(other) = seen.get(&(column, &row.device)) {
                    if cell != other {
                        return Err(FactsError::Asymmetric {
                            line: row.line.number,
                            of: format!("{} with {column}", row.device),
                            value: shorten(cell, 40),
                            other: shorten(other, 40),
                        });
                    }
                    continue;
                }
                seen.insert((&row.device, column), cell);
                pairs.push(Pair { line: row.line, a: &row.device, b: column, cell });
            }
        }
        Ok(pairs)
    }

    /// A note on rows that are missing because the text was cut.
    pub(super) fn missing_rows(&self) -> Option<Note> {
        let has_row = |column: &&TableDevice| self.rows.iter().any(|row| row.device == **column);
        let devices: Vec<String> =
            self.columns.iter().filter(|c| !has_row(c)).map(ToString::to_string).collect();
        let line = self.header.number;
        (!devices.is_empty()).then(|| FactsNote::NoRows { line, devices }.into())
    }
}

/// The cell of two devices.
pub(super) struct Pair<'m, 'a> {
    pub(super) line: Line<'a>,
    pub(super) a: &'m TableDevice,
    pub(super) b: &'m TableDevice,
    pub(super) cell: &'a str,
}

/// Every table of a text with rows, with the title (words between `====`) directly above it.
pub(super) fn tables<'a>(
    lines: impl Iterator<Item = Line<'a>>,
) -> Result<Vec<(Option<&'a str>, Matrix<'a>)>, FactsError> {
    let mut found: Vec<(Option<&str>, Matrix<'_>)> = Vec::new();
    let mut open = false;
    let mut title = None;
    for line in lines {
        if let Some(table) = Matrix::begin(line)? {
            found.push((title, table));
            open = true;
        } else if open {
            open = match found.last_mut() {
                Some((_, table)) => table.take(line)?,
                None => false,
            };
        }
        let text = line.text.trim();
        if !text.is_empty() {
            title = text.starts_with("==").then(|| text.trim_matches(['=', ' ']));
        }
    }
    found.retain(|(_, table)| !table.rows.is_empty());
    Ok(found)
}
