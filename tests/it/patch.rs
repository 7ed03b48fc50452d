//! Domains as requests, and patches of domains that people have: what is right stays, and what
//! changes is said. All domains here are made for these tests.

use pinwise::emit::DomainChange;
use pinwise::host::{CoreSpec, NodeSpec};
use pinwise::request::{GpuRequest, Guest, Wish};
use pinwise::units::{NodeId, PackageId, PcpuId};
use pinwise::{
    Bytes, Claim, Host, HostSpec, PageSize, PciAddr, Placement, Question, RequestSpec, Style,
    Usage, recommend,
};
use pinwise_discover::libvirt::{
    DomainRequest, PatchError, PatchOptions, PatchedDomain, patch, patch_with, request_of_domain,
};
use pinwise_testkit::common;
use pinwise_testkit::placements::{Card, pinned, with_cards};
use pinwise_testkit::trees::corpus;

/// Eight cores with two pCPUs each: pCPU n and n + 8. The host keeps 0 and 8.
fn desk() -> Host {
    let core = |core: u32| {
        CoreSpec::new(PackageId(0), core, [core, core + 8].map(PcpuId).into_iter().collect())
    };
    let node = NodeSpec::new(NodeId(0), (0..16).map(PcpuId).collect(), Bytes::from_gib(64));
    let (nodes, cores) = (vec![node], (0..8).map(core).collect());
    HostSpec { name: "desk".to_owned(), nodes, cores, ..HostSpec::default() }.build().unwrap()
}

/// A domain of four vCPUs and 4 GiB that shows its guest two cores of two siblings.
fn game(pins: &[u32], tune: &str, rest: &str) -> String {
    let pin = |(vcpu, pcpu)| format!("    <vcpupin vcpu='{vcpu}'  cpuset='{pcpu}'/>\n");
    let pins: String = pins.iter().enumerate().map(pin).collect();
    format!(
        "<domain type='kvm'>\n  <name>game</name>\n  <memory unit='GiB'>4</memory>\n  \
         <vcpu>4</vcpu>\n{rest}  <cputune>\n{pins}{tune}  </cputune>\n  \
         <os><type machine='pc-q35-9.0'>hvm</type></os>\n  <cpu mode='host-passthrough'>\n    \
         <topology sockets='1' cores='2' threads='2' clusters='1'/>\n    \
         <cache mode='passthrough'/>\n  </cpu>\n</domain>\n"
    )
}

/// The domain with the best placement for it.
fn planned(host: &Host, usage: &Usage, xml: &str) -> PatchedDomain {
    let DomainRequest { request, .. } = request_of_domain(host, xml).unwrap();
    // On an idle host, cores of their own would be worth more than siblings.
    let smt = if request.smt == Wish::Auto { Wish::Auto } else { Wish::Require(true) };
    let request = common::checked(&RequestSpec { smt, ..request });
    let question = Question::new(host, usage, &request);
    let answer = recommend(question).unwrap();
    patch_with(&answer.best().placement, xml, PatchOptions::new(question, &[])).unwrap()
}

fn of_part<'a>(patched: &'a PatchedDomain, part: &str) -> &'a DomainChange {
    let mut changes = patched.changes.iter();
    let found = changes.find(|change| change.part.starts_with(part));
    found.unwrap_or_else(|| panic!("{part} in {:?}", patched.changes))
}

#[test]
fn siblings_on_different_cores_are_named() {
    let host = desk();
    let wrong = game(&[1, 2, 9, 10], "", "");
    let patched = planned(&host, &Usage::empty(&host), &wrong);
    let change = of_part(&patched, "pins of vCPUs");
    let why = "guest siblings 0-1 were on different cores: 1, 2, and so were those of one more \
               guest core";
    assert_eq!(change.why, why);
    assert!(patched.xml.contains("<vcpupin vcpu='0'  cpuset='"), "blanks stay: {}", patched.xml);
}

#[test]
fn a_domain_that_is_right_stays_as_it_is() {
    let host = desk();
    let usage = Usage::empty(&host);
    let once = planned(&host, &usage, &game(&[1, 2, 9, 10], "", ""));
    assert!(!once.changes.is_empty());
    let again = planned(&host, &usage, &once.xml);
    assert_eq!((again.xml.as_str(), again.changes.as_slice()), (once.xml.as_str(), &[][..]));
}

