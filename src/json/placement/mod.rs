//! Placements as JSON texts.

mod form;

use serde::{Deserialize, Deserializer};

use super::format::{PLACEMENT, RECOMMENDATION};
use super::text::{JsonError, WithoutFormat, read_as};
use super::write::{Tagged, to_lines};
use crate::placement::Placement;

pub(super) use form::PlacementJson;

/// Reads a placement. The one of an answer may be cut out: `ranked[0].placement` is a text of this
/// format. [`verify`](crate::verify()) checks it against a host.
///
/// # Errors
/// [`JsonError`] if the text is too long, names no or another format, is not JSON, or has a field
/// that is unknown, missing, twice there, of the wrong form, or a number that cannot be.
pub fn read_placement(text: &str) -> Result<Placement, JsonError> {
    read_as::<PlacementJson>(text, PLACEMENT)?.placement("")
}

/// Writes a placement, whole. Its memory must be in whole KiB, as pages are.
#[must_use]
pub fn write_placement(placement: &Placement) -> String {
    to_lines(&tagged(placement))
}

/// A placement with its format, as answers hold it.
pub(super) fn tagged(placement: &Placement) -> Tagged<PlacementJson> {
    Tagged { format: PLACEMENT, value: placement.into() }
}

/// The placements of a recommendation, best first; its baseline, where there is one, is the last.
/// All else in the answer is skipped. The answer's version says which version its placements are.
///
/// # Errors
/// [`JsonError`] if the text is too long, names no or another format (a refusal's, for one), is not
/// JSON, or holds a placement that [`read_placement`] does not read.
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

/// A placement whose field `format` was read with the answer's.
struct Embedded(PlacementJson);

impl<'de> Deserialize<'de> for Embedded {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        PlacementJson::deserialize(WithoutFormat(json)).map(Self)
    }
}
