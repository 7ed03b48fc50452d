//! The reason why sysfs was not read.

use std::io;
use std::path::PathBuf;

/// The reason why a tree could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SysfsError {
    /// No pCPUs below the root.
    #[error("{} shows no pCPUs: it is not the root of a sysfs tree", root.display())]
    NoPcpus {
        /// The root.
        root: PathBuf,
    },
    /// A folder that cannot be listed.
    #[error("{}: {kind}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        kind: io::ErrorKind,
    },
    /// A file or folder larger than any kernel's.
    #[error("{} has more than {limit} {unit}", path.display())]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
        /// The limit.
        limit: usize,
        /// Bytes, entries or pCPUs.
        unit: &'static str,
    },
    /// A value that the file cannot hold.
    #[error("{}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The value and the expected kind.
        problem: String,
    },
}
