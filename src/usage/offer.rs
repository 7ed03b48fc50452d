//! Claiming what was computed a while ago: either it still holds, or the answer says who took what.

use std::collections::BTreeMap;
use std::fmt;

use super::claim::{Claim, ClaimError, PageClaim, named};
use super::generation::Generation;
use super::tenants::Usage;
use crate::host::Host;
use crate::sets::CpuSet;
use crate::units::{CoreId, NodeId, PageSize, PciAddr};

/// What a placement would take, and the generation of the usage that it was computed against:
/// [`Question::offer`](crate::Question::offer) makes it, [`Usage::accept`] takes it.
///
/// A scheduler with several threads copies the [`Usage`], computes without a lock, and has the
/// offer accepted under one. If another tenant took something of it in between, the scheduler
/// computes anew:
///
/// ```
/// use std::sync::Mutex;
///
/// use pinwise::usage::OfferError;
/// use pinwise::{Host, Placement, Question, Request, Usage, recommend};
///
/// /// `None` if nothing fits, or others are always faster.
/// fn place(host: &Host, shared: &Mutex<Usage>, request: &Request) -> Option<Placement> {
///     for _ in 0..10 {
///         let seen = shared.lock().expect("no thread panics").clone();
///         let question = Question::new(host, &seen, request);
///         let answer = recommend(question).ok()?;
///         let placement = &answer.best().placement;
///         let offer = question.offer(placement);
///         match shared.lock().expect("no thread panics").accept(host, &offer) {
///             Ok(_) => return Some(placement.clone()),
///             Err(OfferError::Taken { .. }) => continue,
///             Err(_) => return None,
///         }
///     }
///     None
/// }
/// # use pinwise::host::{CoreSpec, NodeSpec};
/// # use pinwise::units::{NodeId, PackageId, PcpuId};
/// # use pinwise::{Bytes, HostSpec, RequestSpec};
/// # let cpus = |range: std::ops::Range<u32>| range.map(PcpuId).collect();
/// # let node = NodeSpec::new(NodeId(0), cpus(0..8), Bytes::from_gib(64));
/// # let core = |core: u32| CoreSpec::new(PackageId(0), core, cpus(core..core + 1));
/// # let (nodes, cores) = (vec![node], (0..8).map(core).collect());
/// # let host = HostSpec { nodes, cores, ..HostSpec::default() }.build()?;
/// # let shared = Mutex::new(Usage::empty(&host));
/// # let request = |name: &str| RequestSpec::new(name, 3, Bytes::from_gib(8)).build();
/// # assert!(place(&host, &shared, &request("a")?).is_some());
/// # assert!(place(&host, &shared, &request("b")?).is_some());
/// # assert!(place(&host, &shared, &request("c")?).is_none(), "core 0 is the host's");
/// // When a VM is gone, what it held is free again.
/// shared.lock().expect("no thread panics").release("a")?;
/// # assert!(place(&host, &shared, &request("c")?).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// An offer that is lost, with the thread that made it, has taken nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Offer {
    /// Name of the host that it was computed for, so that it can be sent there. [`Usage::accept`]
    /// does not compare it.
    pub host: String,
    /// Name of the tenant that would hold it.
    pub tenant: String,
    /// What the tenant would hold.
    pub claim: Claim,
    /// Generation of the usage that it was computed against.
    pub generation: Generation,
    /// Whether the offer is refused if another tenant holds any pCPU of its cores.
    pub whole_cores: bool,
}

/// The outcome of an offer that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Accepted {
    /// The generation that this claim made.
    pub generation: Generation,
    /// How many claims and releases came between computing and accepting. If there were any, a
    /// better placement may have become free since; this one is as legal as it was.
    pub meanwhile: u64,
    /// Tenants that float over pCPUs which the VM now has for itself, and these pCPUs. Nothing
    /// forbids it.
    pub floating: Vec<(String, CpuSet)>,
}

/// A tenant that holds something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Holder {
    /// Its name.
    pub tenant: String,
    /// The generation that its claim made. If it is not greater than the offer's generation, the
    /// holder was there already when the offer was computed, so the offer was computed against a
    /// different [`Usage`].
    pub since: Generation,
}

