//! Kinds of cores and sizes of L3 caches in every source that tells them, and in those that do not.
//!
//! The machines are made from published facts of their CPUs (numbers of cores, clocks, caches), not
//! copied from anybody's files.

use std::fmt::Write as _;

use pinwise::explain::cores_line;
use pinwise::host::{CoreKind, KeptWhy};
use pinwise::json::{read_host, write_host};
use pinwise::{Bytes, Host, HostSpec};
use pinwise_discover::facts::{overlay, read_facts};
use pinwise_discover::hwloc::read_lstopo;
use pinwise_discover::libvirt::read_capabilities;
use pinwise_discover::{Assembly, Reading, sysfs};
use pinwise_testkit::common::sentences;
use pinwise_testkit::trees::{Folder, TreeCore, desktop};

const INTEL: &str = "vendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Core(TM)\n";
const AMD: &str = "vendor_id\t: AuthenticAMD\nmodel name\t: AMD Ryzen 9\n";

fn core(pcpus: String, mhz: u32, l2: String, l3: Option<(&'static str, &'static str)>) -> TreeCore {
    // A test's few texts may live as long as the test does.
    TreeCore { pcpus: pcpus.leak(), mhz, l2: l2.leak(), l3 }
}

/// An i9-13900K: 8 P cores with two pCPUs, two of them favoured, 16 E cores that share an L2 by
/// four.
fn i9_13900k() -> Vec<TreeCore> {
    let l3 = Some(("0-31", "36864K"));
    let p = (0..8).map(|at| {
        let pcpus = format!("{}-{}", at * 2, at * 2 + 1);
        core(pcpus.clone(), if at == 4 || at == 5 { 5800 } else { 5500 }, pcpus, l3)
    });
    let e = (16..32).map(|at: u32| {
        let first = at / 4 * 4;
        core(at.to_string(), 4300, format!("{first}-{}", first + 3), l3)
    });
    p.chain(e).collect()
}

/// A Core Ultra 7 255H: 6 P cores without SMT, 8 E cores, 2 LP-E cores without an L3.
fn ultra_255h() -> Vec<TreeCore> {
    let l3 = Some(("0-13", "24576K"));
    let p = (0..6).map(|at| core(at.to_string(), 5100, at.to_string(), l3));
    let e = (6..14).map(|at: u32| {
        let l2 = if at < 10 { "6-9" } else { "10-13" };
        core(at.to_string(), 4400, l2.to_owned(), l3)
    });
    let low = (14..16).map(|at: u32| core(at.to_string(), 2500, "14-15".to_owned(), None));
    p.chain(e).chain(low).collect()
}

/// A Ryzen 9 9950X3D: the cores below the larger cache have the lower clock.
fn ryzen_9950x3d() -> Vec<TreeCore> {
    (0..16)
        .map(|at| {
            let (mhz, l3) = match at {
                0..8 => (5575, ("0-7,16-23", "98304K")),
                _ => (5752, ("8-15,24-31", "32768K")),
            };
            let pcpus = format!("{at},{}", at + 16);
            core(pcpus.clone(), mhz, pcpus, Some(l3))
        })
        .collect()
}

fn with_pmus(root: &Folder, pmus: &[(&str, &str)]) {
    for (name, cpus) in pmus {
        root.write(&format!("sys/devices/{name}/cpus"), format!("{cpus}\n"));
    }
}

/// The numbers of performance, efficiency and low-power cores.
fn counts(host: &HostSpec) -> [usize; 3] {
    CoreKind::ALL.map(|kind| host.cores.iter().filter(|core| core.kind == kind).count())
}

fn tree(root: &Folder) -> HostSpec {
    sysfs::read(&root.0).unwrap().host
}

fn built(host: HostSpec) -> Host {
    host.build().unwrap()
}

fn line(host: &HostSpec) -> Option<String> {
    cores_line(&built(host.clone()))
}

const I9_LINE: &str = "Cores: 8 performance, 16 efficiency";

