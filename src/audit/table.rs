//! The table of the audit's rules: what each looks at, how bad it is, and what its fix brings.

use super::facts::{Effect, Facts, Severity};
use super::scene::Scene;
use super::{devices, guest, helpers, memory, vcpus};
use crate::engine::rules::{Grade, StudyId};
use crate::workload::Metric;

macro_rules! effect {
    (none) => {
        None
    };
    (($metric:ident, $range:expr, $grade:ident, [$($study:literal)*])) => {
        Some(Effect::new(Metric::$metric, $range, Grade::$grade, &[$(StudyId($study)),*]))
    };
}

macro_rules! audits {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal, $severity:ident, $rule:path, $effect:tt;)*) => {
        /// A rule of the audit. Within a severity, the order is that of findings, the worst first.
        ///
        /// Each says what it looks at, why it matters, and when it is silent. Ranges of the effects
        /// are factors that the fix brings. Those without a study are our own reasoning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum AuditId { $($(#[doc = $doc])* $name),* }

        impl AuditId {
            /// All rules.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];

            /// The name in texts, JSON, SARIF and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// Its documentation, as Markdown.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*)),* }
            }

            /// How bad what it finds is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),* }
            }

            /// What its fix is expected to bring; `None` where no metric tells.
            #[must_use]
            pub fn effect(self) -> Option<Effect> {
                match self { $(Self::$name => effect!($effect)),* }
            }

            /// The facts that it finds; `None` if it is silent.
            pub(super) fn find(self, scene: &Scene<'_>) -> Option<Facts> {
                match self { $(Self::$name => $rule(scene)),* }
            }
        }
    };
}

