//! Offers: claims that were computed a while ago, to be accepted if they still fit.

use std::collections::BTreeMap;
use std::fmt;

use super::claim::{Claim, ClaimError, PageClaim, named};
use super::generation::Generation;
use super::isolation::in_l3_domains;
use super::tenants::Usage;
use crate::host::Host;
use crate::sets::CpuSet;
use crate::units::{CoreId, NodeId, PageSize, PciAddr};

/// The claim of a placement, with the generation of the usage that it was computed against.
/// [`Question::offer`](crate::Question::offer) makes it, [`Usage::accept`] claims it.
///
/// A multi-threaded scheduler copies the [`Usage`], computes without a lock, and accepts the offer
/// under one. If another tenant took a part of it in between, the scheduler computes again:
///
/// ```
/// use std::sync::Mutex;
///
/// use pinwise::usage::OfferError;
/// use pinwise::{Host, Placement, Question, Request, Usage, recommend};
///
/// /// `None` if the request does not fit, or other threads are faster ten times in a row.
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
/// An offer that is lost has taken nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Offer {
    /// Name of the host that it was computed for, to route the offer. [`Usage::accept`] does not
    /// compare it.
    pub host: String,
    /// Name of the tenant that is to hold the claim.
    pub tenant: String,
    /// The claim.
    pub claim: Claim,
    /// Generation of the usage that the offer was computed against.
    pub generation: Generation,
    /// Whether the offer is refused if another tenant holds any pCPU of its cores.
    pub whole_cores: bool,
}

/// The outcome of an accepted offer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Accepted {
    /// The generation of this claim.
    pub generation: Generation,
    /// The number of claims and releases between computing and accepting. If it is not 0, a better
    /// placement may have become free since; this one is still legal.
    pub meanwhile: u64,
    /// Tenants that float over pCPUs now dedicated to the VM, and these pCPUs. This is allowed.
    pub floating: Vec<(String, CpuSet)>,
}

/// A tenant that holds a resource, and since when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Holder {
    /// The name of the tenant.
    pub tenant: String,
    /// The generation of its claim. If it is not greater than the offer's generation, the tenant
    /// was there before the offer was computed, so the offer was computed against a different
    /// [`Usage`].
    pub since: Generation,
}

/// A resource that an offer needs and another tenant holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "taken", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Taken {
    /// The name of the tenant.
    Name {
        /// The tenant that holds it.
        holder: Holder,
    },
    /// pCPUs that would be dedicated to both tenants.
    Pcpus {
        /// The pCPUs.
        cpus: CpuSet,
        /// The tenant that holds them.
        holder: Holder,
    },
    /// pCPUs that the VM's vCPUs, emulator or I/O threads would float on, and that are dedicated to
    /// another tenant.
    Floating {
        /// The pCPUs.
        cpus: CpuSet,
        /// The tenant that holds them.
        holder: Holder,
    },
    /// A core that the VM must have to itself.
    Core {
        /// The core.
        core: CoreId,
        /// The holder's pCPUs on it.
        cpus: CpuSet,
        /// The tenant that holds them.
        holder: Holder,
    },
    /// An L3 domain that the VM must have to itself.
    L3 {
        /// The holder's pCPUs in the VM's L3 domains.
        cpus: CpuSet,
        /// The tenant that holds them.
        holder: Holder,
    },
    /// pCPUs of the offer that another tenant's isolation closes: on its cores or in its L3
    /// domains.
    Closed {
        /// The pCPUs.
        cpus: CpuSet,
        /// The tenant that is isolated.
        holder: Holder,
    },
    /// Pages.
    Pages {
        /// The node; `None` for all nodes together.
        node: Option<NodeId>,
        /// The page size.
        page_size: PageSize,
        /// The number of pages needed.
        needed: u64,
        /// The number of pages free.
        free: u64,
        /// The tenants that took pages there since the offer was computed, with the number that
        /// each holds.
        holders: Vec<(Holder, u64)>,
    },
    /// A device that cannot be used beside one that another tenant holds: a physical function and
    /// its virtual functions, or a function and its mediated devices.
    Excluded {
        /// The address.
        address: PciAddr,
        /// The function that the other tenant holds, or holds a mediated device of.
        other: PciAddr,
        /// The tenant that holds it.
        holder: Holder,
    },
    /// A device.
    Device {
        /// The device.
        address: PciAddr,
        /// The tenant that holds it.
        holder: Holder,
    },
}

