//! What is free on a host with its tenants: the one definition that every other module asks.
//!
//! **Takes** a host and the usage of its tenants. **Gives** sets and counts of pCPUs, cores, pages,
//! GPUs and devices that a new VM may have. It decides nothing about the VM: how many cores it
//! takes, where, and whether that is worth its price are questions of the engine. The independent
//! checker (`verify`) asks nothing here: it reads the records anew.
//!
//! # pCPUs and cores
//! - A pCPU is *usable* if it is allowed, dedicated to no tenant, and not kept for the host. Kept
//!   for the host are the reserved pCPUs; if the operator reserved none, those of the first allowed
//!   core, unless the host is for VMs only or has a single core. Tenants that *float* over a pCPU
//!   do not hold it: it stays usable. Isolated pCPUs are usable like others.
//! - A core is *shared* if one of its pCPUs is dedicated to a tenant, or is kept for the host and
//!   allowed. A *whole core* is one that is not shared and has a usable pCPU. A reserved sibling
//!   outside the allowed set does not make a core shared: nothing of a VM can run there.
//! - *Emulator threads* may run beside others, so for them a pCPU is free if it is allowed or
//!   reserved, and dedicated to no tenant.
//!
//! Example: a core has pCPUs 4 and 5, and a tenant holds 5. pCPU 4 is usable; the core is shared,
//! so a VM that wants whole cores gets neither.
//!
//! # Pages
//! Free on a node are the pages of its pool, less those that tenants hold there, less those in use
//! that no tenant explains. Free on the host is the sum, less what tenants hold on no particular
//! node: such pages are missing somewhere, and which node lacks them is unknown. So a VM that uses
//! several nodes has to respect both numbers. [`Usage`](crate::usage::Usage) counts them, because
//! it refuses claims by them; this module gathers them by size.
//!
//! # GPUs and devices
//! A device is given away together with its *bundle*: the helper functions of its card, and every
//! function of the IOMMU groups of any of these. A device is free if no tenant holds any member of
//! its bundle. Holding the audio function of a card therefore takes the card.
//! - *Unheld* GPUs are free by this definition, whatever they are.
//! - *Free* GPUs are the unheld ones that are not integrated into the processor: what VMs usually
//!   ask for. An integrated GPU is only given to a VM that names its model or its address.
//! - *Eligible* GPUs are those that one request may be given: unheld, of the model that it names
//!   (not integrated if it names none), and not named as one of its other devices.
//! - A tenant *holds* a GPU if it holds any member of the bundle, so each GPU that is not unheld is
//!   held by somebody. Two tenants can hold parts of one bundle; the GPU then waits for both.
//!
//! # Who asks what
//!
//! | question | asked by | answer |
//! |---|---|---|
//! | cores of a node, and which to take | search, build | [`FreePcpus::levels`], [`FreePcpus::of_core`] |
//! | pCPUs left for emulator threads | search, build, capacity | [`FreePcpus::for_emulators`] |
//! | whole cores for slots | search | [`FreePcpus::levels`] |
//! | whole cores for slots, counts of hosts | fleet | [`FreePcpus::whole_cores`], [`FreePcpus::usable`] |
//! | cores of a further VM | capacity | [`FreePcpus::of_core`] |
//! | cores of a typical VM | capacity's reference shapes | [`FreePcpus::whole_cores`] of an empty host |
//! | cores to move a running VM to | rebalance | [`FreePcpus::of_core`] |
//! | whether pages lose the last pCPU near them | warnings | [`pcpus::usable`] |
//! | pages on nodes, and on the host | search, capacity | [`FreePages`] |
//! | GPUs to choose from | search | [`gpus::eligible`] |
//! | GPUs for slots and VMs to come | search, capacity, fleet | [`gpus::free`], [`gpus::held_by_tenants`] |
//! | GPUs that a request could have at most | fleet | [`gpus::unheld`], [`gpus::free`] |
//! | GPUs to keep from a gang's next VM | fleet | [`gpus::unheld`] |
//! | a named GPU or other device | search | [`holder`] |
//! | what leaves the host with a device | build, capacity | [`bundle`] |
//!
//! # Known limitations
//! - What a placement *takes* is counted by its own GPUs. A GPU that is withheld because it shares
//!   an IOMMU group with one of them is still counted as free after the placement, in slots and in
//!   what remains on a host, until the placement is claimed. Sets of GPUs that withhold others are
//!   chosen last.
//! - Free pages on a node may include pages that a tenant holds on no particular node: see above.

pub(crate) mod devices;
pub(crate) mod gpus;
pub(crate) mod pages;
pub(crate) mod pcpus;
#[cfg(test)]
mod tests;

pub(crate) use devices::{bundle, holder};
pub(crate) use pages::FreePages;
pub(crate) use pcpus::FreePcpus;
