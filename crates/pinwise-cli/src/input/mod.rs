//! Reading of what a command line names: hosts, tenants, texts, and names of the engine's values.

pub(crate) mod bin;
pub(crate) mod foreign;
pub(crate) mod hosts;
pub(crate) mod tenants;

use std::fmt::Display;
use std::path::Path;

use crate::outcome::Failure;

/// An error in a file: its path and the problem.
pub(crate) fn at(file: &Path, problem: impl Display) -> Failure {
    format!("{}: {problem}", file.display()).into()
}

/// Writes a text to a file; with `None`, returns it for standard output.
pub(crate) fn write(file: Option<&Path>, text: String) -> Result<String, Failure> {
    match file {
        Some(file) => {
            std::fs::write(file, text).map_err(|e| at(file, e))?;
            Ok(String::new())
        }
        None => Ok(text),
    }
}
