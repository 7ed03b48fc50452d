//! No placement makes the checker panic, however broken.

use proptest::prelude::*;

use super::CLEAN;
use crate::placement::{MemoryMode, Placement, Style};
use crate::question::Question;
use crate::sets::IdSet;
use crate::units::{Bytes, CellId, Distance, Id, NodeId, PageSize, PciAddr};
use crate::verify::verify;

/// A number of any size, or one that is likely to name something.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0..20_u32, Just(u32::MAX), any::<u32>()]
}

fn set<T: Id>(a: u32, b: u32) -> IdSet<T> {
    [a, b, a ^ b].into_iter().map(|id| T::from_index(id % T::LIMIT)).collect()
}

fn address(a: u32, b: u32) -> PciAddr {
    let [bus, device, function, _] = b.to_le_bytes();
    PciAddr { domain: a, bus, device, function }
}

/// An item of a list that is not empty.
fn pick<T>(list: &mut [T], at: u32) -> Option<&mut T> {
    let length = list.len().max(1);
    list.get_mut(usize::try_from(at).unwrap() % length)
}

/// Doubles, drops or empties.
fn relist<T: Clone>(list: &mut Vec<T>, a: u32, b: u32) {
    match (a % 3, pick(list, b).cloned()) {
        (0, Some(item)) => list.push(item),
        (1, Some(_)) => drop(list.remove(usize::try_from(b).unwrap() % list.len())),
        _ => list.clear(),
    }
}

fn mutate(placement: &mut Placement, what: u8, a: u32, b: u32) -> Option<()> {
    let p = placement;
    let small = a.to_le_bytes()[0];
    let large = u64::from(a) << (b % 64);
    match what {
        0 => p.style = Style::ALL[usize::from(small) % Style::ALL.len()],
        1 => p.dedicated = !p.dedicated,
        2 => p.memory_mode = MemoryMode::Strict,
        3 => p.topology.sockets = a,
        4 => p.topology.threads = a,
        5 => (p.topology.dies, p.topology.cores) = (a, b),
        6 => relist(&mut p.vcpus, a, b),
        7 => *pick(&mut p.vcpus, a)? = set(a, b),
        8 => p.idle = set(a, b),
        9 => p.emulator_own = set(a, b),
        10 => p.emulator = set(a, b),
        11 => p.iothreads.push(set(a, b)),
        12 => relist(&mut p.cells, a, b),
        13 => pick(&mut p.cells, a)?.id = CellId(b),
        14 => pick(&mut p.cells, a)?.nodes = set(a, b),
        15 => pick(&mut p.cells, a)?.vcpus = set(a, b),
        16 => pick(&mut p.cells, a)?.memory = Bytes(large),
        17 => pick(&mut p.cells, a)?.page_size = PageSize::from_kib(4 << (b % 29))?,
        18 => pick(&mut p.cells, a)?.pages.push((NodeId(b), large)),
        19 => pick(&mut p.cells, b)?.pages.push((NodeId(a % 4), u64::MAX)),
        20 => relist(&mut pick(&mut p.cells, a)?.distances, a, b),
        21 => *pick(&mut pick(&mut p.cells, a)?.distances, b)? = Distance(small),
        22 => relist(&mut p.devices, a, b),
        23 => pick(&mut p.devices, a)?.address = address(a, b),
        24 => pick(&mut p.devices, a)?.functions.push(address(0, b)),
        25 => pick(&mut p.devices, a)?.withheld.push(address(a % 2, b)),
        26 => pick(&mut p.devices, a)?.cell = Some(CellId(b)),
        27 => pick(&mut p.devices, a)?.node = Some(NodeId(b)),
        28 => relist(&mut p.pci.expanders, a, b),
        29 => relist(&mut p.pci.ports, a, b),
        30 => relist(&mut p.pci.functions, a, b),
        31 => pick(&mut p.pci.expanders, b)?.bus_nr = small,
        32 => pick(&mut p.pci.expanders, a)?.index = b,
        33 => pick(&mut p.pci.ports, a)?.index = b,
        34 => pick(&mut p.pci.ports, a)?.parent = b,
        35 => pick(&mut p.pci.functions, a)?.port = b,
        36 => pick(&mut p.pci.functions, b)?.function = small,
        37 => pick(&mut p.pci.functions, a)?.host = address(a % 2, b),
        38 => p.pci.mmio64_mib = Some(large),
        40 => relist(&mut p.pci.switches, a, b),
        41 => pick(&mut p.pci.switches, a)?.index = b,
        42 => pick(&mut p.pci.switches, a)?.port = b,
        43 => pick(&mut p.pci.switches, a)?.host = address(a % 2, b),
        39 => pick(&mut p.devices, a)?.is_gpu = b.is_multiple_of(2),
        _ => pick(&mut p.cells, a)?.memory = Bytes(u64::MAX),
    }
    Some(())
}

proptest! {
    #[test]
    fn no_placement_makes_it_panic(
        scene in 0..CLEAN.len(),
        other in 0..CLEAN.len(),
        changes in prop::collection::vec((0..=44_u8, number(), number()), 1..12),
    ) {
        let mut scene = CLEAN[scene].1();
        for (what, a, b) in changes {
            // Some changes find nothing to change.
            let _ = mutate(&mut scene.placement, what, a, b);
        }
        let (host, usage) = (scene.host(), scene.usage());
        // Against its own request, and against one that it was never for.
        for request in [scene.request(), CLEAN[other].1().request()] {
            let found = verify(Question::new(&host, &usage, &request), &scene.placement);
            for violation in found.clone().err().into_iter().flatten() {
                prop_assert!(!violation.to_string().is_empty());
            }
            prop_assert_eq!(found, verify(Question::new(&host, &usage, &request), &scene.placement));
        }
    }
}
