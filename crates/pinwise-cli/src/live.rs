//! This machine as a source of a host, through the features that are built in.

use std::path::Path;

use pinwise_discover::{Assembly, Reading, sysfs};

/// What a path means that names no file.
pub(crate) enum Live<'a> {
    /// `live`: sysfs, and NVML where it is built in and there.
    Machine,
    /// `hwloc`.
    Hwloc,
    /// `libvirt` or `libvirt:URI`.
    Libvirt(Option<&'a str>),
}

impl<'a> Live<'a> {
    /// What the path means; `None` for a file or folder, which `./hwloc` names too.
    pub(crate) fn named(path: &'a Path) -> Option<Self> {
        match path.to_str()? {
            "live" => Some(Self::Machine),
            "hwloc" => Some(Self::Hwloc),
            "libvirt" => Some(Self::Libvirt(None)),
            text => text.strip_prefix("libvirt:").map(|uri| Self::Libvirt(Some(uri))),
        }
    }

    /// Adds the machine.
    pub(crate) fn add(&self, assembly: &mut Assembly) -> Result<(), String> {
        let (name, reading) = match self {
            Self::Machine => {
                let mut reading = sysfs::read(Path::new("/")).map_err(|e| e.to_string())?;
                add_nvml(assembly, &mut reading);
                ("live", reading)
            }
            Self::Hwloc => ("hwloc", hwloc()?),
            Self::Libvirt(uri) => ("libvirt", libvirt(*uri)?),
        };
        assembly.add_reading(name, reading).map_err(|e| e.to_string())
    }
}

/// Without NVIDIA's driver there is nothing to add; a note says so where that may be a loss.
#[cfg(feature = "nvml")]
fn add_nvml(assembly: &mut Assembly, reading: &mut Reading) {
    use pinwise::host::DeviceKind;
    use pinwise_discover::facts::vendor::NVIDIA;
    let devices = reading.host.devices.iter();
    let gpus = devices.filter(|d| d.vendor == NVIDIA && d.kind() == DeviceKind::Gpu);
    let gpus: Vec<_> = gpus.map(|gpu| gpu.address).collect();
    match pinwise_discover::nvml::read(&gpus) {
        Ok(facts) => assembly.add_facts(facts),
        Err(_) if gpus.is_empty() && !reading.host.devices.is_empty() => {}
        Err(absent) => reading.notes.push(absent.to_string()),
    }
}

#[cfg(not(feature = "nvml"))]
fn add_nvml(_: &mut Assembly, _: &mut Reading) {}

#[cfg(feature = "hwloc")]
fn hwloc() -> Result<Reading, String> {
    pinwise_discover::hwloc::read_live().map_err(|e| e.to_string())
}

#[cfg(not(feature = "hwloc"))]
fn hwloc() -> Result<Reading, String> {
    Err(not_built("hwloc"))
}

#[cfg(feature = "libvirt")]
fn libvirt(uri: Option<&str>) -> Result<Reading, String> {
    use pinwise_discover::libvirt::{Connection, SYSTEM};
    let connection = Connection::open(uri.unwrap_or(SYSTEM));
    connection.and_then(|connection| connection.host()).map_err(|e| e.to_string())
}

#[cfg(not(feature = "libvirt"))]
fn libvirt(_: Option<&str>) -> Result<Reading, String> {
    Err(not_built("libvirt"))
}

/// What to do where a feature is off.
#[cfg(not(all(feature = "hwloc", feature = "libvirt")))]
pub(crate) fn not_built(feature: &str) -> String {
    format!("{feature} is not built in: build with --features {feature}")
}
