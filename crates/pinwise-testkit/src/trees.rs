//! Folders with sysfs trees: written by a test, or unpacked from archives of real machines' trees.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::root;
use pinwise::CpuSet;

/// A folder of its own, gone when the test is over.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pinwise-sysfs-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Two nodes of two cores with SMT, one pCPU off, a GPU with its audio function below a root port.
pub fn small() -> Folder {
    let root = Folder::new();
    let cpu = "sys/devices/system/cpu";
    root.write(&format!("{cpu}/online"), "0-6\n").write(&format!("{cpu}/present"), "0-7\n");
    root.write(&format!("{cpu}/isolated"), "2-3,7\n");
    for index in 0..8 {
        let own = format!("{cpu}/cpu{index}");
        root.write(&format!("{own}/online"), if index == 7 { "0\n" } else { "1\n" });
        if index == 7 {
            continue;
        }
        let (core, package) = (index % 4, index % 4 / 2);
        root.write(&format!("{own}/topology/physical_package_id"), format!("{package}\n"))
            .write(&format!("{own}/topology/core_id"), format!("{}\n", core % 2))
            .write(
                &format!("{own}/topology/thread_siblings_list"),
                format!("{core},{}\n", core + 4),
            )
            .write(&format!("{own}/cpufreq/cpuinfo_max_freq"), "3500000\n")
            .write(&format!("{own}/cache/index3/level"), "3\n")
            .write(&format!("{own}/cache/index3/type"), "Unified\n")
            .write(&format!("{own}/cache/index3/size"), "16384K\n")
            .write(
                &format!("{own}/cache/index3/shared_cpu_list"),
                if package == 0 { "0-1,4-5\n" } else { "2-3,6-7\n" },
            );
    }
    for (node, cpus, distance) in [(0, "0-1,4-5\n", "10 21\n"), (1, "2-3,6\n", "21 10\n")] {
        let own = format!("sys/devices/system/node/node{node}");
        let meminfo = format!(
            "Node {node} MemTotal:       8388608 kB\nNode {node} MemFree:        1048576 kB\n\
             Node {node} Active(file):     524288 kB\nNode {node} Inactive(file):   524288 kB\n"
        );
        root.write(&format!("{own}/cpulist"), cpus)
            .write(&format!("{own}/distance"), distance)
            .write(&format!("{own}/meminfo"), meminfo)
            .write(&format!("{own}/hugepages/hugepages-1048576kB/nr_hugepages"), "4\n")
            .write(&format!("{own}/hugepages/hugepages-1048576kB/free_hugepages"), "3\n")
            .write(&format!("{own}/hugepages/hugepages-2048kB/nr_hugepages"), "0\n")
            .write(&format!("{own}/hugepages/hugepages-2048kB/free_hugepages"), "0\n");
    }
    let port = "sys/devices/pci0000:00/0000:00:01.0";
    for (at, class, vendor, id, width) in [
        (port.to_owned(), "0x060400\n", "0x8086\n", "0xa70d\n", "16\n"),
        (format!("{port}/0000:01:00.0"), "0x030000\n", "0x10de\n", "0x2684\n", "16\n"),
        (format!("{port}/0000:01:00.1"), "0x040300\n", "0x10de\n", "0x22ba\n", "255\n"),
    ] {
        root.write(&format!("{at}/class"), class)
            .write(&format!("{at}/vendor"), vendor)
            .write(&format!("{at}/device"), id)
            .write(&format!("{at}/numa_node"), if width == "255\n" { "-1\n" } else { "1\n" })
            .write(&format!("{at}/current_link_speed"), "2.5 GT/s PCIe\n")
            .write(&format!("{at}/current_link_width"), width)
            .write(&format!("{at}/max_link_speed"), "16.0 GT/s PCIe\n")
            .write(&format!("{at}/max_link_width"), width)
            .link(&format!("{at}/driver"), "../../../../bus/pci/drivers/vfio-pci")
            .link(&format!("{at}/iommu_group"), "../../../../kernel/iommu_groups/14");
        let name = at.rsplit('/').next().unwrap();
        let target = at.replace("sys/", "../../../");
        root.link(&format!("sys/bus/pci/devices/{name}"), &target);
    }
    root.write(
        &format!("{port}/0000:01:00.0/resource"),
        "0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n\
         0x0000006000000000 0x00000067ffffffff 0x000000000014220c\n\
         0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
         0x0000000000001000 0x000000000000107f 0x0000000000040101\n",
    );
    root.write("proc/cpuinfo", "vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7F32\n")
        .write("proc/self/status", "Name:\tx\nCpus_allowed_list:\t1-7\n")
        .write("proc/sys/kernel/hostname", "tiny\n");
    root
}

