//! The usage of a host as JSON text.

use serde::{Deserialize, Serialize};

use super::format::USAGE;
use super::text::{JsonError, read_as};
use super::write::{Tagged, is_off, is_zero, to_lines};
use crate::host::Host;
use crate::sets::CpuSet;
use crate::shown::shorten;
use crate::units::PciAddr;
use crate::usage::{
    Claim, Generation, PageClaim, SavedTenant, SavedUsage, UnexplainedPages, Usage,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageJson {
    host: String,
    generation: Generation,
    tenants: Vec<TenantJson>,
    unexplained: Vec<UnexplainedPages>,
}

/// A tenant as in its own format, with the generation of its claim.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantJson {
    name: String,
    since: Generation,
    #[serde(default, skip_serializing_if = "CpuSet::is_empty")]
    dedicated: CpuSet,
    #[serde(default, skip_serializing_if = "CpuSet::is_empty")]
    floating: CpuSet,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pages: Vec<PageClaim>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    devices: Vec<PciAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mediated: Vec<Option<PciAddr>>,
    #[serde(default, skip_serializing_if = "is_off")]
    whole_cores: bool,
    #[serde(default, skip_serializing_if = "is_off")]
    own_l3: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    floating_vcpus: u32,
}

/// Reads the usage of `host`, with the generations. Every claim is checked as in
/// [`Usage::with_running`].
///
/// # Errors
/// [`JsonError`] if the text is too long, names no format or another one, is not JSON, has an
/// unknown, missing, repeated or malformed field, or is for a host of another name; or if a tenant,
/// which the message names, cannot hold its claim.
pub fn read_usage(text: &str, host: &Host) -> Result<Usage, JsonError> {
    let wrong = |path: &str, problem| JsonError::Wrong { path: path.to_owned(), problem };
    let UsageJson { host: name, generation, tenants, unexplained } = read_as(text, USAGE)?;
    if name != host.name() {
        let [of, this] = [&name, host.name()].map(|name| shorten(name, 64));
        return Err(wrong("host", format!("the usage is of {of:?}, the host is {this:?}")));
    }
    let tenant = |tenant: TenantJson| {
        let TenantJson {
            name,
            since,
            dedicated,
            floating,
            pages,
            devices,
            mediated,
            whole_cores,
            own_l3,
            floating_vcpus,
        } = tenant;
        let claim = Claim {
            dedicated,
            floating,
            pages,
            devices,
            mediated,
            whole_cores,
            own_l3,
            floating_vcpus,
        };
        SavedTenant { name, since, claim }
    };
    let tenants = tenants.into_iter().map(tenant).collect();
    let saved = SavedUsage { generation, tenants, unexplained };
    Usage::restore(host, saved).map_err(|problem| wrong("tenants", problem.to_string()))
}

/// Writes the usage of `host`, with the generations: one line for each tenant.
#[must_use]
pub fn write_usage(usage: &Usage, host: &Host) -> String {
    let SavedUsage { generation, tenants, unexplained } = usage.saved();
    let tenant = |tenant: SavedTenant| {
        let SavedTenant { name, since, claim } = tenant;
        let Claim {
            dedicated,
            floating,
            pages,
            devices,
            mediated,
            whole_cores,
            own_l3,
            floating_vcpus,
        } = claim;
        TenantJson {
            name,
            since,
            dedicated,
            floating,
            pages,
            devices,
            mediated,
            whole_cores,
            own_l3,
            floating_vcpus,
        }
    };
    let tenants = tenants.into_iter().map(tenant).collect();
    let host = host.name().to_owned();
    to_lines(&Tagged { format: USAGE, value: UsageJson { host, generation, tenants, unexplained } })
}
