//! The domains of an audit: read, and each checked beside the others.

use std::collections::BTreeSet;

use pinwise::audit::{AsIs, audit};
use pinwise::json::Audited;
use pinwise::shown::plain;
use pinwise::{Claim, Host, PciAddr, Question, RequestSpec, Usage, Workload};
use pinwise_discover::files::{self, Source};
use pinwise_discover::libvirt::{
    Domain, DomainAsIs, LibvirtError, domain_as_is, read_domain, request_of_domain,
};
use pinwise_discover::tenants::{Settled, Tenants};

use super::args::Args;
use crate::outcome::{Failure, sentence};

/// A domain that was read.
pub(super) struct Given {
    source: String,
    as_is: AsIs,
    request: RequestSpec,
    uuid: Option<String>,
    /// The domain as a tenant; `None` if the host cannot hold what it states.
    tenant: Option<Domain>,
}

/// The findings, and what all domains and tenants hold together.
pub(super) struct Checked {
    pub(super) audited: Vec<Audited>,
    pub(super) usage: Usage,
}

/// Reads the domains that the arguments name.
pub(super) fn read(
    args: &Args,
    host: &Host,
    notes: &mut Vec<String>,
) -> Result<Vec<Given>, Failure> {
    let home = Source::named(&args.host);
    let mut all = Vec::new();
    for path in &args.domain {
        for (source, xml) in files::domains(path, Some(home))? {
            match given(args, host, &source, &xml, notes) {
                Ok(given) => all.push(given),
                // A folder of libvirt's has networks and pools as well.
                Err(problem @ LibvirtError::Document { .. }) if path.is_dir() => {
                    notes.push(format!("{source} was skipped: {}", sentence(&problem)));
                }
                Err(problem) => return Err(format!("{source}: {}", sentence(&problem)).into()),
            }
        }
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = all.iter().find(|given| !names.insert(given.as_is.name.clone())) {
        let name = plain(&twice.as_is.name);
        return Err(format!("{}: domain {name} is given twice", twice.source).into());
    }
    match all.is_empty() {
        true => Err(format!("{}: there is no domain", args.domain[0].display()).into()),
        false => Ok(all),
    }
}

fn given(
    args: &Args,
    host: &Host,
    source: &str,
    xml: &str,
    notes: &mut Vec<String>,
) -> Result<Given, LibvirtError> {
    let DomainAsIs { domain: as_is, notes: more, .. } = domain_as_is(host, xml)?;
    let name = plain(&as_is.name);
    notes.extend(more.iter().map(|note| format!("{name}: {note}")));
    let asked = request_of_domain(host, xml)?;
    let workload = args.workload.unwrap_or(Workload::General);
    let request = RequestSpec { workload, ..asked.request };
    let tenant = match read_domain(host, xml) {
        Ok(tenant) => Some(tenant),
        Err(problem @ LibvirtError::Absent { .. }) => {
            notes.push(format!("{name} is no tenant beside the others: {problem}"));
            None
        }
        Err(problem) => return Err(problem),
    };
    Ok(Given { source: source.to_owned(), as_is, request, uuid: asked.uuid, tenant })
}

/// The devices that two domains have both; empty if both run.
fn alternatives(a: &Given, b: &Given) -> Vec<PciAddr> {
    if a.as_is.running && b.as_is.running {
        return Vec::new();
    }
    let own: BTreeSet<PciAddr> = a.as_is.devices.iter().map(|device| device.address).collect();
    let both = b.as_is.devices.iter().map(|device| device.address);
    both.filter(|address| own.contains(address)).collect()
}

/// Checks each domain beside all others and the tenants. Domains that have a device in common, and
/// do not both run, are alternatives: neither is in the other's way.
pub(super) fn check(
    args: &Args,
    host: &Host,
    described: &[(String, Claim)],
    mut all: Vec<Given>,
    notes: &mut Vec<String>,
) -> Result<Checked, Failure> {
    let mut audited = Vec::new();
    let mut said = BTreeSet::new();
    for at in 0..all.len() {
        let mut others = Vec::new();
        let mut shared = Vec::new();
        for (other, _) in all.iter().zip(0..).filter(|(_, other)| *other != at) {
            match alternatives(&all[at], other) {
                devices if devices.is_empty() => others.extend(other.tenant.clone()),
                devices => shared.push((other.as_is.name.clone(), devices)),
            }
        }
        all[at].as_is.alternatives = shared;
        let own = &all[at];
        let name = own.as_is.name.clone();
        let tenants = own.tenant.iter().cloned().chain(others);
        let of = Some((name.as_str(), own.uuid.clone()));
        let (usage, more) = usage(args, host, described, tenants, of)?;
        said.extend(more.into_iter().filter(|note| !note.contains("is the VM itself")));
        let at_source = |e: &dyn std::fmt::Display| format!("{}: {e}", own.source);
        let request = own.request.clone().build().map_err(|e| at_source(&e))?;
        let findings = audit(Question::new(host, &usage, &request), &own.as_is);
        let (name, source) = (plain(&name), own.source.clone());
        audited.push(Audited { name, source, findings });
    }
    let tenants: Vec<Domain> = all.into_iter().filter_map(|given| given.tenant).collect();
    let (usage, _) = usage(args, host, described, tenants, None)?;
    notes.extend(said);
    Ok(Checked { audited, usage })
}

fn usage(
    args: &Args,
    host: &Host,
    described: &[(String, Claim)],
    domains: impl IntoIterator<Item = Domain>,
    own: Option<(&str, Option<String>)>,
) -> Result<(Usage, Vec<String>), Failure> {
    let mut tenants = Tenants::new();
    described.iter().cloned().for_each(|(name, claim)| tenants.add(name, claim));
    domains.into_iter().for_each(|domain| tenants.add_domain(domain));
    let home = Some(Source::named(&args.host));
    let mut notes = Vec::new();
    for path in &args.tenant {
        notes.extend(files::add_tenants(&mut tenants, host, Source::named(path), home)?);
    }
    if let Some((name, uuid)) = own {
        tenants.without(name, uuid);
    }
    let settled = tenants.finish(host).map_err(|e| format!("the domains and tenants: {e}"))?;
    let Settled { usage, notes: more, .. } = settled;
    notes.extend(more.iter().map(ToString::to_string));
    Ok((usage, notes))
}
