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
use pinwise_discover::tenants::{Settled, TenantNote, Tenants};

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

/// What is beside the domains: the tenants of the host's description and of the arguments.
fn beside(
    args: &Args,
    host: &Host,
    described: Vec<(String, Claim)>,
    notes: &mut Vec<String>,
) -> Result<Tenants, Failure> {
    let mut tenants = Tenants::new();
    described.into_iter().for_each(|(name, claim)| tenants.add(name, claim));
    let home = Some(Source::named(&args.host));
    for path in &args.tenant {
        notes.extend(files::add_tenants(&mut tenants, host, Source::named(path), home)?);
    }
    Ok(tenants)
}

/// Takes the domains for running, one after the other, as long as the host can hold them. XML of
/// libvirt's own folder does not say what runs, and pages that are in use may well be theirs: a
/// domain that is off would seem to lack them, and would be left out beside the others.
fn take_for_running(host: &Host, tenants: &Tenants, all: &mut [Given]) {
    let mut running = tenants.clone();
    let of = |given: &Given| given.tenant.clone().filter(|tenant| tenant.running);
    all.iter().filter_map(of).for_each(|tenant| running.add_domain(tenant));
    for tenant in all.iter_mut().filter_map(|given| given.tenant.as_mut()) {
        let mut with = running.clone();
        with.add_domain(Domain { running: true, ..tenant.clone() });
        if !tenant.running && with.clone().finish(host).is_ok() {
            (running, tenant.running) = (with, true);
        }
    }
}

/// Checks each domain beside all others and the tenants. Domains that have a device in common, and
/// do not both run, are alternatives: neither is in the other's way.
pub(super) fn check(
    args: &Args,
    host: &Host,
    described: Vec<(String, Claim)>,
    mut all: Vec<Given>,
    notes: &mut Vec<String>,
) -> Result<Checked, Failure> {
    let tenants = beside(args, host, described, notes)?;
    for given in &mut all {
        // A tenant that is one of the domains is the same VM.
        given.tenant = given.tenant.take().filter(|tenant| !tenants.has(&tenant.name));
    }
    take_for_running(host, &tenants, &mut all);
    let mut audited = Vec::new();
    let mut said = BTreeSet::new();
    for at in 0..all.len() {
        let (mut others, mut shared) = (tenants.clone(), Vec::new());
        for (other, _) in all.iter().zip(0..).filter(|(_, other)| *other != at) {
            match alternatives(&all[at], other) {
                devices if devices.is_empty() => {
                    other.tenant.iter().cloned().for_each(|tenant| others.add_domain(tenant));
                }
                devices => shared.push((other.as_is.name.clone(), devices)),
            }
        }
        all[at].as_is.alternatives = shared;
        let own = &all[at];
        own.tenant.iter().cloned().for_each(|tenant| others.add_domain(tenant));
        others.without(own.as_is.name.clone(), own.uuid.clone());
        let usage = usage(host, others, &mut said)?;
        let at_source = |e: &dyn std::fmt::Display| format!("{}: {e}", own.source);
        let request = own.request.clone().build().map_err(|e| at_source(&e))?;
        let findings = audit(Question::new(host, &usage, &request), &own.as_is);
        let (name, source) = (plain(&own.as_is.name), own.source.clone());
        audited.push(Audited { name, source, findings });
    }
    let mut together = tenants;
    let own = all.into_iter().filter_map(|given| given.tenant);
    own.for_each(|tenant| together.add_domain(tenant));
    let usage = usage(host, together, &mut said)?;
    said.retain(|note| !notes.contains(note));
    notes.extend(said);
    Ok(Checked { audited, usage })
}

fn usage(host: &Host, tenants: Tenants, said: &mut BTreeSet<String>) -> Result<Usage, Failure> {
    let settled = tenants.finish(host).map_err(|e| format!("the domains and tenants: {e}"))?;
    let Settled { usage, notes, .. } = settled;
    // Findings tell of shared pCPUs, and that a domain is not in its own way is no news.
    let is_news =
        |note: &&TenantNote| !matches!(note, TenantNote::Shared { .. } | TenantNote::Own { .. });
    said.extend(notes.iter().filter(is_news).map(ToString::to_string));
    Ok(usage)
}
