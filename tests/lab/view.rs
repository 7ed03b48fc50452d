//! What a guest sees of itself: the report that its `/init` prints, read back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::judge::DONE;

/// Prints the guest's view. A program started for every file would take most of the time.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
stty -F /dev/ttyS1 raw -echo
{
cd /sys/devices/system
grep -H . node/node[0-9]*/cpulist node/node[0-9]*/distance node/node[0-9]*/meminfo
grep -H . cpu/cpu[0-9]*/topology/physical_package_id cpu/cpu[0-9]*/topology/core_cpus_list
grep -H . cpu/cpu[0-9]*/topology/die_cpus_list cpu/cpu[0-9]*/cache/index3/shared_cpu_list
grep -H . cpu/online
cd /sys/bus/pci/devices
for d in *; do echo \"link/$d:$(readlink $d)\"; done
grep -H . */class */numa_node */max_link_speed */max_link_width
dmesg | sed 's/^/log:/'
} > /tmp-report 2> /dev/null
cat /tmp-report > /dev/ttyS1
";

/// A path to a function: the number of its root bus, then device and function at every bridge. Bus
/// numbers below the root are the firmware's to choose.
pub(crate) type Route = (u8, Vec<(u8, u8)>);

/// A function as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) class: u32,
    pub(crate) node: Option<u32>,
}

/// The report.
#[derive(Debug, Default)]
pub(crate) struct View {
    values: BTreeMap<String, Vec<String>>,
    pub(crate) functions: BTreeMap<Route, Function>,
    pub(crate) log: Vec<String>,
}

/// The first file system of the guests.
pub(crate) fn image() -> PathBuf {
    let mut archive = Archive::default();
    for folder in ["proc", "sys", "dev", "bin"] {
        archive.folder(folder);
    }
    archive.console();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = busybox.into_iter().find(|path| path.exists());
    let busybox = std::fs::read(busybox.expect("no busybox: run tests/lab/run"));
    archive.file("bin/busybox", &busybox.expect("it can be read"));
    let last = format!("echo {} > /dev/ttyS1\nsleep 600\n", DONE.trim());
    archive.file("init", (INIT.to_owned() + &last).as_bytes());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest-image");
    std::fs::write(&path, archive.finish()).expect("the target folder can be written");
    path
}

fn route(link: &str) -> Route {
    let (_, below) = link.split_once("/pci").expect("a function is below a root bus");
    let mut parts = below.split('/');
    let hex = |text: &str| u8::from_str_radix(text, 16).expect("the kernel prints hex");
    let root = parts.next().and_then(|root| root.split_once(':')).expect("domain and bus").1;
    let step = |part: &str| {
        let (device, function) = part[part.len() - 4..].split_once('.').expect("a function");
        (hex(device), hex(function))
    };
    (hex(root), parts.map(step).collect())
}

impl View {
    pub(crate) fn read(report: &str) -> Self {
        let mut view = Self::default();
        for line in report.lines() {
            let Some((path, value)) = line.split_once(':') else { continue };
            match path {
                "log" => view.log.push(value.to_owned()),
                // Addresses have colons of their own.
                _ if line.starts_with("link/") => {
                    let (address, link) = line["link/".len()..].split_at("0000:00:00.0".len());
                    view.values.insert(format!("{address}/link"), vec![link[1..].to_owned()]);
                }
                "0000" => {
                    let (address, rest) = line.split_at("0000:00:00.0".len());
                    let (name, value) = rest[1..].split_once(':').expect("a file and its value");
                    view.values.insert(format!("{address}/{name}"), vec![value.to_owned()]);
                }
                _ => view.values.entry(path.to_owned()).or_default().push(value.to_owned()),
            }
        }
        let links: Vec<_> =
            view.values.keys().filter_map(|key| key.strip_suffix("/link")).collect();
        for address in links {
            let class = view.one(&format!("{address}/class")).trim_start_matches("0x");
            let class = u32::from_str_radix(class, 16).expect("the kernel prints hex");
            let node = view.one(&format!("{address}/numa_node")).parse::<i64>().expect("a number");
            let function = Function { class, node: u32::try_from(node).ok() };
            view.functions.insert(route(view.one(&format!("{address}/link"))), function);
        }
        view
    }

    fn one(&self, path: &str) -> &str {
        self.values.get(path).and_then(|lines| lines.first()).map_or("", String::as_str)
    }

    pub(crate) fn online(&self) -> &str {
        self.one("cpu/online")
    }

    pub(crate) fn nodes(&self) -> usize {
        self.values
            .keys()
            .filter(|key| key.starts_with("node/") && key.ends_with("/cpulist"))
            .count()
    }

    pub(crate) fn cpus_of(&self, node: u32) -> &str {
        self.one(&format!("node/node{node}/cpulist"))
    }

    pub(crate) fn distances(&self, node: u32) -> Vec<u8> {
        let words = self.one(&format!("node/node{node}/distance")).split_whitespace();
        words.map(|word| word.parse().expect("a number")).collect()
    }

    /// All memory of a node in KiB.
    pub(crate) fn kib_of(&self, node: u32) -> u64 {
        let lines = self.values.get(&format!("node/node{node}/meminfo"));
        let total = lines.into_iter().flatten().find(|line| line.contains("MemTotal:"));
        let words = total.expect("the kernel says it").split_whitespace();
        words.rev().nth(1).and_then(|word| word.parse().ok()).expect("a number of kB")
    }

    /// The vCPUs of each package, as sets.
    pub(crate) fn packages(&self) -> BTreeSet<Vec<u32>> {
        let mut packages: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (path, lines) in &self.values {
            let Some(rest) = path.strip_prefix("cpu/cpu") else { continue };
            let Some(cpu) = rest.strip_suffix("/topology/physical_package_id") else { continue };
            packages.entry(&lines[0]).or_default().push(cpu.parse().expect("a number"));
        }
        packages.values_mut().for_each(|cpus| cpus.sort_unstable());
        packages.into_values().collect()
    }

    /// The vCPUs of the core of each vCPU.
    pub(crate) fn siblings(&self, vcpu: u32) -> &str {
        self.one(&format!("cpu/cpu{vcpu}/topology/core_cpus_list"))
    }

    /// The vCPUs of the die of each vCPU.
    pub(crate) fn die(&self, vcpu: u32) -> &str {
        self.one(&format!("cpu/cpu{vcpu}/topology/die_cpus_list"))
    }

    /// The vCPUs that share the L3 of each vCPU.
    pub(crate) fn l3(&self, vcpu: u32) -> &str {
        self.one(&format!("cpu/cpu{vcpu}/cache/index3/shared_cpu_list"))
    }

    /// Classes of functions, each with the most that its link can do.
    pub(crate) fn links(&self) -> BTreeSet<(u32, String)> {
        let mut links = BTreeSet::new();
        for address in self.values.keys().filter_map(|path| path.strip_suffix("/max_link_speed")) {
            let class = self.one(&format!("{address}/class")).trim_start_matches("0x");
            let class = u32::from_str_radix(class, 16).unwrap_or_default();
            let width = self.one(&format!("{address}/max_link_width"));
            let speed = self.one(&format!("{address}/max_link_speed"));
            links.insert((class, format!("{speed} x{width}")));
        }
        links
    }
}