// Where a study measures the loss, the range of the gain is its inverse: 0.53 to 0.70 becomes 1.43
// to 1.89. Rows graded observed or reasoned have ranges of our own.
audits! {
    /// **Looks at** vCPUs whose pins name no pCPU that is online and allowed. **Matters** because
    /// the domain does not start. **Silent** if one pCPU of a pin is there: the kernel uses that.
    PinsUnusable = "pins-unusable", Error, vcpus::unusable, none;
    /// **Looks at** vCPUs pinned to a pCPU that is dedicated to another tenant. **Matters** because
    /// two busy vCPUs get half of it each. **Silent** for pins to several pCPUs
    /// ([`FloatsOverTenants`](Self::FloatsOverTenants)).
    PinsOfTenants = "pins-of-tenants", Error, vcpus::on_tenants,
        (CpuAllThreads, [1000, 1500, 2000], Reasoned, []);
    /// **Looks at** devices that another tenant holds. **Matters** because both cannot run.
    /// **Silent** for shares of one parent (mediated devices).
    DevicesHeld = "devices-held", Error, devices::held, none;
    /// **Looks at** devices that the host does not have. **Matters** because the domain does not
    /// start. **Silent** if the host's description has no devices at all.
    DevicesAbsent = "devices-absent", Error, devices::absent, none;
    /// **Looks at** hugepages that the bound nodes' pools do not have, used or not. **Matters**
    /// because the domain does not start. **Silent** for base pages.
    PagesMissing = "pages-missing", Error, memory::pages_missing, none;
    /// **Looks at** more than 255 vCPUs without an emulated IOMMU with `eim`. **Matters** because
    /// the guest has no interrupts for the vCPUs beyond 255.
    NoIommu = "no-iommu", Error, guest::no_iommu, none;
    /// **Looks at** guest cells whose border lies inside a guest core. **Matters** because the
    /// guest's kernel takes its siblings for cores of their own, or refuses the table of nodes.
    /// **Silent** where the guest sees no siblings.
    CellsCutCores = "cells-cut-cores", Error, guest::cells_cut_cores, none;
    /// **Looks at** more than two sockets shown to Windows. **Matters** because its client editions
    /// ignore the others, with all of their vCPUs.
    WindowsSockets = "windows-sockets", Error, guest::windows_sockets, none;
    /// **Looks at** the numbers of expander buses and the buses below them. **Matters** because
    /// devices vanish whose bus number the next expander has.
    BusesLost = "buses-lost", Error, devices::buses_lost, none;
    /// **Looks at** the MMIO window that the domain states for its firmware. **Matters** because a
    /// GPU without room for its memory does not work. **Silent** if the domain states none.
    SmallWindow = "small-window", Error, devices::small_window, none;
    /// **Looks at** functions of the IOMMU group of a device that the host needs: disks, NICs, its
    /// display, its last USB controller. **Matters** because the host loses them when the domain
    /// starts. **Silent** if the request allows it (`allow_group`), and for functions that are
    /// given to the domain as well, or are held for VMs.
    GroupLost = "group-lost", Error, devices::group_lost, none;

    /// **Looks at** efficiency cores of the low-power kind under pinned vCPUs. **Matters** because
    /// they do a quarter to a half of a performance core. **Silent** if the engine's answer has as
    /// many.
    LowPowerCores = "low-power-cores", Warning, vcpus::low_power,
        (CpuSingleThread, [2000, 3330, 4000], Stated, [55 56]);
    /// **Looks at** a VM that is pinned to efficiency cores alone. **Silent** if the engine's
    /// answer for the workload has as many.
    EfficiencyCores = "efficiency-cores", Warning, vcpus::efficiency,
        (CpuSingleThread, [1430, 1640, 1890], Measured, [43 52 54]);
    /// **Looks at** a VM that is pinned to cores of several kinds. **Matters** because the guest
    /// takes its vCPUs for equal and waits for the slowest. **Silent** if the engine's answer is no
    /// better.
    MixedKinds = "mixed-kinds", Warning, vcpus::mixed_kinds,
        (CpuAllThreads, [1000, 1200, 1890], Reasoned, [52 58]);
    /// **Looks at** several vCPUs pinned to one pCPU. **Silent** if the engine, too, has no pCPU
    /// for each.
    SharedPcpus = "shared-pcpus", Warning, vcpus::shared,
        (CpuAllThreads, [1000, 1500, 2000], Reasoned, []);
    /// **Looks at** vCPUs that the guest takes for siblings, pinned to different cores. **Matters**
    /// because the guest's scheduler and libraries avoid one of two real cores, and share none.
    /// **Silent** unless both are pinned to one pCPU.
    SiblingsApart = "siblings-apart", Warning, vcpus::siblings_apart,
        (CpuAllThreads, [1000, 1050, 1250], Reasoned, []);
    /// **Looks at** vCPUs of different guest cores, pinned to siblings of one core. **Matters**
    /// because the guest's scheduler loads both before it uses an idle core. **Silent** if guest
    /// siblings are apart (that explains it), and if the engine's answer does it too, because there
    /// are fewer cores than vCPUs.
    SiblingsHidden = "siblings-hidden", Warning, vcpus::siblings_hidden,
        (CpuAllThreads, [1000, 1330, 2000], Reasoned, [8]);
    /// **Looks at** vCPUs that float, over isolated pCPUs among others. **Matters** because the
    /// kernel balances no load there: all stay on the first.
    FloatsOnIsolated = "floats-on-isolated", Warning, vcpus::floats_on_isolated,
        (CpuAllThreads, [1000, 2000, 8000], Observed, [71]);
    /// **Looks at** vCPUs that float over pCPUs dedicated to other tenants, or over all pCPUs of
    /// the host beside such tenants. **Silent** if numad places them.
    FloatsOverTenants = "floats-over-tenants", Warning, vcpus::floats_over_tenants,
        (CpuSingleThread, [1000, 1050, 1430], Reasoned, []);
    /// **Looks at** vCPUs on pCPUs that the operator reserved for the host. **Silent** if nothing
    /// is reserved by name.
    PinsOnReserved = "pins-on-reserved", Warning, vcpus::on_reserved,
        (CpuSingleThread, [1000, 1020, 1300], Reasoned, []);
    /// **Looks at** vCPUs that leave, with other tenants', no online pCPU to the host. **Matters**
    /// because its kernel, QEMU and interrupts run on a vCPU's pCPU then. **Silent** if nothing is
    /// to be kept, and where the kernel isolates all.
    HostStarved = "host-starved", Warning, vcpus::starved,
        (CpuSingleThread, [1000, 1020, 1300], Reasoned, []);
    /// **Looks at** the number of nodes under the vCPUs. **Silent** if the engine's answer has as
    /// many, if the guest sees a cell for each, and if pages are interleaved over them.
    ManyNodes = "many-nodes", Warning, vcpus::many_nodes,
        (MemoryLatency, [1000, 1050, 1300], Measured, [21 30]);
    /// **Looks at** the number of packages under the vCPUs. **Silent** as
    /// [`ManyNodes`](Self::ManyNodes), and beside it.
    ManyPackages = "many-packages", Warning, vcpus::many_packages,
        (MemoryLatency, [1000, 1250, 1500], Measured, [13 29]);
    /// **Looks at** the number of L3 domains under pinned vCPUs. **Silent** if the engine's answer
    /// has as many, or has fewer because it is on fewer cores.
    ManyL3 = "many-l3", Warning, vcpus::many_l3,
        (CpuAllThreads, [1000, 1050, 1180], Measured, [38 39]);
    /// **Looks at** a VM in one L3 domain with a smaller cache than the one of the engine's answer.
    /// **Silent** on hosts with equal caches.
    SmallCache = "small-cache", Warning, vcpus::small_cache,
        (MemoryLatency, [1000, 1200, 1500], Reasoned, [46 48 49 50 59]);
    /// **Looks at** nodes of the vCPUs that memory with devices, or of pinned vCPUs, is not bound
    /// to. **Matters** because VFIO pins every page where it is when the domain starts. **Silent**
    /// on hosts with one node, if numad places, and for a preferred node.
    MemoryUnbound = "memory-unbound", Warning, memory::unbound,
        (MemoryLatency, [1000, 1050, 1500], Measured, [13 29 30]);
    /// **Looks at** cells whose vCPUs are on other nodes than their memory. **Silent** if the
    /// engine, too, has the memory elsewhere, for nodes without memory, and for memory on nodes
    /// without CPUs (HBM, CXL).
    MemoryElsewhere = "memory-elsewhere", Warning, memory::elsewhere,
        (MemoryBandwidth, [1000, 1250, 2000], Reasoned, [29 31]);
    /// **Looks at** hugepages that other tenants hold. **Matters** because the domain does not
    /// start beside them. **Silent** if it runs, and about pages in use for no known reason, which
    /// may be its own.
    PagesTaken = "pages-taken", Warning, memory::pages_taken, none;
    /// **Looks at** GPUs on a node that holds none of the memory. **Silent** if the engine's answer
    /// with the same GPUs has as many, for GPUs of unknown node, and for a VM on no known node.
    GpuRemote = "gpu-remote", Warning, devices::gpu_remote,
        (HostGpuTransfer, [1000, 1430, 3330], Measured, [15 28]);
    /// **Looks at** GPUs that are not below an expander bus of the cell of their node. **Matters**
    /// because the guest sees them on node -1, and its libraries take all GPUs for equally near.
    /// **Silent** in guests with one cell, for GPUs of other nodes, and if the engine's answer has
    /// no expander buses.
    CellsBlind = "cells-blind", Warning, devices::cells_blind,
        (CollectiveHost, [1000, 1400, 3330], Observed, [6 20]);
    /// **Looks at** the guest's sockets: more than the packages that the vCPUs are on, and more
    /// than its cells. **Matters** because guests share no cache and balance no load across
    /// sockets, and licences count them.
    ManySockets = "many-sockets", Warning, guest::many_sockets,
        (CpuAllThreads, [1000, 1000, 1100], Reasoned, []);
    /// **Looks at** guest sockets whose vCPUs are on several packages. **Silent** for a single
    /// socket.
    SocketsStraddle = "sockets-straddle", Warning, guest::sockets_straddle,
        (CpuAllThreads, [1000, 1020, 1200], Reasoned, []);
    /// **Looks at** siblings shown to a guest on AMD with the host's model, without `topoext`.
    /// **Matters** because the guest then takes each for a core.
    NoTopoext = "no-topoext", Warning, guest::topoext,
        (CpuAllThreads, [1000, 1050, 1250], Reasoned, []);
    /// **Looks at** pinned vCPUs with the host's model that are shown QEMU's caches. **Silent** if
    /// the domain has a `<cache>`, and for other models.
    CachesHidden = "caches-hidden", Warning, guest::caches_hidden,
        (CpuAllThreads, [1000, 1000, 3450], Measured, [40]);
    /// **Looks at** emulator threads on pCPUs of pinned vCPUs.
    EmulatorOnVcpus = "emulator-on-vcpus", Warning, helpers::emulator_on_vcpus,
        (CpuSingleThread, [1000, 1020, 1300], Reasoned, []);
    /// **Looks at** I/O threads on pCPUs of pinned vCPUs.
    IothreadsOnVcpus = "iothreads-on-vcpus", Warning, helpers::iothreads_on_vcpus,
        (CpuSingleThread, [1000, 1020, 1300], Reasoned, []);
    /// **Looks at** emulator and I/O threads on pCPUs that are dedicated to other tenants.
    HelpersOnTenants = "helpers-on-tenants", Warning, helpers::on_tenants,
        (CpuSingleThread, [1000, 1020, 1300], Reasoned, []);
    /// **Looks at** quotas beside pins. **Matters** because the kernel stops a vCPU that has a pCPU
    /// of its own for the rest of each period.
    QuotaBesidePins = "quota-beside-pins", Warning, vcpus::quota,
        (CpuAllThreads, [1000, 1100, 2000], Reasoned, []);
    /// **Looks at** functions of a GPU's card that are not given to the VM with it. **Matters**
    /// because a driver of the host keeps the group from VFIO, or the card from being reset.
    CompanionsLeft = "companions-left", Warning, devices::companions_left, none;
    /// **Looks at** links of the VM's devices that run below what both ends can. **Silent** for
    /// idle links of full width.
    DegradedLinks = "degraded-links", Warning, devices::degraded,
        (HostGpuTransfer, [1000, 2000, 5500], Measured, [10 17 45]);
    /// **Looks at** linked GPUs that form no partition of the host's fabric. **Matters** because
    /// the fabric manager gives them no links.
    NoPartition = "no-partition", Warning, devices::no_partition, none;
    /// **Looks at** vCPUs without pins, of a VM with devices, or beside pinned ones. **Silent** on
    /// hosts with one node, one L3 domain and one kind of core, and if numad places them.
    Unpinned = "unpinned", Warning, vcpus::unpinned,
        (CpuSingleThread, [1000, 1020, 1100], Observed, [2]);

    /// **Looks at** other tenants that float on the VM's cores. **Silent** if they would on as many
    /// of the engine's answer.
    Crowded = "crowded", Note, vcpus::crowded, (CpuSingleThread, [1000, 1050, 1430], Reasoned, []);
    /// **Looks at** pinned vCPUs on pCPUs that the kernel does not isolate, though it isolates
    /// others. **Silent** if the engine's answer has as many.
    NotIsolated = "not-isolated", Note, vcpus::not_isolated,
        (CpuSingleThread, [1000, 1010, 1050], Reasoned, []);
    /// **Looks at** emulator threads without pins beside pinned vCPUs. **Silent** if the kernel
    /// isolates all of the vCPUs' pCPUs, and where nothing is kept for the host.
    EmulatorAnywhere = "emulator-anywhere", Note, helpers::emulator_anywhere,
        (CpuSingleThread, [1000, 1010, 1100], Reasoned, []);
    /// **Looks at** I/O threads without pins beside pinned vCPUs. **Silent** as
    /// [`EmulatorAnywhere`](Self::EmulatorAnywhere).
    IothreadsAnywhere = "iothreads-anywhere", Note, helpers::iothreads_anywhere,
        (CpuSingleThread, [1000, 1010, 1100], Reasoned, []);
    /// **Looks at** NICs on a node of none of the VM's GPUs. **Silent** unless a free one of the
    /// same model is on such a node.
    NicApart = "nic-apart", Note, devices::nic_apart, none;
    /// **Looks at** devices that other domains have too, which do not run beside it.
    DevicesShared = "devices-shared", Note, devices::shared, none;
    /// **Looks at** base pages, where the engine's answer has hugepages. **Silent** without pins
    /// and devices.
    SmallPages = "small-pages", Note, memory::small_pages,
        (MemoryBandwidth, [1000, 1050, 1150], Stated, [14 42]);
    /// **Looks at** a model other than the host's for a VM with devices. **Matters** because
    /// drivers and libraries choose code by the model, and such a VM does not migrate anyway.
    CpuModel = "cpu-model", Note, guest::cpu_model,
        (CpuAllThreads, [1000, 1020, 1200], Reasoned, []);
}

#[cfg(feature = "serde")]
impl serde::Serialize for AuditId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}