/// Something that an offer needs and another tenant holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "taken", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Taken {
    /// The tenant's own name.
    Name {
        /// The tenant that holds it.
        holder: Holder,
    },
    /// pCPUs that both would have for themselves.
    Pcpus {
        /// The pCPUs.
        cpus: CpuSet,
        /// The tenant that holds them.
        holder: Holder,
    },
    /// pCPUs that the VM's vCPUs, emulator or I/O threads would float on and another tenant has for
    /// itself.
    Floating {
        /// The pCPUs.
        cpus: CpuSet,
        /// The tenant that holds them.
        holder: Holder,
    },
    /// A core that the VM must have whole.
    Core {
        /// The core.
        core: CoreId,
        /// The holder's pCPUs on it.
        cpus: CpuSet,
        /// The tenant that holds them.
        holder: Holder,
    },
    /// Pages.
    Pages {
        /// The node; `None` for all together.
        node: Option<NodeId>,
        /// The page size.
        page_size: PageSize,
        /// Pages needed.
        needed: u64,
        /// Pages free.
        free: u64,
        /// The tenants that took pages there since the offer was computed, and how many each holds.
        holders: Vec<(Holder, u64)>,
    },
    /// A device.
    Device {
        /// The device.
        address: PciAddr,
        /// The tenant that holds it.
        holder: Holder,
    },
}

/// Why an offer was not accepted. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// Other tenants hold what it needs: compute anew.
    #[error("tenant {}, computed at generation {offered}, conflicts at generation {now}: {}",
        named(.tenant), .taken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Taken {
        /// The tenant that would hold it.
        tenant: String,
        /// The offer's generation.
        offered: Generation,
        /// The usage's generation.
        now: Generation,
        /// All that is taken.
        taken: Vec<Taken>,
    },
    /// Its generation is one that this usage has not reached: it was computed against another
    /// usage, or against one that was lost.
    #[error(
        "tenant {} was computed at generation {offered}, which is still to come after {now}",
        named(.tenant)
    )]
    Ahead {
        /// The tenant that would hold it.
        tenant: String,
        /// The offer's generation.
        offered: Generation,
        /// The usage's generation.
        now: Generation,
    },
    /// This host has no such pCPU or device, or a device is named twice: it was computed for
    /// another.
    #[error(transparent)]
    Impossible(#[from] ClaimError),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, since } = self;
        write!(f, "{} (since generation {since})", named(tenant))
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { holder } => write!(f, "the name is taken by {holder}"),
            Self::Pcpus { cpus, holder } => write!(f, "pCPUs {cpus} are held by {holder}"),
            Self::Floating { cpus, holder } => {
                write!(f, "pCPUs {cpus} to float on are held by {holder}")
            }
            Self::Core { core, cpus, holder } => {
                write!(f, "core {core}: pCPUs {cpus} are held by {holder}")
            }
            Self::Pages { node, page_size: size, needed, free, holders } => {
                let place =
                    node.map_or_else(|| "any node".to_owned(), |node| format!("node {node}"));
                write!(f, "{needed} pages of {size} on {place}: {free} are free")?;
                holders.iter().try_for_each(|(holder, n)| write!(f, ", {n} are held by {holder}"))
            }
            Self::Device { address, holder } => write!(f, "device {address} is held by {holder}"),
        }
    }
}