#[test]
fn legal_sets_of_emulator_and_io_threads_stay_and_others_move_beside_the_emulator() {
    let host = desk();
    let io =
        "    <iothreadpin iothread='1' cpuset='7'/>\n    <iothreadpin iothread='2' cpuset='1'/>\n";
    let tune = format!("    <emulatorpin cpuset='6-7,14-15'/>\n{io}");
    let xml = game(&[1, 9, 2, 10], &tune, "  <iothreads>2</iothreads>\n");
    let patched = planned(&host, &Usage::empty(&host), &xml);
    assert!(patched.xml.contains("<emulatorpin cpuset='6-7,14-15'/>"), "{}", patched.xml);
    assert!(patched.xml.contains("iothread='1' cpuset='7'"), "{}", patched.xml);
    let change = of_part(&patched, "pins of I/O thread 2");
    assert_eq!((change.before.as_deref(), change.after.as_deref()), (Some("1"), Some("0,8")));
    // Another tenant's pCPUs are not for them.
    let mut usage = Usage::empty(&host);
    let held = Claim { dedicated: "7,15".parse().unwrap(), ..Claim::default() };
    usage.claim(&host, "other", held).unwrap();
    let patched = planned(&host, &usage, &xml);
    assert_eq!(of_part(&patched, "pins of the emulator").after.as_deref(), Some("0,8"));
}

#[test]
fn io_threads_keep_their_ids_and_are_never_without_pins() {
    let ids = "  <iothreads>2</iothreads>\n  <iothreadids><iothread id='5'/></iothreadids>\n";
    let xml = game(&[1, 9, 2, 10], "", ids);
    // The placement knows nothing of I/O threads: they go where the emulator is.
    let placement = pinned("game", 4, 4, 1, "0");
    let patched = patch(&placement, &xml).unwrap();
    for pin in ["iothread='1' cpuset='0-1'", "iothread='5' cpuset='0-1'", "<iothread id='5'/>"] {
        assert!(patched.contains(pin), "{pin} in {patched}");
    }
    assert_eq!(patch(&placement, &patched).unwrap(), patched);
}

/// A domain with these controllers and devices.
fn with_devices(machine: &str, devices: &str) -> String {
    format!(
        "<domain><name>vm</name><memory unit='GiB'>4</memory><vcpu>4</vcpu>\
         <os><type machine='{machine}'>hvm</type></os><devices>{devices}</devices></domain>"
    )
}

fn hostdev(bus: u8, function: u8, guest: &str) -> String {
    format!(
        "<hostdev mode='subsystem' type='pci' managed='no'><source><address bus='0x{bus:02x}' \
         function='{function}'/></source><alias name='hostdev{function}'/>{guest}</hostdev>"
    )
}

