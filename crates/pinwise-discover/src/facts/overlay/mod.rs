//! Laying facts over a host's description.

mod conflict;
pub(super) mod cpus;
mod functions;
mod gpus;
mod links;
mod nodes;
pub(crate) mod note;
mod paths;

use crate::facts::data::{Facts, GpuName};
use crate::notes::Note;
use conflict::Collector;
pub use conflict::{Report, SourceConflict};
use gpus::Names;
pub use note::OverlayNote;
use pinwise::host::HostSpec;

/// Lays facts over a host's description, and records the source of each part in it.
///
/// Missing parts are added: links of GPUs, names of models, nodes of devices, maxima of links,
/// distances of nodes, partitions of the fabric, and the PCI functions if there are none at all. If
/// both have a value, the more specific stays. So facts are applied in the order of how much they
/// can know, not in the order given: first those that name GPUs by address, then those that number
/// them, last those with links but not their number. The description's values stay, except names of
/// models (the vendor's own tool knows them better than a list of PCI ids) and the number of free
/// pages if no source of the description counted them.
///
/// Nothing is guessed. GPU facts from a source that numbers GPUs are used only if it has as many as
/// the description has of that vendor, virtual functions aside, and none on another node or near
/// another package's pCPUs. Every conflict is reported with both sources.
pub fn overlay(host: &mut HostSpec, facts: &[Facts]) -> Report {
    let mut collector = Collector::default();
    let mut ordered: Vec<&Facts> = facts.iter().collect();
    ordered.sort_by_key(|facts| rank(facts));
    let bare = host.cores.is_empty();
    for facts in ordered {
        for note in &facts.notes {
            let source = facts.source.clone();
            collector.note(Note::Of { source, note: Box::new(note.clone()) });
        }
        nodes::lay(host, facts, &mut collector);
        cpus::lay(host, facts, &mut collector);
        gpus::add_functions(host, facts, &mut collector);
        functions::lay(host, facts, &mut collector);
        let Some(names) = Names::resolve(host, facts, &mut collector) else { continue };
        gpus::lay(host, facts, &names, &mut collector);
        links::lay(host, facts, &names, &mut collector);
        paths::check(host, facts, &names, &mut collector);
    }
    cpus::kinds(host, facts, bare, &mut collector);
    collector.finish()
}

/// Sources that know more come first; otherwise the given order.
fn rank(facts: &Facts) -> (bool, bool, bool) {
    let numbered = facts.gpus.iter().any(|gpu| matches!(gpu.gpu, GpuName::Nth { .. }));
    let unnamed = facts.functions.iter().any(|function| function.class.is_none());
    (numbered, facts.links.iter().any(|link| link.count.is_none()), unnamed)
}
