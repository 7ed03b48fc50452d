//! Which functions a GPU takes from its host, on small machines of our making: one node of eight
//! cores, a few cards.

use pinwise::host::{HostError, HostUse, KeptWhy, LinkState, PciClass, PciDevice, PciId, Reserve};
use pinwise::request::{DeviceWish, GpuRequest, RequestError, WishKind, WishNumber};
use pinwise::units::NodeId;
use pinwise::{
    Host, HostSpec, InUse, Options, PciAddr, Question, Recommendation, RequestSpec, Usage, Warning,
    explain,
};
use pinwise_testkit::common::{ask, checked, these, vm};
use pinwise_testkit::machine::Machine;

const NVIDIA: u16 = 0x10de;
const RADEON: u16 = 0x1002;
const AMD: u16 = 0x1022;
const DISPLAY: u32 = 0x03_0000;
const AUDIO: u32 = 0x04_0300;
const USB: u32 = 0x0c_0330;
const UCSI: u32 = 0x0c_8000;

fn at(text: &str) -> PciAddr {
    text.parse().unwrap()
}

fn function(address: &str, class: u32, vendor: u16, group: u32) -> PciDevice {
    let new = PciDevice::new(at(address), PciClass(class), PciId(vendor), PciId(1));
    PciDevice { iommu_group: Some(group), ..new }
}

/// A function with a driver.
fn driven(driver: &str, function: PciDevice) -> PciDevice {
    PciDevice { driver: Some(driver.to_owned()), ..function }
}

fn machine(devices: Vec<PciDevice>) -> HostSpec {
    let small = Machine { nodes: 1, cores: 8, threads: 1, pages: 16, gpus: &[], links: &[] };
    HostSpec { devices, ..small.describe() }
}

fn built(devices: Vec<PciDevice>) -> Host {
    machine(devices).build().unwrap()
}

fn by_number(count: u32) -> RequestSpec {
    RequestSpec { gpus: GpuRequest::Count { count, model: None }, ..vm(2, 2) }
}

fn named(gpu: &str) -> RequestSpec {
    RequestSpec { gpus: these(&[gpu]), ..vm(2, 2) }
}

/// The GPUs of the best placement; then what the guest receives, and what it only takes.
fn taken(answer: &Recommendation) -> [Vec<String>; 3] {
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for device in &answer.best().placement.devices {
        all[0].push(device.address.to_string());
        all[1].extend(device.functions.iter().map(ToString::to_string));
        all[2].extend(device.withheld.iter().map(ToString::to_string));
    }
    all
}

fn gpus(host: &Host, count: u32) -> Vec<String> {
    let [gpus, ..] = taken(&ask(host, &by_number(count)).unwrap());
    gpus
}

fn in_use(host: &Host, request: &RequestSpec) -> Vec<(String, InUse)> {
    let answer = ask(host, request).unwrap();
    let (usage, request) = (Usage::empty(host), checked(request));
    let warnings = answer.best().warnings(Question::new(host, &usage, &request));
    let of_use = warnings.into_iter().filter_map(|warning| match warning {
        Warning::InUse { address, by } => Some((address.to_string(), by)),
        _ => None,
    });
    of_use.collect()
}

/// The sentences of a refusal.
fn refusal(host: &Host, request: &RequestSpec) -> String {
    let refused = ask(host, request).unwrap_err();
    explain::explain_refusal(host, &checked(request), &refused, None)
}

/// A card with four functions, each in a group of its own.
fn four_functions() -> Vec<PciDevice> {
    vec![
        function("01:00.0", DISPLAY, NVIDIA, 1),
        function("01:00.1", AUDIO, NVIDIA, 2),
        function("01:00.2", USB, NVIDIA, 3),
        function("01:00.3", UCSI, NVIDIA, 4),
    ]
}

#[test]
fn a_card_goes_with_all_its_functions() {
    let mut devices = four_functions();
    // A host's USB controller on the same slot of a made-up switch.
    devices.push(function("01:00.4", USB, AMD, 5));
    let [gpus, functions, withheld] = taken(&ask(&built(devices), &by_number(1)).unwrap());
    assert_eq!(gpus, ["0000:01:00.0"]);
    assert_eq!(functions, ["0000:01:00.1", "0000:01:00.2", "0000:01:00.3"]);
    assert!(withheld.is_empty(), "{withheld:?}");
}

