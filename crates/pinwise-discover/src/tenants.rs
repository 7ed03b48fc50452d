//! The tenants of a host, from claims and domains, combined into one [`Usage`].
//!
//! A claim states what its tenant holds. A domain's XML states only what its author wrote, which
//! may be impossible beside the others. [`Tenants`] collects both in any order and settles them:
//!
//! 1. Claims come first, then running domains, then domains that are only defined.
//! 2. Claims and running domains get everything they state. If the host cannot provide it, that is
//!    an error: the descriptions of the host and of its tenants do not match.
//! 3. If two domains pin a vCPU to one pCPU, it stays dedicated to the first, and the later one
//!    shares it: both would run there, whatever their authors intended.
//! 4. A VM of Proxmox, whose configuration does not tell whether it runs, holds what it would take
//!    if it were started now. If its memory is not free, it is assumed to run, and its memory to be
//!    among what the host counts as used.
//! 5. A domain that is defined but off holds what it would take if it were started now. If it could
//!    not start beside the others, it is ignored: people often define several domains for one GPU
//!    and run them one at a time.
//!
//! A domain does not say whether its pinned vCPUs share cores with others: [`Tenants::assume`]
//! does.
//!
//! This module does no I/O; `files` opens files and connects to libvirt.

use std::fmt;

use crate::libvirt::{Domain, LibvirtError, read_domain};
use crate::pasted;
use crate::proxmox::{ProxmoxError, is_qemu_conf, read_qemu_conf};
use crate::texts::vm_formats;
use crate::vm::beginning;
use pinwise::host::Host;
use pinwise::json::{JsonError, read_tenant};
use pinwise::sets::CpuSet;
use pinwise::usage::{Claim, ClaimError, Usage};

/// Tenants of one host, collected in any order and combined by [`finish`](Self::finish).
#[derive(Debug, Clone, Default)]
pub struct Tenants {
    claims: Vec<(String, Claim)>,
    domains: Vec<Domain>,
    /// VMs that may run or not.
    unsure: Vec<Domain>,
    own: Option<Own>,
    isolation: Isolation,
}

/// What tenants have to themselves around the pCPUs that their domains pin vCPUs to: a domain does
/// not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Isolation {
    /// Nothing: siblings of these pCPUs are free for VMs that accept to share cores. The default,
    /// as most hosts are run so.
    #[default]
    Pins,
    /// Their cores ([`Claim::whole_cores`]).
    Cores,
    /// Their cores and L3 domains ([`Claim::own_l3`]).
    L3,
}

/// The VM that is planned anew: what it holds now counts as free.
#[derive(Debug, Clone)]
struct Own {
    name: String,
    uuid: Option<String>,
}

/// The settled tenants of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settled {
    /// The usage by all tenants.
    pub usage: Usage,
    /// Differences from the sources' statements.
    pub notes: Vec<TenantNote>,
}

/// A note about a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TenantNote {
    /// Something that the reader of a domain ignored or guessed.
    Domain {
        /// The domain's name.
        domain: String,
        /// The reader's note.
        note: String,
    },
    /// pCPUs to which a running domain pins a vCPU although an earlier tenant holds them.
    Shared {
        /// The domain's name.
        domain: String,
        /// The pCPUs. The domain floats on them instead.
        cpus: CpuSet,
    },
    /// The tenant is the VM that is planned anew.
    Own {
        /// The tenant's name.
        tenant: String,
    },
    /// A VM that may run or not, and whose memory is not free.
    AssumedRunning {
        /// The VM's name.
        tenant: String,
    },
    /// A VM that may run or not, and could not start beside the others.
    Unclaimed {
        /// The reason.
        problem: ClaimError,
    },
    /// A domain that is off and could not start beside the others.
    LeftOut {
        /// The reason.
        problem: ClaimError,
    },
}