fn card(functions: &[&str]) -> Placement {
    let cards: [Card<'_>; 1] = [(functions, None)];
    with_cards(pinned("vm", 4, 4, 1, "0"), &cards)
}

const PORTS: &str = "<controller type='pci' model='pcie-root'/>\
    <controller type='pci' model='pcie-root-port'><target chassis='9' port='0x14'/></controller>\
    <controller type='pci' model='pcie-root-port'/>";

#[test]
fn devices_that_are_there_keep_their_places_and_missing_functions_join_them() {
    let at =
        |function| format!("<address type='pci' bus='0x01' slot='0x00' function='0x{function}'/>");
    let whole = card(&["0000:1b:00.0", "0000:1b:00.1"]);
    let devices = [PORTS, &hostdev(0x1b, 0, &at(0))].concat();
    let xml = with_devices("pc-q35-9.0", &devices);
    let patched = patch_with(&whole, &xml, PatchOptions::default()).unwrap();
    let xml = &patched.xml;
    assert!(xml.contains(PORTS) && xml.contains("<alias name='hostdev0'/>"), "{xml}");
    assert!(xml.contains("multifunction='on'") && xml.contains("managed='no'"), "{xml}");
    let change = of_part(&patched, "hostdev 0000:1b:00.1");
    assert_eq!(change.after.as_deref(), Some("guest address 0000:01:00.1"));
    assert_eq!(patch(&whole, xml).unwrap(), *xml);
    // On slots of their own they stay there.
    let apart = hostdev(0x1b, 0, &at(0))
        + &hostdev(0x1b, 1, "<address type='pci' bus='0x02' slot='0x00' function='0x0'/>");
    let xml = with_devices("pc-q35-9.0", &[PORTS, &apart].concat());
    let patched = patch(&whole, &xml).unwrap();
    assert!(patched.contains(&apart) && patched.contains(PORTS), "{patched}");
}

#[test]
fn a_device_that_the_vm_gives_back_is_removed() {
    let devices = [PORTS, &hostdev(0x1b, 0, ""), &hostdev(0x9b, 0, "")].concat();
    let xml = with_devices("pc-q35-9.0", &devices);
    let removed: [PciAddr; 1] = ["0000:9b:00.0".parse().unwrap()];
    let mut options = PatchOptions::default();
    options.removed = &removed;
    let patched = patch_with(&card(&["0000:1b:00.0"]), &xml, options).unwrap();
    assert!(patched.xml.contains("bus='0x1b'") && !patched.xml.contains("bus='0x9b'"));
    assert_eq!(of_part(&patched, "hostdev 0000:9b:00.0").after, None);
}

#[test]
fn a_machine_without_pcie_is_pinned_and_expander_buses_are_refused() {
    let kept = hostdev(0x1b, 0, "<address type='pci' bus='0x00' slot='0x05' function='0x0'/>");
    let xml = with_devices("pc-i440fx-9.0", &kept);
    let patched = patch(&card(&["0000:1b:00.0"]), &xml).unwrap();
    assert!(patched.contains(&kept) && patched.contains("<vcpupin"), "{patched}");
    assert!(!patched.contains("<controller"), "{patched}");
    let all = pinwise_testkit::placements::all();
    let two = all.iter().find(|placement| placement.name == "two-cells").unwrap();
    let error = patch(two, &xml).unwrap_err();
    assert!(matches!(error, PatchError::Machine { .. }));
    assert!(error.to_string().contains("use q35, or a layout with one cell"), "{error}");
}

#[test]
fn a_preferred_node_stays_preferred() {
    let placement = pinned("vm", 4, 4, 1, "0");
    let tune = |mode: &str, nodes: &str| {
        let xml = with_devices("q35", "");
        let tune = format!("<numatune><memory mode='{mode}' nodeset='{nodes}'/></numatune>");
        let xml = xml.replace("<os>", &format!("{tune}<os>"));
        patch_with(&placement, &xml, PatchOptions::default()).unwrap()
    };
    let same = tune("preferred", "0");
    assert!(same.xml.contains("<memory mode='preferred' nodeset='0'/>"), "{}", same.xml);
    assert!(same.changes.iter().all(|change| change.part != "memory"));
    let other = tune("preferred", "1");
    assert!(other.xml.contains("<memory mode='preferred' nodeset='0'/>"), "{}", other.xml);
    let change = of_part(&tune("interleave", "0-1"), "memory").to_string();
    assert!(change.starts_with("memory: interleave on nodes 0-1 -> strict on node 0"), "{change}");
}

#[test]
fn what_virt_install_and_nova_write_stays_while_the_size_does() {
    let parts = "<maxMemory slots='16' unit='GiB'>8</maxMemory>";
    let vcpus = "<vcpu placement='static' current='2'>4</vcpu>\
                 <vcpus><vcpu id='0' enabled='yes' hotpluggable='no'/></vcpus>";
    let tune = "<cputune><shares>4096</shares>\
                <vcpusched vcpus='0-3' scheduler='fifo' priority='1'/>\
                <cachetune vcpus='2-3'><cache id='0' level='3' type='both' size='3' unit='MiB'/>\
                </cachetune></cputune>";
    let cpu = "<cpu mode='custom' match='exact'><model fallback='forbid'>EPYC-Rome</model>\
               <numa><cell id='0' cpus='0-3' memory='4194304'/></numa></cpu>";
    let xml = format!(
        "<domain><name>vm</name>{parts}<memory unit='MiB'>4096</memory>{vcpus}{tune}\
         <os><type machine='pc-q35-9.0'>hvm</type></os>{cpu}</domain>"
    );
    let patched = patch(&pinned("vm", 4, 4, 1, "0"), &xml).unwrap();
    for part in [parts, vcpus, "<vcpusched vcpus='0-3'", "<cachetune vcpus='2-3'>", "EPYC-Rome"] {
        assert!(patched.contains(part), "{part} in {patched}");
    }
    assert!(patched.contains("<cell id='0' cpus='0-3' memory='4194304'/>"), "{patched}");
    // With other sizes they follow.
    let options = PatchOptions::default();
    let less = patch_with(&pinned("vm", 3, 16, 1, "0"), &xml, options).unwrap();
    for part in ["vcpusched vcpus='0-2'", "cachetune vcpus='2'", "unit='KiB'>16777216</maxMemory>"]
    {
        assert!(less.xml.contains(part), "{part} in {}", less.xml);
    }
    assert!(!less.xml.contains("<vcpus>") && !less.xml.contains("current="), "{}", less.xml);
    for part in ["vCPUs", "<vcpus>", "vCPUs of <vcpusched>", "maximum memory", "guest cells"] {
        of_part(&less, part);
    }
}

#[test]
fn a_domain_asks_for_its_size_its_devices_and_its_threads() {
    let host = common::host("rtx-4080");
    let gpu = host.gpus()[0].address;
    let other =
        host.pci().devices().iter().find(|device| device.kind() == pinwise::host::DeviceKind::Nic);
    let source = |at: PciAddr| {
        let PciAddr { domain, bus, device, function } = at;
        format!(
            "<hostdev type='pci'><source><address domain='{domain}' bus='{bus}' slot='{device}' \
             function='{function}'/></source></hostdev>"
        )
    };
    let audio = PciAddr { function: 1, ..gpu };
    let mut devices = source(gpu) + &source(audio) + &source("00ff:1e:1f.7".parse().unwrap());
    let nic = other.map(|device| device.address);
    devices += &nic.map(source).unwrap_or_default();
    let xml = format!(
        "<domain><name>vm</name><uuid> 7 </uuid><memory unit='MiB'>4096</memory>\
         <memoryBacking><hugepages><page size='2' unit='MiB'/></hugepages></memoryBacking>\
         <vcpu current='2'>6</vcpu><iothreads>2</iothreads><features><hyperv/></features>\
         <cpu><topology sockets='1' cores='3' threads='2'/></cpu><devices>{devices}</devices></domain>"
    );
    let DomainRequest { request, uuid, gpu_functions, notes, .. } =
        request_of_domain(&host, &xml).unwrap();
    let expected = RequestSpec {
        page_size: Some(PageSize::MIB_2),
        gpus: GpuRequest::Addresses(vec![gpu]),
        devices: nic.into_iter().collect(),
        guest: Guest::Windows,
        io_threads: 2,
        smt: Wish::Prefer(true),
        ..RequestSpec::new("vm", 6, Bytes::from_gib(4))
    };
    assert_eq!(request, expected);
    assert_eq!((uuid.as_deref(), gpu_functions), (Some("7"), vec![gpu, audio]));
    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[1].contains("00ff:1e:1f.7 is not a device"), "{notes:?}");
    for (wrong, words) in [
        ("<domain/>", "no <name>"),
        ("<domain><memory>1</memory></domain>", "no <name>"),
        ("<domain><name>a</name><memory>1</memory><vcpu>5000</vcpu></domain>", "number of vCPUs"),
        (
            "<domain><name>a</name><memory>1</memory><iothreads>x</iothreads></domain>",
            "I/O threads",
        ),
        ("<network/>", "not a <domain>"),
    ] {
        let error = request_of_domain(&host, wrong).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{wrong}: {error}");
    }
}

