//! Who is on the host already: tenants as JSON, domains as XML.

use pinwise_discover::libvirt::{Domain, read_domain};
use pinwise::json::read_tenant;
use pinwise::{Claim, CpuSet, Host, Usage};

use crate::args::Args;
use crate::input::is_xml;
use crate::sources::live::Live;
use crate::sources::{files, text};

/// What the tenants hold, those that the host's description names and those in files, and what there
/// is to say about it.
///
/// `live` is the libvirt that the host is from, or else this machine's.
///
/// Tenants and running domains hold what they say. A domain that is merely defined holds what it
/// would take, if it could start beside the others: several domains for one GPU, of which one runs at
/// a time, are common.
pub(crate) fn usage(
    host: &Host,
    mut tenants: Vec<(String, Claim)>,
    args: &Args,
) -> Result<(Usage, Vec<String>), String> {
    let described = tenants.len();
    let (mut domains, mut notes) = (Vec::new(), Vec::new());
    for path in &args.tenant {
        if let Some(live) = Live::named(path) {
            let uri = match (live, args.host.as_deref().and_then(Live::named)) {
                (Live::Libvirt(uri), _) | (Live::Machine, Some(Live::Libvirt(uri))) => uri,
                (Live::Machine, _) => None,
                (Live::Hwloc, _) => return Err("--tenant hwloc: it knows no tenants".to_owned()),
            };
            let (running, more) = running(host, uri)?;
            domains.extend(running);
            notes.extend(more);
            continue;
        }
        for file in files(path, &["xml", "json"])? {
            let (text, shown) = (text(&file)?, file.display());
            if is_xml(&text) {
                domains.push(read_domain(host, &text).map_err(|e| format!("{shown}: {e}"))?);
            } else {
                tenants.push(read_tenant(&text).map_err(|e| format!("{shown}: {e}"))?);
            }
        }
    }
    let mut pinned = CpuSet::new();
    tenants.iter().for_each(|(_, claim)| pinned.extend(&claim.dedicated));
    domains.sort_by_key(|domain| !domain.running);
    for domain in &mut domains {
        notes.extend(domain.notes.iter().map(|note| format!("{}: {note}", domain.name)));
        share(domain, &mut pinned, &mut notes);
    }
    let (running, off): (Vec<_>, Vec<_>) = domains.into_iter().partition(|domain| domain.running);
    tenants.extend(running.into_iter().map(|domain| (domain.name, domain.claim)));
    let mut usage = Usage::with_running(host, tenants).map_err(|e| {
        let from = if args.tenant.is_empty() && described > 0 { "--host" } else { "--tenant" };
        format!("{from}: {e}")
    })?;
    for domain in off {
        if let Err(error) = usage.claim(host, &domain.name, domain.claim) {
            notes.push(format!("{error}: it is off and was left out"));
        }
    }
    Ok((usage, notes))
}

/// The domains that run on a libvirt.
#[cfg(feature = "libvirt")]
fn running(host: &Host, uri: Option<&str>) -> Result<(Vec<Domain>, Vec<String>), String> {
    use pinwise_discover::libvirt::{Connection, SYSTEM};
    let connection = Connection::open(uri.unwrap_or(SYSTEM));
    connection.and_then(|connection| connection.domains(host, false)).map_err(|e| e.to_string())
}

#[cfg(not(feature = "libvirt"))]
fn running(_: &Host, _: Option<&str>) -> Result<(Vec<Domain>, Vec<String>), String> {
    Err(crate::sources::live::not_built("libvirt"))
}

/// Two domains with pins to one pCPU share it, whatever their makers meant. It stays with the first.
fn share(domain: &mut Domain, pinned: &mut CpuSet, notes: &mut Vec<String>) {
    let claim = &mut domain.claim;
    let shared = claim.dedicated.intersection(pinned);
    pinned.extend(&claim.dedicated);
    if !shared.is_empty() {
        if domain.running {
            notes.push(format!("{} shares pCPUs {shared} with tenants before it", domain.name));
        }
        claim.dedicated = claim.dedicated.difference(&shared);
        claim.floating.extend(&shared);
    }
}
