//! `pinwise capacity`: the number of VMs that fit in each case of a placement-capacity/1 file.

use std::path::PathBuf;

use pinwise::capacity::{Allowed, Capacity, FreeOnNode, Shape, vms};
use pinwise::units::NodeId;
use pinwise::{Bytes, NodeSet, PageSize};
use serde::{Deserialize, Serialize};

use crate::input::{at, foreign, write};
use crate::outcome::{Failure, Outcome};

/// Counts the VMs that fit in each case of a file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cases (placement-capacity/1): free pCPUs, hugepages and GPUs of each node, and a VM.
    #[arg(long, value_name = "FILE")]
    cases: PathBuf,
    /// The file for the answers; standard output by default.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let text = answers(&foreign::text(&args.cases)?).map_err(|e| at(&args.cases, e))?;
    Ok(Outcome::done(write(args.output.as_deref(), text)?))
}

#[derive(Deserialize)]
struct Text {
    format: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    rule: Rule,
    /// The node sets, if the rule only says that there are some.
    #[serde(default, alias = "allowed_sets", alias = "sets")]
    allowed: Option<Vec<Ids>>,
    nodes: Vec<Node>,
    vm: Vm,
}

/// The nodes that the cells of one VM may be on: "any", a name with the sets beside it, or the
/// sets.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rule {
    Name(String),
    Sets(Vec<Ids>),
    Inside {
        #[serde(alias = "allowed_sets", alias = "sets")]
        allowed: Vec<Ids>,
    },
}

/// The ids of a set of nodes.
type Ids = Vec<u32>;

#[derive(Deserialize)]
struct Node {
    id: u32,
    free_cpus: u64,
    free_hugepages_2m: u64,
    free_gpus: u64,
}

#[derive(Deserialize)]
struct Vm {
    cells: u32,
    cpus_per_cell: u32,
    memory_mib_per_cell: u64,
    page_kib: u64,
    gpus_per_cell: u32,
}

#[derive(Serialize)]
struct Answer {
    case: usize,
    max_vms: u64,
}

/// The answers to all cases of a text, as JSON.
fn answers(text: &str) -> Result<String, Failure> {
    let text: Text = foreign::read(text)?;
    foreign::expect_format(&text.format, "placement-capacity/1")?;
    let answer = |(case, one): (usize, &Case)| {
        let max_vms = most(one).map_err(|e| format!("cases[{case}]: {e}"))?;
        Ok(Answer { case, max_vms })
    };
    let answers = text.cases.iter().enumerate().map(answer).collect::<Result<Vec<_>, Failure>>()?;
    Ok(serde_json::to_string(&answers)? + "\n")
}

/// The largest number of VMs that fit in a case.
fn most(case: &Case) -> Result<u64, Failure> {
    let Case { rule, nodes, vm, .. } = case;
    let allowed = match rule {
        Rule::Name(name) if name == "any" => Allowed::Any,
        Rule::Name(name) => {
            let none = || format!("rule {name:?} is not \"any\", but names no node sets");
            of_sets(case.allowed.as_ref().ok_or_else(none)?)
        }
        Rule::Sets(sets) | Rule::Inside { allowed: sets } => of_sets(sets),
    };
    let size = PageSize::from_kib(vm.page_kib)
        .ok_or_else(|| format!("{} KiB is not a page size", vm.page_kib))?;
    let memory = vm.memory_mib_per_cell.checked_mul(1 << 20).map(Bytes);
    let memory = memory.ok_or("the memory exceeds 64 bits")?;
    let room = |node: &Node| FreeOnNode {
        node: NodeId(node.id),
        cpus: node.free_cpus,
        pages: node.free_hugepages_2m.saturating_mul(2048) / size.kib(),
        gpus: node.free_gpus,
    };
    let rooms: Vec<FreeOnNode> = nodes.iter().map(room).collect();
    let gpus = vm.gpus_per_cell;
    let shape = Shape { gpus, allowed, ..Shape::new(vm.cells, vm.cpus_per_cell, memory, size) };
    match vms(&rooms, &shape) {
        Capacity::Exact(vms) => Ok(vms),
        Capacity::Between { at_least, at_most } => {
            Err(format!("between {at_least} and {at_most} VMs fit: the search reached its limit")
                .into())
        }
    }
}

fn of_sets(sets: &[Ids]) -> Allowed {
    let set = |set: &Ids| set.iter().map(|id| NodeId(*id)).collect::<NodeSet>();
    Allowed::Sets(sets.iter().map(set).collect())
}