/// The functions of a processor with a GPU, as on a desktop of AMD.
fn processor() -> Vec<PciDevice> {
    vec![
        function("0b:00.0", DISPLAY, RADEON, 20),
        function("0b:00.1", AUDIO, RADEON, 21),
        function("0b:00.2", 0x10_8000, AMD, 22),
        function("0b:00.3", USB, AMD, 23),
        function("0b:00.6", AUDIO, AMD, 24),
    ]
}

#[test]
fn a_processor_keeps_what_is_beside_its_gpu() {
    let host = built(processor());
    assert!(host.gpu(at("0b:00.0")).unwrap().integrated);
    let [_, functions, withheld] = taken(&ask(&host, &named("0b:00.0")).unwrap());
    assert_eq!((functions, withheld), (vec!["0000:0b:00.1".to_owned()], Vec::new()));
    // A card with USB-C: every function is of the GPU's vendor.
    let card = [(0, DISPLAY), (1, AUDIO), (2, USB), (3, UCSI)]
        .map(|(number, class)| function(&format!("03:00.{number}"), class, RADEON, 30 + number));
    let host = built(card.to_vec());
    assert!(!host.gpu(at("03:00.0")).unwrap().integrated);
    let [_, functions, _] = taken(&ask(&host, &by_number(1)).unwrap());
    assert_eq!(functions.len(), 3);
}

