//! A domain as the emitter printed it, made fit for a machine that has none of its hardware: QEMU's
//! emulated functions in the guest addresses of the host's, a CPU model that the emulator has, and,
//! where the placement was made for another machine, that machine's pCPUs, nodes and page pools
//! mapped onto what this one has. All else stays as it was printed.

use pinwise::Placement;

/// What is exchanged.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StandIn<'a> {
    /// The domain's name.
    pub(crate) name: &'a str,
    /// Whether pCPUs, nodes and page pools are another machine's; with the number of pCPUs here.
    pub(crate) pcpus: Option<u32>,
    /// Whether this machine has the pages all the same.
    pub(crate) pages: bool,
    /// What goes at the end of `<os>`, for a kernel to boot.
    pub(crate) boot: &'a str,
    /// What stands in for the serial port.
    pub(crate) serial: &'a str,
    /// Whether the CPU is AMD's. The emulator has no `topoext`.
    pub(crate) amd: bool,
}

impl StandIn<'_> {
    /// The CPU model: a server's, without what the emulator lacks and would warn of. Dies are told
    /// in CPUID leaf 0x1f. The emulator answers questions for leaves that a CPU lacks from its last
    /// one, and stops if that is 0x1f and the subleaf is none of it; the last leaf of this model is
    /// 0x20.
    fn model(&self, placement: &Placement) -> &'static str {
        match placement.topology.dies {
            _ if self.amd => "EPYC-Milan",
            1 => "Skylake-Server",
            _ => "SapphireRapids",
        }
    }
}

const CPUSET: &str = " cpuset='";
const WINDOW: &str = "X-PciMmio64Mb,string=";
const NODESET: &str = " nodeset='";
const BACKING: &str = "<!-- memory backing -->";

/// Replaces what is between two words, both included, each time it occurs.
fn exchange(xml: &str, begin: &str, end: &str, mut by: impl FnMut(&str) -> String) -> String {
    let (mut out, mut rest) = (String::new(), xml);
    while let Some(at) = rest.find(begin) {
        let after = at + begin.len();
        let length = rest[after..].find(end).expect("what begins also ends") + end.len();
        let length = begin.len() + length;
        out += &rest[..at];
        out += &by(&rest[at..at + length]);
        rest = &rest[at + length..];
    }
    out + rest
}

/// The first function as PCI address in an element that has one.
fn source(element: &str) -> pinwise::PciAddr {
    let inner = element.split_once("<source>").and_then(|(_, rest)| rest.split_once("</source>"));
    let inner = inner.expect("a host device has a source").0;
    let part = |name: &str| {
        let rest = inner.split_once(&format!("{name}='0x")).expect("the address is whole").1;
        u32::from_str_radix(rest.split_once('\'').expect("quotes end").0, 16).expect("in hex")
    };
    let small = |name| u8::try_from(part(name)).expect("as the emitter prints it");
    pinwise::PciAddr {
        domain: part("domain"),
        bus: small("bus"),
        device: small("slot"),
        function: small("function"),
    }
}

/// The emulated function that stands in for a host device: a display for a GPU, a sound card for
/// what goes along, else a NIC.
fn emulated(placement: &Placement, element: &str) -> String {
    let host = source(element);
    let guest = element.rfind("<address").expect("a guest address");
    let guest = &element[guest..=guest + element[guest..].find("/>").expect("it ends") + 1];
    let gpu = placement.devices.iter().any(|device| device.is_gpu && device.address == host);
    let along = placement.devices.iter().any(|device| device.functions.contains(&host));
    if gpu {
        format!("<video><model type='virtio' heads='1'/>{guest}</video>")
    } else if along {
        format!("<sound model='ich9'>{guest}</sound>")
    } else {
        let nic = "<interface type='user'><model type='e1000e'/><rom enabled='no'/>";
        format!("{nic}{guest}</interface>")
    }
}

/// The list of pCPUs, each on the one here that it falls on.
fn here(list: &str, pcpus: u32) -> String {
    let set: pinwise::CpuSet = list.parse().expect("as the emitter prints it");
    let mapped = set.iter().map(|pcpu| pinwise::units::PcpuId(pcpu.0 % pcpus));
    mapped.collect::<pinwise::CpuSet>().to_string()
}

impl StandIn<'_> {
    pub(crate) fn apply(&self, placement: &Placement, xml: &str) -> String {
        let mut xml = exchange(xml, "<name>", "</name>", |_| format!("<name>{}</name>", self.name));
        xml = xml.replacen("<domain type='kvm'", "<domain type='qemu'", 1);
        let model = self.model(placement);
        xml = exchange(&xml, "<cpu mode='", ">", |_| {
            format!(
                "<cpu mode='custom' match='exact' check='none'>\n    \
                 <model fallback='forbid'>{model}</model>"
            )
        });
        for feature in ["<cache mode='passthrough'/>", "<feature policy='require' name='topoext'/>"]
        {
            xml = xml.replace(feature, "");
        }
        xml = exchange(&xml, "<hostdev", "</hostdev>", |found| emulated(placement, found));
        if let Some(pcpus) = self.pcpus {
            xml = exchange(&xml, CPUSET, "'", |found| {
                let list = found.trim_start_matches(CPUSET).trim_end_matches('\'');
                format!("{CPUSET}{}'", here(list, pcpus))
            });
            // Cells of the guest are named there, not nodes.
            let mut backing = String::new();
            xml = exchange(&xml, "<memoryBacking>", "</memoryBacking>", |found| {
                found.clone_into(&mut backing);
                if self.pages { BACKING.to_owned() } else { String::new() }
            });
            xml = exchange(&xml, NODESET, "'", |_| format!("{NODESET}0'"));
            xml = xml.replacen(BACKING, &backing, 1);
        }
        if !self.boot.is_empty() {
            // The emulated CPU has 40 address bits, and the emulated functions are small.
            xml = exchange(&xml, WINDOW, "'", |_| format!("{WINDOW}65536'"));
            xml = xml.replacen("</os>", &format!("{}</os>", self.boot), 1);
        }
        if !self.serial.is_empty() {
            xml = xml.replacen("<serial type='pty'/>", self.serial, 1);
        }
        xml
    }
}
