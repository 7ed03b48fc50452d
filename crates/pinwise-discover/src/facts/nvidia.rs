//! `nvidia-smi topo -m` and `nvidia-smi topo -p2p`.

use super::data::{
    Facts, GpuFacts, GpuName, LinkFacts, NicName, PathEnd, PathFacts, PeerFacts, vendor,
};
use super::lines::{Line, decimal, known};
use super::matrix::{Matrix, TableDevice};
use super::note::FactsNote;
use super::peer::PeerStatus;
use super::problem::FactsError;
use super::reader::{FactsText, Reader, TitledTable};
use crate::notes::Note;
use pinwise::host::{CommonBridge, GpuLinkKind};
use pinwise::sets::{CpuSet, NodeSet};
use pinwise::shown::shorten;
use pinwise::units::{Id as _, NodeId};

pub(super) const READER: Reader = Reader {
    name: "nvidia-smi topo",
    command: "nvidia-smi topo -m, nvidia-smi topo -p2p r",
    describes_host: false,
    looks_like: |text| text.tables.iter().any(is_mine),
    read,
};

/// Whether a table is one of nvidia-smi's. rocm-smi also prints tables of GPUs, with a title above
/// each.
fn is_mine((title, _): &TitledTable<'_>) -> bool {
    !title.is_some_and(|title| title.ends_with("between two GPUs"))
}

const TOPO: &str = "nvidia-smi topo -m";
const P2P: &str = "nvidia-smi topo -p2p";
/// The largest number of NVLinks in a cell: more than any GPU has.
const MAX_LINKS: u32 = 1024;

fn gpu(index: u32) -> GpuName {
    GpuName::Nth { vendor: vendor::NVIDIA, index }
}

/// The facts of each table of nvidia-smi.
fn read(text: &FactsText<'_>) -> Result<Vec<Facts>, FactsError> {
    let names = legend(text.lines());
    let mut found = Vec::new();
    let (mut topo, mut p2p) = (None, None);
    for (_, table) in text.tables.iter().filter(|table| is_mine(table)) {
        let reaches = |cell: &&str| status(cell).is_some();
        let is_p2p = table.rows.iter().flat_map(|row| &row.cells).any(reaches);
        let line = table.header.number;
        // nvidia-smi prints a table of connections once; it prints one of access for each kind.
        if !is_p2p && topo.replace(line).is_some() {
            return Err(table.header.twice("a table of connections".to_owned()));
        }
        if is_p2p && p2p.replace(line).is_some() {
            return Err(table.header.twice("a table of peer access".to_owned()));
        }
        found.push(if is_p2p { peers(table)? } else { connections(table, &names)? });
    }
    Ok(found)
}

/// The connection of two devices in a cell.
enum CellWord {
    Links(u32),
    Path(CommonBridge),
}

fn cell(word: &str) -> Option<CellWord> {
    let path = match word {
        "PIX" => CommonBridge::Pix,
        "PXB" => CommonBridge::Pxb,
        "PHB" => CommonBridge::Phb,
        "NODE" => CommonBridge::Node,
        // Drivers before 390 had no word for nodes within a socket, and wrote SOC between sockets.
        "SYS" | "SOC" => CommonBridge::Sys,
        _ => {
            let count = word.strip_prefix("NV").and_then(decimal);
            return count.filter(|count| (1..=MAX_LINKS).contains(count)).map(CellWord::Links);
        }
    };
    Some(CellWord::Path(path))
}

fn connections(table: &Matrix<'_>, names: &[(String, String)]) -> Result<Facts, FactsError> {
    let mut facts = Facts { source: TOPO.to_owned(), ..Facts::default() };
    facts.gpus = (0..table.gpus()?).map(|index| GpuFacts::new(gpu(index))).collect();
    facts.notes.extend(table.missing_rows());
    let nic = |name: &str| {
        let legend = names.iter().find(|(short, _)| short == name).map(|(_, long)| long.as_str());
        NicName::Called(legend.unwrap_or(name).to_owned())
    };
    let end = |device: &TableDevice| match device {
        TableDevice::Gpu(index) => PathEnd::Gpu(gpu(*index)),
        TableDevice::Nic(name) => PathEnd::Nic(nic(name)),
    };
    for device in &table.columns {
        if let TableDevice::Nic(name) = device {
            facts.nics.push(nic(name));
        }
    }
    let expected = "NV#, PIX, PXB, PHB, NODE or SYS";
    for pair in table.pairs(&["X"], |word| cell(word).is_some(), expected)? {
        let what = || format!("{} with {}", pair.a, pair.b);
        let bad = || pair.line.bad(&what(), pair.cell, expected);
        match (cell(pair.cell).ok_or_else(bad)?, pair.a, pair.b) {
            (CellWord::Links(count), TableDevice::Gpu(a), TableDevice::Gpu(b)) => {
                facts.links.push(LinkFacts {
                    a: gpu(*a),
                    b: gpu(*b),
                    kind: GpuLinkKind::NvLink,
                    count: Some(count),
                })
            }
            (CellWord::Links(_), ..) => return Err(bad()),
            (CellWord::Path(path), a, b) => {
                facts.paths.push(PathFacts { a: end(a), b: end(b), path })
            }
        }
    }
    for row in &table.rows {
        let TableDevice::Gpu(index) = row.device else { continue };
        let affinity = affinity(table, row.line, &row.rest, index, &mut facts.notes)?;
        let Some(own) = facts.gpus.iter_mut().find(|own| own.gpu == gpu(index)) else { continue };
        (own.cpus, own.node) = affinity;
    }
    Ok(facts)
}

