//! A machine that QEMU makes up: packages, nodes, SMT, memory, page pools, an IOMMU, and PCI
//! functions that look like GPUs behind an expander bus of their node. It runs a script and hands
//! back the files that this leaves in `/out`.
//!
//! All of it is emulated, so nothing here needs KVM, a disk, a network or a kernel module.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::archive::{Archive, unpack};

/// How long a boot may take; on two cores without KVM it is some twenty seconds.
const PATIENCE: Duration = Duration::from_secs(240);
/// QEMU's threads race when the guest moves PCI windows, and the loser aborts (`iotlb_to_section`).
/// That says nothing about us, so it may happen this often.
const BOOTS: u32 = 4;

/// A node of the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeShape {
    /// Its cores; none on a node with nothing but memory.
    pub(crate) cores: u32,
    /// Its memory in MiB.
    pub(crate) mib: u64,
    /// Its pages of 2 MiB.
    pub(crate) pages: u64,
    /// Its GPUs, each with its sound function beside it in one slot.
    pub(crate) gpus: u32,
}

/// The machine, as it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) packages: u32,
    /// SMT siblings of a core.
    pub(crate) threads: u32,
    pub(crate) nodes: Vec<NodeShape>,
    /// Relative distances, row by row.
    pub(crate) distances: Vec<Vec<u32>>,
    /// `isolcpus`, as the kernel is told.
    pub(crate) isolated: &'static str,
    /// pCPUs that are turned off after the boot.
    pub(crate) offline: Vec<u32>,
    /// The pCPUs that the script may use; all where empty.
    pub(crate) allowed: &'static str,
    pub(crate) iommu: bool,
    /// Whether every node has an expander bus; else all functions hang from the root bus, which is
    /// on no node.
    pub(crate) expanders: bool,
}

impl Shape {
    pub(crate) fn cores(&self) -> u32 {
        self.nodes.iter().map(|node| node.cores).sum()
    }

    pub(crate) fn pcpus(&self) -> u32 {
        self.cores() * self.threads
    }

    /// The pCPUs of each node: QEMU numbers threads, then cores, then packages.
    pub(crate) fn pcpus_by_node(&self) -> Vec<std::ops::Range<u32>> {
        let mut next = 0;
        let mut take = |node: &NodeShape| {
            let first = next;
            next += node.cores * self.threads;
            first..next
        };
        self.nodes.iter().map(&mut take).collect()
    }
}

/// What the script left in `/out`, by path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The kernel that boots: the one that `tests/lab/install` names, or one that is installed.
#[allow(clippy::disallowed_methods, reason = "tests/lab/run says where the kernel is")]
pub(crate) fn kernel() -> PathBuf {
    if let Some(named) = std::env::var_os("PINWISE_LAB_KERNEL") {
        return PathBuf::from(named);
    }
    let entries = fs::read_dir("/boot").into_iter().flatten().flatten();
    let mut kernels: Vec<_> = entries.map(|entry| entry.path()).collect();
    kernels.retain(|path| path.to_string_lossy().contains("/vmlinuz-"));
    kernels.sort();
    kernels.pop().expect("no kernel to boot: run tests/lab/run")
}

/// The shared libraries that a program needs, as the loader of this machine finds them.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output().expect("ldd comes with libc");
    let listed = String::from_utf8(listed.stdout).expect("paths of libraries are plain");
    let path =
        |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(Into::into);
    listed.lines().filter_map(path).collect()
}

/// The first file system: busybox, the programs with their libraries, and `/init` with the script.
fn image(shape: &Shape, programs: &[PathBuf], folder: &Path, script: &str) -> PathBuf {
    let mut archive = Archive::default();
    for folder in ["proc", "sys", "dev", "tmp", "out"] {
        archive.folder(folder);
    }
    archive.console();
    let read = |path: &Path| fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = busybox.into_iter().find(|path| path.exists());
    let busybox = busybox.expect("no busybox: run tests/lab/run");
    for program in programs.iter().map(PathBuf::as_path).chain([busybox]) {
        let name = program.file_name().and_then(|name| name.to_str()).expect("its name is ours");
        // Symbols for a debugger are most of a debug build, and would all go through the emulator.
        let bare = folder.join(name);
        let stripped = Command::new("strip").arg("-o").arg(&bare).arg(program).status();
        let bare = if stripped.is_ok_and(|status| status.success()) { &bare } else { program };
        archive.file(&format!("bin/{name}"), &read(bare));
        for library in libraries(program) {
            let path = library.to_string_lossy();
            archive.file(path.trim_start_matches('/'), &read(&library));
        }
    }
    archive.file("init", init(shape, script).as_bytes());
    let image = folder.join("image");
    fs::write(&image, archive.finish()).expect("the target folder can be written");
    image
}

fn init(shape: &Shape, script: &str) -> String {
    let mut text = String::from(
        "#!/bin/busybox sh\n/bin/busybox --install -s /bin\nexport PATH=/bin\n\
         mount -t proc proc /proc\nmount -t sysfs sys /sys\nmount -t devtmpfs dev /dev\n\
         mount -t tmpfs tmp /out\nstty -F /dev/ttyS1 raw -echo\n",
    );
    for (node, at) in shape.nodes.iter().zip(0..) {
        text += &format!(
            "echo {} > /sys/devices/system/node/node{at}/hugepages/hugepages-2048kB/nr_hugepages\n",
            node.pages
        );
    }
    for pcpu in &shape.offline {
        text += &format!("echo 0 > /sys/devices/system/cpu/cpu{pcpu}/online\n");
    }
    if !shape.allowed.is_empty() {
        text += &format!("taskset -pc {} $$ >/dev/null\n", shape.allowed);
    }
    text += "run() { name=$1; shift; \"$@\" > /out/$name 2> /out/$name.err; \
             echo $? > /out/$name.status; }\ncd /out\n";
    text += script;
    text += "\necho > /out/done\ntar -c -f /dev/ttyS1 -C /out .\nsleep 1\npoweroff -f\n";
    text
}

