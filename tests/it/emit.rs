//! What the emitters write, and what a patch leaves alone.

use std::ops::Range;

use pinwise::emit::libvirt::{EmitError, domain, fragments};
use pinwise::{PageSize, Placement, Style};
use pinwise_discover::libvirt::{PatchError, patch};
use pinwise_testkit::placements::{Card, floating, pinned, split, with_cards};
use proptest::prelude::*;
use roxmltree::{Document, Node};

const DESK: &str = include_str!("../lab/desk.xml");

fn named(name: &str) -> Placement {
    pinwise_testkit::placements::all()
        .into_iter()
        .find(|placement| placement.name == name)
        .expect("it is listed")
}

#[test]
fn a_card_with_audio_is_one_slot_behind_the_expander_of_its_cell() {
    let mut placement = split(pinned("vm", 4, 2, 8, "0"), &[(2, 1), (2, 1)]);
    placement.topology.sockets = 2;
    placement.topology.cores = 2;
    let cards: [Card<'_>; 1] = [(&["0000:9b:00.0", "0000:9b:00.1"], Some(1))];
    let placement = with_cards(placement, &cards);
    let expected = include_str!("../lab/fragments.xml");
    let found = fragments(&placement).unwrap();
    assert_eq!(found, expected, "{found}");
}

#[test]
fn a_default_layout_pins_and_binds_nothing() {
    let xml = fragments(&floating("vm", 4, 2)).unwrap();
    for word in ["cputune", "numatune", "<numa>", "memoryBacking", "passthrough'/>", "iothreads"] {
        assert!(!xml.contains(word), "{word} in:\n{xml}");
    }
}

#[test]
fn fragments_are_what_the_whole_domain_has() {
    let flat = |xml: &str| -> Vec<String> { xml.lines().map(|l| l.trim().to_owned()).collect() };
    for placement in pinwise_testkit::placements::all() {
        let whole = flat(&domain(&placement).unwrap());
        for line in flat(&fragments(&placement).unwrap()) {
            assert!(line.starts_with("<!--") || whole.contains(&line), "{line}");
        }
    }
}

#[test]
fn a_name_survives_and_a_bad_one_is_refused() {
    for name in ["a", "it's \"<b>\" & ]]> é", "tab\there"] {
        let xml = domain(&floating(name, 1, 1)).unwrap();
        let parsed = Document::parse(&xml).unwrap();
        let found = parsed.descendants().find(|node| node.has_tag_name("name")).unwrap();
        assert_eq!(found.text(), Some(name));
    }
    for name in ["", "  ", "a/b", "a\nb", "bell\u{7}", "\u{ffff}"] {
        let error = domain(&floating(name, 1, 1)).unwrap_err();
        assert!(matches!(error, EmitError::Name { .. }), "{error}");
    }
}

/// What a BIOS cannot give I/O addresses to goes through UEFI, as GPUs do.
#[test]
fn many_ports_take_uefi() {
    let nics = |count: usize| {
        let addresses: Vec<String> = (0..count).map(|at| format!("0000:{at:02x}:00.0")).collect();
        let cards: Vec<[&str; 1]> = addresses.iter().map(|address| [address.as_str()]).collect();
        let cards: Vec<Card<'_>> = cards.iter().map(|card| (card.as_slice(), None)).collect();
        let mut placement = with_cards(floating("vm", 2, 2), &cards);
        placement.devices.iter_mut().for_each(|device| device.is_gpu = false);
        domain(&placement).unwrap().contains("firmware='efi'")
    };
    assert_eq!([nics(0), nics(8), nics(9)], [false, false, true]);
}

/// Elements that are the placement's to say, wherever they are.
fn is_owned(node: Node<'_, '_>, pinned: bool) -> bool {
    let name = node.tag_name().name();
    let within = node.parent_element().map_or("", |parent| parent.tag_name().name());
    match (within, name) {
        (
            "domain",
            "maxMemory" | "memory" | "currentMemory" | "vcpu" | "iothreads" | "numatune" | "vcpus",
        ) => true,
        ("cputune", "vcpupin" | "emulatorpin" | "iothreadpin") => true,
        ("cputune", "quota" | "period") => pinned,
        ("memoryBacking", "hugepages") => true,
        ("cpu", "topology" | "numa" | "cache") => true,
        ("cpu", "feature") => node.attribute("name") == Some("topoext"),
        ("features", "acpi" | "ioapic") => true,
        ("devices", "iommu") => true,
        ("devices", "controller") => {
            node.attribute("type") == Some("pci") && node.attribute("index") != Some("0")
        }
        // The desk's own is not managed.
        ("devices", "hostdev") if node.attribute("managed") == Some("no") => false,
        ("devices", "hostdev") => node.descendants().any(|node| {
            node.has_tag_name("alias")
                && node.attribute("name").is_some_and(|n| n.starts_with("ua-"))
        }),
        ("hostdev", "address" | "alias") => true,
        ("commandline", "arg") => node
            .attribute("value")
            .is_some_and(|value| value == "-fw_cfg" || value.contains("X-PciMmio64Mb")),
        _ => false,
    }
}

/// The text without what the placement owns, and without the blanks before that. An element that
/// has nothing but owned ones in it goes too.
pub(crate) fn rest(xml: &str, pinned: bool) -> String {
    fn cuts(xml: &str, node: Node<'_, '_>, pinned: bool, out: &mut Vec<Range<usize>>) {
        let children = || node.children().filter(|child| child.is_element() || child.is_comment());
        let all = children().next().is_some()
            && children().all(|child| child.is_element() && is_owned(child, pinned));
        if is_owned(node, pinned) || (all && !node.has_tag_name("domain")) {
            let before = xml[..node.range().start].trim_end();
            out.push(before.len()..node.range().end);
        } else {
            node.children()
                .filter(Node::is_element)
                .for_each(|child| cuts(xml, child, pinned, out));
        }
    }
    let document = Document::parse(xml).expect("both are XML");
    let mut out = Vec::new();
    cuts(xml, document.root_element(), pinned, &mut out);
    let mut text = String::new();
    let mut at = 0;
    for range in out {
        text.push_str(&xml[at..range.start]);
        at = range.end;
    }
    text + &xml[at..]
}

/// Every attribute and text that the placement owns, sorted; quotas aside, which it does not bring.
fn owned(xml: &str) -> Vec<String> {
    let document = Document::parse(xml).expect("both are XML");
    let mut all = Vec::new();
    for node in document.root_element().descendants().filter(|n| is_owned(*n, true)) {
        if matches!(
            node.tag_name().name(),
            "controller" | "hostdev" | "address" | "alias" | "arg" | "period" | "quota"
        ) {
            continue;
        }
        for node in node.descendants().filter(Node::is_element) {
            let attributes = node.attributes().filter(|a| a.name() != "dumpCore");
            let attributes: Vec<_> = attributes.map(|a| (a.name(), a.value())).collect();
            let text = node.text().unwrap_or("").trim();
            all.push(format!("{} {attributes:?} {text}", node.tag_name().name()));
        }
    }
    all.sort();
    all
}

/// The domain's PCI controllers have all indexes from 0 on, and host functions no place twice.
fn assert_sound(xml: &str) {
    let document = Document::parse(xml).unwrap();
    let devices = document.root_element().children().find(|n| n.has_tag_name("devices")).unwrap();
    let controllers = devices.children().filter(|n| n.attribute("type") == Some("pci"));
    let indexes =
        controllers.filter_map(|n| n.attribute("index")).map(|i| i.parse::<u32>().unwrap());
    let mut indexes: Vec<u32> = indexes.collect();
    indexes.sort_unstable();
    assert!(indexes.iter().copied().eq(0..u32::try_from(indexes.len()).unwrap()), "{indexes:?}");
    let place = |n: Node<'_, '_>| {
        let address = n.children().find(|c| c.has_tag_name("address"))?;
        let hex = |name: &str| address.attribute(name).unwrap().to_owned();
        address.attribute("bus").map(|_| [hex("bus"), hex("slot"), hex("function")])
    };
    let mut places: Vec<_> =
        devices.children().filter(Node::is_element).filter_map(place).collect();
    let count = places.len();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), count, "{xml}");
}

