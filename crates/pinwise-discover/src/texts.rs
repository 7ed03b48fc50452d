//! Every kind of text that can be read, with the command that prints it.

use crate::facts::READERS;

/// A kind of text that this crate reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextFormat {
    /// The text in words that a person recognises.
    pub name: &'static str,
    /// The command that prints such a text.
    pub command: &'static str,
    /// The contents of the text.
    pub gives: Gives,
}

/// The contents of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Gives {
    /// A whole host.
    Host,
    /// PCI functions of a host.
    Devices,
    /// A tenant.
    Tenant,
    /// The request for a VM, or a tenant.
    Vm,
    /// The request for a VM.
    Request,
    /// Facts, to be laid over a host from another source.
    Facts,
    /// Facts that describe a host, without its memory and devices, if no other source does.
    HostOrFacts,
}

/// Texts that are recognised by their first character or root element.
const WHOLE: &[TextFormat] = &[
    #[cfg(feature = "serde")]
    TextFormat { name: "a description as JSON", command: "pinwise capture", gives: Gives::Host },
    #[cfg(feature = "xml")]
    TextFormat { name: "XML of lstopo", command: "lstopo host.xml", gives: Gives::Host },
    #[cfg(feature = "xml")]
    TextFormat {
        name: "capabilities of libvirt",
        command: "virsh capabilities",
        gives: Gives::Host,
    },
    #[cfg(feature = "xml")]
    TextFormat {
        name: "a host of OpenNebula",
        command: "onehost show HOST -x",
        gives: Gives::Host,
    },
    #[cfg(feature = "xml")]
    TextFormat {
        name: "a node device of libvirt",
        command: "virsh nodedev-dumpxml DEVICE",
        gives: Gives::Devices,
    },
    #[cfg(feature = "xml")]
    TextFormat { name: "a domain of libvirt", command: "virsh dumpxml DOMAIN", gives: Gives::Vm },
    #[cfg(feature = "xml")]
    TextFormat { name: "a VM of Proxmox", command: "qm config ID", gives: Gives::Vm },
    #[cfg(all(feature = "serde", feature = "xml"))]
    TextFormat {
        name: "a VM of KubeVirt as JSON",
        command: "kubectl get vmi NAME -o json",
        gives: Gives::Request,
    },
];

/// Every kind of text that this build reads: whole hosts and tenants, then the [`READERS`] of facts
/// in the order in which they examine a text.
pub fn text_formats() -> impl Iterator<Item = TextFormat> {
    let facts = READERS.iter().map(|reader| TextFormat {
        name: reader.name,
        command: reader.command,
        gives: if reader.describes_host { Gives::HostOrFacts } else { Gives::Facts },
    });
    WHOLE.iter().copied().chain(facts)
}

/// The texts that describe a tenant or, if `requests`, the request for a VM, each with the command
/// that prints it, as the end of a sentence.
#[cfg(all(feature = "serde", feature = "xml"))]
pub(crate) fn vm_formats(requests: bool) -> String {
    let is_of = |gives| gives == Gives::Vm || requests && gives == Gives::Request;
    let vms = WHOLE.iter().filter(|format| is_of(format.gives));
    let vms = vms.map(|format| format!("{} ({})", format.name, format.command));
    [String::from("JSON in our own format")].into_iter().chain(vms).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_once() {
        let mut names: Vec<&str> = text_formats().map(|format| format.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