#[test]
fn an_intel_gpu_is_integrated_on_a_root_bus_and_a_card_below_a_bridge() {
    let own = function("00:02.0", DISPLAY, 0x8086, 1);
    let port = function("00:01.0", 0x06_0400, 0x8086, 2);
    let card = PciDevice { parent: Some(port.address), ..function("03:00.0", DISPLAY, 0x8086, 3) };
    let host = built(vec![own, port, card]);
    assert_eq!(host.gpus().iter().map(|gpu| gpu.integrated).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn an_integrated_gpu_is_the_last_choice_unless_it_is_held_for_vms() {
    let mut devices = processor();
    devices.push(driven("nvidia", function("01:00.0", DISPLAY, NVIDIA, 1)));
    assert_eq!(gpus(&built(devices.clone()), 1), ["0000:01:00.0"]);
    assert!(ask(&built(devices.clone()), &by_number(2)).is_err());
    devices[0].driver = Some("vfio-pci".to_owned());
    assert_eq!(gpus(&built(devices), 1), ["0000:0b:00.0"]);
    // It is the only one, and it shows the host's display.
    let mut devices = processor();
    devices[0].boot_vga = true;
    let host = built(devices);
    assert_eq!(gpus(&host, 1), ["0000:0b:00.0"]);
    let uses = in_use(&host, &by_number(1));
    let address = "0000:0b:00.0".to_owned();
    assert_eq!(uses, [(address.clone(), InUse::BootDisplay), (address, InUse::LastDisplay)]);
}

/// A card in the slot of a chipset, in one group with the chipset's controllers.
fn behind_a_chipset() -> Vec<PciDevice> {
    vec![
        function("00:03.0", 0x06_0000, AMD, 15),
        function("02:00.0", USB, AMD, 15),
        driven("ahci", function("02:00.1", 0x01_0601, AMD, 15)),
        function("02:00.2", 0x06_0400, AMD, 15),
        function("05:00.0", 0x02_0000, 0x8086, 15),
        function("06:00.0", DISPLAY, NVIDIA, 15),
        function("06:00.1", AUDIO, NVIDIA, 15),
        driven("nvidia", function("0a:00.0", DISPLAY, NVIDIA, 20)),
        function("0a:00.1", AUDIO, NVIDIA, 20),
    ]
}

#[test]
fn a_group_that_takes_what_the_host_needs_is_refused() {
    let host = built(behind_a_chipset());
    let text = refusal(&host, &named("06:00.0"));
    for part in [
        "USB controller 0000:02:00.0",
        "SATA controller 0000:02:00.1 (the host loses the disks behind it)",
        "network controller 0000:05:00.0",
        "GPU 0000:0a:00.0, whose group is clean",
        "another slot",
        "(ACS)",
        "--allow-group",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("00:03.0") && !text.contains("02:00.2"), "{text}");
    // By number, the other GPU goes although a driver holds it.
    assert_eq!(gpus(&host, 1), ["0000:0a:00.0"]);
    assert!(refusal(&host, &by_number(2)).contains("SATA controller"));
}

#[test]
fn group_mates_leave_the_host_and_do_not_reach_the_guest() {
    let host = built(behind_a_chipset());
    let allowed = RequestSpec { allow_group: true, ..named("06:00.0") };
    let [_, functions, withheld] = taken(&ask(&host, &allowed).unwrap());
    assert_eq!(functions, ["0000:06:00.1"]);
    assert_eq!(withheld, ["0000:02:00.0", "0000:02:00.1", "0000:05:00.0"]);
    // A request that names them all allows it, too, and the guest gets them.
    let mates = ["02:00.0", "02:00.1", "05:00.0"].map(at).to_vec();
    let [devices, _, withheld] =
        taken(&ask(&host, &RequestSpec { devices: mates, ..named("06:00.0") }).unwrap());
    assert_eq!((devices.len(), withheld.len()), (4, 0));
}

#[test]
fn mates_that_the_host_does_without_are_only_a_warning() {
    let mut devices = behind_a_chipset();
    for device in &mut devices[1..5] {
        device.driver = Some("vfio-pci".to_owned());
    }
    let host = built(devices);
    let request = named("06:00.0");
    let answer = ask(&host, &request).unwrap();
    let (usage, request) = (Usage::empty(&host), checked(&request));
    let question = Question::new(&host, &usage, &request);
    let texts =
        answer.best().warnings(question).iter().map(ToString::to_string).collect::<Vec<_>>();
    let group = texts.iter().find(|text| text.contains("IOMMU group")).unwrap();
    assert!(group.contains("SATA controller 0000:02:00.1"), "{group}");
}

#[test]
fn the_last_usb_controller_and_display_are_needed_and_others_are_not() {
    for (class, alone) in [(USB, "USB controller"), (DISPLAY, "display controller")] {
        let gpu = function("06:00.0", 0x03_0200, NVIDIA, 15);
        // A console adapter of a management controller does not count as a GPU.
        let mate = function("07:00.0", class, 0x1a03, 15);
        let mut devices = vec![gpu, mate];
        let text = refusal(&built(devices.clone()), &named("06:00.0"));
        assert!(text.contains(&format!("{alone} 0000:07:00.0")), "{text}");
        devices.push(function("08:00.0", class, 0x1a03, 16));
        ask(&built(devices), &named("06:00.0")).unwrap();
    }
}

#[test]
fn a_number_of_gpus_costs_the_host_as_little_as_possible() {
    let gpu = |number: u32| function(&format!("0{number}:00.0"), DISPLAY, NVIDIA, number);
    let busy = PciDevice { used_for: vec![HostUse::Processes], ..driven("nvidia", gpu(3)) };
    let devices = vec![
        PciDevice { boot_vga: true, ..driven("nvidia", gpu(1)) },
        driven("nvidia", gpu(2)),
        busy,
        driven("vfio-pci", gpu(4)),
        PciDevice { boot_vga: true, ..driven("vfio-pci", gpu(5)) },
        gpu(6),
    ];
    let host = built(devices);
    let order = ["4", "6", "5", "2", "3", "1"].map(|bus| format!("0000:0{bus}:00.0"));
    for count in 1..=order.len() {
        let mut expected = order[..count].to_vec();
        expected.sort();
        assert_eq!(gpus(&host, count as u32), expected);
    }
    let uses = in_use(&host, &by_number(6));
    let driver = || InUse::Driver { driver: "nvidia".to_owned() };
    let expected = [
        ("1", InUse::BootDisplay),
        ("5", InUse::BootDisplay),
        ("1", InUse::LastDisplay),
        ("2", InUse::LastDisplay),
        ("3", InUse::LastDisplay),
        ("6", InUse::LastDisplay),
        ("3", InUse::Processes),
        ("1", driver()),
        ("2", driver()),
        ("3", driver()),
    ];
    assert_eq!(uses, expected.map(|(bus, by)| (format!("0000:0{bus}:00.0"), by)));
}

#[test]
fn what_the_host_uses_is_told_of_any_device_and_of_its_mates() {
    let nic = PciDevice {
        used_for: vec![HostUse::DefaultRoute],
        ..function("05:00.0", 0x02_0000, 0x8086, 5)
    };
    let drive =
        PciDevice { used_for: vec![HostUse::Mounts], ..function("06:00.0", 0x01_0802, 0x144d, 5) };
    let host = built(vec![nic, drive]);
    let request = RequestSpec { devices: vec![at("05:00.0")], allow_group: true, ..vm(2, 2) };
    let uses = in_use(&host, &request);
    let expected = [("0000:06:00.0", InUse::Mounts), ("0000:05:00.0", InUse::DefaultRoute)];
    assert_eq!(uses, expected.map(|(address, by)| (address.to_owned(), by)));
}

#[test]
fn the_wider_and_faster_slot_comes_first_and_an_idle_link_counts_for_nothing() {
    let idle = LinkState { mts: 2_500, width: 16 };
    let cards = [(1, 16_000, 16), (2, 32_000, 16), (3, 32_000, 4)];
    let mut devices = Vec::new();
    for (number, mts, width) in cards {
        let slot = function(&format!("00:0{number}.0"), 0x06_0400, 0x8086, 40 + number);
        let slot = PciDevice { link_max: Some(LinkState { mts, width }), ..slot };
        let gpu = function(&format!("0{number}:00.0"), DISPLAY, NVIDIA, number);
        devices.push(PciDevice {
            parent: Some(slot.address),
            link_now: Some(LinkState { width: width.min(16), ..idle }),
            link_max: Some(LinkState { mts: 32_000, width: 16 }),
            ..gpu
        });
        devices.push(slot);
    }
    let host = built(devices);
    assert!(host.gpus().iter().all(|gpu| host.pci().degraded_link(gpu.address).is_none()));
    assert_eq!(gpus(&host, 1), ["0000:02:00.0"]);
    assert_eq!(gpus(&host, 2), ["0000:01:00.0", "0000:02:00.0"]);
    let request = by_number(3);
    let answer = ask(&host, &request).unwrap();
    let text = explain(
        Question::new(&host, &Usage::empty(&host), &checked(&request)).with(&Options::default()),
        &answer,
    );
    let line = text.lines().find(|line| line.contains("its slot only")).unwrap();
    assert!(line.contains("0000:03:00.0") && line.contains("32 GT/s x4"), "{line}");
}

#[test]
fn a_link_that_lost_lanes_or_is_slow_under_load_is_degraded() {
    let full = LinkState { mts: 16_000, width: 16 };
    for (mts, width, degraded) in
        [(2_500, 16, false), (2_500, 8, true), (8_000, 16, true), (16_000, 16, false)]
    {
        let mut gpu = function("01:00.0", DISPLAY, NVIDIA, 1);
        (gpu.link_max, gpu.link_now) = (Some(full), Some(LinkState { mts, width }));
        let host = built(vec![gpu]);
        assert_eq!(host.pci().degraded_link(at("01:00.0")).is_some(), degraded, "{mts} x{width}");
    }
}

#[test]
fn an_idle_link_is_degraded_beside_a_faster_one_of_an_equal_gpu() {
    let full = LinkState { mts: 16_000, width: 16 };
    for (device, mts, degraded) in [(1, 16_000, true), (1, 2_500, false), (2, 16_000, false)] {
        let mut slow = function("01:00.0", DISPLAY, NVIDIA, 1);
        let mut other = function("02:00.0", DISPLAY, NVIDIA, 2);
        other.device = PciId(device);
        (slow.link_max, slow.link_now) = (Some(full), Some(LinkState { mts: 2_500, ..full }));
        (other.link_max, other.link_now) = (Some(full), Some(LinkState { mts, ..full }));
        let host = built(vec![slow, other]);
        assert_eq!(host.pci().degraded_link(at("01:00.0")).is_some(), degraded, "{device} {mts}");
        assert_eq!(host.pci().degraded_link(at("02:00.0")), None);
    }
}

#[test]
fn a_nic_by_kind_takes_no_port_that_the_host_uses() {
    let ports = || [0, 1].map(|port| function(&format!("02:00.{port}"), 0x02_0000, 0x8086, 9));
    let wish = DeviceWish::new(WishKind::Nic, WishNumber::Count(1));
    let request = RequestSpec { device_wishes: vec![wish], ..vm(2, 2) };
    let host = built(ports().map(|port| driven("ice", port)).to_vec());
    assert!(ask(&host, &request).is_err());
    // One that is held for VMs, or that the request gives up, leaves with its neighbour.
    let allowed = RequestSpec { allow_group: true, ..request.clone() };
    let for_vms = built(ports().map(|port| driven("vfio-pci", port)).to_vec());
    for (host, request) in [(&host, &allowed), (&for_vms, &request)] {
        let [given, functions, withheld] = taken(&ask(host, request).unwrap());
        assert_eq!((given.len(), functions.len(), withheld.len()), (1, 0, 1));
    }
}

#[test]
fn addresses_that_no_machine_has_are_refused() {
    let fine = at("01:00.0");
    for address in [PciAddr { device: 32, ..fine }, PciAddr { function: 8, ..fine }] {
        let odd = PciDevice { address, ..function("01:00.0", DISPLAY, NVIDIA, 1) };
        assert_eq!(machine(vec![odd]).build(), Err(HostError::AddressRange { address }));
        let of = function("01:00.1", DISPLAY, NVIDIA, 1);
        let odd = PciDevice { physical_function: Some(address), ..of };
        assert_eq!(machine(vec![odd]).build(), Err(HostError::AddressRange { address }));
        let request = RequestSpec { devices: vec![address], ..vm(2, 2) };
        assert_eq!(request.build(), Err(RequestError::AddressRange { address }));
    }
}

/// The same machine with other bus numbers, in the same order.
fn renumbered(host: &HostSpec, by: u8) -> HostSpec {
    let other = |address: PciAddr| PciAddr { bus: address.bus + by, ..address };
    let mut host = host.clone();
    for device in &mut host.devices {
        device.address = other(device.address);
        device.parent = device.parent.map(other);
    }
    host
}

#[test]
fn bus_numbers_decide_nothing() {
    let mut all = [behind_a_chipset(), processor(), four_functions()].concat();
    all.push(function("00:02.0", DISPLAY, 0x8086, 60));
    let host = machine(all);
    for by in [1, 7, 0x80] {
        let other = renumbered(&host, by);
        for count in 1..=2 {
            let request = RequestSpec { allow_group: by == 7, ..by_number(count) };
            let [here, there] = [&host, &other]
                .map(|host| taken(&ask(&host.clone().build().unwrap(), &request).unwrap()));
            let moved = |text: &String| {
                let address: PciAddr = at(text);
                PciAddr { bus: address.bus + by, ..address }.to_string()
            };
            assert_eq!(here.map(|list| list.iter().map(moved).collect::<Vec<_>>()), there);
        }
    }
}

#[test]
fn the_host_keeps_a_core_beside_the_gpu_that_it_drives() {
    let two = Machine { nodes: 2, cores: 4, threads: 1, pages: 16, gpus: &[], links: &[] };
    let gpu = |address, driver, node| {
        let function = driven(driver, function(address, DISPLAY, RADEON, node));
        PciDevice { node: Some(NodeId(node)), ..function }
    };
    let kept = |a, b| {
        let devices = vec![gpu("0000:01:00.0", a, 0), gpu("0000:02:00.0", b, 1)];
        let host = HostSpec { reserved: Reserve::Auto, devices, ..two.describe() };
        let host = host.build().unwrap();
        let node = host.core_of(host.kept().cpus.first().unwrap()).unwrap().node;
        (node.0, host.kept().why)
    };
    assert_eq!(kept("vfio-pci", "amdgpu"), (1, KeptWhy::OwnGpus));
    assert_eq!(kept("amdgpu", "vfio-pci"), (0, KeptWhy::OwnGpus));
    assert_eq!(kept("amdgpu", "amdgpu"), (0, KeptWhy::FirstCore));
    assert_eq!(kept("vfio-pci", "vfio-pci"), (0, KeptWhy::FirstCore));
}
