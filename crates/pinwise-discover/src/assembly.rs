//! One machine from several sources: descriptions, node devices and facts, each recognised by its
//! text.

use super::facts::alone;
use super::facts::{Facts, FactsError, SourceConflict, overlay, overlay_host, read_facts};
use super::hwloc::{LstopoError, read_lstopo};
use super::kinds::{guess_on_intel, is_uniform};
use super::kubevirt::is_vm;
use super::libvirt::{
    LibvirtError, LibvirtNote, NodeDevice, PARTS, add_node_devices, read_capabilities,
    read_node_device,
};
use super::notes::Note;
use super::opennebula::{OneHost, read_onehost};
use super::pasted;
use super::placement_host::{Described, read_described};
use super::proxmox::is_qemu_conf;
use super::reading::Reading;
use pinwise::host::{CoreKind, HostSpec};
use pinwise::json::JsonError;
use pinwise::usage::Claim;

/// The kind of a text, as far as its beginning shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextKind {
    /// A description that [`read_described`] reads: anything that begins with `{`.
    Description,
    /// XML of lstopo: `<topology>`.
    Lstopo,
    /// `virsh capabilities`, or a part of it that shows every pCPU.
    Capabilities,
    /// `onehost show -x`: `<HOST>`, in capitals.
    OpenNebula,
    /// `virsh nodedev-dumpxml`: `<device>`.
    NodeDevice,
    /// A VM, which is a tenant or a request and not a part of a host: `<domain>` or `<domstatus>`,
    /// a VM of Proxmox or of KubeVirt.
    Domain,
    /// Anything else: facts, or an unknown text.
    Facts,
}

impl TextKind {
    /// The kind of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::of_clean(&pasted::clean(text))
    }

    fn of_clean(text: &str) -> Self {
        match pasted::root_element(text) {
            // A part of capabilities has an element of this name too, without objects.
            Some("topology") if text.contains("<object") || !text.contains("<cells") => {
                Self::Lstopo
            }
            Some(part) if PARTS.contains(&part) => Self::Capabilities,
            Some("capabilities") => Self::Capabilities,
            Some("HOST") => Self::OpenNebula,
            Some("device") => Self::NodeDevice,
            Some("domain" | "domstatus") => Self::Domain,
            Some(_) => Self::Facts,
            None if is_vm(text) || is_qemu_conf(text) => Self::Domain,
            None if text.trim_start().starts_with('{') => Self::Description,
            None => Self::Facts,
        }
    }
}

/// The reason why sources do not make a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssemblyError {
    /// An invalid description.
    #[error("{name}: {problem}")]
    Description {
        /// The text's name.
        name: String,
        /// The problem.
        problem: JsonError,
    },
    /// Invalid XML of lstopo.
    #[error("{name}: {problem}")]
    Lstopo {
        /// The text's name.
        name: String,
        /// The problem.
        problem: LstopoError,
    },
    /// Invalid XML of libvirt.
    #[error("{name}: {problem}")]
    Libvirt {
        /// The text's name.
        name: String,
        /// The problem.
        problem: LibvirtError,
    },
    /// Invalid XML of OpenNebula.
    #[error("{name}: {problem}")]
    OpenNebula {
        /// The text's name.
        name: String,
        /// The problem.
        problem: LibvirtError,
    },
    /// Invalid facts, or an unknown text.
    #[error("{name}: {problem}")]
    Facts {
        /// The text's name.
        name: String,
        /// The problem.
        problem: FactsError,
    },
    /// A domain where a part of a host was expected.
    #[error("{name}: a domain is a tenant, not a part of a host")]
    Domain {
        /// The text's name.
        name: String,
    },
    /// Two sources of one kind that each describe a whole host.
    #[error("{name}: {kind} of the host was already given")]
    Twice {
        /// The second text's name.
        name: String,
        /// The kind of source.
        kind: &'static str,
    },
    /// Facts or node devices without a description of their host.
    #[error(
        "no source describes the host: add a description, sysfs, lstopo XML, virsh capabilities or lscpu -e"
    )]
    NoHost,
    /// A table of pCPUs that does not tell the core of each, and no other source of the host.
    #[error(
        "{source_name} does not tell the core of every pCPU: use the output of lscpu -e without columns"
    )]
    NoCores {
        /// The source of the table.
        source_name: String,
    },
}

