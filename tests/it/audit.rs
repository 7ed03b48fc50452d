//! The audit of domains as they are: for each rule a domain that it finds something in, and the
//! same domain without that. All hosts and domains here are made for these tests.

use std::collections::BTreeSet;

use pinwise::audit::{AsIs, AuditId, Fix, Found, audit};
use pinwise::host::{
    CoreKind, CpuVendor, FabricPartition, L3Spec, LinkState, PagePool, PciClass, PciDevice, PciId,
    Reserve,
};
use pinwise::request::Wish;
use pinwise::units::NodeId;
use pinwise::usage::PageClaim;
use pinwise::{
    Bytes, Claim, Host, HostSpec, NodeSet, PageSize, PciAddr, Question, RequestSpec, Usage, emit,
    recommend,
};
use pinwise_discover::libvirt::{PatchOptions, domain_as_is, patch_with, request_of_domain};
use pinwise_testkit::common::{checked, these, vm};
use pinwise_testkit::machine::{Machine, cpus};

fn at(text: &str) -> PciAddr {
    text.parse().unwrap()
}

fn function(address: &str, class: u32, vendor: u16, node: u32, group: u32) -> PciDevice {
    let new = PciDevice::new(at(address), PciClass(class), PciId(vendor), PciId(0x1234));
    PciDevice { node: Some(NodeId(node)), iommu_group: Some(group), ..new }
}

/// Two packages of one node with 8 cores each; core c has pCPUs c and c + 16, and each half of a
/// node is an L3 domain. A GPU with its audio function and a NIC are on each node. Core 0 is
/// reserved.
fn server() -> HostSpec {
    let machine = Machine { nodes: 2, cores: 8, threads: 2, pages: 0, gpus: &[0, 1], links: &[] };
    let mut host = machine.describe();
    host.cpu_vendor = CpuVendor::Amd;
    for node in 0..2_u32 {
        let bus = 0x10 + node;
        for device in &mut host.devices {
            let own = u32::from(device.address.bus) == bus;
            if own {
                device.iommu_group = Some(node);
            }
        }
        let vendor = host.devices[0].vendor.0;
        host.devices.push(function(&format!("{bus:x}:00.1"), 0x04_0300, vendor, node, node));
        let nic = format!("{:x}:00.0", 0x20 + node);
        host.devices.push(function(&nic, 0x02_0000, 0x15b3, node, 10 + node));
    }
    host.l3_domains.clear();
    for first in [0, 4, 8, 12] {
        let set = format!("{first}-{},{}-{}", first + 3, first + 16, first + 19);
        host.l3_domains.push(L3Spec { cpus: cpus(&set), size: Some(Bytes::from_mib(32)) });
    }
    host
}

/// A VM of four vCPUs on two cores with the first GPU.
fn gpu_vm() -> RequestSpec {
    RequestSpec { gpus: these(&["10:00.0"]), smt: Wish::Require(true), ..vm(4, 4) }
}

/// The same on four cores.
fn wide_vm() -> RequestSpec {
    RequestSpec { smt: Wish::Require(false), ..gpu_vm() }
}

/// A VM with two cells and both GPUs.
fn cells_vm() -> RequestSpec {
    RequestSpec {
        gpus: these(&["10:00.0", "11:00.0"]),
        smt: Wish::Require(true),
        cells: Wish::Require(2),
        ..vm(8, 4)
    }
}

/// A domain, its host, and the tenants beside it.
struct Scene {
    host: HostSpec,
    tenants: Vec<(&'static str, Claim)>,
    xml: String,
}

impl Scene {
    /// The best placement for the request on the host.
    fn new(host: HostSpec, request: &RequestSpec) -> Self {
        let built = host.clone().build().unwrap();
        let (usage, request) = (Usage::empty(&built), checked(request));
        let answer = recommend(Question::new(&built, &usage, &request)).unwrap();
        let xml = emit::libvirt::domain(&answer.best().placement).unwrap();
        Self { host, tenants: Vec::new(), xml }
    }

    /// With one part of the XML replaced.
    fn with(mut self, from: &str, to: &str) -> Self {
        assert!(self.xml.contains(from), "{from} in {}", self.xml);
        self.xml = self.xml.replace(from, to);
        self
    }

