//! The host and the domains of a running libvirt, over a read-only connection.

use virt::connect::Connect;
use virt::error::{Error, ErrorNumber, clear_error_callback};
use virt::sys;

use super::capabilities::read_capabilities;
use super::domain::{Domain, read_domain};
use super::nodedev::{add_node_devices, read_node_device};
use super::note::LibvirtNote;
use super::problem::LibvirtError;
use crate::notes::{Note, Notes};
use crate::reading::Reading;
use pinwise::host::Host;
use pinwise::host::{MAX_PCI_FUNCTIONS, NodeSpec};
use pinwise::shown::{is_word, plain};

/// The URI of the libvirt that manages the VMs of the whole machine.
pub const SYSTEM: &str = "qemu:///system";
/// The largest number of domains: more than any machine runs.
const MAX_DOMAINS: usize = 10_000;

/// Why libvirt gave no host or no domains.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// libvirt cannot be reached, or refuses.
    #[error("{uri}: {what}: {said}")]
    Refused {
        /// The connection.
        uri: String,
        /// What was asked for.
        what: String,
        /// The message of libvirt.
        said: String,
    },
    /// libvirt returned a document that cannot be read.
    #[error("{uri}: {what}: {problem}")]
    Document {
        /// The connection.
        uri: String,
        /// The document.
        what: String,
        /// The problem.
        problem: LibvirtError,
    },
    /// libvirt lists more than any machine has.
    #[error("{uri}: {found} {what}, but the limit is {limit}")]
    TooMany {
        /// The connection.
        uri: String,
        /// What there are too many of.
        what: &'static str,
        /// The number listed.
        found: usize,
        /// The limit.
        limit: usize,
    },
}

/// An open read-only connection to libvirt.
#[derive(Debug)]
pub struct Connection {
    connect: Connect,
    uri: String,
}

impl Connection {
    /// Connects to the libvirt that a URI names, such as [`SYSTEM`]. There is no timeout: this and
    /// the other methods wait as long as libvirt hangs. libvirt's own printing of errors is turned
    /// off for the whole process.
    ///
    /// # Errors
    /// [`ConnectionError::Refused`] if libvirt cannot be reached, or does not let this user read.
    pub fn open(uri: &str) -> Result<Self, ConnectionError> {
        let refused = |said: &str| ConnectionError::Refused {
            uri: plain(uri),
            what: "libvirt refuses the connection".to_owned(),
            said: plain(said),
        };
        if uri.contains('\0') {
            return Err(refused("the URI has a zero byte"));
        }
        clear_error_callback();
        let connect = Connect::open_read_only(Some(uri)).map_err(|e| refused(e.message()))?;
        Ok(Self { connect, uri: plain(uri) })
    }

    fn refused(&self, what: impl Into<String>) -> impl FnOnce(Error) -> ConnectionError {
        let (uri, what) = (self.uri.clone(), what.into());
        move |error| ConnectionError::Refused { uri, what, said: plain(error.message()) }
    }

    fn document(&self, what: impl Into<String>) -> impl FnOnce(LibvirtError) -> ConnectionError {
        let (uri, what) = (self.uri.clone(), what.into());
        move |problem| ConnectionError::Document { uri, what, problem }
    }

    fn within(
        &self,
        what: &'static str,
        found: usize,
        limit: usize,
    ) -> Result<(), ConnectionError> {
        if found <= limit {
            return Ok(());
        }
        Err(ConnectionError::TooMany { uri: self.uri.clone(), what, found, limit })
    }

