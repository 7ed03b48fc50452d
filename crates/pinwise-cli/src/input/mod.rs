//! Reading of what a command line names: hosts, tenants, texts, and names of the engine's values.

pub(crate) mod bin;
pub(crate) mod foreign;
pub(crate) mod hosts;
pub(crate) mod packing;
pub(crate) mod policies;
pub(crate) mod tenants;

use std::fmt::Display;
use std::path::Path;

use pinwise::Bytes;
use pinwise::host::Reserve;
use pinwise::units::ParseUnitError;

use crate::outcome::Failure;

/// An amount of memory with its unit: tools disagree on the unit of a plain number.
pub(crate) fn memory(text: &str) -> Result<Bytes, String> {
    let number = text.trim();
    let plain = number.bytes().all(|b| b.is_ascii_digit());
    if plain && !number.trim_start_matches('0').is_empty() {
        let gib = number.parse().ok().filter(|mib: &u64| mib.is_multiple_of(1024));
        let gib = gib.map_or_else(|| number.to_owned(), |mib| (mib / 1024).to_string());
        return Err(format!("{number} what? write {number}MiB or {gib}GiB"));
    }
    number.parse().map_err(|e: ParseUnitError| e.to_string())
}

/// What to keep for the host; blanks do not matter.
pub(crate) fn reserve(text: &str) -> Result<Reserve, ParseUnitError> {
    text.split_whitespace().collect::<String>().parse()
}

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
