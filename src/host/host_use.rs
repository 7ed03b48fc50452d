//! Uses that a host makes of its PCI functions.

/// A use that the host makes of a function, as its sources tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum HostUse {
    /// Processes that compute or draw on a GPU.
    Processes,
    /// Mounted file systems on disks behind a storage controller.
    Mounts,
    /// The default route through a NIC.
    DefaultRoute,
}

impl HostUse {
    /// All uses.
    pub const ALL: [Self; 3] = [Self::Processes, Self::Mounts, Self::DefaultRoute];

    /// The name in descriptions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Mounts => "mounts",
            Self::DefaultRoute => "default-route",
        }
    }
}