impl fmt::Display for TenantNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain { domain, note } => write!(f, "{domain}: {note}"),
            Self::Shared { domain, cpus } => {
                write!(f, "domain {domain} shares pCPUs {cpus} with earlier tenants")
            }
            Self::Own { tenant } => {
                write!(f, "tenant {tenant} is the VM itself: what it holds counts as free")
            }
            Self::AssumedRunning { tenant } => write!(
                f,
                "tenant {tenant}: the memory for it is not free, so it is assumed to run and its memory to be in use already"
            ),
            Self::Unclaimed { problem } => {
                write!(f, "{problem}; the VM cannot run beside the others and was ignored")
            }
            Self::LeftOut { problem } => write!(f, "{problem}; the domain is off and was ignored"),
        }
    }
}

/// The reason why a text is not a tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// JSON that is not a tenant.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// XML that is not a domain, or that names parts which the host does not have.
    #[error(transparent)]
    Libvirt(#[from] LibvirtError),
    /// A configuration of Proxmox that cannot be read, or that names parts which the host does not
    /// have.
    #[error(transparent)]
    Proxmox(#[from] ProxmoxError),
    /// A text of unknown kind.
    #[error("the text begins with {beginning:?}, which is none of: {known}")]
    Unknown {
        /// The beginning of the text.
        beginning: String,
        /// The known kinds of texts.
        known: String,
    },
}

impl Tenants {
    /// A collection without tenants.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tenant that holds `claim`.
    pub fn add(&mut self, name: impl Into<String>, claim: Claim) {
        self.claims.push((name.into(), claim));
    }

    /// Adds a domain. Running domains are settled in the order of their addition, and so are the
    /// others.
    pub fn add_domain(&mut self, domain: Domain) {
        self.domains.push(domain);
    }

    /// Adds the tenant that a text describes: a domain's XML, JSON, or a configuration of Proxmox.
    /// What people paste around a text does not matter: prompts, fences, colours.
    ///
    /// # Errors
    /// [`TenantError`] as for [`read_domain`], [`read_tenant`] and [`read_qemu_conf`], or if the
    /// text is of another kind.
    pub fn add_text(&mut self, host: &Host, text: &str) -> Result<(), TenantError> {
        self.add_named_text(host, "vm", text)
    }

    /// Like [`add_text`](Self::add_text), with a name for a tenant whose text names none.
    ///
    /// # Errors
    /// As [`add_text`](Self::add_text).
    pub fn add_named_text(
        &mut self,
        host: &Host,
        name: &str,
        text: &str,
    ) -> Result<(), TenantError> {
        let text = &*pasted::clean(text);
        match text.trim_start().chars().next() {
            Some('<') => self.domains.push(read_domain(host, text)?),
            Some('{') => self.claims.push(read_tenant(text)?),
            _ if is_qemu_conf(text) => self.unsure.push(read_qemu_conf(host, name, text)?),
            _ => {
                let (beginning, known) = (beginning(text), vm_formats(false));
                return Err(TenantError::Unknown { beginning, known });
            }
        }
        Ok(())
    }

    /// Whether there is a tenant of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.claims.iter().any(|(own, _)| own == name)
            || self.domains.iter().any(|domain| domain.name == name)
    }

    /// Assumes this isolation of every domain that pins vCPUs. Claims say theirs themselves.
    pub fn assume(&mut self, isolation: Isolation) {
        self.isolation = isolation;
    }

    /// Plans the VM of this name or UUID anew: a tenant that is this VM is not in its way. What it
    /// holds counts as free, also the pages that it uses while it runs.
    pub fn without(&mut self, name: impl Into<String>, uuid: Option<String>) {
        self.own = Some(Own { name: name.into(), uuid });
    }

    /// Combines the tenants by the rules of the [module](self).
    ///
    /// # Errors
    /// [`ClaimError`] for the first claim or running domain that cannot hold what it states.
    pub fn finish(self, host: &Host) -> Result<Settled, ClaimError> {
        let Self { claims: mut tenants, mut domains, mut unsure, own, isolation } = self;
        let mut notes = Vec::new();
        let pages = own.map(|own| {
            own.take_unsure(&mut unsure, &mut notes);
            own.take(&mut tenants, &mut domains, &mut notes)
        });
        let mut pinned = CpuSet::new();
        tenants.iter().for_each(|(_, claim)| pinned.extend(&claim.dedicated));
        domains.sort_by_key(|domain| !domain.running);
        for domain in &mut domains {
            notes.extend(told(domain));
            let cpus = share(&mut domain.claim, &mut pinned);
            let pins = !domain.claim.dedicated.is_empty();
            domain.claim.whole_cores |= pins && isolation >= Isolation::Cores;
            domain.claim.own_l3 |= pins && isolation == Isolation::L3;
            if domain.running && !cpus.is_empty() {
                notes.push(TenantNote::Shared { domain: domain.name.clone(), cpus });
            }
        }
        let (running, off): (Vec<_>, Vec<_>) =
            domains.into_iter().partition(|domain| domain.running);
        tenants.extend(running.into_iter().map(|domain| (domain.name, domain.claim)));
        // Its pages are among those that the host counts as used: claimed and released, they are
        // free.
        let own = pages.filter(|(_, claim)| !claim.pages.is_empty());
        let name = own.as_ref().map(|(name, _)| name.clone());
        let mut usage = Usage::with_running(host, tenants.into_iter().chain(own))?;
        if let Some(name) = name {
            usage.release(&name)?;
        }
        for domain in unsure {
            notes.extend(told(&domain));
            let Domain { name, mut claim, .. } = domain;
            let Err(problem) = usage.claim(host, &name, claim.clone()) else { continue };
            claim.pages.clear();
            notes.push(match usage.claim(host, &name, claim) {
                Ok(()) => TenantNote::AssumedRunning { tenant: name },
                Err(_) => TenantNote::Unclaimed { problem },
            });
        }
        for domain in off {
            if let Err(problem) = usage.claim(host, &domain.name, domain.claim) {
                notes.push(TenantNote::LeftOut { problem });
            }
        }
        Ok(Settled { usage, notes })
    }
}