#[test]
fn a_patch_is_idempotent_keeps_the_rest_and_says_the_placement() {
    let all = pinwise_testkit::placements::all();
    for first in &all {
        let once = patch(first, DESK).unwrap();
        assert_eq!(patch(first, &once).unwrap(), once, "{}", first.name);
        assert_sound(&once);
        let pinned = first.style != Style::Default;
        assert_eq!(rest(&once, pinned), rest(DESK, pinned), "{}", first.name);
        let mine = owned(&once);
        let whole = owned(&domain(first).unwrap());
        assert_eq!(mine, whole, "{}", first.name);
        // What an earlier placement brought goes with it.
        for second in &all {
            let twice = patch(second, &once).unwrap();
            assert_sound(&twice);
            assert_eq!(patch(second, &twice).unwrap(), twice, "{} {}", first.name, second.name);
            // Features, I/O threads and an IOMMU stay: the domain may use them.
            let stays = ["acpi", "ioapic", "iothread", "feature", "iommu", "driver"];
            let tuned = |xml: &str| {
                let mut all = owned(xml);
                all.retain(|line| !stays.iter().any(|name| line.starts_with(name)));
                // Pages of all cells need no list of them.
                let listed = ", (\"nodeset\"";
                for line in all.iter_mut().filter(|line| line.starts_with("page ")) {
                    line.truncate(line.find(listed).unwrap_or(line.len()));
                    *line = line.trim_end_matches([']', ' ']).to_owned();
                }
                all
            };
            assert_eq!(tuned(&twice), tuned(&patch(second, DESK).unwrap()));
            // One of the desk's devices is nobody's; the other goes with the first that put it on
            // an expander bus.
            let places = |placement: &Placement| {
                let mut functions = placement.pci.functions.iter();
                functions.any(|function| function.host.to_string() == "0000:1b:00.0")
            };
            let moved = places(first) && !first.pci.expanders.is_empty();
            let own = 1 + usize::from(!moved && !places(second));
            let hosts = second.pci.functions.len() + own;
            assert_eq!(twice.matches("<hostdev").count(), hosts, "{twice}");
        }
    }
}

