//! The whole way on machines that QEMU makes up: `pinwise capture` and `pinwise recommend --host
//! live` run inside, and what they say is compared with the shape that was booted, with the same
//! answer made outside, and with the independent checker.
//!
//! Only with `PINWISE_LAB=1`, as it takes tools that `tests/lab/install` installs; `tests/lab/run`
//! does all of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::judge::asked;
use crate::machine::{Files, NodeShape, Shape, boot};
use pinwise::host::CpuVendor;
use pinwise::json::read_host;
use pinwise::request::GpuRequest;
use pinwise::units::NodeId;
use pinwise::{
    Bytes, Claim, CpuSet, Host, PageSize, PciAddr, Question, Recommendation, Request, RequestSpec,
    Usage, recommend, verify,
};
use pinwise_discover::{libvirt, sysfs};
use serde_json::Value;

/// The program, built beside the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join("pinwise");
    assert!(program.exists(), "{} is missing: cargo build -p pinwise-cli", program.display());
    program
}

/// A VM that both sides ask for: as arguments inside, as a request outside.
struct Vm {
    name: &'static str,
    vcpus: u32,
    mib: u64,
    gpus: u32,
}

impl Vm {
    fn arguments(&self) -> String {
        let Self { name, vcpus, mib, gpus } = self;
        format!("--name {name} --vcpus {vcpus} --memory {mib}MiB --gpus {gpus}")
    }

    fn request(&self) -> Request {
        let base = RequestSpec::new(self.name, self.vcpus, Bytes::from_mib(self.mib));
        let gpus = GpuRequest::Count { count: self.gpus, model: None };
        RequestSpec { gpus, ..base }.build().unwrap()
    }

    /// A domain with nothing in it that a placement says.
    fn domain(&self) -> String {
        let Self { name, vcpus, mib, .. } = self;
        format!(
            "<domain type='kvm'>\n  <name>{name}</name>\n  <memory unit='MiB'>{mib}</memory>\n  \
             <vcpu>{vcpus}</vcpu>\n  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n  \
             </os>\n  <devices>\n  </devices>\n</domain>\n"
        )
    }
}

/// Copies the files of sysfs that describe the machine, as an operator would for a machine that
/// cannot run us. A program started for every file would take most of the time here.
const COPY: &str = "
t=/out/tree/sys
mkdir -p $t/bus/pci/devices $t/devices/system /out/tree/proc/self
cd /sys/devices/system
for d in cpu/cpu[0-9]*; do
    mkdir -p $t/devices/system/$d
    cp -r $d/topology $d/cache $t/devices/system/$d
done
cp cpu/online cpu/present cpu/isolated $t/devices/system/cpu
for d in node/node[0-9]*; do
    mkdir -p $t/devices/system/$d
    cp -r $d/cpulist $d/meminfo $d/distance $d/hugepages $t/devices/system/$d
done
cd /sys/bus/pci/devices
for d in *; do
    cp -d $d $t/bus/pci/devices
    real=$(readlink -f $d)
    mkdir -p /out/tree$real
    cd $real
    cp -d class vendor device numa_node resource config iommu_group driver boot_vga *_link_* /out/tree$real
    cd /sys/bus/pci/devices
done 2>/dev/null
cp /proc/self/status /out/tree/proc/self
cp /proc/cpuinfo /out/tree/proc
cd /out
tar -c -z -f tree.tar.gz tree
rm -r tree
";

/// Boots a shape, asks inside for two VMs after each other, and gives back what was said.
fn run(shape: &Shape, first: &Vm, second: &Vm) -> Files {
    let script = format!(
        "cat > first-base.xml <<'END'\n{}END\n\
         run host.json pinwise capture --name {}\n\
         run answer.json pinwise recommend --host live --format json {}\n\
         run first.xml pinwise recommend --host live --format xml --domain first-base.xml {}\n\
         run second.json pinwise recommend --host live --tenant first.xml --format json {}\n\
         {COPY}",
        first.domain(),
        shape.name,
        first.arguments(),
        first.arguments(),
        second.arguments(),
    );
    let files = boot(shape, &[program()], &script);
    for name in ["host.json", "answer.json", "first.xml", "second.json"] {
        let err = text(&files, &format!("{name}.err"));
        let status = text(&files, &format!("{name}.status"));
        assert_eq!(status.trim(), "0", "{}: {name}: {err}", shape.name);
    }
    files
}

