//! Why sysfs was not read.

use std::io;
use std::path::PathBuf;

/// Why a tree could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SysfsError {
    /// There are no pCPUs below the root.
    #[error("{} shows no pCPUs: it is not the root of a tree with sysfs", root.display())]
    NoPcpus {
        /// The root.
        root: PathBuf,
    },
    /// A folder that cannot be listed.
    #[error("{}: {kind}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// A file or folder beyond what any kernel shows.
    #[error("{} has more than {limit} {unit}", path.display())]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
        /// The most.
        limit: usize,
        /// Bytes, entries, or pCPUs.
        unit: &'static str,
    },
    /// A value that cannot be what the file holds.
    #[error("{}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The value, and what it should be.
        problem: String,
    },
}