/// A source that describes a whole host; the more specific comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whole {
    Description,
    Reading,
    Lstopo,
    Capabilities,
    OpenNebula,
}

impl Whole {
    fn name(self) -> &'static str {
        match self {
            Self::Description => "a description",
            Self::Reading => "a reading",
            Self::Lstopo => "XML of lstopo",
            Self::Capabilities => "virsh capabilities",
            Self::OpenNebula => "a host of OpenNebula",
        }
    }
}

/// The host of a table of pCPUs among the facts.
fn alone(facts: &mut [Facts]) -> Result<Reading, AssemblyError> {
    let table = facts.iter().find(|facts| !facts.pcpus.is_empty());
    let source_name = table.ok_or(AssemblyError::NoHost)?.source.clone();
    alone::begin(facts).ok_or(AssemblyError::NoCores { source_name })
}

/// Takes back the kinds of cores that capabilities guessed, and the note about it: another source
/// may know them.
fn take_back(host: &mut HostSpec, notes: &mut Vec<Note>) -> bool {
    let guessed = |note: &Note| matches!(note, Note::Libvirt(LibvirtNote::KindsGuessed { .. }));
    if !notes.iter().any(guessed) {
        return false;
    }
    notes.retain(|note| !guessed(note));
    host.cores.iter_mut().for_each(|core| core.kind = CoreKind::default());
    true
}

/// A host assembled from its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Assembled {
    /// The host, unchecked until it is built. Its `sources` name the source of each part.
    pub host: HostSpec,
    /// The tenants in the description, for [`Usage::with_running`](pinwise::Usage::with_running).
    /// Only `placement-host/1` and hosts of OpenNebula have any.
    pub tenants: Vec<(String, Claim)>,
    /// Notes on what was ignored, replaced or guessed, one sentence each.
    pub notes: Vec<Note>,
    /// Conflicts between the sources.
    pub conflicts: Vec<SourceConflict>,
}

/// Sources of one machine, collected in any order and combined by [`finish`](Self::finish).
///
/// A host needs one source that describes it whole. Of several, the most specific is the base: a
/// description, then sysfs, then lstopo, then libvirt's capabilities, then OpenNebula's host. The
/// others and all facts are laid over it. If there is none, a table of `lscpu` among the facts
/// describes the host; its memory is assumed to be unlimited, with a note, unless facts tell it.
#[derive(Debug, Clone, Default)]
pub struct Assembly {
    wholes: Vec<(Whole, Reading)>,
    devices: Vec<NodeDevice>,
    facts: Vec<Facts>,
    /// The tenants of the description or of OpenNebula's host; there is at most one of each, and
    /// the description's count.
    tenants: Vec<(String, Claim)>,
}

impl Assembly {
    /// An assembly without sources.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the reading of a live reader or of sysfs.
    ///
    /// # Errors
    /// [`AssemblyError::Twice`] if there already is such a reading.
    pub fn add_reading(&mut self, name: &str, reading: Reading) -> Result<(), AssemblyError> {
        self.add_whole(name, Whole::Reading, reading)
    }

    /// Adds facts.
    pub fn add_facts(&mut self, facts: Facts) {
        self.facts.push(facts);
    }

