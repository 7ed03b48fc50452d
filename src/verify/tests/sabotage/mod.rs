//! One thing broken, exactly that violation; and no kind of violation without such a case.

mod cpu;
mod devices;
mod functions;
mod guest;
mod isolation;
mod memory;
mod pci;
mod switches;
mod wishes;

use std::collections::BTreeSet;

use super::scenes::Scene;
use crate::units::{CoreId, PackageId, VcpuId};
use crate::verify::Violation;

/// Without a wildcard: a new violation does not compile until it is listed here, and then it needs
/// a case in the table.
macro_rules! violations {
    ($($name:ident)*) => {
        const ALL: &[&str] = &[$(stringify!($name)),*];

        fn name(violation: &Violation) -> &'static str {
            match violation {
                $(Violation::$name { .. } => stringify!($name),)*
            }
        }
    };
}

violations! {
    Name VcpuCount IoThreadCount NoPcpus DefaultPins NotOnline NotAllowed Reserved PcpusHeld CpusExcluded OffNode
    NotDedicated NotOnePcpu PcpuTwice Crowded NotShared StyleFloats FloatsIsolated VcpusShareCore GuestCoreSplit CoreShared CoreNotWhole IsolationClaimed L3Shared TenantIsolated
    IdleApart IdleInUse BesideVcpus EmulatorCount EmulatorElsewhere Topology StyleThreads StyleCells
    Smt Topoext Iommu CellCount NoCells CellId CellEmpty CellVcpus CellsOverlap InNoCell
    CoreStraddles Sockets NoNodes NoSuchNode NodesExcluded MemoryExcluded NotOneNode DistanceCount Distance MemorySum CellsDiffer StyleMemory
    DefaultBinds CellMemory CellPageSize CellPages PagesOffNode PagesShort NoMemory StrictSpreads
    GpuCount DeviceMissing DeviceUnasked NoSuchDevice NotGpu GpuModel GpuIntegrated GpuKind GpuSplit FunctionHeld FunctionsExclude
    DeviceShared DeviceUnsure DeviceHeld
    DeviceTwice GroupSplit NotCompanion CompanionMissing NeededTaken LossAvoidable WithheldApart FunctionApart DeviceNode DeviceCell GpuRemote NoCommonSwitch
    NotLinked NotPartition WishCount WishModel WishTakes WishApart WrongPartition UntoldFabric IndexTwice IndexGap ExpanderCell BusNumber BusOverlap BusBeyond PlainPorts
    PortParent PortSlot SlotTwice SwitchPort SwitchShares EmptySwitch NoSuchPort FunctionNumber FunctionTwice NoFunctionZero
    Multifunction NotShown ShownUnplaced ShownTwice CardSplit CardsShare DeviceBus DeviceRoot
    DeviceSwitch MmioWindow
}

type Sabotage = (fn() -> Scene, fn(&mut Scene), Violation);

#[test]
fn one_thing_broken_is_exactly_that_violation() {
    for (scene, sabotage, expected) in table() {
        let mut scene = scene();
        sabotage(&mut scene);
        assert_eq!(scene.verify(), Err(vec![expected]));
    }
}

#[test]
fn every_violation_has_its_sabotage() {
    let table = table();
    let seen: BTreeSet<_> = table.iter().map(|(_, _, expected)| name(expected)).collect();
    let missing: Vec<_> = ALL.iter().filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

pub(super) fn table() -> Vec<Sabotage> {
    let mut table = cpu::cpus_broken();
    table.extend(isolation::isolation_broken());
    table.extend(guest::guest_broken());
    table.extend(memory::memory_broken());
    table.extend(devices::devices_broken());
    table.extend(devices::policies_broken());
    table.extend(functions::functions_broken());
    table.extend(pci::controllers_broken());
    table.extend(pci::plugged_in_wrong());
    table.extend(switches::switches_broken());
    table.extend(wishes::wishes_broken());
    table
}

fn core(package: u32, core: u32) -> CoreId {
    CoreId { package: PackageId(package), die: 0, core }
}

fn vcpu(number: u32) -> VcpuId {
    VcpuId(number)
}

fn other() -> String {
    "other".to_owned()
}
