//! The reason why a request is invalid.

use super::WishKind;
use crate::units::{Bytes, PageSize, PciAddr, Ratio};

/// The reason why a request is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A name that libvirt would refuse.
    #[error(
        "the VM's name {name:?} must have 1 to 200 characters, without slashes or control characters"
    )]
    Name {
        /// The name, shortened.
        name: String,
    },
    /// A number out of its range.
    #[error("{what} is {found}, but must be between {low} and {high}")]
    Range {
        /// The subject.
        what: &'static str,
        /// The value.
        found: u64,
        /// The smallest allowed value.
        low: u64,
        /// The largest allowed value.
        high: u64,
    },
    /// Memory that is not a whole number of the smallest pages.
    #[error(
        "the memory is {memory}, but must be a positive multiple of the page size, {page_size}"
    )]
    Memory {
        /// The memory.
        memory: Bytes,
        /// The page size of the request, or 4 KiB.
        page_size: PageSize,
    },
    /// A device that is named twice.
    #[error("device {address} is named twice")]
    DeviceTwice {
        /// The device.
        address: PciAddr,
    },
    /// Two wishes for devices of one kind.
    #[error("devices of one kind ({kind}) are asked for twice")]
    WishTwice {
        /// The kind.
        kind: WishKind,
    },
    /// A PCI address that no machine can have.
    #[error("device {address} is none: its number is above 0x1f, or its function above 7")]
    AddressRange {
        /// The address.
        address: PciAddr,
    },
    /// A custom workload with all weights zero.
    #[error("all weights of the custom workload are zero; at least one must be positive")]
    NoWeight,
    /// An overcommit out of its range.
    #[error("the overcommit is {overcommit}, but must be between 1 and 64 vCPUs for each pCPU")]
    Overcommit {
        /// The overcommit.
        overcommit: Ratio,
    },
    /// vCPUs that share pCPUs, with what only dedicated pCPUs can have.
    #[error("a VM whose vCPUs share pCPUs cannot have {what}")]
    SharedWith {
        /// What is asked for.
        what: &'static str,
    },
    /// A set of pCPUs or nodes to hold the VM to that has no member.
    #[error("the set of {what} that the VM is held to is empty; name some, or omit the set")]
    EmptySet {
        /// The members: pCPUs, nodes or memory nodes.
        what: &'static str,
    },
}
