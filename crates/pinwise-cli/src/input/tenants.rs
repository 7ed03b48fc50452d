//! The tenants of a command line.

use std::path::{Path, PathBuf};

use pinwise::{Claim, Host, Usage};
use pinwise_discover::files::{self, Source};
use pinwise_discover::tenants::{Isolation, Settled, Tenants};

use crate::outcome::Failure;

/// The usage of `host`: the tenants `described` in its description, and those that `paths` name.
/// The second part is notes, one sentence each. `home` is the source of the host, `own` the name
/// and UUID of the VM that is planned anew: it is not its own tenant. `isolation` is what domains
/// do not say.
pub(crate) fn usage(
    host: &Host,
    described: Vec<(String, Claim)>,
    paths: &[PathBuf],
    home: Option<&Path>,
    own: Option<(&str, Option<String>)>,
    isolation: Isolation,
) -> Result<(Usage, Vec<String>), Failure> {
    let from = if paths.is_empty() && !described.is_empty() { "--host" } else { "--tenant" };
    let (mut tenants, mut notes) = (Tenants::new(), Vec::new());
    described.into_iter().for_each(|(name, claim)| tenants.add(name, claim));
    let home = home.map(Source::named);
    for path in paths {
        notes.extend(files::add_tenants(&mut tenants, host, Source::named(path), home)?);
    }
    if let Some((name, uuid)) = own {
        tenants.without(name, uuid);
    }
    tenants.assume(isolation);
    let settled = tenants.finish(host).map_err(|e| format!("{from}: {e}"))?;
    let Settled { usage, notes: more, .. } = settled;
    notes.extend(more.iter().map(ToString::to_string));
    Ok((usage, notes))
}