#[test]
fn a_host_device_that_was_there_keeps_all_but_its_place() {
    let patched = patch(&named("two-cells"), DESK).unwrap();
    let device = patched.split("<hostdev").nth(1).unwrap();
    assert!(device.contains("managed=\"no\"") && device.contains("<rom bar=\"off\"/>"), "{device}");
    assert!(device.contains("bus='0x04'") && device.contains("multifunction='on'"), "{device}");
    // The one that nobody asked about stays where it is.
    assert!(patched.contains("bus=\"0xe1\"") && patched.contains("bus=\"0x03\" slot"));
    assert!(patched.contains("dumpCore=\"off\""));
}

#[test]
fn a_chosen_cpu_model_stays_and_cells_keep_their_access() {
    let model = DESK.replace(
        "<cpu mode=\"host-passthrough\" check=\"none\">",
        "<cpu mode='custom' match='exact'>\n        <model fallback='forbid'>EPYC-Milan</model>",
    );
    let cell = "<numa><cell id='0' cpus='0-3' memory='8' unit='GiB' memAccess=\"shared\"/></numa>";
    let model = model.replace("<topology sockets", &format!("{cell}\n        <topology sockets"));
    let xml = patch(&named("pin"), &model).unwrap();
    assert!(xml.contains("<cpu mode='custom' match='exact'>") && !xml.contains("<cache"), "{xml}");
    assert!(
        xml.contains("<cell id='0' cpus='0-7' memory='16777216' unit='KiB' memAccess=\"shared\"/>")
    );
    let bare = DESK.replace("<cpu mode=\"host-passthrough\" check=\"none\">", "<cpu>");
    let bare = bare.replace("<feature policy=\"disable\" name=\"svm\"/>", "");
    let xml = patch(&named("pin"), &bare).unwrap();
    assert!(xml.contains("<cpu mode='host-passthrough' check='none' migratable='off'>"), "{xml}");
}