fn text<'a>(files: &'a Files, name: &str) -> &'a str {
    std::str::from_utf8(files.get(name).expect("the script wrote it")).unwrap()
}

fn set(cpus: impl IntoIterator<Item = u32>) -> CpuSet {
    cpus.into_iter().map(pinwise::units::PcpuId).collect()
}

/// What the snapshot says is what was booted.
fn compare_host(shape: &Shape, host: &Host) {
    let name = shape.name;
    let off = set(shape.offline.iter().copied());
    let online = set(0..shape.pcpus()).difference(&off);
    assert_eq!(host.online(), &online, "{name}");
    assert_eq!(host.description().offline, off, "{name}");
    let list = |text: &str| text.parse::<CpuSet>().unwrap();
    assert_eq!(host.isolated(), &list(shape.isolated).difference(&off), "{name}");
    let allowed = match shape.allowed {
        "" => online.clone(),
        some => list(some),
    };
    assert_eq!(host.allowed(), &allowed, "{name}");
    assert_eq!(host.packages().len(), shape.packages as usize, "{name}");
    assert_eq!(host.cpu_vendor(), CpuVendor::Intel, "{name}");
    assert!(host.cpu_model().contains("Skylake"), "{name}: {}", host.cpu_model());

    // QEMU numbers threads first, then cores, then packages.
    let mut cores: Vec<_> = host.cores().iter().map(|core| set_of(&core.pcpus)).collect();
    cores.sort_by_key(CpuSet::first);
    let threads = shape.threads;
    let core = |at: u32| set(at * threads..(at + 1) * threads).difference(&off);
    let booted: Vec<_> = (0..shape.cores()).map(core).filter(|core| !core.is_empty()).collect();
    assert_eq!(cores, booted, "{name}: the SMT siblings");
    let in_package = shape.pcpus() / shape.packages;
    for core in host.cores() {
        let package = core.pcpus[0].0 / in_package;
        assert_eq!(core.id.package.0, package, "{name}: core of {:?}", core.pcpus);
    }

    assert_eq!(host.nodes().len(), shape.nodes.len(), "{name}");
    for ((node, asked), (cpus, at)) in
        host.nodes().iter().zip(&shape.nodes).zip(shape.pcpus_by_node().into_iter().zip(0..))
    {
        assert_eq!(node.id, NodeId(at), "{name}");
        assert_eq!(node.cpus, set(cpus).difference(&off), "{name}: node {at}");
        // The kernel keeps some for itself: its own image, and a page's description for every page.
        let least = Bytes::from_mib(asked.mib * 3 / 4);
        let memory = node.memory;
        assert!(memory <= Bytes::from_mib(asked.mib) && memory >= least, "{name}: {memory}");
        let pool = node.pool(PageSize::MIB_2).unwrap();
        assert_eq!((pool.total, pool.free), (asked.pages, asked.pages), "{name}: node {at}");
        let distances: Vec<_> = node.distances.iter().map(|d| u32::from(d.0)).collect();
        assert_eq!(distances, shape.distances[at as usize], "{name}: node {at}");
        let gpus = host.gpus().iter().filter(|gpu| gpu.node == Some(node.id)).count();
        // On the only node with memory, a device without a node of its own is on that one.
        let known = shape.expanders || shape.nodes.len() == 1;
        let expected = if known { asked.gpus as usize } else { 0 };
        assert_eq!(gpus, expected, "{name}: node {at}");
    }
    compare_gpus(shape, host);
}

fn set_of(pcpus: &[pinwise::units::PcpuId]) -> CpuSet {
    pcpus.iter().copied().collect()
}

fn compare_gpus(shape: &Shape, host: &Host) {
    let name = shape.name;
    let gpus: u32 = shape.nodes.iter().map(|node| node.gpus).sum();
    assert_eq!(host.gpus().len(), gpus as usize, "{name}");
    let mut groups = BTreeSet::new();
    for gpu in host.gpus() {
        let function = host.pci().get(gpu.address).unwrap();
        let sound = PciAddr { function: 1, ..gpu.address };
        assert_eq!(gpu.model, "1002:5046", "{name}");
        assert_eq!(host.pci().bridges_above(gpu.address).count(), 1, "{name}: its root port");
        // The frame buffer, 16 MiB, and registers.
        assert!(function.bars.contains(&Bytes::from_mib(16)), "{name}: {:?}", function.bars);
        // Two functions of a card without access control are one group.
        let together = host.pci().group_of(gpu.address);
        match function.iommu_group {
            Some(group) if shape.iommu => {
                assert_eq!(together, [gpu.address, sound], "{name}");
                groups.insert(group);
            }
            None if !shape.iommu => assert_eq!(together, [gpu.address], "{name}"),
            group => panic!("{name}: {} is in the group {group:?}", gpu.address),
        }
    }
    let expected = if shape.iommu { host.gpus().len() } else { 0 };
    assert_eq!(groups.len(), expected, "{name}: a group for each card");
}

