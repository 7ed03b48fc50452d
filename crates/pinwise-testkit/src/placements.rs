//! Placements made by hand: the shapes that domain XML has to say, with no engine involved.

use pinwise::host::RootComplex;
use pinwise::placement::{
    Cell, ExpanderBus, GuestFunction, GuestPci, GuestPort, GuestSwitch, GuestTopology, MemoryMode,
    PlacedDevice,
};
use pinwise::units::{CellId, Distance, NodeId};
use pinwise::{Bytes, PageSize, PciAddr, Placement, Style};

fn list<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("written here")
}

fn topology(sockets: u32, cores: u32, threads: u32) -> GuestTopology {
    GuestTopology { sockets, dies: 1, cores, threads }
}

/// One cell of `vcpus` vCPUs and `gib` GiB that floats everywhere.
pub fn floating(name: &str, vcpus: u32, gib: u64) -> Placement {
    let cell = Cell {
        id: CellId(0),
        nodes: list(""),
        vcpus: list(&format!("0-{}", vcpus - 1)),
        memory: Bytes::from_gib(gib),
        page_size: PageSize::KIB_4,
        pages: Vec::new(),
        distances: vec![Distance::LOCAL],
    };
    Placement {
        name: name.to_owned(),
        style: Style::Default,
        dedicated: false,
        memory_mode: MemoryMode::Unbound,
        topology: topology(1, vcpus, 1),
        vcpus: (0..vcpus).map(|_| list("")).collect(),
        idle: list(""),
        emulator_own: list(""),
        emulator: list(""),
        iothreads: Vec::new(),
        cells: vec![cell],
        devices: Vec::new(),
        fabric_partition: None,
        pci: GuestPci::default(),
        iommu: false,
        topoext: false,
        whole_cores: false,
        own_l3: false,
    }
}

/// Pinned one to one from pCPU `first` on, memory on `nodes`.
pub fn pinned(name: &str, vcpus: u32, gib: u64, first: u32, nodes: &str) -> Placement {
    let mut placement = floating(name, vcpus, gib);
    placement.style = Style::Pin;
    placement.dedicated = true;
    placement.memory_mode = MemoryMode::Strict;
    placement.vcpus = (first..first + vcpus).map(|pcpu| list(&pcpu.to_string())).collect();
    placement.emulator = list("0-1");
    placement.cells[0].nodes = list(nodes);
    placement
}

/// Cells with these vCPUs and GiB on nodes 0, 1, …; neighbours at 12, the others at 21.
pub fn split(mut placement: Placement, shares: &[(u32, u64)]) -> Placement {
    placement.style = Style::PinNuma;
    placement.cells.clear();
    let mut first = 0;
    for ((vcpus, gib), id) in shares.iter().zip(0_u32..) {
        let distance = |other: u32| match other.abs_diff(id) {
            0 => Distance::LOCAL,
            1 => Distance(12),
            _ => Distance(21),
        };
        let memory = Bytes::from_gib(*gib);
        placement.cells.push(Cell {
            id: CellId(id),
            nodes: list(&id.to_string()),
            vcpus: list(&format!("{first}-{}", first + vcpus - 1)),
            memory,
            page_size: PageSize::KIB_4,
            pages: vec![(NodeId(id), memory.0 / 4096)],
            distances: (0_u32..).take(shares.len()).map(distance).collect(),
        });
        first += vcpus;
    }
    placement
}

/// With pages of this size.
pub fn paged(mut placement: Placement, page: PageSize) -> Placement {
    for cell in &mut placement.cells {
        cell.page_size = page;
    }
    placement
}

