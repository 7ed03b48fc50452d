//! What a command line names, read: hosts, tenants, texts, and words for the engine's values.

pub(crate) mod bin;
pub(crate) mod foreign;
pub(crate) mod hosts;
pub(crate) mod tenants;

use std::fmt::Display;
use std::path::Path;

use crate::outcome::Failure;

/// The failure of a file: its path, and what is wrong with it.
pub(crate) fn at(file: &Path, problem: impl Display) -> Failure {
    format!("{}: {problem}", file.display()).into()
}

/// Writes a text to a file; `None` leaves it to standard output.
pub(crate) fn write(file: Option<&Path>, text: String) -> Result<String, Failure> {
    match file {
        Some(file) => {
            std::fs::write(file, text).map_err(|e| at(file, e))?;
            Ok(String::new())
        }
        None => Ok(text),
    }
}