/// The answer that is made outside, every placement of which the checker accepts.
fn outside(host: &Host, usage: &Usage, vm: &Vm) -> Recommendation {
    let request = vm.request();
    let answer = recommend(Question::new(host, usage, &request)).unwrap();
    for ranked in answer.ranked.iter().chain(&answer.baseline) {
        verify(Question::new(host, usage, &request), &ranked.placement).unwrap();
    }
    answer
}

/// The rows of an answer. What was rejected counts free memory in pages of 4 KiB, of which the
/// kernel has others at every moment.
fn rows(json: &str) -> Value {
    let mut answer: Value = serde_json::from_str(json).unwrap();
    assert_eq!(answer["format"], "pinwise-recommendation/2");
    let mut rows = answer["ranked"].take();
    // Free memory is another at every moment.
    let moves = |warning: &Value| {
        warning["warning"] == "little_for_emulator" || warning["warning"] == "left_for_host"
    };
    for row in rows.as_array_mut().unwrap() {
        if let Some(warnings) = row["warnings"].as_array_mut() {
            warnings.retain(|warning| !moves(warning));
        }
    }
    rows
}

fn best_claim(rows: &Value) -> Claim {
    serde_json::from_value(rows[0]["claim"].clone()).unwrap()
}

/// What was said inside, against the shape and against the same made outside.
fn compare(shape: &Shape, files: &Files, first: &Vm, second: &Vm) {
    let name = shape.name;
    let host = read_host(text(files, "host.json")).unwrap().build().unwrap();
    compare_host(shape, &host);

    let folder = pinwise_testkit::trees::Folder::new();
    let archive = folder.0.join("tree.tar.gz");
    std::fs::write(&archive, &files["tree.tar.gz"]).unwrap();
    pinwise_testkit::trees::unpack(&archive, &folder);
    let mut copied = sysfs::read(&folder.0.join("tree")).unwrap().host;
    let live = host.description();
    name.clone_into(&mut copied.name);
    // Memory in use is another at every moment.
    for (node, then) in copied.nodes.iter_mut().zip(&live.nodes) {
        let base = |pools: &[pinwise::host::PagePool]| {
            pools.iter().position(|pool| pool.size == PageSize::KIB_4).unwrap()
        };
        let at = base(&node.pools);
        node.pools[at] = then.pools[base(&then.pools)];
    }
    assert_eq!(copied.build().unwrap().description(), live, "{name}: the copied tree");

    let empty = Usage::empty(&host);
    let answer = outside(&host, &empty, first);
    let inside = rows(text(files, "answer.json"));
    assert_eq!(
        inside,
        rows(&pinwise::json::recommendation(
            Question::new(&host, &empty, &first.request()),
            &answer
        )),
        "{name}"
    );
    let best = &answer.best().placement;
    assert_eq!(best_claim(&inside), best.claim(), "{name}");
    assert!(best.vcpu_pcpus().is_subset(host.allowed()), "{name}");
    assert_eq!(best.devices.len(), first.gpus as usize, "{name}");
    for device in &best.devices {
        // The sound beside the stand-in is another maker's, so it is no part of the card.
        assert!(device.functions.is_empty(), "{name}: {:?}", device.functions);
    }

    // The first VM, read back from the domain that was written for it, is what the second has to
    // avoid.
    let domain = libvirt::read_domain(&host, text(files, "first.xml")).unwrap();
    // A domain has no word for the siblings that are kept idle: that no other VM gets the rest of
    // its cores is up to whoever places the next.
    let dedicated = best.vcpu_pcpus();
    let mut said = Claim { dedicated, whole_cores: false, own_l3: false, ..best.claim() };
    // On the only node a domain need not say which one it is.
    if host.nodes().len() == 1 {
        said.pages.iter_mut().for_each(|pages| pages.node = None);
    }
    assert_eq!(domain.claim, said, "{name}: read back");
    let usage = Usage::with_running(&host, [(domain.name, domain.claim.clone())]).unwrap();
    let beside = outside(&host, &usage, second);
    let inside = rows(text(files, "second.json"));
    assert_eq!(
        inside,
        rows(&pinwise::json::recommendation(
            Question::new(&host, &usage, &second.request()),
            &beside
        )),
        "{name}: beside"
    );
    apart(&host, &domain.claim, &best_claim(&inside));
    println!(
        "{name}: {} pCPUs, {} nodes, {} GPUs as booted; {} and {} placements verified",
        host.online().len(),
        host.nodes().len(),
        host.gpus().len(),
        answer.ranked.len(),
        beside.ranked.len()
    );
}