/// A card: its host functions, and its cell.
pub type Card<'a> = (&'a [&'a str], Option<u32>);

/// With these cards, on an expander bus per cell, or on bus 0.
pub fn with_cards(mut placement: Placement, cards: &[Card<'_>]) -> Placement {
    let mut cells: Vec<u32> = cards.iter().filter_map(|(_, cell)| *cell).collect();
    cells.sort_unstable();
    cells.dedup();
    let mut index = 0;
    let mut next = || {
        index += 1;
        index
    };
    let mut bus_nr = 64;
    let pci = &mut placement.pci;
    for at in cells.iter().map(|cell| Some(*cell)).chain([None]) {
        let mine: Vec<_> = cards.iter().filter(|(_, cell)| *cell == at).collect();
        let parent = at.map_or(0, |_| next());
        if let Some(cell) = at {
            let root = RootComplex { domain: 0, bus: u8::try_from(cell).expect("few") };
            pci.expanders.push(ExpanderBus { index: parent, cell: CellId(cell), bus_nr, root });
            bus_nr += 1 + u8::try_from(mine.len()).expect("few");
        }
        for ((functions, _), slot) in mine.into_iter().zip(0_u8..) {
            let port = next();
            let slot = at.map(|_| slot);
            pci.ports.push(GuestPort { index: port, parent, slot });
            let hosts: Vec<PciAddr> = functions.iter().map(|address| list(address)).collect();
            for (host, function) in hosts.iter().zip(0_u8..) {
                let multifunction = function == 0 && hosts.len() > 1;
                pci.functions.push(GuestFunction { host: *host, port, function, multifunction });
            }
            placement.devices.push(PlacedDevice {
                address: hosts[0],
                is_gpu: true,
                node: at.map(NodeId),
                cell: at.map(CellId),
                functions: hosts[1..].to_vec(),
                withheld: Vec::new(),
            });
        }
    }
    placement
}

/// All shapes, by name.
pub fn all() -> Vec<Placement> {
    let mut all = vec![
        floating("default", 8, 16),
        with_cards(floating("default-gpu", 8, 16), &[(&["0000:1b:00.0"], None)]),
        pinned("pin", 8, 16, 8, "0"),
        pinned("strict-over-two", 8, 16, 8, "0-1"),
        paged(pinned("pin-2m", 8, 16, 8, "0"), PageSize::MIB_2),
        paged(pinned("pin-1g", 8, 16, 8, "0"), PageSize::GIB_1),
    ];
    let window = pinned("gpu-window", 16, 64, 16, "1");
    let mut window = with_cards(window, &[(&["10000:1b:00.0"], None), (&["0000:9b:00.0"], None)]);
    window.pci.mmio64_mib = Some(262_144);
    all.push(window);
    let mut interleave = split(pinned("interleave", 8, 16, 8, "0"), &[(8, 16)]);
    interleave.memory_mode = MemoryMode::Interleave;
    interleave.cells[0].nodes = list("0,2-3");
    all.push(interleave);
    let mut threads = pinned("iothreads-smt", 8, 16, 8, "0");
    threads.style = Style::PinSmt;
    threads.topology = topology(1, 4, 2);
    threads.topoext = true;
    threads.iothreads = vec![list("2"), list("3-4,9")];
    all.push(threads);
    let mut two = split(pinned("two-cells", 16, 64, 16, "0"), &[(8, 32), (8, 32)]);
    two.topology = topology(2, 8, 1);
    let cards: [Card<'_>; 2] = [
        (&["0000:1b:00.0", "0000:1b:00.1"], Some(0)),
        (&["0000:9b:00.0", "0000:9b:00.1"], Some(1)),
    ];
    all.push(with_cards(paged(two, PageSize::GIB_1), &cards));
    let mut three = split(pinned("unequal", 8, 12, 16, "0"), &[(4, 8), (2, 2), (2, 2)]);
    three.topology = topology(4, 2, 1);
    three.cells[0].page_size = PageSize::GIB_1;
    three.cells[1].page_size = PageSize::MIB_2;
    all.push(with_cards(three, &[(&["0000:1b:00.0"], Some(0)), (&["0000:9b:00.0"], None)]));
    let mut large = split(pinned("vcpus-300", 300, 300, 0, "0"), &[(150, 150), (150, 150)]);
    large.topology = topology(2, 75, 2);
    large.iommu = true;
    all.push(with_cards(large, &[(&["0000:1b:00.0"], Some(1))]));
    let mut eight = split(pinned("eight-cells", 64, 512, 0, "0"), &[(8, 64); 8]);
    eight.topology = topology(8, 8, 1);
    let addresses: Vec<String> = (0..8).map(|bus| format!("0000:{bus}b:00.0")).collect();
    let cards: Vec<[&str; 1]> = addresses.iter().map(|address| [address.as_str()]).collect();
    let cards: Vec<Card<'_>> =
        cards.iter().zip(0_u32..).map(|(card, cell)| (card.as_slice(), Some(cell))).collect();
    all.push(with_cards(eight, &cards));
    all.push(switched());
    all
}

/// Two cells: two cards below a switch and one beside it in the first, one in the second.
fn switched() -> Placement {
    let mut placement = split(pinned("switch", 8, 16, 16, "0"), &[(4, 8), (4, 8)]);
    placement.topology = topology(2, 4, 1);
    let cards: [Card<'_>; 4] = [
        (&["0000:1b:00.0", "0000:1b:00.1"], Some(0)),
        (&["0000:1c:00.0"], Some(0)),
        (&["0000:1e:00.0"], Some(0)),
        (&["0000:9b:00.0"], Some(1)),
    ];
    let mut placement = with_cards(placement, &cards);
    let pci = &mut placement.pci;
    let port = |index, parent, slot| GuestPort { index, parent, slot: Some(slot) };
    pci.switches = vec![GuestSwitch { index: 3, port: 2, host: list("0000:19:00.0") }];
    pci.ports = [(2, 1, 0), (4, 3, 0), (5, 3, 1), (6, 1, 1), (8, 7, 0)]
        .map(|(index, parent, slot)| port(index, parent, slot))
        .into();
    (pci.expanders[1].index, pci.expanders[1].bus_nr) = (7, 70);
    for (function, port) in pci.functions.iter_mut().zip([4, 4, 5, 6, 8]) {
        function.port = port;
    }
    placement
}
