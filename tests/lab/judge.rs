//! The judges: libvirt's schema, its parser, and its QEMU driver where there is one.

use std::path::{Path, PathBuf};
use std::process::Command;

use std::time::{Duration, Instant};

use pinwise::placement::MemoryMode;
use pinwise::{CpuSet, Placement};

/// How long a guest may take to report; without KVM on two busy cores it is up to a minute.
const PATIENCE: Duration = Duration::from_secs(180);
/// What the guest says last.
pub(crate) const DONE: &str = "that is all\n";

/// The most that a stopped VM may ask of this machine: none of it is touched.
pub(crate) const MOST_MEMORY: u64 = 12 << 30;

/// Whether the lab is asked for; says so where it is not.
pub(crate) fn asked() -> bool {
    let asked = std::env::var("PINWISE_LAB").is_ok_and(|value| value == "1");
    if !asked {
        println!("not run: set PINWISE_LAB=1 after tests/lab/install");
    }
    asked
}

/// Runs a judge; fails with its words unless it is content.
pub(crate) fn run(name: &str, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: run tests/lab/install"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{name}: {program} {arguments:?}:\n{out}{err}");
    out
}

pub(crate) fn file(name: &str, xml: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lab-{name}.xml"));
    std::fs::write(&path, xml).expect("the target folder can be written");
    path
}

/// What is between the first `<name>` and its end.
pub(crate) fn domain_name(xml: &str) -> &str {
    let rest = xml.split_once("<name>").expect("a domain has a name").1;
    rest.split_once("</name>").expect("and it ends").0
}

/// Lets every judge there is look at a domain. With the QEMU driver: the domain as that would save
/// it.
pub(crate) fn judge(name: &str, xml: &str) -> Option<String> {
    let path = file(name, xml);
    let path = path.to_str().expect("the path is ours");
    run(name, "virt-xml-validate", &[path, "domain"]);
    run(name, "virsh", &["-q", "-c", "test:///default", "define", "--validate", path]);
    let connection = Driver::of_lab()?.connection;
    let own = format!("pinwise-lab-{name}");
    // A name that no domain of the machine has. And host-passthrough is for KVM alone, which the
    // driver looks for: a machine without it can judge all else.
    let mut xml = xml.replacen(
        &format!("<name>{}</name>", domain_name(xml)),
        &format!("<name>{own}</name>"),
        1,
    );
    if !Path::new("/dev/kvm").exists() {
        for (kvm, emulated) in
            [("type=?kvm?", "type=?qemu?"), ("mode=?host-passthrough?", "mode=?maximum?")]
        {
            for quote in ["'", "\""] {
                xml = xml.replacen(&kvm.replace('?', quote), &emulated.replace('?', quote), 1);
            }
        }
    }
    let path = file(&own, &xml);
    let path = path.to_str().expect("the path is ours");
    let at = ["-q", "-c", connection.as_str()];
    run(name, "virsh", &[&at[..], &["define", "--validate", path]].concat());
    let saved = run(name, "virsh", &[&at[..], &["dumpxml", "--inactive", &own]].concat());
    run(name, "virsh", &[&at[..], &["undefine", &own, "--nvram"]].concat());
    Some(saved)
}

/// The QEMU driver of the lab's libvirtd.
#[derive(Debug)]
pub(crate) struct Driver {
    connection: String,
}

impl Driver {
    pub(crate) fn of_lab() -> Option<Self> {
        std::env::var("PINWISE_LAB_QEMU").ok().map(|connection| Self { connection })
    }

    pub(crate) fn virsh(&self, name: &str, arguments: &[&str]) -> String {
        run(name, "virsh", &[&["-q", "-c", &self.connection], arguments].concat())
    }

    /// QEMU's command line for the domain: what only the driver's last step finds wrong.
    pub(crate) fn native(&self, name: &str, xml: &str) {
        let path = file(&format!("{name}-native"), xml);
        let path = path.to_str().expect("the path is ours");
        let line = self.virsh(name, &["domxml-to-native", "qemu-argv", "--xml", path]);
        assert!(line.contains("qemu-system-x86_64"), "{name}: {line}");
    }