    /// Without an element, with all that is inside.
    fn without(mut self, element: &str) -> Self {
        let start = self.xml.find(&format!("<{element}")).expect(element);
        let rest = &self.xml[start..];
        let own = rest.find('>').unwrap();
        let end = match rest[..own].ends_with('/') {
            true => own + 1,
            false => rest.find(&format!("</{element}>")).unwrap() + element.len() + 3,
        };
        self.xml.replace_range(start..start + end, "");
        self
    }

    /// With the pCPUs of a vCPU replaced.
    fn pin(mut self, vcpu: u32, set: &str) -> Self {
        let start = format!("<vcpupin vcpu='{vcpu}' cpuset='");
        let from = self.xml.find(&start).unwrap() + start.len();
        let to = from + self.xml[from..].find('\'').unwrap();
        self.xml.replace_range(from..to, set);
        self
    }

    /// The pCPUs of a vCPU.
    fn pin_of(&self, vcpu: u32) -> String {
        let start = format!("<vcpupin vcpu='{vcpu}' cpuset='");
        let rest = self.xml.split(&start).nth(1).unwrap();
        rest.split('\'').next().unwrap().to_owned()
    }

    fn beside(mut self, tenant: &'static str, claim: Claim) -> Self {
        self.tenants.push((tenant, claim));
        self
    }

    fn on(mut self, change: impl FnOnce(&mut HostSpec)) -> Self {
        change(&mut self.host);
        self
    }

    fn built(&self) -> (Host, Usage) {
        let host = self.host.clone().build().unwrap();
        let mut usage = Usage::empty(&host);
        for (name, claim) in &self.tenants {
            usage.claim(&host, name, claim.clone()).unwrap();
        }
        (host, usage)
    }

    fn audited(&self) -> Vec<Found> {
        self.audited_with(|_| ())
    }

    fn audited_with(&self, change: impl FnOnce(&mut AsIs)) -> Vec<Found> {
        let (host, usage) = self.built();
        let mut as_is = domain_as_is(&host, &self.xml).unwrap().domain;
        change(&mut as_is);
        let request = checked(&request_of_domain(&host, &self.xml).unwrap().request);
        audit(Question::new(&host, &usage, &request), &as_is)
    }

    /// The domain with the engine's answer in it; `None` where nothing fits.
    fn mended(&self) -> Option<Self> {
        let (host, usage) = self.built();
        let request = checked(&request_of_domain(&host, &self.xml).unwrap().request);
        let question = Question::new(&host, &usage, &request);
        let answer = recommend(question).ok()?;
        let options = PatchOptions::new(question, &[]);
        let patched = patch_with(&answer.best().placement, &self.xml, options).unwrap();
        Some(Self { xml: patched.xml, host: self.host.clone(), tenants: self.tenants.clone() })
    }
}

fn ids(found: &[Found]) -> Vec<&'static str> {
    found.iter().map(|found| found.id.name()).collect()
}