/// The notes of a domain's reader.
fn told(domain: &Domain) -> impl Iterator<Item = TenantNote> + '_ {
    domain
        .notes
        .iter()
        .map(|note| TenantNote::Domain { domain: domain.name.clone(), note: note.to_string() })
}

impl Own {
    /// Whether a domain is the VM.
    fn is(&self, domain: &Domain) -> bool {
        let same_id = self.uuid.is_some() && domain.uuid == self.uuid;
        domain.name == self.name || same_id
    }

    /// Takes the VM out of those that may run or not.
    fn take_unsure(&self, unsure: &mut Vec<Domain>, notes: &mut Vec<TenantNote>) {
        unsure.retain(|domain| {
            if self.is(domain) {
                notes.push(TenantNote::Own { tenant: domain.name.clone() });
            }
            !self.is(domain)
        });
    }

    /// Takes the VM out of the tenants; the result is its name and the pages that it uses now.
    fn take(
        self,
        claims: &mut Vec<(String, Claim)>,
        domains: &mut Vec<Domain>,
        notes: &mut Vec<TenantNote>,
    ) -> (String, Claim) {
        let Self { name, uuid } = self;
        let mut pages = Vec::new();
        let mut took = |tenant: &str| notes.push(TenantNote::Own { tenant: tenant.to_owned() });
        claims.retain_mut(|(tenant, claim)| {
            let is_own = *tenant == name;
            if is_own {
                took(tenant);
                pages.append(&mut claim.pages);
            }
            !is_own
        });
        domains.retain_mut(|domain| {
            let is_own = Self { name: name.clone(), uuid: uuid.clone() }.is(domain);
            if is_own {
                took(&domain.name);
                if domain.running {
                    pages.append(&mut domain.claim.pages);
                }
            }
            !is_own
        });
        (name, Claim { pages, ..Claim::default() })
    }
}