#[test]
fn an_i9_13900k_has_two_kinds_and_keeps_an_efficiency_core() {
    let root = desktop(INTEL, &i9_13900k());
    // Without the PMUs: by threads and clocks.
    assert_eq!(counts(&tree(&root)), [8, 16, 0]);
    with_pmus(&root, &[("cpu_core", "0-15"), ("cpu_atom", "16-31")]);
    let host = tree(&root);
    assert_eq!(counts(&host), [8, 16, 0]);
    assert_eq!(line(&host).unwrap(), I9_LINE);
    let host = built(host);
    assert_eq!(host.kept().why, KeptWhy::EfficiencyCore);
    assert_eq!(host.kept().cpus.to_string(), "16");
    // The PMU of one kind tells the other.
    let root = desktop(INTEL, &i9_13900k());
    with_pmus(&root, &[("cpu_core", "0-15")]);
    assert_eq!(counts(&tree(&root)), [8, 16, 0]);
}

#[test]
fn a_core_ultra_255h_has_three_kinds_and_keeps_a_low_power_core() {
    let told: [&[(&str, &str)]; 4] = [
        // No P core has two threads; the E cores share their L2.
        &[],
        &[("cpu_core", "0-5"), ("cpu_atom", "6-15")],
        &[("cpu_core", "0-5"), ("cpu_atom", "6-13"), ("cpu_lowpower", "14-15")],
        &[("cpu_atom", "6-13"), ("cpu_lowpower", "14-15")],
    ];
    for pmus in told {
        let root = desktop(INTEL, &ultra_255h());
        with_pmus(&root, pmus);
        let host = tree(&root);
        assert_eq!(counts(&host), [6, 8, 2], "{pmus:?}");
        let said = "Cores: 6 performance, 8 efficiency, 2 low-power efficiency; L3: 24 MiB on 0-13";
        assert_eq!(line(&host).unwrap(), said);
        let back = read_host(&write_host(&host)).unwrap();
        assert_eq!(counts(&back), [6, 8, 2]);
        assert_eq!(write_host(&host).matches("\"kind\":\"low-power\"").count(), 2);
        let host = built(back);
        assert_eq!(host.kept().why, KeptWhy::LowPowerCore);
        assert_eq!(host.kept().cpus.to_string(), "14");
    }
}

#[test]
fn a_low_clock_makes_a_low_power_core_where_no_l3_is_told() {
    let mut cores = ultra_255h();
    cores.iter_mut().for_each(|core| core.l3 = None);
    let root = desktop(INTEL, &cores);
    with_pmus(&root, &[("cpu_core", "0-5"), ("cpu_atom", "6-15")]);
    assert_eq!(counts(&tree(&root)), [6, 8, 2]);
    // Base frequencies, where the kernel shows no others.
    for at in 0..16 {
        let own = format!("sys/devices/system/cpu/cpu{at}/cpufreq");
        std::fs::remove_file(root.0.join(&own).join("cpuinfo_max_freq")).unwrap();
        let khz = if at > 13 { "700000\n" } else { "1500000\n" };
        root.write(&format!("{own}/base_frequency"), khz);
    }
    let host = tree(&root);
    assert_eq!(counts(&host), [6, 8, 2]);
    assert!(host.cores.iter().all(|core| core.max_mhz.is_none()));
}

#[test]
fn a_stacked_cache_makes_no_kind_and_its_size_is_named() {
    let host = tree(&desktop(AMD, &ryzen_9950x3d()));
    assert_eq!(counts(&host), [16, 0, 0]);
    let said = "Cores: L3: 96 MiB on 0-7,16-23; 32 MiB on 8-15,24-31";
    assert_eq!(line(&host).unwrap(), said);
    // Domains of one size are counted.
    let mut equal = ryzen_9950x3d();
    for core in &mut equal {
        core.l3 = core.l3.map(|(cpus, _)| (cpus, "32768K"));
    }
    assert_eq!(line(&tree(&desktop(AMD, &equal))).unwrap(), "Cores: L3: 2 x 32 MiB");
}

#[test]
fn favoured_and_denser_cores_are_of_one_kind() {
    // The clocks of CPPC differ core by core; cores with a smaller cache and clock run the same
    // code.
    for slowest in [5050, 3300] {
        let cores = (0..8).map(|at: u32| {
            let pcpus = format!("{at},{}", at + 8);
            let mhz = if at > 3 { slowest + at } else { 5700 - 100 * at };
            core(pcpus.clone(), mhz, pcpus, Some(("0-15", "32768K")))
        });
        let host = tree(&desktop(AMD, &cores.collect::<Vec<_>>()));
        assert_eq!(counts(&host), [8, 0, 0]);
        assert_eq!(line(&host), None);
    }
    // A core whose sibling is off is none of another kind, at whatever clock it is favoured.
    let mut cores = ryzen_9950x3d();
    cores[0] = TreeCore { pcpus: "0", ..cores[0] };
    assert_eq!(counts(&tree(&desktop(AMD, &cores))), [16, 0, 0]);
}

