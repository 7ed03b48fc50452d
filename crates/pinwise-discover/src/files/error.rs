//! Why a source was not read.

use std::io;
use std::path::{Path, PathBuf};

use crate::assembly::AssemblyError;
use crate::sysfs::SysfsError;
use crate::tenants::TenantError;

/// Why a source was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// A file or folder that cannot be read.
    #[error("{}: {problem}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        problem: io::Error,
    },
    /// A file beyond the limit.
    #[error("{}: larger than {} MiB", path.display(), limit >> 20)]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: u64,
    },
    /// A file with nothing in it.
    #[error("{}: the file is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A text that is not a tenant, or not one of this host.
    #[error("{}: {problem}", path.display())]
    Tenant {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: TenantError,
    },
    /// A tree that sysfs did not make.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
    /// A text that is not of a host, or the second of its kind.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// A libhwloc that did not tell.
    #[cfg(feature = "hwloc")]
    #[error(transparent)]
    Hwloc(#[from] crate::hwloc::HwlocError),
    /// A libvirt that did not tell.
    #[cfg(feature = "libvirt")]
    #[error(transparent)]
    Libvirt(#[from] crate::libvirt::ConnectionError),
    /// A source that shows hosts and no tenants.
    #[error("{source_name} shows no tenants")]
    NoTenants {
        /// The source.
        source_name: &'static str,
    },
    /// A source whose feature was off when this was built.
    #[error("{feature} is not built in: build with --features {feature}")]
    NotBuilt {
        /// The feature.
        feature: &'static str,
    },
}

impl FilesError {
    /// Makes an error of what the system says about a path.
    pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |problem| Self::Io { path: path.clone(), problem }
    }
}
