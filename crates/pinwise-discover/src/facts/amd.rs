//! `amd-smi topology`: tables between GPUs, which are named by their addresses.

use std::collections::BTreeMap;

use super::data::{Facts, GpuFacts, GpuName, LinkFacts};
use super::function_line::address;
use super::lines::{Line, decimal};
use super::note::FactsNote;
use super::problem::FactsError;
use super::reader::{FactsText, Reader};
use pinwise::host::GpuLinkKind;
use pinwise::shown::shorten;
use pinwise::units::PciAddr;

pub(super) const READER: Reader = Reader {
    name: SOURCE,
    command: "amd-smi topology",
    describes_host: false,
    looks_like: |text| text.lines().any(|line| line.text.trim() == LINKS),
    read,
};

const SOURCE: &str = "amd-smi topology";
const LINKS: &str = "LINK TYPE TABLE:";
const HOPS: &str = "HOPS TABLE:";
/// The largest number of GPUs: more than any host has.
const MAX_GPUS: usize = 256;

/// The cells of a table by their two GPUs, each with its line.
type Cells<'a> = BTreeMap<(PciAddr, PciAddr), (Line<'a>, &'a str)>;

/// The table with this title. `None` if the text has none.
fn table<'a>(text: &FactsText<'a>, title: &str) -> Result<Option<Cells<'a>>, FactsError> {
    let mut lines = text.lines().skip_while(|line| line.text.trim() != title);
    let Some(head) = lines.next() else { return Ok(None) };
    let mut lines = lines.skip_while(|line| line.text.trim().is_empty());
    let missing = |what: &str| FactsError::Missing { line: head.number, what: what.to_owned() };
    let header = lines.next().ok_or_else(|| missing("the header of the table"))?;
    let mut columns = Vec::new();
    for word in header.text.split_whitespace() {
        let column = address(word);
        let column = column.ok_or_else(|| header.bad("the column", word, "a PCI address"))?;
        if columns.contains(&column) {
            return Err(header.twice(format!("column {column}")));
        }
        if columns.len() >= MAX_GPUS {
            let line = header.number;
            return Err(FactsError::TooMany { line, what: "GPUs in a table", limit: MAX_GPUS });
        }
        columns.push(column);
    }
    let mut cells = Cells::new();
    for line in lines {
        let mut words = line.text.split_whitespace();
        let Some(row) = words.next().and_then(address) else { break };
        if !columns.contains(&row) {
            return Err(line.bad("the row", &row.to_string(), "one of the table's columns"));
        }
        let words: Vec<&str> = words.take(columns.len()).collect();
        if words.len() < columns.len() {
            let (row, found, columns) = (row.to_string(), words.len(), columns.len());
            return Err(FactsError::Short { line: line.number, row, found, columns });
        }
        for (column, word) in columns.iter().zip(words) {
            if cells.insert((row, *column), (line, word)).is_some() {
                return Err(line.twice(format!("the row of {row}")));
            }
        }
    }
    let rows = columns.iter().filter(|row| cells.contains_key(&(**row, **row))).count();
    if rows < columns.len() {
        return Err(missing(&format!("a row of the {}", title.trim_end_matches(':'))));
    }
    Ok(Some(cells))
}

/// The GPUs and their links. Weights, access and bandwidths are not kept: their meaning differs
/// between generations, or follows from the links.
fn read(text: &FactsText<'_>) -> Result<Vec<Facts>, FactsError> {
    let Some(types) = table(text, LINKS)? else { return Ok(Vec::new()) };
    let hops = table(text, HOPS)?.unwrap_or_default();
    let mut facts = Facts { source: SOURCE.to_owned(), ..Facts::default() };
    let mut far = 0_u32;
    for (&(a, b), (line, kind)) in &types {
        if a == b {
            facts.gpus.push(GpuFacts::new(GpuName::At(a)));
            continue;
        }
        let of = format!("the link of {a} to {b}");
        if !matches!(*kind, "XGMI" | "PCIE" | "PCIe" | "N/A" | "UNKNOWN") {
            return Err(line.bad(&of, kind, "XGMI, PCIE or N/A"));
        }
        if a > b {
            // Both directions are the same kind, or the table is not whole.
            let (_, back) = types[&(b, a)];
            if back != *kind {
                let (value, other) = (shorten(kind, 40), shorten(back, 40));
                return Err(FactsError::Asymmetric { line: line.number, of, value, other });
            }
            continue;
        }
        if *kind != "XGMI" {
            continue;
        }
        match hops.get(&(a, b)).and_then(|(_, hops)| decimal(hops)) {
            Some(2..) => far += 1,
            _ => facts.links.push(LinkFacts {
                a: GpuName::At(a),
                b: GpuName::At(b),
                kind: GpuLinkKind::Xgmi,
                count: None,
            }),
        }
    }
    if far > 0 {
        facts.notes.push(FactsNote::IndirectXgmi { pairs: far }.into());
    }
    Ok(vec![facts])
}

#[cfg(test)]
mod tests {
    use crate::facts::read_facts;

    /// Made up, in the form of amd-smi.
    const TEXT: &str = "\
ACCESS TABLE:
             0000:03:00.0 0000:0c:00.0 0000:14:00.0
0000:03:00.0 ENABLED      ENABLED      ENABLED
0000:0c:00.0 ENABLED      ENABLED      ENABLED
0000:14:00.0 ENABLED      ENABLED      ENABLED

HOPS TABLE:
             0000:03:00.0 0000:0c:00.0 0000:14:00.0
0000:03:00.0 0            1            2
0000:0c:00.0 1            0            2
0000:14:00.0 2            2            0

LINK TYPE TABLE:
             0000:03:00.0 0000:0c:00.0 0000:14:00.0
0000:03:00.0 SELF         XGMI         XGMI
0000:0c:00.0 XGMI         SELF         PCIE
0000:14:00.0 XGMI         PCIE         SELF

Legend:
  SELF = Current GPU
";

    #[test]
    fn links_of_one_hop_are_read() {
        for text in [TEXT.to_owned(), format!("user@host:~$ amd-smi topology\r\n{TEXT}")] {
            let facts = read_facts(&text).unwrap().remove(0);
            assert_eq!((facts.gpus.len(), facts.links.len(), facts.notes.len()), (3, 1, 1));
            let link = &facts.links[0];
            assert_eq!(format!("{} {}", link.a, link.b), "0000:03:00.0 0000:0c:00.0");
            assert_eq!(link.count, None);
        }
    }

    #[test]
    fn what_cannot_be_is_an_error_with_its_line() {
        let last = "0000:14:00.0 XGMI         PCIE         SELF\n";
        for (from, to, sentence) in [
            (
                "SELF         PCIE",
                "SELF         XGMI",
                "line 17: the link of 0000:14:00.0 to 0000:0c:00.0 is \"PCIE\", but \"XGMI\" in the opposite direction",
            ),
            (
                "SELF         PCIE",
                "SELF         USB",
                "line 16: the link of 0000:0c:00.0 to 0000:14:00.0 \"USB\" is not XGMI, PCIE or N/A",
            ),
            (
                "SELF         PCIE",
                "SELF",
                "line 16: the row of 0000:0c:00.0 has 2 cells, but the table has 3 columns",
            ),
            (last, "", "line 13: a row of the LINK TYPE TABLE is missing"),
            (
                "0000:14:00.0 XGMI",
                "0000:0c:00.0 XGMI",
                "line 17: the row of 0000:0c:00.0 is repeated",
            ),
        ] {
            let error = read_facts(&TEXT.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
    }
}
