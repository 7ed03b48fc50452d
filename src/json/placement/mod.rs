//! Placements as JSON texts.

mod form;

use serde::{Deserialize, Deserializer};

use super::format::{PLACEMENT, RECOMMENDATION};
use super::text::{JsonError, WithoutFormat, read_as};
use super::write::{Tagged, to_lines};
use crate::placement::Placement;

pub(super) use form::PlacementJson;

/// Reads a placement. The object `ranked[0].placement` of an answer is a text of this format.
/// [`verify`](crate::verify()) checks it against a host.
///
/// # Errors
/// [`JsonError`] if the text is too long, names no format or another one, is not JSON, or has an
/// unknown, missing, repeated or malformed field, or an impossible number.
pub fn read_placement(text: &str) -> Result<Placement, JsonError> {
    read_as::<PlacementJson>(text, PLACEMENT)?.placement("")
}

/// Writes a whole placement. Its memory must be a whole number of KiB, as pages are.
#[must_use]
pub fn write_placement(placement: &Placement) -> String {
    to_lines(&tagged(placement))
}

/// A placement with its format, as in an answer.
pub(super) fn tagged(placement: &Placement) -> Tagged<PlacementJson> {
    Tagged { format: PLACEMENT, value: placement.into() }
}

/// Reads the placements of a recommendation, best first; the baseline, if there is one, is the
/// last. Everything else in the answer is skipped. The answer's version implies the version of its
/// placements.
///
/// # Errors
/// [`JsonError`] if the text is too long, names no format or another one (such as a refusal's), is
/// not JSON, or holds a placement that [`read_placement`] refuses.
pub fn read_placements(text: &str) -> Result<Vec<Placement>, JsonError> {
    let Answer { ranked } = read_as(text, RECOMMENDATION)?;
    let placement = |(at, row): (usize, Row)| {
        let Row { placement: Embedded(placement) } = row;
        placement.placement(&format!("ranked[{at}].placement."))
    };
    ranked.into_iter().enumerate().map(placement).collect()
}

#[derive(Deserialize)]
struct Answer {
    ranked: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    placement: Embedded,
}

/// A placement in an answer, whose field `format` is read along with it.
struct Embedded(PlacementJson);

impl<'de> Deserialize<'de> for Embedded {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        PlacementJson::deserialize(WithoutFormat(json)).map(Self)
    }
}