    /// Adds a text of any kind. `name` is its name in errors and as a source of facts, such as its
    /// file.
    ///
    /// # Errors
    /// [`AssemblyError`] if the text is not valid for its kind, is of an unknown kind, is a domain,
    /// or describes the whole host like another text of its kind.
    pub fn add_text(&mut self, name: &str, text: &str) -> Result<TextKind, AssemblyError> {
        let called = || name.to_owned();
        let text = &*pasted::clean(text);
        let kind = TextKind::of_clean(text);
        match kind {
            TextKind::Description => {
                let Described { mut host, tenants, .. } = read_described(text)
                    .map_err(|problem| AssemblyError::Description { name: called(), problem })?;
                host.mark_source(name);
                let reading = Reading { host, notes: Vec::new() };
                self.add_whole(name, Whole::Description, reading)?;
                if !tenants.is_empty() {
                    self.tenants = tenants;
                }
            }
            TextKind::Lstopo => {
                let reading = read_lstopo(text)
                    .map_err(|problem| AssemblyError::Lstopo { name: called(), problem })?;
                self.add_whole(name, Whole::Lstopo, reading)?;
            }
            TextKind::Capabilities => {
                let reading = read_capabilities(text)
                    .map_err(|problem| AssemblyError::Libvirt { name: called(), problem })?;
                self.add_whole(name, Whole::Capabilities, reading)?;
            }
            TextKind::OpenNebula => {
                let OneHost { reading, tenants, .. } = read_onehost(text)
                    .map_err(|problem| AssemblyError::OpenNebula { name: called(), problem })?;
                self.add_whole(name, Whole::OpenNebula, reading)?;
                if self.tenants.is_empty() {
                    self.tenants = tenants;
                }
            }
            TextKind::NodeDevice => {
                let device = read_node_device(text)
                    .map_err(|problem| AssemblyError::Libvirt { name: called(), problem })?;
                self.devices.extend(device);
            }
            TextKind::Domain => return Err(AssemblyError::Domain { name: called() }),
            TextKind::Facts => {
                let facts = read_facts(text)
                    .map_err(|problem| AssemblyError::Facts { name: called(), problem })?;
                self.facts.extend(facts.into_iter().map(|mut facts| {
                    facts.source = format!("{} ({name})", facts.source);
                    facts
                }));
            }
        }
        Ok(kind)
    }

    fn add_whole(
        &mut self,
        name: &str,
        whole: Whole,
        reading: Reading,
    ) -> Result<(), AssemblyError> {
        if self.wholes.iter().any(|(known, _)| *known == whole) {
            return Err(AssemblyError::Twice { name: name.to_owned(), kind: whole.name() });
        }
        self.wholes.push((whole, reading));
        Ok(())
    }

    /// Combines the sources.
    ///
    /// # Errors
    /// [`AssemblyError::NoHost`] if no source describes a whole host, [`AssemblyError::NoCores`] if
    /// there is only a table of pCPUs without their cores.
    pub fn finish(self) -> Result<Assembled, AssemblyError> {
        let Self { mut wholes, devices, mut facts, tenants } = self;
        wholes.sort_by_key(|(whole, _)| *whole);
        let mut wholes = wholes.into_iter();
        let (first, Reading { mut host, mut notes }) = match wholes.next() {
            Some((whole, reading)) => (Some(whole), reading),
            None => (None, alone(&mut facts)?),
        };
        let mut guess = take_back(&mut host, &mut notes);
        let mut conflicts = Vec::new();
        // Node devices belong to the capabilities, which have no devices of their own.
        let mut devices = Some(devices).filter(|devices| !devices.is_empty());
        if first == Some(Whole::Capabilities) {
            notes.extend(add_node_devices(&mut host, devices.take().unwrap_or_default()));
        }
        for (whole, Reading { host: mut other, notes: mut more }) in wholes {
            guess |= take_back(&mut other, &mut more);
            notes.extend(more);
            if whole == Whole::Capabilities {
                notes.extend(add_node_devices(&mut other, devices.take().unwrap_or_default()));
            }
            let laid = overlay_host(&mut host, &other, whole.name());
            notes.extend(laid.notes);
            conflicts.extend(laid.conflicts);
        }
        notes.extend(add_node_devices(&mut host, devices.unwrap_or_default()));
        let laid = overlay(&mut host, &facts);
        notes.extend(laid.notes);
        conflicts.extend(laid.conflicts);
        if first.is_none() {
            alone::complete(&mut host, &facts, &mut notes);
        }
        if guess && is_uniform(&host) {
            let sign = guess_on_intel(&mut host);
            notes.extend(sign.map(|sign| Note::Libvirt(LibvirtNote::KindsGuessed { sign })));
        }
        Ok(Assembled { host, tenants, notes, conflicts })
    }
}
