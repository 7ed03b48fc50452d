//! The request for a VM from any text that describes one.

use crate::kubevirt::{KubevirtError, is_vm, request_of_vm};
use crate::libvirt::{DomainRequest, LibvirtError, request_of_domain};
use crate::pasted;
use crate::proxmox::{ProxmoxError, is_qemu_conf, request_of_qemu_conf};
use crate::texts::vm_formats;
use pinwise::host::Host;
use pinwise::json::{JsonError, read_request};
use pinwise::shown::shorten;

/// The largest part of a foreign text that a message shows, in bytes.
const MAX_SHOWN: usize = 60;

/// The reason why a text is not a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// JSON that is not a request.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// XML that is not a domain.
    #[error(transparent)]
    Libvirt(#[from] LibvirtError),
    /// A configuration of Proxmox that cannot be read.
    #[error(transparent)]
    Proxmox(#[from] ProxmoxError),
    /// A VM of KubeVirt that cannot be read.
    #[error(transparent)]
    Kubevirt(#[from] KubevirtError),
    /// A text of unknown kind.
    #[error("the text begins with {beginning:?}, which is none of: {known}")]
    Unknown {
        /// The beginning of the text.
        beginning: String,
        /// The known kinds of texts.
        known: String,
    },
}

impl VmError {
    pub(crate) fn unknown(text: &str) -> Self {
        Self::Unknown { beginning: beginning(text), known: vm_formats(true) }
    }
}

/// The first line of a text that is not blank, shortened.
pub(crate) fn beginning(text: &str) -> String {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    shorten(first.unwrap_or_default(), MAX_SHOWN)
}

/// Reads the request for a VM on `host`: our own format
/// ([`read_request`]), a domain of libvirt ([`request_of_domain`]), a configuration of Proxmox
/// ([`request_of_qemu_conf`]), or a VM of KubeVirt ([`request_of_vm`]).
///
/// # Errors
/// [`VmError`] if the text is of another kind, or cannot be read.
pub fn read_vm(host: &Host, text: &str) -> Result<DomainRequest, VmError> {
    let text = &*pasted::clean(text);
    match text.trim_start().chars().next() {
        Some('<') => Ok(request_of_domain(host, text)?),
        Some('{') if is_vm(text) => Ok(request_of_vm(text)?),
        Some('{') => Ok(DomainRequest::of(read_request(text)?)),
        _ if is_qemu_conf(text) => Ok(request_of_qemu_conf(host, text)?),
        _ if text.contains("kubevirt.io/") => Err(KubevirtError::Yaml.into()),
        _ => Err(VmError::unknown(text)),
    }
}