    /// The host: capabilities, PCI functions, and the free pages of each node. Base pages in the
    /// kernel's caches do not count as free, although the kernel would give them back.
    ///
    /// # Errors
    /// [`ConnectionError`] if libvirt refuses to show capabilities or devices, or if
    /// [`read_capabilities`] or [`read_node_device`] refuse what it shows. A device that disappears
    /// before it is read, and a node without counts of free pages, are notes.
    pub fn host(&self) -> Result<Reading, ConnectionError> {
        let xml = self.connect.capabilities().map_err(self.refused("capabilities"))?;
        let mut reading = read_capabilities(&xml).map_err(self.document("capabilities"))?;
        let mut notes = Notes::default();
        let host = &mut reading.host;
        host.about = "read from libvirt".to_owned();
        if let Some(name) = self.connect.hostname().ok().filter(|name| is_word(name)) {
            host.name = name;
        }
        for node in &mut host.nodes {
            self.free_pages(node, &mut notes);
        }
        // Each node whose free pages are unknown gets a note of its own below.
        reading.notes.retain(|note| *note != Note::Libvirt(LibvirtNote::AllFree));
        let mut devices = Vec::new();
        let listed =
            self.connect.list_all_node_devices(sys::VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV);
        let listed = match listed {
            Err(error) if is(&error, ErrorNumber::NoSupport) => {
                let (uri, said) = (self.uri.clone(), plain(error.message()));
                notes.add(LibvirtNote::NoDevices { uri, said });
                Vec::new()
            }
            listed => listed.map_err(self.refused("devices"))?,
        };
        self.within("PCI functions", listed.len(), MAX_PCI_FUNCTIONS)?;
        for device in listed {
            let name = device.name().map_or_else(|_| "a device".to_owned(), |name| plain(&name));
            match device.xml_desc(0) {
                Ok(xml) => devices.extend(read_node_device(&xml).map_err(self.document(name))?),
                Err(error) if is(&error, ErrorNumber::NoNodeDevice) => {
                    notes.add(LibvirtNote::Gone { name });
                }
                Err(error) => return Err(self.refused(name)(error)),
            }
        }
        reading.notes.extend(add_node_devices(&mut reading.host, devices));
        reading.host.sources.clear();
        reading.host.mark_source("libvirt");
        reading.notes.extend(notes.finish());
        Ok(reading)
    }

    /// Sets the free pages of a node's pools.
    fn free_pages(&self, node: &mut NodeSpec, notes: &mut Notes) {
        let kib = |size: u64| u32::try_from(size / 1024).unwrap_or(u32::MAX);
        let sizes: Vec<u32> = node.pools.iter().map(|pool| kib(pool.size.bytes())).collect();
        if sizes.is_empty() {
            return;
        }
        let id = node.id;
        let told = self.connect.free_pages(&sizes, id.0, 1, 0);
        let told = told.map_err(|error| plain(error.message())).and_then(|free| {
            let whole = free.len() == sizes.len();
            if whole { Ok(free) } else { Err(format!("{} of {}", free.len(), sizes.len())) }
        });
        let free = match told {
            Ok(free) => free,
            Err(said) => {
                notes.add(LibvirtNote::NoFreePages { node: id, said });
                return;
            }
        };
        for (pool, free) in node.pools.iter_mut().zip(free) {
            if free > pool.total {
                let (page_size, total) = (pool.size, pool.total);
                notes.add(LibvirtNote::FreeCut { node: id, page_size, free, total });
            }
            pool.free = free.min(pool.total);
        }
    }

    /// The running domains as tenants of `host`, in the order of their names; with `off`, also
    /// those that are defined and not running. The second part has a note on each domain that
    /// disappeared before it was read.
    ///
    /// # Errors
    /// [`ConnectionError`] if libvirt does not list its domains, or [`read_domain`] refuses one.
    pub fn domains(
        &self,
        host: &Host,
        off: bool,
    ) -> Result<(Vec<Domain>, Vec<Note>), ConnectionError> {
        let which = if off { 0 } else { sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE };
        let listed = self.connect.list_all_domains(which).map_err(self.refused("domains"))?;
        self.within("domains", listed.len(), MAX_DOMAINS)?;
        let (mut domains, notes) = self.read_domains(host, &listed)?;
        // A domain listed as running may have stopped since: then it holds nothing.
        domains.retain(|domain| off || domain.running);
        domains.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((domains, notes.finish()))
    }