/// QEMU's arguments that make the hardware.
fn hardware(shape: &Shape) -> Vec<String> {
    let cores = shape.cores() / shape.packages;
    let mib: u64 = shape.nodes.iter().map(|node| node.mib).sum();
    let smp = format!(
        "{},sockets={},dies=1,cores={cores},threads={}",
        shape.pcpus(),
        shape.packages,
        shape.threads
    );
    // A server's CPU without what the emulator warns that it lacks.
    let cpu = "Skylake-Server,-pcid,-tsc-deadline,-invpcid,-spec-ctrl,-hle,-rtm,-mpx,-avx512f,\
               -avx512dq,-avx512cd,-avx512bw,-avx512vl,-xsavec,-ssbd";
    let mut arguments: Vec<String> =
        ["-machine", "q35", "-cpu", cpu, "-smp", &smp].map(str::to_owned).into();
    let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    add("-m", format!("{mib}M"));
    if shape.iommu {
        add("-device", "intel-iommu,intremap=on".to_owned());
    }
    for ((node, pcpus), at) in shape.nodes.iter().zip(shape.pcpus_by_node()).zip(0_u32..) {
        add("-object", format!("memory-backend-ram,id=m{at},size={}M", node.mib));
        let cpus = match pcpus.is_empty() {
            true => String::new(),
            false => format!(",cpus={}-{}", pcpus.start, pcpus.end - 1),
        };
        add("-numa", format!("node,nodeid={at},memdev=m{at}{cpus}"));
    }
    for (row, from) in shape.distances.iter().zip(0_u32..) {
        for (distance, to) in row.iter().zip(0_u32..) {
            add("-numa", format!("dist,src={from},dst={to},val={distance}"));
        }
    }
    let (mut port, mut bus_nr) = (0_u32, 64_u32);
    for (node, at) in shape.nodes.iter().zip(0_u32..).filter(|(node, _)| node.gpus > 0) {
        let mut bus = "pcie.0".to_owned();
        if shape.expanders {
            bus = format!("x{at}");
            add("-device", format!("pxb-pcie,id={bus},bus=pcie.0,bus_nr={bus_nr},numa_node={at}"));
            bus_nr += 32;
        }
        for _ in 0..node.gpus {
            port += 1;
            add("-device", format!("pcie-root-port,id=p{port},bus={bus},chassis={port}"));
            let slot = format!("bus=p{port},addr=0");
            add("-device", format!("ati-vga,romfile=,{slot},multifunction=on"));
            add("-device", format!("ich9-intel-hda,{slot}.1"));
        }
    }
    arguments
}

/// Boots the machine with these programs in its `/bin`, runs the script there, and gives back what
/// that put into `/out`. In the script `run NAME PROGRAM…` leaves `NAME`, `NAME.err` and
/// `NAME.status`.
pub(crate) fn boot(shape: &Shape, programs: &[PathBuf], script: &str) -> Files {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("machine-{}", shape.name));
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let image = image(shape, programs, &folder, script);
    let (console, out) = (folder.join("console"), folder.join("out.tar"));
    let mut command_line = "console=ttyS0 quiet panic=-1 mitigations=off tsc=unstable".to_owned();
    if shape.iommu {
        command_line += " intel_iommu=on";
    }
    if !shape.isolated.is_empty() {
        command_line += &format!(" isolcpus={}", shape.isolated);
    }
    for boots in 1.. {
        _ = fs::remove_file(&out);
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        qemu.args(["-accel", "tcg,thread=multi"]).args(hardware(shape));
        qemu.arg("-kernel").arg(kernel()).arg("-initrd").arg(&image);
        qemu.args(["-append", &command_line]);
        for port in [&console, &out] {
            qemu.arg("-serial").arg(format!("file:{}", port.display()));
        }
        let said = folder.join("qemu");
        let log = File::create(&said).expect("the target folder can be written");
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let status = wait(&mut qemu);
        let files = unpack(&fs::read(&out).unwrap_or_default());
        if files.contains_key("done") {
            return files;
        }
        let tail = |path: &Path| {
            let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(12)..].join("\n")
        };
        let said = format!("{status:?}\n{}\n{}", tail(&said), tail(&console));
        let aborted = status.is_some_and(|status| status.signal().is_some());
        assert!(aborted && boots < BOOTS, "{}: no result: {said}", shape.name);
        println!("{}: QEMU aborted, once more: {said}", shape.name);
    }
    unreachable!("the last boot returns or fails")
}

/// `None` where it took too long and was killed.
#[allow(clippy::disallowed_methods, reason = "a machine that hangs must not hang the tests")]
fn wait(qemu: &mut Command) -> Option<std::process::ExitStatus> {
    let mut child = qemu.spawn().expect("no qemu-system-x86_64: run tests/lab/run");
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        if start.elapsed() > PATIENCE {
            _ = child.kill();
            _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
