//! What there is to say after facts were laid over a host.

use std::fmt;

use super::note::OverlayNote;
use crate::notes::{Note, Notes};
use pinwise::host::Part;
use pinwise::shown::shorten;
use pinwise::units::PciAddr;

/// More conflicts than this are counted only.
const MAX_CONFLICTS: usize = 64;
/// More devices than this are not named one by one.
const MAX_NAMED: usize = 8;

/// Two sources that cannot both be right, or facts about something that the host does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceConflict {
    /// A source numbers the GPUs and has another number of them than the description.
    GpuCount {
        /// The source.
        source: String,
        /// How many it has.
        found: usize,
        /// How many the description has of that vendor.
        host: usize,
        /// Where the description has them from.
        host_source: String,
    },
    /// A source numbers the GPUs and has some on other nodes than the description, so its numbers
    /// are not the order of the addresses, or it is of another machine.
    OtherNodes {
        /// The source.
        source: String,
        /// The first such GPU.
        gpu: PciAddr,
        /// Where the source has it.
        found: String,
        /// Where the description has it.
        host: String,
        /// Where the description has that from.
        host_source: String,
    },
    /// A source names things that the description does not have.
    Unknown {
        /// The source.
        source: String,
        /// What is named.
        what: &'static str,
        /// Their names.
        names: Vec<String>,
    },
    /// Two sources say different things.
    Differ {
        /// The part of the description.
        part: Part,
        /// What they speak of, e.g. `the node`.
        what: &'static str,
        /// Which devices or nodes.
        of: Vec<String>,
        /// What the description says.
        host: String,
        /// Where it has that from.
        host_source: String,
        /// What the facts say.
        found: String,
        /// Where they are from.
        source: String,
        /// Whether what the facts say was taken in its place.
        taken: bool,
    },
}

/// Names in a row, the first of many.
fn row(names: &[String]) -> String {
    let mut shown = names.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MAX_NAMED {
        shown.push_str(&format!(" and {} more", names.len() - MAX_NAMED));
    }
    shorten(&shown, 400)
}

impl fmt::Display for SourceConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GpuCount { source, found, host, host_source } => write!(
                f,
                "{source} numbers {found} GPUs, {host_source} has {host} of that vendor: nothing \
                 about its GPUs is taken"
            ),
            Self::OtherNodes { source, gpu, found, host, host_source } => write!(
                f,
                "{source} has the GPU that would be {gpu} on node {found}, {host_source} has that \
                 on node {host}: nothing about its GPUs is taken"
            ),
            Self::Unknown { source, what, names } => write!(
                f,
                "{source} names {what} {}, which the host does not have: left out",
                row(names)
            ),
            Self::Differ { part: _, what, of, host, host_source, found, source, taken } => {
                let kept = if *taken { source } else { host_source };
                write!(
                    f,
                    "{what} of {}: {host} from {host_source}, {found} from {source}: that from \
                     {kept} is taken",
                    row(of)
                )
            }
        }
    }
}

/// What came of laying facts over a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What the sources disagree about.
    pub conflicts: Vec<SourceConflict>,
    /// What was left out, replaced or not compared.
    pub notes: Vec<Note>,
}

/// Collects conflicts, those of many devices with one pair of values as one.
#[derive(Default)]
pub(super) struct Collector {
    conflicts: Vec<SourceConflict>,
    more: usize,
    notes: Notes,
}

/// A difference between two sources about one thing.
pub(super) struct Disagreement<'a> {
    pub(super) part: Part,
    pub(super) what: &'static str,
    pub(super) of: String,
    pub(super) host: String,
    pub(super) host_source: String,
    pub(super) found: String,
    pub(super) source: &'a str,
    pub(super) taken: bool,
}

impl Collector {
    pub(super) fn note(&mut self, note: impl Into<Note>) {
        self.notes.add(note);
    }

    pub(super) fn conflict(&mut self, conflict: SourceConflict) {
        if self.conflicts.len() < MAX_CONFLICTS {
            self.conflicts.push(conflict);
        } else {
            self.more += 1;
        }
    }

    /// Names something that the host does not have.
    pub(super) fn unknown(&mut self, source: &str, what: &'static str, name: String) {
        for known in &mut self.conflicts {
            match known {
                SourceConflict::Unknown { source: of, what: kind, names }
                    if (of.as_str(), *kind) == (source, what) =>
                {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                    return;
                }
                _ => {}
            }
        }
        self.conflict(SourceConflict::Unknown {
            source: source.to_owned(),
            what,
            names: vec![name],
        });
    }

    pub(super) fn differ(&mut self, new: Disagreement<'_>) {
        for known in &mut self.conflicts {
            match known {
                SourceConflict::Differ {
                    part,
                    what,
                    of,
                    host,
                    host_source,
                    found,
                    source,
                    taken,
                } if (*part, *what, *taken) == (new.part, new.what, new.taken)
                    && (&*host, &*found) == (&new.host, &new.found)
                    && (source.as_str(), &*host_source) == (new.source, &new.host_source) =>
                {
                    of.push(new.of);
                    return;
                }
                _ => {}
            }
        }
        self.conflict(SourceConflict::Differ {
            part: new.part,
            what: new.what,
            of: vec![new.of],
            host: new.host,
            host_source: new.host_source,
            found: new.found,
            source: new.source.to_owned(),
            taken: new.taken,
        });
    }

    pub(super) fn finish(mut self) -> Report {
        if self.more > 0 {
            self.notes.add(OverlayNote::MoreConflicts { count: self.more });
        }
        Report { conflicts: self.conflicts, notes: self.notes.finish() }
    }
}
