//! JSON in the formats of scheduler benchmarks, `placement-…/1`, which are not the library's own.

use std::path::Path;

use pinwise_discover::{files, unpasted};
use serde::de::DeserializeOwned;

use crate::outcome::Failure;

/// The longest text that is read, in bytes: a trace of a million events.
const MAX_FILE: u64 = 256 << 20;
/// The longest part of a foreign text that a message shows, in characters.
const MAX_SHOWN: usize = 60;

/// The text of a file.
pub(crate) fn text(file: &Path) -> Result<String, Failure> {
    Ok(files::bounded(file, MAX_FILE)?)
}

/// The value that a whole text describes, or its first error with the place.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    let text = unpasted(text);
    let mut json = serde_json::Deserializer::from_str(&text);
    let value = serde_path_to_error::deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// Refuses a text that names another format.
pub(crate) fn expect_format(found: &str, wanted: &str) -> Result<(), Failure> {
    if found == wanted {
        return Ok(());
    }
    let found: String = found.chars().take(MAX_SHOWN).collect();
    Err(format!("the format is {found:?}, but must be {wanted:?}").into())
}
