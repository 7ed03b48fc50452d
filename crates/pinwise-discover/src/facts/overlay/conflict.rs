//! Conflicts found while facts are laid over a host.

use std::fmt;

use super::note::OverlayNote;
use crate::notes::{Note, Notes};
use pinwise::host::Part;
use pinwise::shown::shorten;
use pinwise::units::PciAddr;

/// The number of conflicts that are listed; further ones are only counted.
const MAX_CONFLICTS: usize = 64;
/// The number of devices that are named in one conflict; further ones are only counted.
const MAX_NAMED: usize = 8;

/// Two sources that contradict each other, or facts about something that the host does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceConflict {
    /// A source that numbers GPUs, with a number of GPUs other than the description's.
    GpuCount {
        /// The source.
        source: String,
        /// The number in the source.
        found: usize,
        /// The number in the description, of that vendor.
        host: usize,
        /// The description's source for its GPUs.
        host_source: String,
    },
    /// A source that numbers GPUs and has some on other nodes than the description: its numbers are
    /// not in the order of addresses, or it is from another machine.
    OtherNodes {
        /// The source.
        source: String,
        /// The first such GPU.
        gpu: PciAddr,
        /// The node in the source.
        found: String,
        /// The node in the description.
        host: String,
        /// The description's source for the node.
        host_source: String,
    },
    /// A source that names things which the description does not have.
    Unknown {
        /// The source.
        source: String,
        /// The kind of thing.
        what: &'static str,
        /// The names.
        names: Vec<String>,
    },
    /// Two sources with different values.
    Differ {
        /// The part of the description.
        part: Part,
        /// The property, e.g. `the node`.
        what: &'static str,
        /// The devices or nodes.
        of: Vec<String>,
        /// The value in the description.
        host: String,
        /// The description's source for the value.
        host_source: String,
        /// The value in the facts.
        found: String,
        /// The source of the facts.
        source: String,
        /// Whether the value of the facts replaced the description's.
        taken: bool,
    },
}

/// A list that shows the first few names.
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
                "{source} numbers {found} GPUs, but {host_source} has {host} of that vendor: all its facts \
                 about GPUs are ignored"
            ),
            Self::OtherNodes { source, gpu, found, host, host_source } => write!(
                f,
                "{source} puts GPU {gpu} on node {found}, but {host_source} puts it on node {host}: all \
                 its facts about GPUs are ignored"
            ),
            Self::Unknown { source, what, names } => write!(
                f,
                "{source} names {what} {}, which the host does not have: ignored",
                row(names)
            ),
            Self::Differ { part: _, what, of, host, host_source, found, source, taken } => {
                let kept = if *taken { source } else { host_source };
                write!(
                    f,
                    "{what} of {}: {host} from {host_source}, {found} from {source}; {kept} is \
                     used",
                    row(of)
                )
            }
        }
    }
}

/// The result of laying facts over a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Conflicts between the sources.
    pub conflicts: Vec<SourceConflict>,
    /// Notes on what was ignored, replaced or not compared.
    pub notes: Vec<Note>,
}

/// Collects conflicts; those of many devices with equal values become one.
#[derive(Default)]
pub(super) struct Collector {
    conflicts: Vec<SourceConflict>,
    more: usize,
    notes: Notes,
}

/// A difference between two sources about one property.
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

    /// Records a name of something that the host does not have.
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