#[test]
fn elements_without_content_get_some() {
    let xml = "<domain><name>a</name><features/><cpu/><devices></devices></domain>";
    let once = patch(
        &named("vcpus-300"),
        &xml.replace("<features", "<os><type machine='q35'/></os><features"),
    )
    .unwrap();
    assert_eq!(once.lines().count(), 1, "a file of one line stays one");
    assert_eq!(patch(&named("vcpus-300"), &once).unwrap(), once);
    let parsed = Document::parse(&once).unwrap();
    assert!(parsed.descendants().any(|node| node.has_tag_name("iommu")));
    assert_eq!(parsed.descendants().filter(|node| node.has_tag_name("hostdev")).count(), 1);
    let empty = patch(&named("pin"), "<domain/>").unwrap();
    assert_eq!(patch(&named("pin"), &empty).unwrap(), empty);
}

#[test]
fn what_would_no_longer_be_true_is_refused() {
    let two = named("two-cells");
    let with = |from: &str, to: &str| patch(&two, &DESK.replace(from, to)).unwrap_err();
    let error = with("<input ", "<memory model='dimm'/><input ");
    assert!(matches!(error, PatchError::Conflict { element: "memory", .. }));
    let error = with("pc-q35-10.0", "pc-i440fx-9.2");
    assert!(matches!(error, PatchError::Machine { .. }));
    let error = with("<vcpu ", "<vcpu>3</vcpu><vcpu ");
    assert!(matches!(error, PatchError::Twice { .. }));
    let error = with("<target chassis=\"1\"", "<target chassis=\"4\"");
    assert!(matches!(error, PatchError::Chassis { chassis: 4 }));
    let expander = "<controller type='pci' index='4' model='pcie-expander-bus'><target busNr='9'>\
                    <node>2</node></target></controller><input ";
    let error = with("<input ", expander);
    assert!(matches!(error, PatchError::Conflict { element: "controller", .. }));
    let error = with("<input ", &expander.replace("<node>2", "<node>1").replace("'9'", "'65'"));
    assert!(matches!(error, PatchError::Emit(EmitError::BusNumber { bus_nr: 65, .. })), "{error}");
    let error = with("index=\"3\"", "index=\"300\"");
    assert!(matches!(error, PatchError::Value { what: "a controller index", .. }));
    let error = with("bus=\"0x1b\"", "bus=\"0x1bb\"");
    assert!(matches!(error, PatchError::Value { what: "a PCI bus up to 255", .. }));
    let threads = DESK.replace("cache='none'", "cache='none' iothread='3'");
    let error = patch(&named("iothreads-smt"), &threads).unwrap_err();
    assert_eq!(error, PatchError::IoThread { id: 3, count: 2 });
    let disk = "<disk type='file'/>".repeat(70);
    let error = with("<input ", &format!("{disk}<input "));
    assert!(matches!(error, PatchError::Emit(EmitError::BusNumber { bus_nr: 64, .. })), "{error}");
}

#[test]
fn hostile_documents_are_refused() {
    let pin = named("pin");
    let bomb = format!("<!DOCTYPE domain [<!ENTITY a 'b'>]>{}", &DESK[38..]);
    assert!(matches!(patch(&pin, &bomb), Err(PatchError::Xml { .. })));
    assert!(matches!(patch(&pin, ""), Err(PatchError::Xml { .. })));
    let many = format!("<domain>{}</domain>", "<a/>".repeat(300_000));
    assert!(matches!(patch(&pin, &many), Err(PatchError::Xml { .. })));
    let long = format!("<domain>{}</domain>", " ".repeat(5 << 20));
    assert!(matches!(patch(&pin, &long), Err(PatchError::TooLong { .. })));
    assert!(matches!(patch(&pin, "<network/>"), Err(PatchError::NotADomain { .. })));
}

