//! Tenants as JSON texts.

use serde::{Deserialize, Serialize};

use super::format::TENANT;
use super::text::{JsonError, read_by_hand};
use super::write::{Tagged, to_lines};
use crate::sets::CpuSet;
use crate::units::PciAddr;
use crate::usage::{Claim, PageClaim};

/// A tenant: its name and the fields of its claim, at one level.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tenant {
    name: String,
    #[serde(default)]
    dedicated: CpuSet,
    #[serde(default)]
    floating: CpuSet,
    #[serde(default)]
    pages: Vec<PageClaim>,
    #[serde(default)]
    devices: Vec<PciAddr>,
    #[serde(default)]
    mediated: Vec<Option<PciAddr>>,
    #[serde(default)]
    whole_cores: bool,
    #[serde(default)]
    own_l3: bool,
    #[serde(default)]
    floating_vcpus: u32,
}

#[derive(Serialize)]
struct Written<'a> {
    name: &'a str,
    #[serde(flatten)]
    claim: &'a Claim,
}

/// Reads a tenant: `{"name": "vm7", "dedicated": "4-7", "pages": [{"node": 0, "page_size": "1 GiB",
/// "count": 16}], "devices": ["0000:1b:00.0"]}`. The `claim` of a recommendation has the same
/// fields without the name. The format may be omitted.
///
/// # Errors
/// [`JsonError`] if the text is too long, names another format, is not JSON, or has an unknown,
/// missing, repeated or malformed field.
pub fn read_tenant(text: &str) -> Result<(String, Claim), JsonError> {
    let Tenant {
        name,
        dedicated,
        floating,
        pages,
        devices,
        mediated,
        whole_cores,
        own_l3,
        floating_vcpus,
    } = read_by_hand(text, TENANT)?;
    Ok((
        name,
        Claim {
            dedicated,
            floating,
            pages,
            devices,
            mediated,
            whole_cores,
            own_l3,
            floating_vcpus,
        },
    ))
}

/// Writes a tenant: its name and its claim.
#[must_use]
pub fn write_tenant(name: &str, claim: &Claim) -> String {
    to_lines(&Tagged { format: TENANT, value: Written { name, claim } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{NodeId, PageSize};

    #[test]
    fn an_unknown_field_is_named_with_the_format() {
        let message = read_tenant(r#"{"name": "a", "cpus": "1"}"#).unwrap_err().to_string();
        assert!(message.contains("unknown field `cpus` in pinwise-tenant/1"), "{message}");
        let message = read_tenant(r#"{"format": "pinwise-tenant/2"}"#).unwrap_err().to_string();
        assert!(message.contains("pinwise-tenant/2\", but this version reads"), "{message}");
    }

    #[test]
    fn the_page_size_was_called_size() {
        for key in ["size", "page_size"] {
            let text = format!(
                "{{\"name\": \"a\", \"pages\": [{{\"{key}\": \"2 MiB\", \"count\": 3, \"node\": 1}}]}}"
            );
            let (name, claim) = read_tenant(&text).unwrap();
            let (node, page_size) = (Some(NodeId(1)), PageSize::MIB_2);
            assert_eq!(
                (&*name, &claim.pages[..]),
                ("a", &[PageClaim { node, page_size, count: 3 }][..])
            );
            assert!(write_tenant(&name, &claim).contains("page_size"));
        }
    }
}