/// Makes the claim float on those of its dedicated pCPUs that are already `pinned`, adds its others
/// to `pinned`, and returns the shared ones.
fn share(claim: &mut Claim, pinned: &mut CpuSet) -> CpuSet {
    let shared = claim.dedicated.intersection(pinned);
    pinned.extend(&claim.dedicated);
    claim.dedicated = claim.dedicated.difference(&shared);
    claim.floating.extend(&shared);
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinwise::host::{CoreSpec, HostSpec, NodeSpec};
    use pinwise::units::{Bytes, NodeId, PackageId, PageSize, PcpuId};
    use pinwise::usage::PageClaim;

    fn cpus(text: &str) -> CpuSet {
        text.parse().unwrap()
    }

    /// One node with eight cores.
    fn host() -> Host {
        let core =
            |core: u32| CoreSpec::new(PackageId(0), core, [PcpuId(core)].into_iter().collect());
        let node = NodeSpec::new(NodeId(0), cpus("0-7"), Bytes::from_gib(32));
        let (nodes, cores) = (vec![node], (0..8).map(core).collect());
        HostSpec { nodes, cores, ..HostSpec::default() }.build().unwrap()
    }

    /// A domain of 1 MiB with a vCPU pinned to each of these pCPUs.
    fn domain(name: &str, running: bool, pins: &[u32]) -> String {
        let id = if running { " id='1'" } else { "" };
        let pin = |(vcpu, pcpu)| format!("<vcpupin vcpu='{vcpu}' cpuset='{pcpu}'/>");
        let pins: String = pins.iter().enumerate().map(pin).collect();
        let count = pins.matches("vcpupin").count();
        format!(
            "<domain type='kvm'{id}><name>{name}</name><memory unit='MiB'>1</memory>\
             <vcpu>{count}</vcpu><cputune>{pins}<emulatorpin cpuset='0'/></cputune></domain>"
        )
    }

    fn settled(texts: &[String]) -> (Usage, Vec<String>) {
        let (host, mut tenants) = (host(), Tenants::new());
        texts.iter().for_each(|text| tenants.add_text(&host, text).unwrap());
        let Settled { usage, notes } = tenants.finish(&host).unwrap();
        (usage, notes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_running_domain_comes_before_one_that_is_defined() {
        let (usage, notes) = settled(&[domain("off", false, &[1, 2]), domain("on", true, &[2, 3])]);
        assert_eq!(usage.claim_of("on").unwrap().dedicated, cpus("2-3"));
        assert_eq!(usage.claim_of("off").unwrap().dedicated, cpus("1"));
        assert_eq!(usage.claim_of("off").unwrap().floating, cpus("0,2"));
        assert_eq!(notes, [""; 0], "a domain that is off shares nothing yet");
    }

    #[test]
    fn a_pcpu_stays_with_the_first_of_two_and_a_note_says_so() {
        let claim = r#"{"name": "claim", "dedicated": "1"}"#.to_owned();
        let (usage, notes) =
            settled(&[domain("first", true, &[2, 3]), domain("second", true, &[1, 3, 4]), claim]);
        assert_eq!(usage.claim_of("claim").unwrap().dedicated, cpus("1"));
        assert_eq!(usage.claim_of("first").unwrap().dedicated, cpus("2-3"));
        assert_eq!(usage.claim_of("second").unwrap().dedicated, cpus("4"));
        assert_eq!(usage.claim_of("second").unwrap().floating, cpus("0-1,3"));
        assert_eq!(notes, ["domain second shares pCPUs 1,3 with earlier tenants"]);
    }

    #[test]
    fn a_domain_that_could_not_start_is_left_out_and_one_that_runs_is_an_error() {
        let (usage, notes) = settled(&[domain("a", true, &[1]), domain("a", false, &[2])]);
        assert_eq!(usage.tenants().count(), 1);
        assert_eq!(notes, ["a tenant \"a\" already exists; the domain is off and was ignored"]);
        let (host, mut tenants) = (host(), Tenants::new());
        tenants.add("a", Claim::default());
        tenants.add_text(&host, &domain("a", true, &[1])).unwrap();
        let tenant = "a".to_owned();
        assert_eq!(tenants.finish(&host), Err(ClaimError::NameTaken { tenant }));
    }

    #[test]
    fn the_vm_that_is_planned_anew_is_not_in_its_own_way() {
        let with_id = |name: &str| {
            let id = "<uuid>00000000-0000-4000-8000-000000000001</uuid>";
            domain(name, true, &[2, 3]).replace("</name>", &format!("</name>{id}"))
        };
        for (name, uuid) in
            [("vm", None), ("renamed", Some("00000000-0000-4000-8000-000000000001".to_owned()))]
        {
            let (host, mut tenants) = (host(), Tenants::new());
            tenants.add_text(&host, &with_id("vm")).unwrap();
            tenants.add_text(&host, &domain("other", true, &[3, 4])).unwrap();
            tenants.without(name, uuid);
            let Settled { usage, notes } = tenants.finish(&host).unwrap();
            assert_eq!(usage.tenants().map(|(name, _)| name).collect::<Vec<_>>(), ["other"]);
            assert_eq!(usage.claim_of("other").unwrap().dedicated, cpus("3-4"));
            let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
            assert_eq!(notes, ["tenant vm is the VM itself: what it holds counts as free"]);
        }
    }

    #[test]
    fn a_vm_that_may_run_holds_what_is_free() {
        let conf = |name: &str, mib: u32| format!("cores: 2\nmemory: {mib}\nname: {name}\n");
        let (usage, notes) = settled(&[conf("a", 20 << 10), conf("b", 20 << 10), conf("a", 1)]);
        let base = PageClaim::anywhere(PageSize::KIB_4, 5 << 20);
        assert_eq!(usage.claim_of("a").unwrap().pages, [base]);
        assert_eq!(usage.claim_of("b").unwrap().pages, []);
        assert_eq!(usage.claim_of("b").unwrap().floating, cpus("0-7"));
        assert_eq!(
            notes,
            [
                "tenant b: the memory for it is not free, so it is assumed to run and its memory to be in use already",
                "a tenant \"a\" already exists; the VM cannot run beside the others and was ignored",
            ]
        );
    }

    #[test]
    fn the_isolation_of_domains_is_assumed_and_that_of_claims_is_theirs() {
        let claim = r#"{"name": "claim", "dedicated": "1", "own_l3": true}"#.to_owned();
        for (isolation, expected) in [
            (Isolation::Pins, (false, false)),
            (Isolation::Cores, (true, false)),
            (Isolation::L3, (true, true)),
        ] {
            let (host, mut tenants) = (host(), Tenants::new());
            tenants.assume(isolation);
            tenants.add_text(&host, &domain("pins", true, &[2])).unwrap();
            tenants.add_text(&host, &claim).unwrap();
            tenants
                .add_text(&host, "<domain><name>floats</name><memory>1024</memory></domain>")
                .unwrap();
            let usage = tenants.finish(&host).unwrap().usage;
            let of = |name| usage.claim_of(name).map(|c| (c.whole_cores, c.own_l3)).unwrap();
            assert_eq!(of("pins"), expected);
            assert_eq!(of("claim"), (false, true));
            assert_eq!(of("floats"), (false, false));
        }
    }

    #[test]
    fn a_text_is_xml_or_json_by_its_beginning() {
        let (host, mut tenants) = (host(), Tenants::new());
        let error = |tenants: &mut Tenants, text| tenants.add_text(&host, text).unwrap_err();
        let xml = error(&mut tenants, "\u{feff} <network/>");
        assert!(matches!(xml, TenantError::Libvirt(LibvirtError::Document { .. })), "{xml}");
        assert!(matches!(error(&mut tenants, "{}"), TenantError::Json(_)));
        assert!(matches!(error(&mut tenants, "a"), TenantError::Unknown { .. }));
    }
}