impl Usage {
    /// Gives the offer's tenant what the offer says, if that is still possible: its pCPUs, pages
    /// and devices are free, nobody has for itself what it would float on, and nobody is on its
    /// cores if they must be whole.
    ///
    /// Everything is checked again, even at the same generation. So an offer is safe that was
    /// computed against a copy of this usage in which more was claimed since.
    ///
    /// # Errors
    /// [`OfferError::Taken`] with all that others hold of it, [`OfferError::Ahead`] if the offer's
    /// generation is greater than this usage's, [`OfferError::Impossible`] if the host has no such
    /// pCPU or device or a device is named twice. Nothing has changed then.
    pub fn accept(&mut self, host: &Host, offer: &Offer) -> Result<Accepted, OfferError> {
        let Offer { host: _, tenant, claim, generation: offered, whole_cores } = offer;
        let (offered, now) = (*offered, self.generation);
        if offered > now {
            return Err(OfferError::Ahead { tenant: tenant.clone(), offered, now });
        }
        let mut taken = Vec::new();
        self.taken_by_others(host, offer, &mut taken);
        if *whole_cores {
            self.cores_shared(host, claim, &mut taken);
        }
        self.pages_taken(host, offer, &mut taken);
        if !taken.is_empty() {
            return Err(OfferError::Taken { tenant: tenant.clone(), offered, now, taken });
        }
        let over = |(name, other): (&str, &Claim)| {
            let cpus = other.floating.intersection(&claim.dedicated);
            (!cpus.is_empty()).then(|| (name.to_owned(), cpus))
        };
        let floating = self.tenants().filter_map(over).collect();
        self.claim(host, tenant, claim.clone())?;
        Ok(Accepted { generation: self.generation, meanwhile: now.0 - offered.0, floating })
    }

    fn holder(&self, tenant: &str) -> Holder {
        let since = self.since.get(tenant).copied().unwrap_or_default();
        Holder { tenant: tenant.to_owned(), since }
    }

    fn taken_by_others(&self, host: &Host, offer: &Offer, taken: &mut Vec<Taken>) {
        let claim = &offer.claim;
        if self.claim_of(&offer.tenant).is_some() {
            taken.push(Taken::Name { holder: self.holder(&offer.tenant) });
        }
        for (name, other) in self.tenants() {
            let cpus = claim.dedicated.intersection(&other.dedicated);
            if !cpus.is_empty() {
                taken.push(Taken::Pcpus { cpus, holder: self.holder(name) });
            }
            let cpus = claim.floating.intersection(&other.dedicated);
            if !cpus.is_empty() {
                taken.push(Taken::Floating { cpus, holder: self.holder(name) });
            }
        }
        for address in claim.devices.iter().filter(|at| host.pci().get(**at).is_some()) {
            if let Some(name) = self.holder_of(*address) {
                taken.push(Taken::Device { address: *address, holder: self.holder(name) });
            }
        }
    }

    fn cores_shared(&self, host: &Host, claim: &Claim, taken: &mut Vec<Taken>) {
        let mut cores: BTreeMap<CoreId, CpuSet> = BTreeMap::new();
        for core in claim.dedicated.iter().filter_map(|pcpu| host.core_of(pcpu)) {
            cores.entry(core.id).or_insert_with(|| core.pcpus.iter().copied().collect());
        }
        for (core, pcpus) in cores {
            // pCPUs that both claim are told already.
            let rest = pcpus.difference(&claim.dedicated);
            for (name, other) in self.tenants() {
                let cpus = rest.intersection(&other.dedicated);
                if !cpus.is_empty() {
                    taken.push(Taken::Core { core, cpus, holder: self.holder(name) });
                }
            }
        }
    }

    fn pages_taken(&self, host: &Host, offer: &Offer, taken: &mut Vec<Taken>) {
        // Nodes come first: pages missing on a node may be missing on the whole host too, and are
        // told once.
        let wanted = offer.claim.pages_by_place();
        let (on_nodes, in_all): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|((node, _), _)| node.is_some());
        for ((node, size), needed) in on_nodes.into_iter().chain(in_all) {
            let free = match node {
                Some(node) => self.free_pages(host, node, size),
                None => self.free_pages_in_all(host, size),
            };
            let told =
                |t: &Taken| matches!(t, Taken::Pages { page_size: other, .. } if *other == size);
            if needed <= free || (node.is_none() && taken.iter().any(told)) {
                continue;
            }
            let mut holders = Vec::new();
            for (name, other) in self.tenants() {
                let holder = self.holder(name);
                let there = |page: &&PageClaim| {
                    page.page_size == size && (node.is_none() || page.node == node)
                };
                let count =
                    other.pages.iter().filter(there).fold(0, |n: u64, p| n.saturating_add(p.count));
                if count > 0 && holder.since > offer.generation {
                    holders.push((holder, count));
                }
            }
            taken.push(Taken::Pages { node, page_size: size, needed, free, holders });
        }
    }
}
