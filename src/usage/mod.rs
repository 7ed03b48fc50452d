//! Usage: who holds what on a host, and how a placement computed earlier is claimed safely.
//!
//! **Takes** claims and releases. **Gives** what is free: what the host has, less what tenants
//! hold, less what is in use without an explanation. It knows claims as plain sets; placements,
//! requests and the engine are unknown here.
//!
//! # Claims
//! A `Claim` is what one tenant holds: *dedicated* pCPUs, which nobody else may use; *floating*
//! pCPUs, which it shares (for vCPUs that float, emulator and I/O threads); pages of a size on a
//! node, or on no particular node; and devices. Claim and release are all or nothing, and a release
//! restores what was there before.
//!
//! `claim` refuses: a name that is taken; pCPUs that are not online; dedicated pCPUs that another
//! tenant has; more pages than are free, on a node or on the host; devices that do not exist, are
//! bridges, are held, or are named twice. It accepts whatever else is true of a running VM: pCPUs
//! outside the allowed set or kept for the host, half an IOMMU group, and floating over what
//! another tenant has for itself. It records facts; what a *new* VM may have is the engine's to
//! decide.
//!
//! # Pages
//! - *Unexplained* pages are those that the host's description counts as used and no tenant of that
//!   time holds. They stay taken. Example: a pool of 500 pages with 400 free has 100 in use.
//!   `with_running` with a tenant of 60 leaves 40 unexplained; when that tenant goes, 460 are free.
//! - *Unbound* pages are held on no particular node. They are taken off the host's total and from
//!   no node: on a host of one node with 16 pages, a tenant that holds 10 of them unbound leaves 16
//!   free on the node and 6 on the host. `claim` counts both, so no page is promised twice.
//!
//! # Generations
//! Every claim and every release adds 1 to the `Generation`, and each tenant remembers the
//! generation that its claim made. Two usages are equal if the same tenants hold the same;
//! generations are not compared.
//!
//! # Offers
//! A scheduler copies the usage, computes without a lock, and has the result accepted under one.
//! The `Offer` is the claim, the tenant's name, the generation of the copy, and whether the offer
//! is refused if another tenant has a pCPU on one of its cores. `accept` checks *everything* again,
//! even at the same generation, so an offer is safe that was computed on a copy in which more was
//! claimed. Beyond `claim` it refuses:
//! - floating over pCPUs that another tenant has for itself;
//! - sharing a core, where that is not allowed.
//!
//! Outcomes:
//! - *Accepted*, with the number of claims and releases in between (above 0, something better may
//!   be free now; this is as legal as it was) and the tenants that float over the VM's new pCPUs,
//!   which is allowed.
//! - *Taken*: everything that others hold of it, and who. For pages, those who took some since the
//!   offer's generation. Compute again. If a holder's generation is not greater than the offer's,
//!   it was there before, so the offer was computed against a different usage.
//! - *Ahead*: the offer's generation is greater than this usage's; it belongs to another one.
//! - *Impossible*: the host has no such pCPU or device, or a device is named twice; it was computed
//!   for another host.
//!
//! Example: at generation 7 two threads compute. The first is accepted and makes 8. The second, for
//! pCPUs 8-11, finds 8-9 taken by a holder since generation 8, and computes anew; for pCPUs 12-15
//! it would have been accepted as generation 9, with one change in between.
//!
//! # Drift
//! `drift` compares memory with what was found on the machine: tenants missing, unknown, or holding
//! something else. Two differences are forgiven, because no domain tells of them: idle siblings of
//! cores on which the tenant was found, and pCPUs that only its emulator threads have, which are
//! found as floating.
//!
//! # Invariants
//! - Dedicated sets of two tenants never intersect, so their union can be kept and a release is a
//!   difference.
//! - Every device has at most one holder. Pages held and unexplained on a node never exceed its
//!   pool when a claim is made.
//! - Counters without pages are removed and tables give their memory back, so equal usages are
//!   equal in memory too: they are compared and copied by the ten thousand.
//!
//! # Known limitations
//! - Nothing expires. An offer that is lost has taken nothing; a claim lasts until it is released.
//! - Unexplained pages never become free by themselves: if the unknown user goes, describe the host
//!   anew.
//! - Tenants are found by name in sorted rows, so a claim costs time proportional to the number of
//!   tenants. A host has tens of them.
//! - A host is not part of a usage. Claims against another host are found only where it lacks what
//!   they name.

mod claim;
mod drift;
mod generation;
mod offer;
mod restore;
mod table;
mod tenants;

pub use claim::{Claim, ClaimError, PageClaim};
pub use drift::{Difference, Drift, PageDrift, TenantDrift};
pub use generation::Generation;
pub use offer::{Accepted, Holder, Offer, OfferError, Taken};
pub use restore::{RestoreError, SavedTenant, SavedUsage, UnexplainedPages};
pub use tenants::Usage;
