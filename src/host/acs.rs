//! PCIe access control: how a port handles traffic from one device to another.

/// The access control services (ACS) that a port has switched on; all off if it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[doc(alias = "ACS")]
pub struct Acs {
    /// Requests from below to another device go up to the root complex (P2P request redirect).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_off"))]
    pub request_redirect: bool,
    /// Answers from below to another device go up to the root complex (P2P completion redirect).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_off"))]
    pub completion_redirect: bool,
    /// Traffic that was redirected below is passed on upwards (upstream forwarding).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_off"))]
    pub upstream_forwarding: bool,
    /// Requests whose address the IOMMU has already translated are not redirected (direct
    /// translated P2P).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_off"))]
    pub direct_translated: bool,
}

#[cfg(feature = "serde")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_off(control: &bool) -> bool {
    !*control
}
