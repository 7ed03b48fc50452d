//! `rocm-smi --showtopo`.

use std::collections::BTreeMap;

use super::data::{Facts, GpuFacts, GpuName, LinkFacts, vendor};
use super::lines::{Line, decimal, known};
use super::matrix::{Matrix, TableDevice};
use super::note::FactsNote;
use super::problem::FactsError;
use super::reader::{FactsText, Reader, TitledTable};
use pinwise::host::GpuLinkKind;
use pinwise::units::{Id as _, NodeId};

pub(super) const READER: Reader = Reader {
    name: "rocm-smi --showtopo",
    command: "rocm-smi --showtopo",
    describes_host: false,
    looks_like: |text| text.tables.iter().any(is_mine) || text.lines().any(|line| names_gpu(line)),
    read,
};

const SOURCE: &str = "rocm-smi --showtopo";
/// The largest number of GPUs: more than any host has.
const MAX_GPUS: u32 = 256;

fn gpu(index: u32) -> GpuName {
    GpuName::Nth { vendor: vendor::AMD, index }
}

/// Whether a table has one of rocm-smi's titles.
fn is_mine((title, _): &TitledTable<'_>) -> bool {
    title.is_some_and(|title| title.ends_with("between two GPUs"))
}

/// Whether a line states something about one GPU.
fn names_gpu(line: Line<'_>) -> bool {
    line.text.trim_start().starts_with("GPU[")
}

/// The facts of rocm-smi in the text, if there are any. Weights are checked but not kept, because
/// their meaning differs between generations. Access between GPUs is not kept either.
fn read(text: &FactsText<'_>) -> Result<Vec<Facts>, FactsError> {
    let near = nodes(text)?;
    if near.is_empty() && !text.tables.iter().any(is_mine) {
        return Ok(Vec::new());
    }
    let mut facts = Facts { source: SOURCE.to_owned(), ..Facts::default() };
    let mut titles: BTreeMap<&str, &Matrix<'_>> = BTreeMap::new();
    let mut count = None;
    for (title, table) in text.tables.iter().filter(|table| is_mine(table)) {
        let title = title.unwrap_or_default();
        if titles.insert(title, table).is_some() {
            return Err(table.header.twice(format!("the table {title:?}")));
        }
        let own = table.gpus()?;
        if *count.get_or_insert(own) != own {
            let what = format!("the {own} GPUs of the table");
            let expected = "the number of GPUs of the earlier tables";
            return Err(table.header.bad(&what, title, expected));
        }
        let nic = table.columns.iter().find(|device| matches!(device, TableDevice::Nic(_)));
        if let Some(nic) = nic {
            return Err(table.header.bad("the column", &nic.to_string(), "one of a GPU"));
        }
        facts.notes.extend(table.missing_rows());
    }
    let highest = near.keys().next_back().map_or(0, |last| last + 1);
    let count = match count {
        Some(count) => match near.iter().find(|(index, _)| **index >= count) {
            Some((index, (line, _))) => {
                return Err(line.bad(
                    "the node of",
                    &format!("GPU[{index}]"),
                    "a GPU of the tables",
                ));
            }
            None => count,
        },
        None => match (0..highest).find(|index| !near.contains_key(index)) {
            Some(index) => {
                let line = near.values().next_back().map_or(0, |(line, _)| line.number);
                let what = format!("the node of GPU[{index}]");
                return Err(FactsError::Missing { line, what });
            }
            None => highest,
        },
    };
    facts.gpus = (0..count).map(|index| GpuFacts::new(gpu(index))).collect();
    for own in &mut facts.gpus {
        let GpuName::Nth { index, .. } = own.gpu else { continue };
        own.node = near.get(&index).and_then(|(_, node)| *node);
    }
    links(&titles, &mut facts)?;
    Ok(vec![facts])
}

fn links(titles: &BTreeMap<&str, &Matrix<'_>>, facts: &mut Facts) -> Result<(), FactsError> {
    let table = |name: &str| titles.iter().find(|(title, _)| title.starts_with(name));
    let number = |word: &str| known(word).is_none_or(|word| decimal(word).is_some());
    let mut hops = BTreeMap::new();
    if let Some((_, table)) = table("Weight") {
        table.pairs(&["0", "N/A"], number, "a number")?;
    }
    if let Some((_, table)) = table("Hops") {
        for pair in table.pairs(&["0", "N/A"], number, "a number")? {
            hops.insert((pair.a, pair.b), known(pair.cell).and_then(decimal));
        }
    }
    let Some((_, table)) = table("Link Type") else { return Ok(()) };
    let sound = |word: &str| matches!(word, "XGMI" | "PCIE" | "PCIe" | "N/A");
    let mut far = 0_u32;
    for pair in table.pairs(&["0", "N/A", "X"], sound, "XGMI, PCIE or N/A")? {
        let (TableDevice::Gpu(a), TableDevice::Gpu(b)) = (pair.a, pair.b) else { continue };
        if pair.cell != "XGMI" {
            continue;
        }
        let told = hops.get(&(pair.a, pair.b)).or_else(|| hops.get(&(pair.b, pair.a)));
        if told.copied().flatten().is_some_and(|hops| hops > 1) {
            far += 1;
            continue;
        }
        let kind = GpuLinkKind::Xgmi;
        facts.links.push(LinkFacts { a: gpu(*a), b: gpu(*b), kind, count: None });
    }
    if far > 0 {
        facts.notes.push(FactsNote::IndirectXgmi { pairs: far }.into());
    }
    Ok(())
}

/// The node of each GPU, `GPU[0] : (Topology) Numa Node: 0`, and the line of the first one.
fn nodes<'a>(
    text: &FactsText<'a>,
) -> Result<BTreeMap<u32, (Line<'a>, Option<NodeId>)>, FactsError> {
    let mut found: BTreeMap<u32, (Line<'_>, Option<NodeId>)> = BTreeMap::new();
    let mut said = std::collections::BTreeSet::new();
    for line in text.lines() {
        let Some((name, rest)) = line.text.trim().split_once(':') else { continue };
        let number = name.trim().strip_prefix("GPU[").and_then(|name| name.strip_suffix(']'));
        let Some(number) = number else { continue };
        let Some(said_here) = rest.trim().strip_prefix("(Topology) Numa ") else { continue };
        let Some((what, value)) = said_here.split_once(':') else { continue };
        let (what, value) = (what.trim(), value.trim());
        let index = decimal(number).filter(|number| *number < MAX_GPUS);
        let index = index.ok_or_else(|| line.bad("the GPU", number, "a number below 256"))?;
        if !matches!(what, "Node" | "Affinity") {
            continue;
        }
        if !said.insert((index, what == "Node")) {
            return Err(line.twice(format!("the Numa {what} of GPU[{index}]")));
        }
        let node = known(value).map(|text| {
            let node = decimal(text).filter(|node| *node < NodeId::LIMIT).map(NodeId);
            node.ok_or_else(|| {
                line.bad(&format!("Numa {what} of GPU[{index}]"), text, "a node's number")
            })
        });
        let node = node.transpose()?;
        let entry = found.entry(index).or_insert((line, node));
        match (entry.1, node) {
            (Some(before), Some(now)) if before != now => {
                return Err(FactsError::Asymmetric {
                    line: line.number,
                    of: format!("GPU[{index}]'s Numa {what}"),
                    value: now.to_string(),
                    other: before.to_string(),
                });
            }
            (None, Some(_)) => entry.1 = node,
            _ => {}
        }
    }
    Ok(found)
}
