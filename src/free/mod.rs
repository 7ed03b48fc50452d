//! Free resources on a host with tenants: the one definition, used by every other module.
//!
//! **Takes** a host and its tenants' usage. **Gives** sets and counts of the pCPUs, cores, pages,
//! GPUs and devices that a new VM may have. It decides nothing about the VM: which cores it takes,
//! and whether they are worth their cost, is decided by the engine. The independent checker
//! (`verify`) does not use this module: it reads the records itself.
//!
//! # pCPUs and cores
//! - A pCPU is *usable* if it is allowed, dedicated to no tenant, closed by none, and not kept for
//!   the host. A tenant with whole cores *closes* the siblings of its dedicated pCPUs, one with L3
//!   domains of its own closes all pCPUs of these, though it does not hold them. The
//!   pCPUs kept for the host are the reserved ones; if the operator reserved none, those of the
//!   first allowed core, unless the host is for VMs only or has a single core. Tenants that *float*
//!   over a pCPU do not hold it: it stays usable. Isolated pCPUs are as usable as others.
//! - The *load* of a core is the number of tenants that float on one of its pCPUs, counted up to 3.
//!   A VM with dedicated pCPUs is given cores without load while there are some.
//! - A core is *shared* if one of its pCPUs is dedicated to a tenant, or is kept for the host and
//!   allowed. A *whole core* is one that is not shared and has a usable pCPU. A reserved sibling
//!   outside the allowed set does not make a core shared: nothing of a VM can run there.
//! - What is *free* follows from the request's policy about whole cores. Where it requires them,
//!   whole cores are, and a VM holds all usable pCPUs of those it takes. Where it ignores them,
//!   each usable pCPU is, and a VM holds those of its vCPUs and those that its emulator has alone.
//!   Where it prefers them, whole cores are tried first.
//! - A request can ask for *L3 domains of its own*: domains where tenants have dedicated pCPUs are
//!   then not for its dedicated pCPUs. Tenants that float there are avoided as a load, like those
//!   on its cores, and the host's own work may be there.
//! - vCPUs *float* on the usable pCPUs of their node that the kernel does not isolate, of whole
//!   cores or not: the node's *pool*. Each of its pCPUs has room for the request's overcommit (1
//!   where floating is not asked for but allowed), less the vCPUs of tenants that float there
//!   already.
//! - *Emulator threads* may run beside others, so for them a pCPU is free if it is allowed or
//!   reserved, dedicated to no tenant, and closed by none.
//! - A request may be *held to* some pCPUs or nodes. Other pCPUs are then not usable for it, also
//!   not as idle siblings or for its emulator threads, which may run on what the host keeps,
//!   though. A core is not shared because the request leaves one of its pCPUs out: nobody holds
//!   that pCPU, and the VM has the core whole with the pCPUs that it may have.
//!
//! Example: a core has pCPUs 4 and 5, and a tenant holds 5. pCPU 4 is usable; the core is shared,
//! so a VM that wants whole cores gets neither. If nobody holds 5, and the request is held to pCPUs
//! 0-4, the VM may have the core with pCPU 4 alone, and 5 stays free for others.
//!
//! # Pages
//! The free pages of a node are those of its pool, less those that tenants hold there, less those
//! that are in use without a tenant to explain them. The free pages of the host are the sum, less
//! those that tenants hold on no particular node: such pages are missing somewhere, and it is
//! unknown where. So a VM on several nodes must respect both numbers.
//! [`Usage`](crate::usage::Usage) counts them, because it refuses claims by them; this module
//! collects them by size. Of base pages, those that the host keeps
//! ([`Host::kept_memory`](crate::host::Host::kept_memory)) are not for new VMs: they are not free
//! here, though a tenant that runs may claim them.
//!
//! # GPUs and devices
//! A device goes to a VM together with its *bundle*: the helper functions of a GPU's card, and
//! every function of their IOMMU groups. A device is free if no tenant holds any member of its
//! bundle. So a tenant that holds the audio function of a card holds the card.
//! - SR-IOV: a physical function and its virtual functions *exclude* each other. A physical
//!   function is free only if nobody holds a virtual function of it, and a virtual function only if
//!   nobody holds its physical function. So a tenant that holds a card holds all its virtual
//!   functions.
//! - A *mediated device* (mdev) is a share of a function, its parent. The parent is not free while
//!   a tenant holds a share of it; other shares of it are. A share whose parent is unknown may be
//!   of any GPU whose driver may serve mediated devices: then none of these is given by number.
//! - *Unheld* GPUs are free by this definition, whatever their kind.
//! - *Free* GPUs are unheld, not integrated into the processor, and have no virtual functions:
//!   those that VMs usually ask for. The virtual functions of the others are there for other VMs.
//! - *Offered* GPUs are unheld, and a request for a number of GPUs may be given them: they have no
//!   virtual functions, take nothing from the host that it needs, and an integrated one is held for
//!   VMs or has no discrete one beside it.
//! - *Eligible* GPUs are those that one request may be given: unheld, of the requested model (or,
//!   if none is requested, those that may be offered), without virtual functions, not named among
//!   its other devices, and without a loss of what the host needs unless the request allows it. If
//!   it asks for virtual functions, they are free virtual functions of GPUs.
//! - A tenant *holds* a GPU if it holds any member of the bundle, so each GPU is either unheld or
//!   held by a tenant. Two tenants can hold parts of one bundle; the GPU is free once both are
//!   gone.
//!
//! # Users of this module
//!
//! | question | module | answer |
//! |---|---|---|
//! | free cores of a node, and which to take | search, build | [`FreePcpus::levels`], [`FreePcpus::of_core`] |
//! | what a request that is held to some pCPUs or nodes may have | search, rebalance | [`FreePcpus::narrowed`] |
//! | pCPUs left for emulator threads | search, build, capacity | [`FreePcpus::for_emulators`] |
//! | whole cores for slots | search | [`FreePcpus::levels`], or [`FreePcpus::whole_cores`] |
//! | whole cores for slots, counts per host | fleet | [`FreePcpus::whole_cores`], [`FreePcpus::usable`] |
//! | cores of a further VM | capacity | [`FreePcpus::of_core`] |
//! | cores of a typical VM | capacity's reference shapes | [`FreePcpus::whole_cores`] of an empty host |
//! | cores that other tenants float on | search, build | [`FreePcpus::floaters`] |
//! | room for vCPUs that float | search, capacity | [`Pool`] |
//! | cores to move a running VM to | rebalance | [`FreePcpus::of_core`] |
//! | whether pages lose the last usable pCPU of their node | warnings | [`pcpus::usable`] |
//! | pages on nodes, and on the host | search, capacity | [`FreePages`] |
//! | pages on one node | fleet, changes | [`pages::on_node`] |
//! | GPUs to choose from | search | [`gpus::eligible`] |
//! | GPUs for slots and future VMs | search, capacity, fleet | [`gpus::free`], [`gpus::held_by_tenants`] |
//! | the most GPUs that a request could have | fleet | [`gpus::unheld`] |
//! | GPUs of further VMs | capacity | [`gpus::offered`] |
//! | GPUs to withhold from a gang's next VM | fleet | [`gpus::unheld`] |
//! | virtual functions to choose from, and on each node | search, capacity | [`virtual_gpus`] |
//! | a named GPU or other device | search | [`held`] |
//! | devices of a kind, none of them named | search | [`wished::wished`] |
//! | the functions that leave the host with a device | build, capacity | [`bundle`] |
//!
//! # Known limitations
//! - Virtual functions of GPUs are no slots: what a VM leaves of them is not priced.
//! - The GPUs that a placement *takes* are counted as its own GPUs only. A GPU withheld because it
//!   shares an IOMMU group with one of them still counts as free after the placement, in slots and
//!   in the rest of the host, until the placement is claimed. GPU sets that withhold others are
//!   chosen last.
//! - The request's pCPUs are its own wish: another VM may be given the siblings that it leaves out,
//!   later or, where cores need not be whole, before. Its profile then still says whole cores.
//! - What a VM closes without holding it still counts as free after its placement, in slots and in
//!   the rest of the host, until it is claimed.
//! - A tenant that floats over several nodes counts on each by the pCPUs that it may use there,
//!   wherever its vCPUs are shown to be.
//! - Free pages on a node may include pages that a tenant holds on no particular node: see above.

pub(crate) mod cells;
pub(crate) mod devices;
pub(crate) mod floaters;
pub(crate) mod gpus;
mod isolation;
pub(crate) mod pages;
pub(crate) mod pcpus;
mod shared;
#[cfg(test)]
mod tests;
pub(crate) mod virtual_gpus;
pub(crate) mod wished;

pub(crate) use devices::{Held, bundle, held, may_be_parent};
pub(crate) use isolation::Isolation;
pub(crate) use pages::FreePages;
pub(crate) use pcpus::FreePcpus;
pub(crate) use shared::Pool;
