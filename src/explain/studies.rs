//! The citation of studies by their numbers.

use crate::engine::rules::evidence::StudyId;

/// `F4, F22`.
pub(super) fn from(studies: &[StudyId]) -> String {
    studies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
