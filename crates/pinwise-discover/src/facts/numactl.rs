//! `numactl --hardware`.

use std::collections::BTreeMap;

use super::data::{Facts, NodeFacts};
use super::lines::{Line, decimal};
use super::note::FactsNote;
use super::problem::FactsError;
use super::reader::{FactsText, Reader};
use pinwise::sets::CpuSet;
use pinwise::units::{Bytes, Distance, Id as _, NodeId, PcpuId};

pub(super) const READER: Reader = Reader {
    name: "numactl --hardware",
    command: "numactl --hardware",
    describes_host: false,
    looks_like: |text| text.lines().any(|line| line.text.trim_start().starts_with("available:")),
    read,
};

const SOURCE: &str = "numactl --hardware";
/// The unit of amounts of memory: numactl prints whole MiB and calls them MB.
const UNIT: Bytes = Bytes(1 << 20);

/// The facts in the output of `numactl --hardware`; none if the text has no such output.
fn read(text: &FactsText<'_>) -> Result<Vec<Facts>, FactsError> {
    let mut nodes: BTreeMap<NodeId, NodeFacts> = BTreeMap::new();
    let mut columns: Option<(Line<'_>, Vec<NodeId>)> = None;
    let mut available: Option<(Line<'_>, u32)> = None;
    for line in text.lines() {
        let words: Vec<&str> = line.text.split_whitespace().take(1 + MAX_WORDS).collect();
        match *words.as_slice() {
            ["available:", count, "nodes" | "node", ..] => {
                let bad = || line.bad("the number of nodes", count, "a number");
                if available.replace((line, decimal(count).ok_or_else(bad)?)).is_some() {
                    return Err(line.twice("the number of nodes".to_owned()));
                }
                columns = None;
            }
            // Lines before the number of nodes are not numactl's.
            _ if available.is_none() => {}
            ["node", id, "cpus:", ref cpus @ ..] => {
                let node = node(&mut nodes, line, id)?;
                let set = cpu_set(line, node.id, cpus)?;
                once(line, &mut node.cpus, set, || format!("the cpus of node {id}"))?;
            }
            ["node", id, what @ ("size:" | "free:"), amount, "MB"] => {
                let node = node(&mut nodes, line, id)?;
                let bytes = amount.parse::<u64>().ok().filter(|_| !amount.starts_with('+'));
                let bytes = bytes.and_then(|mib| mib.checked_mul(UNIT.0)).map(Bytes);
                let name = format!("the {what} of node {id}");
                let bytes = bytes.ok_or_else(|| line.bad(&name, amount, "a number of MB"))?;
                let place = if what == "size:" { &mut node.memory } else { &mut node.free };
                once(line, place, bytes, || name)?;
            }
            ["node", "distances:"] => columns = None,
            ["node", ref ids @ ..]
                if columns.is_none()
                    && !ids.is_empty()
                    && ids.iter().all(|id| decimal(id).is_some()) =>
            {
                let ids = ids.iter().map(|id| node_id(line, id)).collect::<Result<Vec<_>, _>>()?;
                columns = Some((line, ids));
            }
            [row, ref cells @ ..] if columns.is_some() && row.ends_with(':') => {
                let Some((_, ids)) = &columns else { continue };
                let Some(id) = row.strip_suffix(':').filter(|id| decimal(id).is_some()) else {
                    continue;
                };
                let node = node(&mut nodes, line, id)?;
                distances(line, node, ids, cells)?;
            }
            _ => {}
        }
    }
    let Some((line, count)) = available else { return Ok(Vec::new()) };
    if nodes.is_empty() && count > 0 {
        let what = "the list after the number of nodes".to_owned();
        return Err(FactsError::Missing { line: line.number, what });
    }
    let mut facts = Facts { source: SOURCE.to_owned(), ..Facts::default() };
    if nodes.len() != count as usize {
        let described = nodes.len();
        facts.notes.push(FactsNote::NodeCount { announced: count, described }.into());
    }
    facts.nodes = nodes.into_values().collect();
    Ok(vec![facts])
}

/// The largest number of words read of a line: four times the limit of pCPUs.
const MAX_WORDS: usize = 4 * PcpuId::LIMIT as usize;

fn node_id(line: Line<'_>, text: &str) -> Result<NodeId, FactsError> {
    let id = decimal(text).filter(|id| *id < NodeId::LIMIT).map(NodeId);
    id.ok_or_else(|| line.bad("the node", text, "a node's number"))
}

fn node<'n>(
    nodes: &'n mut BTreeMap<NodeId, NodeFacts>,
    line: Line<'_>,
    id: &str,
) -> Result<&'n mut NodeFacts, FactsError> {
    let id = node_id(line, id)?;
    let (cpus, memory, free, distances) = (None, None, None, Vec::new());
    let new = NodeFacts { id, cpus, memory, free, rounding: UNIT, distances };
    Ok(nodes.entry(id).or_insert(new))
}

fn once<T>(
    line: Line<'_>,
    place: &mut Option<T>,
    value: T,
    what: impl FnOnce() -> String,
) -> Result<(), FactsError> {
    if place.replace(value).is_some() { Err(line.twice(what())) } else { Ok(()) }
}

fn cpu_set(line: Line<'_>, node: NodeId, words: &[&str]) -> Result<CpuSet, FactsError> {
    let mut set = CpuSet::new();
    for word in words {
        let pcpu = decimal(word).filter(|pcpu| *pcpu < PcpuId::LIMIT).map(PcpuId);
        let name = || format!("a pCPU of node {node}");
        let pcpu = pcpu.ok_or_else(|| line.bad(&name(), word, "a pCPU's number"))?;
        if !set.insert(pcpu) {
            return Err(line.twice(format!("pCPU {pcpu}")));
        }
    }
    Ok(set)
}

fn distances(
    line: Line<'_>,
    node: &mut NodeFacts,
    ids: &[NodeId],
    cells: &[&str],
) -> Result<(), FactsError> {
    if !node.distances.is_empty() {
        return Err(line.twice(format!("the distances of node {}", node.id)));
    }
    if cells.len() != ids.len() {
        let (row, found) = (format!("node {}", node.id), cells.len());
        return Err(FactsError::Short { line: line.number, row, found, columns: ids.len() });
    }
    for (to, cell) in ids.iter().zip(cells) {
        let what = || format!("the distance of node {} to {to}", node.id);
        let number = decimal(cell).and_then(|number| u8::try_from(number).ok());
        let distance = number.filter(|number| *number >= Distance::LOCAL.0).map(Distance);
        let bad = || line.bad(&what(), cell, "a relative distance from 10 to 255");
        node.distances.push((*to, distance.ok_or_else(bad)?));
    }
    Ok(())
}
