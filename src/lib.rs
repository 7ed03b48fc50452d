//! pinwise
mod candidate;
mod capacity;
mod diagnose;
pub mod discover;
pub mod emit;
mod explain;
mod feasibility;
mod host;
mod placement;
mod profile;
mod recommend;
mod request;
mod rules;
mod score;
mod sets;
mod units;
mod verify;
mod warnings;
mod workload;

pub use host::builder::{
    CoreSpec, HostBuilder, HostError, L3Spec, MAX_GPUS, MAX_NODES, MAX_PCI_FUNCTIONS, MAX_PCPUS,
    NodeSpec,
};
pub use host::pcie::{
    CommonBridge, DeviceKind, FabricPartition, GpuLink, GpuLinkKind, LinkState, PciClass,
    PciDevice, PciId, PciTree, RootComplex,
};
pub use host::usage::{Claim, ClaimError, PageClaim, Usage};
pub use host::{Core, CoreKind, CpuVendor, Gpu, Host, L3Domain, Node, PagePool};
pub use placement::{
    Cell, ExpanderBus, GuestFunction, GuestPci, GuestTopology, MemoryMode, PlacedDevice, Placement,
    RootPort, Style,
};
pub use request::{
    GpuRequest, MAX_IO_THREADS, MAX_VCPUS, Policies, Policy, Request, RequestBuilder, RequestError,
    Wish,
};
pub use sets::{CellSet, CpuSet, IdSet, NodeSet, VcpuSet};
pub use units::{
    Bytes, CellId, CoreId, Distance, Id, L3Id, NodeId, PackageId, PageSize, ParseUnitError,
    PciAddr, PcpuId, Ratio, VcpuId,
};
pub use verify::{CpuUser, Violation, verify};
pub use workload::{Metric, Weights, Workload};

pub use capacity::{HostCost, SLOT_SIZES, SlotCounts};
pub use diagnose::{Change, smallest_changes};
pub use explain::{
    change_text, explain, explain_refusal, fact_text, host_line, property_text, warning_text,
};
pub use feasibility::{Fact, Rejection};
pub use profile::{Collective, GpuPath, L3Use, Profile};
pub use recommend::{Infeasible, Ranked, Recommendation, recommend};
pub use rules::evidence::{Evidence, FindingId, Grade, Range, Row};
pub use rules::{Finding, Prediction, RuleId, findings, predictions};
pub use score::{Options, Property, Score, score};
pub use warnings::Warning;
