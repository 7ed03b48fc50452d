//! Usage: which tenant holds what on a host, and how to claim a placement that was computed
//! earlier.
//!
//! **Takes** claims and releases. **Gives** the free resources: the host's, less those held by
//! tenants and less those in use for no known reason. It treats claims as plain sets and does not
//! know placements, requests or the engine.
//!
//! # Claims
//! A `Claim` is what one tenant holds: *dedicated* pCPUs, which nobody else may use; *floating*
//! pCPUs, which it shares (for floating vCPUs, emulator and I/O threads); pages of a size, on a
//! node or on no particular node; and devices. Claim and release are all or nothing, and a release
//! restores the previous state.
//!
//! `claim` refuses: a name that is taken; pCPUs that are not online; dedicated pCPUs that another
//! tenant holds; more pages than are free, on a node or on the host; devices that do not exist, are
//! bridges, are held, or are named twice. It accepts anything else that may be true of a running
//! VM: pCPUs that are not allowed or are reserved for the host, half an IOMMU group, and floating
//! over the dedicated pCPUs of another tenant. It records facts; the engine decides what a *new* VM
//! may have.
//!
//! # Isolation
//! A claim can close pCPUs around its dedicated ones to new VMs, though nobody holds them: with
//! `whole_cores` the siblings on its cores, with `own_l3` all other pCPUs of its L3 domains. pCPUs
//! that the host keeps stay open to the host. `claim` does not enforce it, as tenants that run may
//! break it; new VMs are kept off by `free`, and `accept` refuses an offer that would break it.
//!
//! # Pages
//! - *Unexplained* pages are those that the host's description counts as used although no tenant
//!   held them then. They stay taken. Example: a pool of 500 pages with 400 free has 100 in use.
//!   `with_running` with a tenant of 60 leaves 40 unexplained; after that tenant's release, 460 are
//!   free.
//! - *Unbound* pages are held on no particular node. They reduce the host's total, but no node's:
//!   on a host of one node with 16 pages, a tenant with 10 unbound pages leaves 16 free on the node
//!   and 6 on the host. `claim` checks both, so no page is promised twice.
//!
//! # Generations
//! Every claim and every release adds 1 to the `Generation`, and each tenant keeps the generation
//! of its claim. Two usages are equal if the same tenants hold the same resources; generations are
//! not compared.
//!
//! # Offers
//! A scheduler copies the usage, computes without a lock, and accepts the offer under one. The
//! `Offer` holds the claim, the tenant's name, the generation of the copy, and whether the offer is
//! refused if another tenant holds a pCPU on one of its cores. `accept` checks *everything* again,
//! even at the same generation, so it is safe to compute an offer on a copy in which more was
//! claimed. It refuses everything that `claim` refuses, and also:
//! - floating over pCPUs that are dedicated to another tenant;
//! - sharing a core, if the offer forbids it, or an L3 domain, if its claim does;
//! - pCPUs that another tenant's isolation closes.
//!
//! Outcomes:
//! - *Accepted*, with the number of claims and releases in between (if it is above 0, something
//!   better may be free now, but this placement is still legal) and the tenants that float over the
//!   VM's new pCPUs, which is allowed.
//! - *Taken*: every part that others hold, and the holders; for pages, those who took some since
//!   the offer's generation. Compute again. If a holder's generation is not greater than the
//!   offer's, the offer was computed against a different usage.
//! - *Ahead*: the offer's generation is greater than this usage's; it belongs to another usage.
//! - *Impossible*: the host has no such pCPU or device, or a device is named twice; the offer was
//!   computed for another host.
//!
//! Example: two threads compute at generation 7. The first is accepted as generation 8. The second,
//! for pCPUs 8-11, finds 8-9 taken by a holder since generation 8 and computes again. For pCPUs
//! 12-15 it would have been accepted as generation 9, with one change in between.
//!
//! # Drift
//! `drift` compares the usage in memory with the tenants found on the machine: missing, unknown, or
//! holding other resources. Two differences are ignored, because a domain cannot show them: idle
//! siblings on cores where the tenant was found, and pCPUs that only its emulator threads use,
//! which are found as floating. Isolation and the number of floating vCPUs are
//! not compared either.
//!
//! # Invariants
//! - Dedicated sets of two tenants never intersect, so their union can be cached, and a release
//!   subtracts from it.
//! - Every device has at most one holder. Pages held and unexplained on a node never exceed its
//!   pool when a claim is made.
//! - Counters at zero are removed and tables free unused memory, so equal usages are equal in
//!   memory too; tens of thousands of them are compared and copied.
//!
//! # Known limitations
//! - Nothing expires. A lost offer has taken nothing; a claim lasts until it is released.
//! - Unexplained pages never become free by themselves: when their unknown user is gone, describe
//!   the host again.
//! - Tenants are found by name in sorted rows, so a claim costs time proportional to the number of
//!   tenants. A host has tens of them.
//! - A usage does not contain its host. Claims against another host are detected only if that host
//!   lacks something that they name.

mod claim;
mod drift;
mod generation;
mod isolation;
mod offer;
mod restore;
mod table;
mod tenants;

pub use claim::{Claim, ClaimError, PageClaim};
pub use drift::{Difference, Drift, PageDrift, TenantDrift};
pub use generation::Generation;
pub(crate) use isolation::{in_l3_domains, on_cores};
pub use offer::{Accepted, Holder, Offer, OfferError, Taken};
pub use restore::{RestoreError, SavedTenant, SavedUsage, UnexplainedPages};
pub use tenants::Usage;
