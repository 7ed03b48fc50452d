//! A domain as a tenant: what its XML says that it holds on a host.

mod cpu;
mod devices;
mod memory;

use crate::libvirt::problem::LibvirtError;
use crate::libvirt::xml::{self, attribute, child, missing, root, text};
use crate::notes::{Note, Notes};
use pinwise::host::Host;
use pinwise::usage::Claim;

/// libvirt makes files of this name, which no file system lets be longer.
const MAX_NAME: usize = 255;

/// A domain as its XML describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Whether it runs: libvirt gives ids to running domains only. A running one's pages are among
    /// those that the host counts as used ([`Usage::with_running`](pinwise::Usage::with_running));
    /// one that is merely defined will want its own ([`Usage::claim`](pinwise::Usage::claim)).
    pub running: bool,
    /// What it holds.
    pub claim: Claim,
    /// What was left out or guessed, and why.
    pub notes: Vec<Note>,
}

/// Reads the XML of a domain (`virsh dumpxml`, with or without `--inactive`) as a tenant of `host`.
///
/// - pCPUs. A `<vcpupin>` to a single pCPU dedicates it: who writes one for each vCPU means nobody
///   else to be there. vCPUs with wider pins float on those, all others on the `cpuset` of
///   `<vcpu>`, or else on all online pCPUs; so do emulator and I/O threads with and without pins of
///   their own. Pins count for all vCPUs, also for those that are not plugged in yet. SMT siblings
///   that are kept idle are not in XML, so they are not in the claim.
/// - Memory. Guest cells, or else all memory, on the host nodes that `<memnode>` or `<memory>` of
///   `<numatune>` name, in pages of `<hugepages>` or else the host's base pages, rounded up to
///   whole ones. Over several nodes each is counted to give an even share, as far as its pages go.
///   What a `preferred` node has no pages for may be anywhere; memory without a node is anywhere.
///   Where there are cells, memory modules that are plugged in count too. What QEMU itself takes
///   does not.
/// - Devices. PCI devices of `<hostdev>`, of interfaces of type `hostdev` and of NVMe disks, with
///   their whole IOMMU groups. Those that the host does not have are left out.
///
/// # Errors
/// [`LibvirtError`] if the text is too long or no XML of a domain, lacks a name or memory, has a
/// value that libvirt would not take, or asks for pCPUs or nodes of which the host has none.
pub fn read_domain(host: &Host, xml: &str) -> Result<Domain, LibvirtError> {
    let document = xml::parse(xml)?;
    let root = root(&document, "domain")?;
    let mut notes = Notes::default();
    let named = child(root, "name")?.ok_or_else(|| missing(root, "<name>"))?;
    let named = text(named, "name");
    let name = named.raw();
    let sound = (1..=MAX_NAME).contains(&name.len()) && !name.contains(['\n', '/']);
    if !sound || name.trim().is_empty() {
        return Err(named.bad("a name of 1 to 255 bytes without slash or line feed"));
    }
    let running = match attribute(root, "id") {
        // Drivers without ids for domains that are off write -1.
        Some(id) if id.trimmed() == "-1" => false,
        Some(id) => id.parse("a number", super::values::decimal).map(|_| true)?,
        None => false,
    };
    let cpus = cpu::read(root, host, &mut notes)?;
    let pages = memory::read(root, host, cpus.placed_by_numad, &mut notes)?;
    let devices = devices::read(root, host, &mut notes)?;
    let floating = cpus.floating.difference(&cpus.dedicated);
    let claim = Claim { dedicated: cpus.dedicated, floating, pages, devices };
    Ok(Domain { name: name.to_owned(), running, claim, notes: notes.finish() })
}

/// Whether the domain is made for Windows: whether it has `<hyperv>` features, which other guests
/// hardly use. False for a text that is not the XML of a domain; whatever reads it next says why.
#[must_use]
pub fn is_windows(xml: &str) -> bool {
    let Ok(document) = xml::parse(xml) else { return false };
    let Ok(root) = root(&document, "domain") else { return false };
    xml::children(root, "features").any(|all| xml::children(all, "hyperv").next().is_some())
}

#[cfg(test)]
mod tests {
    use super::is_windows;

    #[test]
    fn features_of_hyperv_are_for_windows() {
        let domain = |features| format!("<domain type='kvm'>{features}<vcpu>4</vcpu></domain>");
        let windows =
            "<features><acpi/><hyperv mode='custom'><relaxed state='on'/></hyperv></features>";
        assert!(is_windows(&domain(windows)));
        for other in
            ["", "<features><acpi/></features>", "<clock><hyperv/></clock>", "<!-- hyperv -->"]
        {
            assert!(!is_windows(&domain(other)), "{other}");
        }
        assert!(!is_windows("<features><hyperv/></features>") && !is_windows("hyperv"));
    }
}