/// Two VMs share no pCPU, no core, no page and no device.
fn apart(host: &Host, one: &Claim, other: &Claim) {
    assert!(!one.dedicated.is_empty() && !other.dedicated.is_empty());
    let cores = |claim: &Claim| -> BTreeSet<_> {
        claim.dedicated.iter().map(|cpu| host.core_of(cpu).unwrap().id).collect()
    };
    assert!(cores(one).is_disjoint(&cores(other)), "{one:?} {other:?}");
    assert!(one.devices.iter().all(|device| !other.devices.contains(device)));
    assert!(!one.pages.is_empty() && !other.pages.is_empty());
    for node in host.nodes() {
        for pool in &node.pools {
            let held = |claim: &Claim| -> u64 {
                let here = claim.pages.iter().filter(|p| p.node == Some(node.id));
                here.filter(|p| p.page_size == pool.size).map(|p| p.count).sum()
            };
            assert!(held(one) + held(other) <= pool.free, "node {} {}", node.id, pool.size);
        }
    }
}

fn lab(shape: &Shape, first: &Vm, second: &Vm) {
    let files = run(shape, first, second);
    compare(shape, &files, first, second);
}

/// Distances as two packages have them, each of so many nodes.
fn distances(nodes: u32, in_package: u32) -> Vec<Vec<u32>> {
    let distance = |from: u32, to: u32| match from {
        _ if from == to => 10,
        _ if from / in_package == to / in_package => 12,
        _ => 32,
    };
    (0..nodes).map(|from| (0..nodes).map(|to| distance(from, to)).collect()).collect()
}

#[test]
fn two_packages_of_two_nodes_each_with_gpus_behind_expander_buses() {
    if !asked() {
        return;
    }
    let node = |pages: u64| NodeShape { cores: 4, mib: 384, pages, gpus: 1 };
    let shape = Shape {
        name: "two-packages",
        packages: 2,
        threads: 2,
        nodes: [48, 64, 80, 96].map(node).into(),
        distances: distances(4, 2),
        isolated: "2-7,18-23",
        offline: Vec::new(),
        allowed: "",
        iommu: true,
        expanders: true,
    };
    let first = Vm { name: "vm1", vcpus: 3, mib: 96, gpus: 1 };
    let second = Vm { name: "vm2", vcpus: 6, mib: 160, gpus: 2 };
    lab(&shape, &first, &second);
}

#[test]
fn one_node_without_an_iommu_with_a_pcpu_off() {
    if !asked() {
        return;
    }
    let shape = Shape {
        name: "one-node",
        packages: 1,
        threads: 2,
        nodes: vec![NodeShape { cores: 6, mib: 512, pages: 100, gpus: 2 }],
        distances: vec![vec![10]],
        isolated: "",
        offline: vec![7],
        allowed: "",
        iommu: false,
        expanders: false,
    };
    let first = Vm { name: "vm1", vcpus: 2, mib: 100, gpus: 1 };
    let second = Vm { name: "vm2", vcpus: 2, mib: 64, gpus: 1 };
    lab(&shape, &first, &second);
}

#[test]
fn a_node_of_memory_alone_and_pcpus_that_a_mask_forbids() {
    if !asked() {
        return;
    }
    let node = |cores: u32| NodeShape { cores, mib: 384, pages: 64, gpus: 1 };
    let shape = Shape {
        name: "memory-only",
        packages: 2,
        threads: 1,
        nodes: [6, 6, 0].map(node).into(),
        distances: vec![vec![10, 21, 17], vec![21, 10, 28], vec![17, 28, 10]],
        isolated: "3-5",
        offline: Vec::new(),
        allowed: "1-11",
        iommu: true,
        expanders: true,
    };
    let first = Vm { name: "vm1", vcpus: 4, mib: 96, gpus: 1 };
    let second = Vm { name: "vm2", vcpus: 4, mib: 64, gpus: 1 };
    lab(&shape, &first, &second);
}