    /// Starts the domain with its vCPUs stopped, looks at its threads, lets `more` look, and ends
    /// it.
    pub(crate) fn paused(
        &self,
        name: &str,
        xml: &str,
        placement: &Placement,
        more: impl FnOnce(u32),
    ) {
        let own = domain_name(xml);
        let path = file(&format!("{name}-start"), xml);
        let path = path.to_str().expect("the path is ours");
        self.virsh(name, &["create", "--validate", "--paused", path]);
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            assert_eq!(self.virsh(name, &["domstate", own]).trim(), "paused", "{name}");
            let pid = self.pid(own);
            threads(name, xml, placement, pid);
            memory(name, placement, pid);
            more(pid);
        }));
        self.virsh(name, &["destroy", own]);
        if let Err(panic) = checked {
            std::panic::resume_unwind(panic);
        }
    }

    /// Starts the domain and waits until its second serial port, a file, says that it is done.
    pub(crate) fn booted(
        &self,
        name: &str,
        xml: &str,
        placement: &Placement,
        said: &Path,
    ) -> (String, String) {
        let own = domain_name(xml);
        let path = file(&format!("{name}-boot"), xml);
        let path = path.to_str().expect("the path is ours");
        for boots in 1.. {
            _ = std::fs::remove_file(said);
            self.virsh(name, &["create", "--validate", path]);
            threads(name, xml, placement, self.pid(own));
            let huge = placement.cells.iter().filter(|cell| cell.page_size.is_huge());
            let wanted: u64 = huge.map(|cell| cell.memory.kib()).sum();
            assert_eq!(hugepages(self.pid(own)), wanted, "{name}: KiB of hugepages");
            let live = self.virsh(name, &["dumpxml", own]);
            let start = Instant::now();
            let mut text = String::new();
            let mut alive = true;
            while alive && !text.ends_with(DONE) && start.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(200));
                text = String::from_utf8_lossy(&std::fs::read(said).unwrap_or_default()).into();
                alive = Path::new(&format!("/run/libvirt/qemu/{own}.pid")).exists();
            }
            let done = text.ends_with(DONE);
            if alive {
                self.virsh(name, &["destroy", own]);
            }
            if done {
                return (live, text);
            }
            // QEMU's threads race when a guest moves PCI windows, and sometimes the loser aborts;
            // on a busy machine a guest may also wait for a clock that never comes. That says
            // nothing about us; a firmware that hangs does so every time.
            let last = text.get(text.len().saturating_sub(800)..).unwrap_or_default();
            assert!(boots < 3, "{name}: no report after {:?}: {last}", start.elapsed());
            let how = if alive { "was silent" } else { "ended" };
            println!("{name}: QEMU {how} after {:?}, once more", start.elapsed());
        }
        unreachable!("the last boot returns or fails")
    }

    /// The process of a domain: libvirt keeps its id in a file.
    fn pid(&self, own: &str) -> u32 {
        let path = format!("/run/libvirt/qemu/{own}.pid");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        text.trim().parse().expect("a number")
    }
}

/// The driver, where the lab is asked for and has one; says so otherwise.
pub(crate) fn driver() -> Option<Driver> {
    if !asked() {
        return None;
    }
    let driver = Driver::of_lab();
    if driver.is_none() {
        println!("not run: no QEMU driver, see tests/lab/run");
    }
    driver
}

/// How many pCPUs this machine has, from 0 on.
pub(crate) fn pcpus() -> u32 {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").expect("Linux has it");
    let online: CpuSet = text.trim().parse().expect("a list");
    u32::try_from(online.len()).expect("few")
}

/// The pins in the XML by thread, as QEMU names its threads.
fn pins(xml: &str, element: &str, id: &str) -> Vec<(u32, CpuSet)> {
    let value = |line: &str, name: &str| -> String {
        let rest = line.split_once(&format!(" {name}='")).expect("it has that").1;
        rest.split_once('\'').expect("quotes end").0.to_owned()
    };
    let lines = xml.lines().filter(|line| line.trim_start().starts_with(&format!("<{element} ")));
    lines
        .map(|line| {
            let id = if id.is_empty() { 0 } else { value(line, id).parse().expect("a number") };
            (id, value(line, "cpuset").parse().expect("a list"))
        })
        .collect()
}

/// KiB of hugepages that a process has.
pub(crate) fn hugepages(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("HugetlbPages:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.expect("the kernel counts them")
}

/// Every thread of the process may run where the XML says, and nowhere else.
fn threads(name: &str, xml: &str, placement: &Placement, pid: u32) {
    let folder = format!("/proc/{pid}/task");
    let mut vcpus = std::collections::BTreeMap::new();
    let mut main = None;
    for entry in std::fs::read_dir(&folder).expect("the process runs").flatten() {
        let read =
            |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let status = read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let Some(Ok(allowed)) = line.map(|list| list.trim().parse::<CpuSet>()) else { continue };
        let called = read("comm");
        let called = called.trim();
        let number = called.strip_prefix("CPU ").and_then(|rest| rest.split('/').next());
        if let Some(vcpu) = number.and_then(|number| number.parse::<u32>().ok()) {
            vcpus.insert(vcpu, allowed);
        } else if entry.file_name().to_str() == Some(pid.to_string().as_str()) {
            main = Some(allowed);
        }
    }
    assert_eq!(vcpus.len(), placement.vcpus.len(), "{name}: a thread for each vCPU");
    for (vcpu, wanted) in pins(xml, "vcpupin", "vcpu") {
        assert_eq!(vcpus.get(&vcpu), Some(&wanted), "{name}: vCPU {vcpu}");
    }
    if let Some((_, wanted)) = pins(xml, "emulatorpin", "").pop() {
        assert_eq!(main, Some(wanted), "{name}: the emulator");
    }
}

/// The guest's memory has the policy that the placement says.
fn memory(name: &str, placement: &Placement, pid: u32) {
    let word = match placement.memory_mode {
        MemoryMode::Strict => " bind:",
        MemoryMode::Interleave => " interleave:",
        MemoryMode::Unbound => return,
    };
    let maps = std::fs::read_to_string(format!("/proc/{pid}/numa_maps")).unwrap_or_default();
    let bound = maps.lines().filter(|line| line.contains(word)).count();
    assert!(bound >= placement.cells.len(), "{name}: {bound} areas of memory with{word}\n{maps}");
}
