//! How strictly a property is wanted.

/// How strictly a property is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Policy {
    /// A placement without it is refused.
    Require,
    /// A placement without it costs [`Options::preference_cost`](crate::Options::preference_cost).
    Prefer,
    /// The score alone decides.
    #[default]
    Ignore,
}

/// Whether a writer omits the policy of what is preferred by default.
#[cfg(feature = "serde")]
pub(super) fn is_prefer(policy: &Policy) -> bool {
    *policy == Policy::Prefer
}