/// Domains in other people's hands: any order, quotes, indentation, with some of the parts.
fn domains() -> impl Strategy<Value = String> {
    let pieces = [
        "<memory unit='KiB'>1048576</memory>",
        "<currentMemory\n unit='KiB' >1</currentMemory>",
        "<vcpu>2</vcpu><!-- two -->",
        "<iothreads>2</iothreads>",
        "<cputune><vcpupin vcpu='0' cpuset='1'/><shares>9</shares></cputune>",
        "<cputune>\n<!-- pins --><emulatorpin cpuset='1'/></cputune>",
        "<numatune><memory mode='strict' nodeset='3'/></numatune>",
        "<memoryBacking><hugepages/></memoryBacking>",
        "<memoryBacking><nosharepages/><hugepages><page size='2' unit='M'/></hugepages></memoryBacking>",
        "<cpu mode='host-model'><numa><cell id='0' cpus='0-1' memory='1' unit='G'/></numa><feature name='a'/></cpu>",
        "<cpu mode='maximum' >\t<cache mode='disable'/>\t</cpu>",
        "<features><pae/></features>",
        "<features><ioapic driver='kvm'/><!-- x --></features>",
        "<on_poweroff>destroy</on_poweroff>",
        "<!-- <vcpu>7</vcpu> -->",
        "<description><![CDATA[<memory> & ]]]]><![CDATA[>]]></description>",
        "<x:y xmlns:x='urn:x'><vcpu a='>'/></x:y>",
        "<seclabel type='none'/>",
    ];
    let pieces = Just(pieces.to_vec()).prop_shuffle();
    let blank = prop_oneof![Just(""), Just("\n"), Just("\n  "), Just("\r\n\t"), Just("\n    ")];
    let device = prop_oneof![
        Just("<controller type='pci' index='0' model='pcie-root'/>"),
        Just(
            "<hostdev mode='subsystem' type='pci'><source><address bus='0xe1'/></source></hostdev>"
        ),
        Just("<!-- devices -->"),
        Just("<emulator>/usr/bin/qemu-system-x86_64</emulator>"),
        Just("<input type='tablet' bus='usb'/>"),
    ];
    let devices = proptest::collection::vec((device, blank.clone()), 0..6);
    (pieces, 0..18_usize, blank, devices).prop_map(|(pieces, count, blank, devices)| {
        let mut seen = std::collections::BTreeSet::new();
        let tag = |piece: &str| piece[..piece.find([' ', '>', '\n']).unwrap_or(1)].to_owned();
        let mut out = String::from("<domain type='kvm'>");
        for piece in pieces.into_iter().take(count) {
            if tag(piece).starts_with("<!") || seen.insert(tag(piece)) {
                out += blank;
                out += piece;
            }
        }
        out += &format!("{blank}<os><type machine='q35'>hvm</type></os>{blank}<devices>");
        for (device, blank) in devices {
            if !device.contains("index") || !out.contains("index='0'") {
                out += blank;
                out += device;
            }
        }
        out + "</devices>" + blank.trim_end_matches([' ', '\t']) + "</domain>\n"
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_domain_keeps_what_is_not_the_placements(xml in domains(), which in 0..13_usize) {
        let placement = pinwise_testkit::placements::all().swap_remove(which);
        let once = patch(&placement, &xml).unwrap();
        prop_assert_eq!(&patch(&placement, &once).unwrap(), &once);
        let left = |xml: &str| rest(xml, true).split_whitespace().collect::<String>();
        let comparable = |xml: &str| left(xml).replace("<devices></devices>", "");
        prop_assert_eq!(comparable(&once), comparable(&xml));
    }

    #[test]
    fn any_text_is_an_answer_and_no_panic(text in "[<>/a-z'\"=& \n!\\[\\]-]{0,200}", at in 0..3000_usize) {
        let _ = patch(&named("two-cells"), &text);
        let at = (0..=at).rev().find(|at| DESK.is_char_boundary(*at)).unwrap_or(0).min(DESK.len());
        let _ = patch(&named("two-cells"), &format!("{}{text}{}", &DESK[..at], &DESK[at..]));
    }
}

#[test]
fn page_sizes_are_said_in_kib_for_the_cells_that_have_them() {
    let xml = fragments(&named("unequal")).unwrap();
    assert!(xml.contains("<page size='2048' unit='KiB' nodeset='1'/>"), "{xml}");
    assert!(xml.contains("<page size='1048576' unit='KiB' nodeset='0'/>"), "{xml}");
    let one = pinwise_testkit::placements::paged(pinned("vm", 4, 2, 8, "0"), PageSize::GIB_1);
    assert!(fragments(&one).unwrap().contains("<page size='1048576' unit='KiB'/>"));
}
