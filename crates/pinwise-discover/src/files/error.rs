//! The reason why a source was not read.

use std::io;
use std::path::{Path, PathBuf};

use crate::assembly::AssemblyError;
use crate::sysfs::SysfsError;
use crate::tenants::TenantError;

/// The reason why a source was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// A file or folder that cannot be read.
    #[error("{}: {problem}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        problem: io::Error,
    },
    /// A file that exceeds the limit.
    #[error("{}: the file is larger than {} MiB", path.display(), limit >> 20)]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// An empty file.
    #[error("{}: the file is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A text that is not a tenant, or not a tenant of this host.
    #[error("{}: {problem}", path.display())]
    Tenant {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: TenantError,
    },
    /// A tree that is not a sysfs tree.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
    /// A text that does not describe a host, or the second of its kind.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// A failure of libhwloc.
    #[cfg(feature = "hwloc")]
    #[error(transparent)]
    Hwloc(#[from] crate::hwloc::HwlocError),
    /// A failure of libvirt.
    #[cfg(feature = "libvirt")]
    #[error(transparent)]
    Libvirt(#[from] crate::libvirt::ConnectionError),
    /// A source that has hosts and no tenants.
    #[error("{source_name} is not a source of tenants")]
    NoTenants {
        /// The source.
        source_name: &'static str,
    },
    /// A source whose feature is not built in.
    #[error("feature {feature} is not built in: build with --features {feature}")]
    NotBuilt {
        /// The feature.
        feature: &'static str,
    },
}

impl FilesError {
    /// Makes an error from the system's error about a path.
    pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |problem| Self::Io { path: path.clone(), problem }
    }
}