/// The pCPUs and the node at the end of a row. If a blank makes it ambiguous which of them a word
/// means, neither is used.
fn affinity(
    table: &Matrix<'_>,
    line: Line<'_>,
    rest: &[&str],
    index: u32,
    notes: &mut Vec<Note>,
) -> Result<(Option<CpuSet>, Option<NodeId>), FactsError> {
    let of = |what: &str| format!("the {what} of GPU{index}");
    if table.affinities == 0 && !rest.is_empty() {
        let expected = "the end of the row";
        return Err(line.bad("the text after the last column", &rest.join(" "), expected));
    }
    // A header cut short has fewer affinities than the rows have words.
    let (cpus, node, memory) = match *rest {
        [] => return Ok((None, None)),
        [cpus, node, memory] => (Some(cpus), Some(node), Some(memory)),
        [cpus, node] if table.affinities < 3 => (Some(cpus), Some(node), None),
        [cpus] if table.affinities == 1 => (Some(cpus), None, None),
        [_, _] | [_] => {
            if rest.iter().any(|word| known(word).is_some()) {
                let (line, text) = (line.number, shorten(&rest.join(" "), 40));
                notes.push(FactsNote::Ambiguous { line, text }.into());
            }
            return Ok((None, None));
        }
        _ => {
            let expected = "the end of the row";
            return Err(line.bad("the text after the affinities", rest[3], expected));
        }
    };
    let cpus = cpus.and_then(known).map(|text| {
        let set = text.parse::<CpuSet>().ok().filter(|set| !set.is_empty());
        set.ok_or_else(|| line.bad(&of("CPU affinity"), text, "a list of pCPUs such as 0-7,16-23"))
    });
    let nodes = |text: Option<&str>, what: &str| {
        let nodes = text.and_then(known).map(|text| {
            let set = text.parse::<NodeSet>().ok().filter(|set| !set.is_empty());
            set.ok_or_else(|| line.bad(&of(what), text, "a node's number or a list of them"))
        });
        nodes.transpose()
    };
    let near = nodes(node, "NUMA affinity")?;
    if let Some(own) = nodes(memory, "GPU NUMA ID")? {
        notes.push(FactsNote::GpuMemory { gpu: index, nodes: own }.into());
    }
    // A GPU equally near to several nodes is on none of them.
    let single = near.filter(|near| near.len() == 1).and_then(|near| near.first());
    Ok((cpus.transpose()?, single.filter(|node| node.index() < NodeId::LIMIT)))
}

fn status(word: &str) -> Option<PeerStatus> {
    Some(match word {
        "OK" => PeerStatus::Ok,
        "CNS" => PeerStatus::ChipsetNotSupported,
        "GNS" => PeerStatus::GpuNotSupported,
        "TNS" => PeerStatus::TopologyNotSupported,
        "NS" => PeerStatus::NotSupported,
        "DR" => PeerStatus::Disabled,
        "U" => PeerStatus::Unknown,
        _ => return None,
    })
}

fn peers(table: &Matrix<'_>) -> Result<Facts, FactsError> {
    let mut facts = Facts { source: P2P.to_owned(), ..Facts::default() };
    facts.gpus = (0..table.gpus()?).map(|index| GpuFacts::new(gpu(index))).collect();
    facts.notes.extend(table.missing_rows());
    // One GPU may reach another that does not reach it, so each direction is a fact of its own.
    for row in &table.rows {
        for (column, cell) in table.columns.iter().zip(&row.cells) {
            let (TableDevice::Gpu(from), TableDevice::Gpu(to)) = (&row.device, column) else {
                let what = format!("the column {column}");
                return Err(row.line.bad(
                    &what,
                    cell,
                    "a column of a GPU, as all others of this table are",
                ));
            };
            let bad =
                |expected| row.line.bad(&format!("{} with {column}", row.device), cell, expected);
            if from == to {
                if *cell != "X" {
                    return Err(bad("X, the mark of the device itself"));
                }
                continue;
            }
            let status = status(cell).ok_or_else(|| bad("OK, CNS, GNS, TNS, NS, DR or U"))?;
            facts.peers.push(PeerFacts { from: gpu(*from), to: gpu(*to), access: None, status });
        }
    }
    Ok(facts)
}

/// The short and long names in the legend below a table: `NIC0: mlx5_0`.
fn legend<'a>(lines: impl Iterator<Item = Line<'a>>) -> Vec<(String, String)> {
    let entry = |line: Line<'a>| {
        let (short, long) = line.text.trim().split_once(": ")?;
        let number = short.strip_prefix("NIC").and_then(decimal)?;
        let long = long.trim();
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let sound = (1..=32).contains(&long.len()) && long.bytes().all(word);
        sound.then(|| (format!("NIC{number}"), long.to_owned()))
    };
    lines.filter_map(entry).take(super::matrix::MAX_COLUMNS).collect()
}