/// The reason why an offer was not accepted. The usage is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// Other tenants hold parts of the offer: compute again.
    #[error("the offer for tenant {}, computed at generation {offered}, conflicts at generation {now}: {}",
        named(.tenant), .taken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Taken {
        /// The tenant of the offer.
        tenant: String,
        /// The offer's generation.
        offered: Generation,
        /// The usage's generation.
        now: Generation,
        /// The parts that are taken.
        taken: Vec<Taken>,
    },
    /// A generation that this usage has not reached: the offer was computed against another usage,
    /// or against one that was lost.
    #[error(
        "the offer for tenant {} was computed at generation {offered}, but the usage is at {now}",
        named(.tenant)
    )]
    Ahead {
        /// The tenant of the offer.
        tenant: String,
        /// The offer's generation.
        offered: Generation,
        /// The usage's generation.
        now: Generation,
    },
    /// The host has no such pCPU or device, or a device is named twice: the offer was computed for
    /// another host.
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
                write!(f, "pCPUs {cpus}, needed to float on, are held by {holder}")
            }
            Self::Core { core, cpus, holder } => {
                write!(f, "core {core}: pCPUs {cpus} are held by {holder}")
            }
            Self::L3 { cpus, holder } => {
                write!(f, "pCPUs {cpus}, in L3 domains of the offer, are held by {holder}")
            }
            Self::Closed { cpus, holder } => {
                write!(f, "pCPUs {cpus} are on cores or in L3 domains that are {holder}'s alone")
            }
            Self::Pages { node, page_size: size, needed, free, holders } => {
                let place =
                    node.map_or_else(|| "any node".to_owned(), |node| format!("node {node}"));
                write!(f, "{needed} pages of {size} are needed on {place}, but {free} are free")?;
                holders.iter().try_for_each(|(holder, n)| write!(f, ", {n} are held by {holder}"))
            }
            Self::Excluded { address, other, holder } => {
                write!(f, "device {address} cannot be used beside {other}, held by {holder}")
            }
            Self::Device { address, holder } => write!(f, "device {address} is held by {holder}"),
        }
    }
}

impl Usage {
    /// Claims the offer for its tenant, if that is still possible: its pCPUs, pages and devices are
    /// free, no pCPU that it would float on is dedicated to another tenant, none is closed by
    /// another tenant's isolation, and nobody is on its cores or in its L3 domains if these must be
    /// its own.
    ///
    /// Everything is checked again, even at the same generation, so it is safe to compute an offer
    /// on a copy of this usage in which more was claimed.
    ///
    /// # Errors
    /// [`OfferError::Taken`] with every part that others hold, [`OfferError::Ahead`] if the offer's
    /// generation is greater than this usage's, [`OfferError::Impossible`] if the host has no such
    /// pCPU or device or a device is named twice. In these cases the usage is unchanged.
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
        self.isolation_broken(host, claim, &mut taken);
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
            } else if let Some((other, name)) = self.excluded(host, *address) {
                let holder = self.holder(name);
                taken.push(Taken::Excluded { address: *address, other, holder });
            }
        }
    }

    fn cores_shared(&self, host: &Host, claim: &Claim, taken: &mut Vec<Taken>) {
        let mut cores: BTreeMap<CoreId, CpuSet> = BTreeMap::new();
        for core in claim.dedicated.iter().filter_map(|pcpu| host.core_of(pcpu)) {
            cores.entry(core.id).or_insert_with(|| core.pcpus.iter().copied().collect());
        }
        for (core, pcpus) in cores {
            // pCPUs dedicated to both are reported above.
            let rest = pcpus.difference(&claim.dedicated);
            for (name, other) in self.tenants() {
                let cpus = rest.intersection(&other.dedicated);
                if !cpus.is_empty() {
                    taken.push(Taken::Core { core, cpus, holder: self.holder(name) });
                }
            }
        }
    }

    fn isolation_broken(&self, host: &Host, claim: &Claim, taken: &mut Vec<Taken>) {
        let around = match claim.own_l3 {
            true => in_l3_domains(host, &claim.dedicated).difference(&claim.dedicated),
            false => CpuSet::new(),
        };
        let all = claim.dedicated.union(&claim.floating);
        for (name, other) in self.tenants() {
            let cpus = other.dedicated.intersection(&around);
            if !cpus.is_empty() {
                taken.push(Taken::L3 { cpus, holder: self.holder(name) });
            }
            let cpus = match other.whole_cores || other.own_l3 {
                true => other.closes(host).intersection(&all),
                false => CpuSet::new(),
            };
            if !cpus.is_empty() {
                taken.push(Taken::Closed { cpus, holder: self.holder(name) });
            }
        }
    }

    fn pages_taken(&self, host: &Host, offer: &Offer, taken: &mut Vec<Taken>) {
        // Nodes come first: pages missing on a node may be missing on the whole host too, and are
        // reported once.
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
