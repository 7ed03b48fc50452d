//! Domain XML read back as tenants.

use std::path::{Path, PathBuf};

use pinwise::json::read_host;
use pinwise::request::GpuRequest;
use pinwise::units::NodeId;
use pinwise::{
    Bytes, Claim, CpuSet, Host, Options, PageSize, Question, Request, RequestSpec, Style, Usage,
    emit, recommend,
};
use pinwise_discover::libvirt::{Domain, LibvirtError, read_domain};
use proptest::prelude::*;

use pinwise_testkit::claims::{in_xml, without_shares};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hosts")
}

fn host(name: &str) -> Host {
    let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    read_host(&text).unwrap().build().unwrap()
}

fn set(text: &str) -> CpuSet {
    text.parse().unwrap()
}

/// A domain of 2 GiB with this in it, on a host with four nodes of 24 cores.
fn read(inside: &str) -> Result<Domain, LibvirtError> {
    let host = host("hgx-h200-snc2");
    let memory = if inside.contains("<memory unit") { "" } else { "<memory>2097152</memory>" };
    read_domain(&host, &format!("<domain><name>vm</name>{memory}{inside}</domain>"))
}

fn claim(inside: &str) -> Claim {
    read(inside).unwrap().claim
}

fn said(inside: &str) -> String {
    read(inside).unwrap().notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn refused(inside: &str) -> String {
    let message = read(inside).unwrap_err().to_string();
    assert!(!message.contains('\n') && message.len() < 300, "{message}");
    message
}

/// `(node or none, size, count)` of each claim.
fn pages(inside: &str) -> Vec<(Option<u32>, PageSize, u64)> {
    let claims = claim(inside).pages;
    claims.iter().map(|p| (p.node.map(|node| node.0), p.page_size, p.count)).collect()
}

#[test]
fn an_id_is_what_runs() {
    for (id, running) in [("", false), (" id='7'", true), (" id='-1'", false)] {
        let xml = format!("<domain{id}><name>a</name><memory>1</memory></domain>");
        assert_eq!(read_domain(&host("i9-14900k"), &xml).unwrap().running, running, "{id}");
    }
}

#[test]
fn pins_to_one_pcpu_dedicate_it_and_wider_ones_do_not() {
    let some = claim(
        "<vcpu>4</vcpu><cputune>
           <vcpupin vcpu='0' cpuset='8'/><vcpupin vcpu='1' cpuset='9'/>
           <vcpupin vcpu='2' cpuset='10-12,^11'/><vcpupin vcpu='3' cpuset=' 8 - 10 '/>
           <emulatorpin cpuset='9,20'/><iothreadpin iothread='1' cpuset='21'/>
         </cputune>",
    );
    assert_eq!(some.dedicated, set("8-9"));
    assert_eq!(some.floating, set("10,12,20-21"));
}

#[test]
fn what_has_no_pin_floats_on_the_domains_pcpus_or_on_all() {
    let all = host("hgx-h200-snc2").online().clone();
    assert_eq!(claim("").floating, all);
    assert_eq!(claim("<vcpu cpuset='3-5'>4</vcpu>").floating, set("3-5"));
    assert_eq!(claim("<vcpu cpuset='3'>1</vcpu>").dedicated, set(""));
    let pin = "<cputune><vcpupin vcpu='0' cpuset='9'/></cputune>";
    assert_eq!(claim(pin), Claim { dedicated: set("9"), ..claim(pin) });
    assert_eq!(claim(pin).floating, set(""), "not for the light work of the emulator's threads");
    assert!(said(pin).contains("emulator threads are not"), "{}", said(pin));
    let two = format!("<vcpu>2</vcpu>{pin}");
    assert_eq!(claim(&two).floating, all.difference(&set("9")), "the other vCPU");
    let xml = format!("<vcpu cpuset='3-5'>2</vcpu>{pin}");
    assert_eq!((claim(&xml).dedicated, claim(&xml).floating), (set("9"), set("3-5")));
    let auto = "<vcpu placement='auto' cpuset='3-5'>2</vcpu>";
    assert_eq!(claim(auto).floating, all);
    assert!(said(auto).contains("numad"), "{}", said(auto));
    let threads = "<vcpu cpuset='3-5'>1</vcpu><iothreads>1</iothreads><cputune>
        <vcpupin vcpu='0' cpuset='9'/><emulatorpin cpuset='20'/></cputune>";
    assert_eq!(claim(threads).floating, set("3-5,20"));
}

#[test]
fn pcpus_that_are_off_are_left_out_unless_none_is_left() {
    let part = "<vcpu cpuset='190-200'>2</vcpu>";
    assert_eq!(claim(part).floating, set("190-191"));
    assert!(said(part).contains("pCPUs 192-200 are not online"), "{}", said(part));
    let none = refused("<vcpu>2</vcpu><cputune><vcpupin vcpu='0' cpuset='500'/></cputune>");
    assert!(none.starts_with("line 1, column "), "{none}");
    assert!(none.ends_with("cpuset names pCPUs 500, which the host does not have"), "{none}");
}

#[test]
fn memory_is_counted_in_whole_pages_where_it_is_bound() {
    let (base, huge, large) = (PageSize::KIB_4, PageSize::MIB_2, PageSize::GIB_1);
    let tune = "<numatune><memory mode='strict' nodeset='1'/></numatune>";
    let backed =
        |page: &str| format!("<memoryBacking><hugepages>{page}</hugepages></memoryBacking>");
    assert_eq!(pages(""), [(None, base, 524_288)]);
    assert_eq!(pages(tune), [(Some(1), base, 524_288)]);
    assert_eq!(pages(&backed("<page size='1' unit='G'/>")), [(None, large, 2)]);
    let odd = "<memory unit='MB'>2500</memory>".to_owned() + &backed("<page size='2048'/>");
    assert_eq!(pages(&odd), [(None, huge, 1193)]);
    assert!(said(&odd).contains("1193 pages of 2 MiB"), "{}", said(&odd));
    let even = backed("<page size='1' unit='GiB'/>")
        + "<memory unit='GiB'>9</memory><numatune><memory nodeset='0-3,^2'/></numatune>";
    assert_eq!(pages(&even), [0, 1, 3].map(|node| (Some(node), large, 3)));
    assert!(said(&even).contains("nodes 0-1,3: even shares are assumed"), "{}", said(&even));
    let smallest = backed("");
    assert!(said(&smallest).contains("<hugepages> names no size"), "{}", said(&smallest));
    let auto = "<vcpu placement='auto'>2</vcpu><numatune><memory mode='strict'/></numatune>";
    assert_eq!(pages(auto), [(None, base, 524_288)]);
}

#[test]
fn each_cell_has_its_own_pages_and_nodes() {
    let (huge, large) = (PageSize::MIB_2, PageSize::GIB_1);
    let cells = "<vcpu>4</vcpu><cpu><numa>
        <cell id='0' cpus='0-1' memory='4' unit='GiB'/><cell cpus='2-3' memory='2097152'/>
      </numa></cpu>";
    let backing = "<memoryBacking><hugepages>
        <page size='2' unit='M' nodeset='1'/><page size='1048576'/>
      </hugepages></memoryBacking>";
    let tune = "<numatune><memory mode='strict' nodeset='2-3'/>
        <memnode cellid='1' mode='strict' nodeset='0'/></numatune>";
    let found = pages(&[cells, backing, tune].concat());
    assert_eq!(found, [(Some(0), huge, 1024), (Some(2), large, 2), (Some(3), large, 2)]);
    let module = "<devices><memory model='dimm'><source><nodemask>1</nodemask></source>
        <target><size unit='GiB'>1</size><node>0</node></target></memory></devices>";
    let found = pages(&[cells, backing, tune, module].concat());
    assert_eq!(found[1], (Some(1), large, 1));
}

#[test]
fn what_a_preferred_node_cannot_give_may_be_anywhere() {
    let host = host("hgx-h200-snc2");
    let total = host.node(NodeId(1)).unwrap().pool(PageSize::GIB_1).unwrap().total;
    let xml = |mode| {
        format!(
            "<memory unit='GiB'>{}</memory><memoryBacking><hugepages><page size='1' unit='G'/>
             </hugepages></memoryBacking><numatune><memory mode='{mode}' nodeset='1'/></numatune>",
            total + 5
        )
    };
    let size = PageSize::GIB_1;
    assert_eq!(pages(&xml("preferred")), [(None, size, 5), (Some(1), size, total)]);
    assert_eq!(pages(&xml("strict")), [(Some(1), size, total + 5)]);
    let error = Usage::empty(&host).claim(&host, "vm", claim(&xml("strict"))).unwrap_err();
    assert!(error.to_string().contains("on node 1"), "{error}");
}

#[test]
fn devices_come_with_their_groups_and_bridges_stay() {
    let host = host("rtx-4080");
    let gpu = host.gpus()[0].address;
    let group = host.pci().group_of(gpu);
    assert!(group.len() > 1, "the card has audio");
    let bridge = host.pci().bridges_above(gpu).next().unwrap().address;
    let source = |at: pinwise::PciAddr| {
        let pinwise::PciAddr { domain, bus, device, function } = at;
        format!(
            "<address domain='{domain}' bus='0x{bus:x}' slot='{device}' function='{function}'/>"
        )
    };
    let hostdev = |at| format!("<hostdev type='pci'><source>{}</source></hostdev>", source(at));
    let absent: pinwise::PciAddr = "10000:fe:1f.7".parse().unwrap();
    let xml = format!(
        "<domain><name>a</name><memory>1</memory><devices>{}{}{}<hostdev type='usb'/>
         <interface type='hostdev'><source>{}</source></interface>
         <disk type='nvme'><source type='pci'>{}</source></disk>
         <hostdev type='mdev'><source><address uuid='77'/></source></hostdev></devices></domain>",
        hostdev(group[1]),
        hostdev(bridge),
        hostdev(absent),
        source(gpu),
        source(absent)
    );
    let domain = read_domain(&host, &xml).unwrap();
    assert_eq!(domain.claim.devices, group);
    let notes = domain.notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    for words in ["is a bridge", "10000:fe:1f.7 is not a device", "mediated device 77"] {
        assert!(notes.contains(words), "{notes}");
    }
    assert_eq!(domain.claim.mediated, [None]);
    assert!(notes.contains("no GPU that may be its parent is given by number"), "{notes}");
    for function in &group {
        let one = hostdev(*function);
        let xml =
            format!("<domain><name>a</name><memory>1</memory><devices>{one}</devices></domain>");
        assert_eq!(read_domain(&host, &xml).unwrap().claim.devices, group);
    }
}

#[test]
fn a_mediated_device_is_a_share_of_the_function_that_lists_it() {
    let (uuid, other) =
        ("4b20d080-1b54-4048-85b3-a6a62d165c01", "00000000-0000-4000-8000-000000000001");
    let mut description = pinwise_testkit::common::description("rtx-4090-nps4");
    let gpu = host("rtx-4090-nps4").gpus()[0].address;
    let mut devices = description.devices.iter_mut();
    devices.find(|device| device.address == gpu).unwrap().mediated = Some(vec![uuid.to_owned()]);
    let host = description.build().unwrap();
    let xml = |uuid: &str| {
        format!(
            "<domain><name>a</name><memory>1</memory><devices><hostdev type='mdev'>
             <source><address uuid='{uuid}'/></source></hostdev></devices></domain>"
        )
    };
    for (uuid, parent, noted) in
        [(uuid, Some(gpu), 0), (&*uuid.to_uppercase(), Some(gpu), 0), (other, None, 1)]
    {
        let domain = read_domain(&host, &xml(uuid)).unwrap();
        assert_eq!((domain.claim.mediated, domain.claim.devices), (vec![parent], vec![]));
        let notes = domain.notes.iter().map(ToString::to_string);
        assert_eq!(notes.filter(|note| note.contains("mediated device")).count(), noted);
    }
}

#[test]
fn lists_that_say_much_again_and_again_are_read_in_little_time() {
    let host = host("rtx-4090-nps4");
    let pins = |list: &str| {
        let pins: String =
            (0..4096).map(|n| format!("<vcpupin vcpu='{n}' cpuset='{list}'/>")).collect();
        let vcpus = "<vcpu>4096</vcpu>";
        format!("<domain><name>a</name><memory>1</memory>{vcpus}<cputune>{pins}</cputune></domain>")
    };
    assert_eq!(read_domain(&host, &pins("0-16383")).unwrap().claim.floating, *host.online());
    assert!(read_domain(&host, &pins(&"0-16383,".repeat(30))).is_err());
}

#[test]
fn a_wrong_value_is_one_sentence_with_its_place() {
    for (inside, words) in [
        ("<vcpu>four</vcpu>", "line 1, column 54: vcpu \"four\" is not a number of vCPUs"),
        ("\n<vcpu\n cpuset='x'>1</vcpu>", "line 3, column 2: cpuset \"x\" is not a list of pCPUs"),
        ("<vcpu>0</vcpu>", "not a number of vCPUs"),
        ("<vcpu>99999999999999999999</vcpu>", "not a number of vCPUs"),
        ("<vcpu current='3'>2</vcpu>", "current \"3\""),
        ("<vcpu placement='numad'>2</vcpu>", "not static or auto"),
        ("<vcpu>1</vcpu><vcpu>1</vcpu>", "<vcpu> is repeated"),
        ("<cputune><vcpupin vcpu='0'/></cputune>", "<vcpupin> has no cpuset"),
        ("<cputune><vcpupin cpuset='0'/></cputune>", "<vcpupin> has no vcpu"),
        (
            "<cputune><vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='0' cpuset='2'/></cputune>",
            "the <vcpupin> of vCPU 0 is repeated",
        ),
        ("<memory unit='XB'>1</memory>", "unit \"XB\" is not a unit"),
        ("<memory unit='E'>99</memory>", "memory \"99\" is not an amount of memory"),
        ("<numatune><memory nodeset='4'/></numatune>", "nodeset names node 4, which the host"),
        ("<numatune><memory/></numatune>", "<memory> has no nodeset"),
        ("<numatune><memory mode='x' nodeset='1'/></numatune>", "mode \"x\" is not strict"),
        ("<numatune><memnode cellid='1' nodeset='1'/></numatune>", "not a cell of the guest"),
        (
            "<memoryBacking><hugepages><page size='3'/></hugepages></memoryBacking>",
            "size \"3\" is not a page size: a power of two",
        ),
        (
            "<memoryBacking><hugepages><page size='2048' nodeset='1'/></hugepages></memoryBacking>",
            "nodeset \"1\" is not a list of the guest's cells",
        ),
        ("<cpu><numa><cell cpus='0'/></numa></cpu>", "<cell> has no memory"),
        ("<devices><hostdev type='pci'/></devices>", "<hostdev> has no <source>"),
        ("<devices><hostdev type='pci'><source/></hostdev></devices>", "has no <address>"),
        (
            "<devices><hostdev type='pci'><source><address bus='256'/></source></hostdev></devices>",
            "bus \"256\" is not a PCI bus up to 255",
        ),
    ] {
        let message = refused(inside);
        assert!(message.contains(words), "{inside}: {message}");
    }
}

#[test]
fn texts_that_are_no_domain_are_refused_in_few_words() {
    let host = host("i9-14900k");
    let deep = "<domain>".repeat(150_000);
    let wide = format!("<domain {}/>", (0..9000).map(|n| format!("a{n}=''")).collect::<String>());
    let spaces = "<a xmlns:b='c'>".repeat(1000);
    let long = " ".repeat(9 << 20);
    let many = format!("<domain>{}</domain>", "<a/>".repeat(300_000));
    for (text, words) in [
        ("", ""),
        ("{}", ""),
        ("<network/>", "the document is a <network>, not a <domain>"),
        ("<domain xmlns='x'/>", "<domain> has no <name>"),
        ("<domain/>", "<domain> has no <name>"),
        ("<domain><name> </name></domain>", "name \"\" is not a name"),
        ("<domain><name>a/b</name></domain>", "is not a name"),
        ("<domain><name>a</name></domain>", "<domain> has no <memory>"),
        ("<domain id='x'><name>a</name></domain>", "id \"x\" is not a number"),
        ("<!DOCTYPE domain [<!ENTITY a 'b'>]><domain>&a;</domain>", "it has a document type"),
        ("<domain><name>&a;</name></domain>", "unknown entity"),
        (&deep, ""),
        (&wide, "more than 4096 quotes"),
        (&spaces, "more than 256 namespaces"),
        (&long, "has 9437184 bytes"),
        (&many, "more than 200000 elements"),
    ] {
        let message = read_domain(&host, text).unwrap_err().to_string();
        assert!(message.contains(words) && message.len() < 300, "{message}");
    }
}

fn requests() -> impl Strategy<Value = Request> {
    let sizes = prop_oneof![Just(None), Just(Some(PageSize::MIB_2)), Just(Some(PageSize::KIB_4))];
    (1_u32..24, 1_u64..40, 0_u32..3, sizes, 0_u32..3, 0_u32..2).prop_map(
        |(vcpus, memory, gpus, page_size, io_threads, emulator_pcpus)| {
            let base = RequestSpec::new("vm", vcpus * 2, Bytes::from_gib(memory * 2));
            let gpus = GpuRequest::Count { count: gpus, model: None };
            let request = RequestSpec { gpus, page_size, io_threads, emulator_pcpus, ..base };
            request.build().unwrap()
        },
    )
}

const HOSTS: [&str; 8] = [
    "hgx-h200",
    "hgx-h200-snc2",
    "i9-14900k",
    "mi350x",
    "rtx-4080",
    "rtx-4090-nps4",
    "rtx-5090-degraded",
    "rtx-pro-6000",
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_placements_domain_holds_what_the_placement_claims(
        (name, request) in (prop::sample::select(&HOSTS[..]), requests())
    ) {
        let host = host(name);
        let usage = Usage::empty(&host);
        let options = Options { all: true, ..Options::default() };
        let Ok(answer) = recommend(Question::new(&host, &usage, &request).with(&options)) else { return Ok(()) };
        for ranked in answer.ranked.iter().chain(&answer.baseline) {
            let placement = &ranked.placement;
            let xml = emit::libvirt::domain(placement).unwrap();
            let domain = read_domain(&host, &xml).unwrap();
            prop_assert_eq!(&domain.name, "vm");
            prop_assert!(!domain.running);
            let expected = in_xml(placement, &host);
            if placement.cells.iter().any(|cell| cell.nodes.len() > 1) {
                let (found, expected) = (without_shares(domain.claim), without_shares(expected));
                prop_assert_eq!(found, expected, "{}", xml);
            } else {
                prop_assert_eq!(domain.claim, expected, "{}", xml);
            }
        }
    }

    #[test]
    fn a_domain_with_a_changed_part_is_read_or_refused(
        at in 0_usize..4000, part in "[ -~]{0,6}", cut in 0_usize..12
    ) {
        let host = host("rtx-4080");
        let request = RequestSpec::new("vm", 8, Bytes::from_gib(8));
        let request = RequestSpec { gpus: GpuRequest::Count { count: 1, model: None }, ..request };
        let answer = recommend(Question::new(&host, &Usage::empty(&host), &request.build().unwrap())).unwrap();
        let mut xml = emit::libvirt::domain(&answer.best().placement).unwrap();
        let at = at % xml.len();
        let end = (at + cut).min(xml.len());
        xml.replace_range(at..end, &part);
        match read_domain(&host, &xml) {
            Ok(domain) => _ = Usage::empty(&host).claim(&host, &domain.name, domain.claim),
            Err(error) => prop_assert!(error.to_string().len() < 300, "{}", error),
        }
    }
}

#[test]
fn every_style_comes_back() {
    let host = host("hgx-h200-snc2");
    let mut request = RequestSpec::new("vm", 32, Bytes::from_gib(64));
    request.policies.dedicated_cpus = pinwise::Policy::Prefer;
    let request = request.build().unwrap();
    let options = Options { all: true, ..Options::default() };
    let answer =
        recommend(Question::new(&host, &Usage::empty(&host), &request).with(&options)).unwrap();
    let mut styles: Vec<_> = answer.ranked.iter().map(|r| r.placement.style).collect();
    styles.extend(answer.baseline.iter().map(|r| r.placement.style));
    styles.sort();
    styles.dedup();
    assert_eq!(styles, Style::ALL);
}