/// A broken domain for each rule. Those after `then` follow from it.
fn broken() -> Vec<(AuditId, Scene)> {
    use AuditId as A;
    let gpu = || Scene::new(server(), &gpu_vm());
    let wide = || Scene::new(server(), &wide_vm());
    let cells = || Scene::new(server(), &cells_vm());
    let holds = |set: &str| Claim { dedicated: cpus(set), ..Claim::default() };
    let floats = |set: &str| Claim { floating: cpus(set), ..Claim::default() };
    let device = |address| Claim { devices: vec![at(address)], ..Claim::default() };
    let pool = |total, free| PagePool { size: PageSize::GIB_1, total, free };
    let pages = "<memoryBacking><hugepages><page size='1048576' unit='KiB'/></hugepages>\
                 </memoryBacking><vcpu ";
    let isolated = |set: &str| {
        let set = cpus(set);
        move |host: &mut HostSpec| host.isolated = set
    };
    let own = |scene: &Scene, vcpus: &[u32]| {
        vcpus.iter().map(|vcpu| scene.pin_of(*vcpu)).collect::<Vec<_>>().join(",")
    };
    let gpus_nic = RequestSpec { devices: vec![at("21:00.0")], ..gpu_vm() };
    let on_second = RequestSpec { nodes: Some(NodeSet::from_iter([NodeId(1)])), ..wide_vm() };
    let own_pins = own(&gpu(), &[0, 1, 2, 3]);
    let first = gpu().pin_of(0);
    let flat = RequestSpec { cells: Wish::Require(1), smt: Wish::Require(false), ..vm(14, 4) };
    let eight = RequestSpec { smt: Wish::Require(false), ..vm(8, 4) };
    vec![
        (A::PinsUnusable, gpu().on(|host| host.offline = cpus("40")).pin(0, "40")),
        (A::PinsOfTenants, gpu().beside("other", holds(&first))),
        (A::DevicesHeld, gpu().beside("other", device("10:00.0"))),
        (A::DevicesAbsent, gpu().with("bus='0x10'", "bus='0x77'")),
        (A::PagesMissing, gpu().with("<vcpu ", pages)),
        (A::NoIommu, Scene { xml: many_vcpus(""), ..gpu() }),
        (
            A::CellsCutCores,
            cells().with("cpus='0-3'", "cpus='0-2'").with("cpus='4-7'", "cpus='3-7'"),
        ),
        (A::WindowsSockets, {
            let hyperv = "<apic/><hyperv mode='custom'><relaxed state='on'/></hyperv>";
            wide()
                .with("<apic/>", hyperv)
                .with("sockets='1' dies='1' cores='4'", "sockets='4' dies='1' cores='1'")
        }),
        (A::BusesLost, {
            let scene = cells();
            let numbers: Vec<String> = scene
                .xml
                .split("busNr='")
                .skip(1)
                .map(|rest| rest.split('\'').next().unwrap().to_owned())
                .collect();
            let next = numbers[0].parse::<u32>().unwrap() + 1;
            scene.with(&format!("busNr='{}'", numbers[1]), &format!("busNr='{next}'"))
        }),
        (A::SmallWindow, {
            let mut host = server();
            host.devices[0].bars = vec![Bytes::from_gib(64)];
            Scene::new(host, &gpu_vm()).with("string=131072", "string=65536")
        }),
        (
            A::GroupLost,
            gpu().on(|host| {
                let nic = host.devices.iter_mut().find(|d| d.address == at("20:00.0")).unwrap();
                (nic.iommu_group, nic.driver) = (Some(0), Some("mlx5_core".to_owned()));
            }),
        ),
        (A::LowPowerCores, Scene::new(desktop(), &vm(2, 2)).pin(0, "12").pin(1, "13")),
        (A::EfficiencyCores, Scene::new(desktop(), &vm(2, 2)).pin(0, "8").pin(1, "9")),
        (A::MixedKinds, Scene::new(desktop(), &vm(2, 2)).pin(0, "8")),
        (A::SharedPcpus, wide().pin(1, &wide().pin_of(0))),
        (A::SiblingsApart, {
            let scene = gpu();
            let (second, third) = (scene.pin_of(1), scene.pin_of(2));
            scene.pin(1, &third).pin(2, &second)
        }),
        (A::SiblingsHidden, gpu().with("cores='2' threads='2'", "cores='4' threads='1'")),
        (A::FloatsOnIsolated, {
            let all = own(&wide(), &[0, 1, 2, 3]);
            (0..4).fold(wide().on(isolated(&all)), |scene, vcpu| scene.pin(vcpu, &all))
        }),
        (A::FloatsOverTenants, {
            let all = own(&wide(), &[0, 1, 2, 3]);
            let scene = (0..4).fold(wide(), |scene, vcpu| scene.pin(vcpu, &all));
            scene.beside("other", holds(&wide().pin_of(0)))
        }),
        (A::PinsOnReserved, gpu().on(move |host| host.reserved = Reserve::These(cpus(&own_pins)))),
        (
            A::HostStarved,
            gpu()
                .on(|host| host.reserved = Reserve::Auto)
                .beside("other", holds(&rest(&own(&gpu(), &[0, 1, 2, 3])))),
        ),
        (A::ManyNodes, wide().pin(2, "9").pin(3, "10").with("nodeset='0'", "nodeset='0-1'")),
        (A::ManyPackages, {
            let mut host = desktop();
            host.cores.iter_mut().skip(4).take(4).for_each(|core| core.package.0 = 1);
            let scene = Scene::new(host, &vm(2, 2));
            scene.pin(0, "3").pin(1, "4")
        }),
        (A::ManyL3, wide().pin(2, "1").pin(3, "2").pin(0, "5").pin(1, "6")),
        (A::SmallCache, {
            let mut host = server();
            for at in [1, 3] {
                host.l3_domains[at].size = Some(Bytes::from_mib(96));
            }
            let small = RequestSpec { smt: Wish::Require(false), ..vm(2, 2) };
            let scene = Scene::new(host, &small).pin(0, "8").pin(1, "9");
            scene.with("<memory mode='strict' nodeset='0'", "<memory mode='strict' nodeset='1'")
        }),
        (A::MemoryUnbound, gpu().without("numatune")),
        (A::MemoryElsewhere, Scene::new(server(), &eight).with("nodeset='1'", "nodeset='0'")),
        (A::PagesTaken, {
            let mut host = server();
            host.nodes[0].pools = vec![pool(8, 8)];
            let claim = PageClaim::on(NodeId(0), PageSize::GIB_1, 6);
            Scene::new(host, &gpu_vm())
                .beside("other", Claim { pages: vec![claim], ..Claim::default() })
        }),
        (A::GpuRemote, Scene::new(server(), &on_second)),
        (A::CellsBlind, cells().with("<node>1</node>", "<node>0</node>")),
        (
            A::ManySockets,
            wide().with("sockets='1' dies='1' cores='4'", "sockets='4' dies='1' cores='1'"),
        ),
        (A::SocketsStraddle, {
            let scene = Scene::new(server(), &flat);
            let (first, last) = (scene.pin_of(0), scene.pin_of(13));
            scene.pin(0, &last).pin(13, &first)
        }),
        (A::NoTopoext, gpu().without("feature policy")),
        (A::CachesHidden, gpu().without("cache mode")),
        (
            A::EmulatorOnVcpus,
            gpu().with("<emulatorpin cpuset='0,16'/>", &format!("<emulatorpin cpuset='{first}'/>")),
        ),
        (A::IothreadsOnVcpus, {
            let scene = Scene::new(server(), &RequestSpec { io_threads: 1, ..gpu_vm() });
            let pin = format!("iothread='1' cpuset='{}'", scene.pin_of(0));
            scene.with("iothread='1' cpuset='0,16'", &pin)
        }),
        (A::HelpersOnTenants, gpu().beside("other", holds("0,16"))),
        (A::QuotaBesidePins, gpu().with("<cputune>", "<cputune><quota>50000</quota>")),
        (A::CompanionsLeft, {
            let scene = gpu();
            let start = scene.xml.rfind("<hostdev").unwrap();
            let mut xml = scene.xml.clone();
            xml.replace_range(start..scene.xml.rfind("</hostdev>").unwrap() + 10, "");
            Scene { xml, ..scene }
        }),
        (
            A::DegradedLinks,
            gpu().on(|host| {
                host.devices[0].link_max = Some(LinkState { mts: 32_000, width: 16 });
                host.devices[0].link_now = Some(LinkState { mts: 32_000, width: 4 });
            }),
        ),
        (A::NoPartition, {
            let third = function("12:00.0", 0x03_0200, 0x10de, 0, 7);
            cells().on(move |host| {
                host.devices.push(third);
                let gpus = vec![at("10:00.0"), at("12:00.0")];
                host.fabric_partitions = vec![FabricPartition { id: 1, gpus }];
            })
        }),
        (A::Unpinned, gpu().without("cputune")),
        (A::Crowded, gpu().beside("other", floats(&first))),
        (A::NotIsolated, gpu().on(isolated("4-7,20-23"))),
        (A::EmulatorAnywhere, gpu().without("emulatorpin")),
        (A::IothreadsAnywhere, gpu().with("<cputune>", "<iothreads>1</iothreads><cputune>")),
        (A::NicApart, Scene::new(server(), &gpus_nic)),
        (A::DevicesShared, gpu()),
        (A::SmallPages, gpu().on(|host| host.nodes[0].pools = vec![pool(8, 8)])),
        (A::CpuModel, gpu().with("mode='host-passthrough'", "mode='host-model'")),
    ]
}

