//! The smallest changes that would make a refused request fit.
//!
//! **Takes** a question that was refused. **Gives** single changes of the request or of the host.
//! Each stands alone, and was tried: the changed question was answered with a placement. They are
//! told in the order below, the mildest for the user of the VM first.
//!
//! Everything that a request requires is varied. The same VM:
//! - *More pages* on one node, of the requested hugepage size, or of the largest size that helps if
//!   none is requested: for each node, a bisection over the number of pages, limited by the base
//!   pages that are free; the node with the fewest. The total is the number
//!   to write into `nr_hugepages`.
//! - *Another page size*, if one is requested: the largest of the host's that fits.
//! - *Any pCPUs*, or *any nodes*, if the request is held to some.
//! - *Fewer pCPUs for the emulator threads*, or none for them alone.
//! - *Relax*: each required policy in turn, preferred instead.
//! - *Uneven cells*, if they must be alike; *any number of cells*, if one is required, and the
//!   nearest numbers below and above it; *the other SMT wish*, if one is required, or *no SMT wish*
//!   if only that fits.
//! - *More vCPUs*: the next even number above an odd one, or the next that equal cells can share.
//! - *Nothing kept for the host*, if it keeps pCPUs.
//!
//! Another VM:
//! - *Any GPUs*, the same number, if they are named; GPUs of *any model*, if one is requested.
//! - *Allow the group*: functions that the host needs are given up with a device.
//! - *Virtual functions* of GPUs, the same number, instead of whole GPUs, or the reverse.
//! - Devices by kind: of *any model*, or else *fewer*, or else none.
//! - *Without one* of the named GPUs and other devices: the first whose absence suffices.
//! - *Fewer vCPUs*: a search over all numbers and one over the even ones, since hosts often have
//!   room for more vCPUs as siblings; over multiples of the number of cells where these must be
//!   alike. The larger result.
//! - *Less memory*: a search in pages of each size of the host, or of the requested size; the
//!   largest result.
//! - *Fewer GPUs*: counting down, if they are requested by number.
//!
//! Example: 16 GiB where 13 pages are free gives "3 more 1 GiB pages on node 0", "pages of 4 KiB",
//! one node or locality "preferred instead of required", "at most 13 GiB" and "no GPUs".
//!
//! # Near misses
//! Of a request that fits, [`near_misses`] says what a slightly smaller VM would keep: one node,
//! its GPUs' node, or one L3 domain. The free cores and pages of each node give the size to ask
//! for, and the answer to that decides whether it is told.
//!
//! # Bounds
//! Recommendations asked for, at most: for numbers of vCPUs, 2 searches; for memory, one for each
//! page size; for emulator pCPUs, one. A search tries 16 + 3 x log2(n) numbers below n: 52 for
//! 4096 vCPUs, 94 for 256 GiB in pages of 4 KiB. More pages: 1 + log2(pages) for each node and page
//! size, where that many pages help at all. One for each page size, node, GPU and device, and 7 +
//! 11 for policies and the rest. On a host of two nodes with pages of 4 KiB, 2 MiB and 1 GiB, about
//! 500 in all.
//!
//! # Known limitations
//! - The searches take the numbers that fit to be one interval with small gaps. Where that fails, a
//!   larger number than the one told may fit; the one told always fits.
//! - Two changes at once are not tried: the pairs are many, and people can ask again.

mod ask;
mod change;
mod near;
mod number;
mod pages;
mod rules;
mod size;
mod wishes;

use crate::question::Question;
use ask::Ask;
pub use change::Change;
pub use near::{NearMiss, near_misses};

/// The smallest changes that would each, alone, make a refused request fit, the mildest first.
/// Every one was tried.
#[must_use]
pub fn smallest_changes(question: Question<'_>) -> Vec<Change> {
    let ask = Ask(question);
    let mut changes = Vec::new();
    changes.extend(pages::more(ask));
    changes.extend(pages::other_size(ask));
    changes.extend(rules::anywhere(ask));
    changes.extend(rules::emulator(ask));
    changes.extend(rules::relaxed(ask));
    changes.extend(wishes::anywhere(ask));
    changes.extend(rules::cells(ask));
    changes.extend(rules::smt(ask));
    changes.extend(size::more_vcpus(ask));
    changes.extend(rules::kept(ask));
    changes.extend(rules::kept_memory(ask));
    changes.extend(size::other_gpus(ask));
    changes.extend(rules::group(ask));
    changes.extend(size::virtual_functions(ask));
    changes.extend(size::whole_gpus(ask));
    changes.extend(wishes::others(ask));
    changes.extend(size::without_device(ask));
    let fewer = size::fewer_vcpus(ask);
    changes.extend(fewer.clone());
    changes.extend(fewer.and_then(|fewer| size::even_vcpus(ask, &fewer)));
    changes.extend(size::less_memory(ask));
    changes.extend(size::fewer_gpus(ask));
    changes
}