/// A folder of real machines' files, if they are.
#[expect(clippy::disallowed_methods, reason = "a test is told by the environment where they are")]
pub fn corpus(folder: &str) -> Option<PathBuf> {
    let default = || root().join("../shared/corpus");
    let all = std::env::var_os("PINWISE_CORPUS").map_or_else(default, PathBuf::from);
    let folder = all.join(folder);
    folder.is_dir().then_some(folder)
}

/// The first folder with `sys` in it, at most three levels down.
pub fn root_below(folder: &Path, levels: u32) -> Option<PathBuf> {
    if folder.join("sys").is_dir() {
        return Some(folder.to_owned());
    }
    let below = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    below.filter(|_| levels > 0).find_map(|folder| root_below(&folder, levels - 1))
}

/// What the reader does not look at, which is most of the files, and of the time.
pub const UNREAD: [&str; 19] = [
    "cpuidle",
    "power",
    "uevent",
    "memory[0-9]*",
    "LNXSYSTM*",
    "firmware",
    "device-tree",
    "ways_of_associativity",
    "number_of_sets",
    "coherency_line_size",
    "physical_line_partition",
    "die_cpus*",
    "microcode",
    "net",
    "infiniband",
    "host[0-9]*",
    "usb[0-9]*",
    "crash_notes*",
    "thermal_throttle",
];

/// Unpacks what the reader looks at.
pub fn unpack(archive: &Path, folder: &Folder) {
    extract(archive, folder, &UNREAD);
}

/// Unpacks all but what has these names.
pub fn extract(archive: &Path, folder: &Folder, without: &[&str]) {
    let mut tar = Command::new("tar");
    tar.args(without.iter().map(|name| format!("--exclude={name}")));
    let output = tar.arg("-xf").arg(archive).arg("-C").arg(&folder.0).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A core of [`desktop`].
#[derive(Clone, Copy)]
pub struct TreeCore {
    /// Its pCPUs, as the kernel lists them.
    pub pcpus: &'static str,
    /// Its top frequency.
    pub mhz: u32,
    /// The pCPUs that share its L2 cache.
    pub l2: &'static str,
    /// The pCPUs that share its L3 cache, and the size as the kernel writes it.
    pub l3: Option<(&'static str, &'static str)>,
}

/// One package and one node of 32 GiB with these cores, and no PCI functions.
pub fn desktop(cpuinfo: &str, cores: &[TreeCore]) -> Folder {
    let root = Folder::new();
    let cpu = "sys/devices/system/cpu";
    let mut online = CpuSet::new();
    for (core, id) in cores.iter().zip(0..) {
        let pcpus: CpuSet = core.pcpus.parse().unwrap();
        online.extend(&pcpus);
        for pcpu in pcpus.iter() {
            let own = format!("{cpu}/cpu{pcpu}");
            let cache = |level: u32, pcpus: &str, size: &str| {
                let own = format!("{own}/cache/index{level}");
                root.write(&format!("{own}/level"), format!("{level}\n"))
                    .write(&format!("{own}/type"), "Unified\n")
                    .write(&format!("{own}/size"), format!("{size}\n"))
                    .write(&format!("{own}/shared_cpu_list"), format!("{pcpus}\n"));
            };
            root.write(&format!("{own}/topology/physical_package_id"), "0\n")
                .write(&format!("{own}/topology/core_id"), format!("{id}\n"))
                .write(&format!("{own}/topology/thread_siblings_list"), core.pcpus)
                .write(&format!("{own}/cpufreq/cpuinfo_max_freq"), format!("{}000\n", core.mhz));
            cache(2, core.l2, "2048K");
            core.l3.into_iter().for_each(|(pcpus, size)| cache(3, pcpus, size));
        }
    }
    let node = "sys/devices/system/node/node0";
    root.write(&format!("{cpu}/online"), format!("{online}\n"))
        .write(&format!("{cpu}/present"), format!("{online}\n"))
        .write(&format!("{node}/cpulist"), format!("{online}\n"))
        .write(&format!("{node}/distance"), "10\n")
        .write(&format!("{node}/meminfo"), "Node 0 MemTotal: 33554432 kB\nNode 0 MemFree: 0 kB\n")
        .write("proc/cpuinfo", cpuinfo);
    root
}