/// All pCPUs of the server but these.
fn rest(set: &str) -> String {
    cpus("0-31").difference(&cpus(set)).to_string()
}

/// Eight performance cores, four efficiency cores and two low-power ones, of one pCPU each, on one
/// node. Core 0 is reserved.
fn desktop() -> HostSpec {
    let machine = Machine { nodes: 1, cores: 14, threads: 1, pages: 0, gpus: &[], links: &[] };
    let mut host = machine.describe();
    for (core, at) in host.cores.iter_mut().zip(0..) {
        core.kind = match at {
            0..8 => CoreKind::Performance,
            8..12 => CoreKind::Efficiency,
            _ => CoreKind::LowPower,
        };
    }
    host
}

/// A domain with 300 vCPUs that states little else.
fn many_vcpus(devices: &str) -> String {
    format!(
        "<domain><name>many</name><memory unit='GiB'>4</memory><vcpu>300</vcpu>\
         <cpu mode='host-passthrough'><topology sockets='1' cores='300' threads='1'/></cpu>\
         <devices>{devices}</devices></domain>"
    )
}

#[test]
fn every_rule_finds_what_is_broken() {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (id, scene) in broken() {
        seen.insert(id);
        let shared = vec![("twin".to_owned(), vec![at("10:00.0")])];
        let found = match id {
            AuditId::DevicesShared => scene.audited_with(|as_is| as_is.alternatives = shared),
            _ => scene.audited(),
        };
        // A vCPU that its cell should not have is far from the cell's memory; and tenants that
        // leave nothing to the host are on the emulator's pCPUs.
        let follows: &[&str] = match id {
            AuditId::CellsCutCores => &["memory-elsewhere"],
            AuditId::HostStarved => &["helpers-on-tenants"],
            _ => &[],
        };
        if ids(&found) != [&[id.name()], follows].concat() {
            wrong.push(format!("{}: {:?}", id.name(), ids(&found)));
        }
    }
    let all: BTreeSet<AuditId> = AuditId::ALL.into_iter().collect();
    assert_eq!(seen, all);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_same_domains_are_clean_before_they_are_broken() {
    let wide = RequestSpec { smt: Wish::Require(false), ..vm(8, 4) };
    let iothreads = RequestSpec { io_threads: 2, ..gpu_vm() };
    for request in [gpu_vm(), wide_vm(), cells_vm(), vm(2, 2), wide, iothreads] {
        let scene = Scene::new(server(), &request);
        assert_eq!(ids(&scene.audited()), [""; 0], "{}", scene.xml);
    }
    let scene = Scene::new(desktop(), &vm(2, 2));
    assert_eq!(ids(&scene.audited()), [""; 0], "{}", scene.xml);
    let iommu = "<iommu model='intel'><driver intremap='on' eim='on'/></iommu>";
    let scene = Scene { xml: many_vcpus(iommu), ..scene };
    assert_eq!(ids(&scene.audited()), [""; 0]);
}

/// What no layout mends: other hardware, pages, tenants or another model have to be chosen.
const NOT_BY_LAYOUT: [AuditId; 15] = [
    AuditId::DevicesHeld,
    AuditId::DevicesAbsent,
    AuditId::PagesMissing,
    AuditId::PagesTaken,
    AuditId::NoIommu,
    AuditId::SmallWindow,
    AuditId::GroupLost,
    AuditId::HostStarved,
    AuditId::HelpersOnTenants,
    AuditId::DegradedLinks,
    AuditId::NoPartition,
    AuditId::NicApart,
    AuditId::DevicesShared,
    AuditId::CpuModel,
    AuditId::BusesLost,
];

#[test]
fn the_patch_of_a_recommendation_mends_what_is_broken_and_breaks_nothing() {
    let mut wrong = Vec::new();
    for (id, scene) in broken() {
        if NOT_BY_LAYOUT.contains(&id) {
            continue;
        }
        let left = scene.mended().map(|mended| ids(&mended.audited()));
        if left.as_ref().is_none_or(|left| !left.is_empty()) {
            wrong.push(format!("{}: {left:?}", id.name()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_readme_names_every_rule() {
    let readme = include_str!("../../crates/pinwise-cli/README.md");
    for id in AuditId::ALL {
        assert_eq!(
            readme.matches(&format!("`{}`", id.name())).count(),
            1 + usize::from(id == AuditId::DevicesShared),
            "{}",
            id.name()
        );
        let about = id.about();
        assert!(about.contains("**Looks at**"), "{}: {about}", id.name());
    }
}

#[test]
fn effects_are_ordered_and_cite_studies_that_exist() {
    for id in AuditId::ALL {
        let Some(effect) = id.effect() else { continue };
        let range = effect.range;
        assert!(range.low <= range.likely && range.likely <= range.high, "{}", id.name());
        assert!(effect.studies.iter().all(|study| study.record().is_some()), "{}", id.name());
        let reasoned = effect.grade == pinwise::rules::Grade::Reasoned;
        assert!(reasoned || !effect.studies.is_empty(), "{}", id.name());
    }
}

/// The domain with an element put inside another, in place of one of its name, if there is one.
fn put(scene: Scene, inside: &str, element: &str) -> Scene {
    let name = element[1..].split([' ', '>', '/']).next().unwrap();
    let scene = match scene.xml.contains(&format!("<{name} ")) && name != "hostdev" {
        true => scene.without(name),
        false => scene,
    };
    let end = format!("</{inside}>");
    scene.with(&end, &format!("{element}{end}"))
}

#[test]
fn each_element_or_line_that_is_a_fix_by_itself_removes_its_finding_and_adds_none() {
    let mut seen = 0;
    for (id, scene) in broken() {
        let alone = [
            AuditId::WindowsSockets,
            AuditId::ManySockets,
            AuditId::NoTopoext,
            AuditId::CachesHidden,
            AuditId::CompanionsLeft,
            AuditId::NoIommu,
            AuditId::EmulatorOnVcpus,
            AuditId::EmulatorAnywhere,
            AuditId::MemoryUnbound,
        ];
        if !alone.contains(&id) {
            continue;
        }
        let mut mended = Scene {
            tenants: scene.tenants.clone(),
            xml: scene.xml.clone(),
            host: scene.host.clone(),
        };
        for fix in &scene.audited()[0].fixes {
            mended = match fix {
                // This domain has no features yet.
                Fix::Xml { inside: "features", element } => {
                    put(mended, "domain", &format!("<features>{element}</features>"))
                }
                Fix::Xml { inside, element } => put(mended, inside, element),
                Fix::Virsh { line } => {
                    let words: Vec<&str> = line.split(' ').collect();
                    match words[1] {
                        "emulatorpin" => {
                            put(mended, "cputune", &format!("<emulatorpin cpuset='{}'/>", words[3]))
                        }
                        "numatune" => {
                            let mode =
                                format!("<memory mode='{}' nodeset='{}'/>", words[4], words[6]);
                            put(mended, "domain", &format!("<numatune>{mode}</numatune>"))
                        }
                        _ => panic!("{line}"),
                    }
                }
                other => panic!("{}: {other}", id.name()),
            };
        }
        assert_eq!(ids(&mended.audited()), [""; 0], "{}: {}", id.name(), mended.xml);
        seen += 1;
    }
    assert_eq!(seen, 9);
}

#[test]
fn pins_to_the_threads_of_one_core_are_pins_to_the_core() {
    let both = |scene: &Scene, vcpu| {
        let pcpu: u32 = scene.pin_of(vcpu).parse().unwrap();
        format!("{},{}", pcpu % 16, pcpu % 16 + 16)
    };
    let scene = Scene::new(server(), &gpu_vm());
    let sets: Vec<String> = (0..4).map(|vcpu| both(&scene, vcpu)).collect();
    let right = (0..4).zip(&sets).fold(scene, |scene, (vcpu, set)| scene.pin(vcpu, set));
    assert_eq!(ids(&right.audited()), [""; 0], "{}", right.xml);
    let wrong = right.pin(1, &sets[2]).pin(2, &sets[1]);
    assert_eq!(ids(&wrong.audited()), ["siblings-apart"]);
}
