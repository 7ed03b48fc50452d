//! Offers as JSON texts.

use super::format::OFFER;
use super::text::{JsonError, read_as};
use super::write::{Tagged, to_lines};
use crate::usage::Offer;

/// Reads an offer; [`Usage::accept`](crate::Usage::accept) checks it.
///
/// # Errors
/// [`JsonError`] if the text is too long, names no format or another one, is not JSON, or has an
/// unknown, missing, repeated or malformed field.
pub fn read_offer(text: &str) -> Result<Offer, JsonError> {
    read_as(text, OFFER)
}

/// Writes an offer, with the name of its host.
#[must_use]
pub fn write_offer(offer: &Offer) -> String {
    to_lines(&Tagged { format: OFFER, value: offer })
}