#[test]
fn capacities_tell_kinds_where_they_differ_by_more_than_a_quarter() {
    // Four slow and four fast cores, as arm64 kernels count them; favoured ones among the fast.
    let cores: Vec<TreeCore> =
        (0..8).map(|at: u32| core(at.to_string(), 2400, at.to_string(), None)).collect();
    let capacity = |slow: u32| {
        let root = desktop("", &cores);
        for at in 0..8 {
            let own = if at < 4 { slow } else { 990 + at * 2 };
            let file = format!("sys/devices/system/cpu/cpu{at}/cpu_capacity");
            root.write(&file, format!("{own}\n"));
        }
        counts(&tree(&root))
    };
    assert_eq!(capacity(446), [4, 4, 0]);
    assert_eq!(capacity(752), [4, 4, 0]);
    assert_eq!(capacity(754), [8, 0, 0]);
    assert_eq!(capacity(1024), [8, 0, 0]);
}

/// lstopo's XML of the cores, with these `<cpukind>`s.
fn lstopo(cores: &[TreeCore], kinds: &str) -> HostSpec {
    let mut text = "<topology version=\"2.0\"><object type=\"Machine\" os_index=\"0\">\
        <object type=\"Package\" os_index=\"0\"><object type=\"NUMANode\" os_index=\"0\" \
        cpuset=\"0xffffffff\" local_memory=\"1073741824\"/>"
        .to_owned();
    let mut open = None;
    for (core, id) in cores.iter().zip(0..) {
        if core.l3 != open {
            text += if open.is_some() { "</object>" } else { "" };
            if let Some((_, size)) = core.l3 {
                let kib: u64 = size.trim_end_matches('K').parse().unwrap();
                let size = Bytes(kib << 10).0;
                let _ = write!(text, "<object type=\"L3Cache\" cache_size=\"{size}\" depth=\"3\">");
            }
            open = core.l3;
        }
        let _ = write!(text, "<object type=\"Core\" os_index=\"{id}\">");
        for pcpu in core.pcpus.parse::<pinwise::CpuSet>().unwrap().iter() {
            let _ = write!(text, "<object type=\"PU\" os_index=\"{pcpu}\"/>");
        }
        text += "</object>";
    }
    text += if open.is_some() { "</object>" } else { "" };
    let text = text + "</object></object>" + kinds + "</topology>";
    let Reading { host, .. } = read_lstopo(&text).unwrap();
    host
}

fn kind(mask: &str, rank: u32, info: &[(&str, &str)]) -> String {
    let info =
        info.iter().map(|(name, value)| format!("<info name=\"{name}\" value=\"{value}\"/>"));
    let info: String = info.collect();
    format!("<cpukind cpuset=\"{mask}\" forced_efficiency=\"{rank}\">{info}</cpukind>")
}

#[test]
fn lstopo_tells_kinds_by_type_capacity_or_rank() {
    let (atom, fast) = (("CoreType", "IntelAtom"), ("CoreType", "IntelCore"));
    let ultra = ultra_255h();
    let types = kind("0x0000ffc0", 0, &[atom]) + &kind("0x0000003f", 1, &[fast]);
    let host = lstopo(&ultra, &types);
    assert_eq!(counts(&host), [6, 8, 2]);
    assert_eq!(built(host).kept().why, KeptWhy::LowPowerCore);
    let low = ("CoreType", "IntelLowPower");
    let types = kind("0x00003fc0", 1, &[atom]) + &kind("0x0000c000", 0, &[low]);
    assert_eq!(counts(&lstopo(&ultra, &types)), [6, 8, 2]);
    // Ranks alone, as other systems than Linux force them.
    let ranks = kind("0x0000ffc0", 0, &[]) + &kind("0x0000003f", 1, &[]);
    assert_eq!(counts(&lstopo(&ultra, &ranks)), [6, 8, 2]);
    // Of capacities that differ by little, ranks are no kinds.
    let capacities = kind("0x0000ffff", 0, &[("LinuxCapacity", "997")])
        + &kind("0xffff0000", 1, &[("LinuxCapacity", "1024")]);
    let host = lstopo(&ryzen_9950x3d(), &capacities);
    assert_eq!(counts(&host), [16, 0, 0]);
    let said = "Cores: L3: 96 MiB on 0-7,16-23; 32 MiB on 8-15,24-31";
    assert_eq!(line(&host).unwrap(), said);
}