    /// The XML of the domain of this name as it is defined, without what libvirt adds while it
    /// runs.
    ///
    /// # Errors
    /// [`ConnectionError::Refused`] if there is no such domain, or libvirt does not show it.
    pub fn domain_xml(&self, name: &str) -> Result<String, ConnectionError> {
        let what = || format!("domain {}", plain(name));
        if name.contains('\0') {
            let said = "the name has a zero byte".to_owned();
            return Err(ConnectionError::Refused { uri: self.uri.clone(), what: what(), said });
        }
        let domain = self.connect.lookup_domain_by_name(name);
        let domain = domain.map_err(self.refused(what()))?;
        domain.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE).map_err(self.refused(what()))
    }

    /// The names and XML of all domains, those that run as they run, in the order of their names. A
    /// domain that disappears before it is read is left out.
    ///
    /// # Errors
    /// [`ConnectionError`] if libvirt does not list its domains, or does not show one.
    pub fn domain_xmls(&self) -> Result<Vec<(String, String)>, ConnectionError> {
        let listed = self.connect.list_all_domains(0).map_err(self.refused("domains"))?;
        self.within("domains", listed.len(), MAX_DOMAINS)?;
        let mut all = Vec::new();
        for domain in listed {
            let name = domain.name().map_err(self.refused("a domain's name"))?;
            match domain.xml_desc(0) {
                Ok(xml) => all.push((plain(&name), xml)),
                Err(error) if is(&error, ErrorNumber::NoDomain) => {}
                Err(error) => return Err(self.refused(format!("domain {}", plain(&name)))(error)),
            }
        }
        all.sort();
        Ok(all)
    }

    fn read_domains(
        &self,
        host: &Host,
        listed: &[virt::domain::Domain],
    ) -> Result<(Vec<Domain>, Notes), ConnectionError> {
        let (mut domains, mut notes) = (Vec::new(), Notes::default());
        for domain in listed {
            let name = domain.name().map_err(self.refused("a domain's name"))?;
            let shown = format!("domain {}", plain(&name));
            match domain.xml_desc(0) {
                Ok(xml) => domains.push(read_domain(host, &xml).map_err(self.document(shown))?),
                Err(error) if is(&error, ErrorNumber::NoDomain) => {
                    notes.add(LibvirtNote::Gone { name: shown });
                }
                Err(error) => return Err(self.refused(shown)(error)),
            }
        }
        Ok((domains, notes))
    }
}

fn is(error: &Error, number: ErrorNumber) -> bool {
    error.code().is_known_and(|code| code == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYED: &str = "<node><domain type='test'><name>brief</name>
        <memory unit='GiB'>1</memory><vcpu>1</vcpu><os><type arch='i686'>hvm</type></os>
        </domain></node>";

    #[test]
    fn a_domain_that_is_gone_before_it_is_read_is_a_note() {
        let file = std::env::temp_dir().join(format!("pinwise-brief-{}.xml", std::process::id()));
        std::fs::write(&file, PLAYED).unwrap();
        let uri = format!("test://{}", file.display());
        let host = Connection::open("test:///default").unwrap().host().unwrap();
        let host = host.host.build().unwrap();
        // This one may write, to end a domain after it was listed.
        let connection = Connection { connect: Connect::open(Some(&uri)).unwrap(), uri };
        let listed = connection.connect.list_all_domains(0).unwrap();
        let (domains, _) = connection.read_domains(&host, &listed).unwrap();
        assert_eq!(domains.len(), 1);
        listed[0].destroy().unwrap();
        listed[0].undefine().unwrap();
        let (domains, notes) = connection.read_domains(&host, &listed).unwrap();
        std::fs::remove_file(file).unwrap();
        assert_eq!(domains, []);
        assert_eq!(notes.finish(), [LibvirtNote::Gone { name: "domain brief".to_owned() }.into()]);
    }
}
