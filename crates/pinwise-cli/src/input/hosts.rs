//! The host of a command line: its description, additional facts, and the readers' notes.

use std::path::{Path, PathBuf};

use pinwise::host::Reserve;
use pinwise::{Claim, Host};
use pinwise_discover::files::{self, Source};
use pinwise_discover::{Assembled, Assembly};

use crate::outcome::Failure;

/// A copy of `fixtures/hosts/hgx-h200-snc2.json`, which is outside this package; a test compares
/// both.
const EMBEDDED: &str = include_str!("../../fixtures/hgx-h200-snc2.json");
/// The name of the embedded description in messages and as a source.
const EMBEDDED_NAME: &str = "the embedded fixture";

/// A host and its readers' notes.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The host.
    pub(crate) host: Host,
    /// Notes on what was ignored, replaced or not found, one sentence each.
    pub(crate) notes: Vec<String>,
    /// Conflicts between its sources, one sentence each.
    pub(crate) conflicts: Vec<String>,
    /// The tenants that the host's description names.
    pub(crate) tenants: Vec<(String, Claim)>,
}

/// The host that `path` names, or the embedded one, with `facts` laid over it and `reserve`
/// reserved for it.
pub(crate) fn machine(
    path: Option<&Path>,
    facts: &[PathBuf],
    reserve: Option<&Reserve>,
) -> Result<Machine, Failure> {
    let mut assembly = Assembly::new();
    match path {
        None => _ = assembly.add_text(EMBEDDED_NAME, EMBEDDED)?,
        Some(path) => files::add_host(&mut assembly, Source::named(path))?,
    }
    for path in facts {
        files::add_host(&mut assembly, Source::named(path))?;
    }
    let from = path.map_or_else(|| EMBEDDED_NAME.to_owned(), |path| path.display().to_string());
    let assembled = assembly.finish().map_err(|e| format!("{from}: {e}"))?;
    let Assembled { host, tenants, notes, conflicts, .. } = assembled;
    let mut host = host.build().map_err(|e| format!("{from}: {e}"))?;
    if let Some(reserve) = reserve {
        let reserved = host.with_reserved(reserve.clone());
        host = reserved.map_err(|e| format!("--reserve {reserve}: {e}"))?;
    }
    let notes = notes.iter().map(ToString::to_string).collect();
    let conflicts = conflicts.iter().map(ToString::to_string).collect();
    Ok(Machine { host, notes, conflicts, tenants })
}