/// What `virsh capabilities` would print.
fn capabilities(vendor: &str, cores: &[TreeCore]) -> String {
    let mut cpus = String::new();
    let mut banks: Vec<(&str, &str)> = Vec::new();
    for (core, id) in cores.iter().zip(0..) {
        for pcpu in core.pcpus.parse::<pinwise::CpuSet>().unwrap().iter() {
            let siblings = core.pcpus;
            let _ = write!(
                cpus,
                "<cpu id='{pcpu}' socket_id='0' core_id='{id}' siblings='{siblings}'/>"
            );
        }
        banks.extend(core.l3.filter(|l3| !banks.contains(l3)));
    }
    let bank = |(cpus, size): &(&str, &str)| {
        let kib = size.trim_end_matches('K');
        format!("<bank id='0' level='3' type='both' size='{kib}' unit='KiB' cpus='{cpus}'/>")
    };
    let banks: String = banks.iter().map(bank).collect();
    format!(
        "<capabilities><host><cpu><model>Some</model><vendor>{vendor}</vendor></cpu><topology>\
         <cells><cell id='0'><memory unit='KiB'>1048576</memory><cpus>{cpus}</cpus></cell></cells>\
         </topology><cache>{banks}</cache></host></capabilities>"
    )
}

const GUESSED: &str = "cores with one thread beside cores with two are taken for efficiency cores: \
                       capabilities name no kinds";

#[test]
fn capabilities_of_an_intel_host_are_guessed_with_a_note() {
    let Reading { host, notes } = read_capabilities(&capabilities("Intel", &i9_13900k())).unwrap();
    assert_eq!(counts(&host), [8, 16, 0]);
    assert!(sentences(&notes).contains(&GUESSED.to_owned()), "{notes:?}");
    // Not on other hosts, not without SMT, and not where a sibling may be off.
    let off = capabilities("Intel", &i9_13900k()).replace("</cpus>", "<cpu id='99'/></cpus>");
    for text in [
        capabilities("AMD", &i9_13900k()),
        capabilities("Intel", &ultra_255h()),
        capabilities("Intel", &i9_13900k()[..9]),
        off,
    ] {
        let Reading { host, notes } = read_capabilities(&text).unwrap();
        assert_eq!(counts(&host)[1..], [0, 0]);
        assert!(!sentences(&notes).contains(&GUESSED.to_owned()), "{notes:?}");
    }
    let host = read_capabilities(&capabilities("AMD", &ryzen_9950x3d())).unwrap().host;
    let said = "Cores: L3: 96 MiB on 0-7,16-23; 32 MiB on 8-15,24-31";
    assert_eq!(line(&host).unwrap(), said);
}

/// The cores as `lscpu -e` prints them, with these columns of `CPU NODE SOCKET CORE L2 MAXMHZ`.
fn lscpu(cores: &[TreeCore], columns: usize) -> String {
    let mut text =
        "CPU NODE SOCKET CORE L2 MAXMHZ".split(' ').take(columns).collect::<Vec<_>>().join(" ");
    for (core, id) in cores.iter().zip(0..) {
        let l2 = core.l2.parse::<pinwise::CpuSet>().unwrap().first().unwrap();
        for pcpu in core.pcpus.parse::<pinwise::CpuSet>().unwrap().iter() {
            let mhz = format!("{}.0000", core.mhz);
            let cells =
                [pcpu.to_string(), "0".into(), "0".into(), format!("{id}"), l2.to_string(), mhz];
            let _ = write!(text, "\n{}", cells[..columns].join(" "));
        }
    }
    text + "\n"
}

/// A host that has nothing but a node with these pCPUs, with a table of theirs laid over it.
fn from_lscpu(text: &str, pcpus: &str) -> (HostSpec, Vec<String>) {
    let reading = read_capabilities(&capabilities("Some", &i9_13900k())).unwrap();
    let mut host = HostSpec { cores: Vec::new(), l3_domains: Vec::new(), ..reading.host };
    host.nodes[0].cpus = pcpus.parse().unwrap();
    let report = overlay(&mut host, &read_facts(text).unwrap());
    (host, sentences(&report.notes))
}