/// Real domains: what is not the placement's stays, devices keep their places, and a text without
/// changes is the same.
#[test]
fn real_domains_keep_what_is_not_the_placements() {
    let Some(folder) = corpus("libvirt-domains") else { return };
    let mut patched_ones = 0;
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "xml")) {
        let xml = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        for placement in pinwise_testkit::placements::all() {
            let pins = placement.style != Style::Default;
            match patch_with(&placement, &xml, PatchOptions::default()) {
                Ok(patched) => {
                    patched_ones += 1;
                    let name = format!("{} in {}", placement.name, path.display());
                    let again =
                        patch_with(&placement, &patched.xml, PatchOptions::default()).unwrap();
                    assert_eq!(again.xml, patched.xml, "{name}");
                    assert_eq!(again.changes, [], "{name}");
                    assert_eq!(patched.changes.is_empty(), patched.xml == xml, "{name}");
                    let left = |xml: &str| -> String {
                        crate::emit::rest(xml, pins).split_whitespace().collect()
                    };
                    assert_eq!(left(&patched.xml), left(&xml), "{name}");
                }
                Err(error) => {
                    let sentence = error.to_string();
                    assert!(sentence.len() < 300 && !sentence.contains('\n'), "{sentence}");
                }
            }
        }
    }
    println!("{patched_ones} patches");
    assert!(patched_ones > 50, "{patched_ones}");
}