#[test]
fn lscpu_tells_kinds_by_clocks_and_is_guessed_without_them() {
    let guessed =
        |sign: &str| format!("{sign} are taken for efficiency cores: lscpu -e names no kinds");
    let threads = guessed("cores with one thread beside cores with two");
    let l2 = guessed("cores that share an L2 cache beside cores with one each");
    let (i9, ultra) = (i9_13900k(), ultra_255h());
    for (cores, columns, expected, notes) in [
        (&i9, 6, [8, 16, 0], vec![]),
        (&i9, 5, [8, 16, 0], vec![threads.clone()]),
        (&i9, 4, [8, 16, 0], vec![threads]),
        (&ultra, 6, [6, 8, 2], vec![]),
        (&ultra, 5, [6, 10, 0], vec![l2]),
        (&ultra, 4, [16, 0, 0], vec![]),
        (&ryzen_9950x3d(), 6, [16, 0, 0], vec![]),
    ] {
        let pcpus = if cores.len() == 16 && cores[0].pcpus == "0" { "0-15" } else { "0-31" };
        let (host, said) = from_lscpu(&lscpu(cores, columns), pcpus);
        assert_eq!((counts(&host), said), (expected, notes), "{columns} columns");
    }
    // lscpu leaves out the numbers of caches that a core lacks, and does not say which.
    let text = "CPU SOCKET CORE L1d:L1i:L2:L3 MAXMHZ\n0 0 0 0:0:0:0 5100.0\n1 0 1 4:4:1:0 5100.0\n\
                2 0 2 2:0 4400.0\n3 0 3 18:18:2:0 4400.0\n4 0 4 22:22:2:0 4400.0\n\
                5 0 5 64:64:8 2500.0\n";
    assert_eq!(counts(&from_lscpu(text, "0-5").0), [2, 3, 1]);
}

#[test]
fn a_source_that_knows_kinds_wins_over_one_that_guesses() {
    let i9 = i9_13900k();
    let assembled = |texts: &[&str]| {
        let mut assembly = Assembly::new();
        for (text, name) in texts.iter().zip(["a", "b"]) {
            assembly.add_text(name, text).unwrap();
        }
        let assembled = assembly.finish().unwrap();
        let guessed = sentences(&assembled.notes).contains(&GUESSED.to_owned());
        (counts(&assembled.host), guessed)
    };
    let told = capabilities("Intel", &i9);
    assert_eq!(assembled(&[&told]), ([8, 16, 0], true));
    // Clocks confirm what is guessed, or refute it: here a single thread is no sign.
    assert_eq!(assembled(&[&told, &lscpu(&i9, 6)]), ([8, 16, 0], false));
    let mut even = i9.clone();
    even.iter_mut().for_each(|core| core.mhz = 5000);
    assert_eq!(assembled(&[&told, &lscpu(&even, 6)]), ([24, 0, 0], false));
    assert_eq!(assembled(&[&told, &lscpu(&i9, 4)]), ([8, 16, 0], true));
    // Over a description without kinds the guess is laid, over one with kinds it is not.
    let mut host = tree(&desktop(INTEL, &i9));
    let kinds = write_host(&host);
    assert_eq!(assembled(&[&kinds, &told]), ([8, 16, 0], false));
    host.cores.iter_mut().for_each(|core| core.kind = CoreKind::Performance);
    host.cores.iter_mut().for_each(|core| core.max_mhz = None);
    host.l3_domains.iter_mut().for_each(|l3| l3.size = None);
    assert_eq!(assembled(&[&write_host(&host), &told]), ([8, 16, 0], true));
}

#[test]
fn what_the_first_source_lacks_is_taken_from_the_second() {
    let root = desktop(AMD, &ryzen_9950x3d());
    let mut host = tree(&root);
    host.l3_domains.iter_mut().for_each(|l3| l3.size = None);
    assert_eq!(line(&host).unwrap(), "Cores: L3: 2 caches of unknown size");
    let mut assembly = Assembly::new();
    assembly.add_text("a", &write_host(&host)).unwrap();
    assembly.add_text("b", &capabilities("AMD", &ryzen_9950x3d())).unwrap();
    let said = "Cores: L3: 96 MiB on 0-7,16-23; 32 MiB on 8-15,24-31";
    assert_eq!(line(&assembly.finish().unwrap().host).unwrap(), said);
}
