//! Requests and tenants as JSON texts.

use serde::Deserialize;

use super::text::{JsonError, bounded, read};
use crate::request::RequestSpec;
use crate::sets::CpuSet;
use crate::units::PciAddr;
use crate::usage::{Claim, PageClaim};

/// A tenant in a file: its name and what it holds.
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
}

/// Reads a request; [`RequestSpec::build`] checks it.
///
/// # Errors
/// [`JsonError`] if the text is too long, is not JSON, or has a field that is unknown, missing or
/// of the wrong form.
pub fn read_request(text: &str) -> Result<RequestSpec, JsonError> {
    bounded(text)?;
    read(text, |json| RequestSpec::deserialize(json))
}

/// Reads a tenant: `{"name": "vm7", "dedicated": "4-7", "floating": "", "pages": [{"node": 0,
/// "page_size": "1 GiB", "count": 16}], "devices": ["0000:1b:00.0"]}`. The `claim` of a
/// recommendation has these fields but the name.
///
/// # Errors
/// [`JsonError`] if the text is too long, is not JSON, or has a field that is unknown, missing or
/// of the wrong form.
pub fn read_tenant(text: &str) -> Result<(String, Claim), JsonError> {
    bounded(text)?;
    let Tenant { name, dedicated, floating, pages, devices } =
        read(text, |json| Tenant::deserialize(json))?;
    Ok((name, Claim { dedicated, floating, pages, devices }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    #[test]
    fn a_bad_field_is_named_with_its_place() {
        let message = read_request(r#"{"vcpus": 4, "memory": "64GB"}"#).unwrap_err().to_string();
        assert!(message.contains("line 1") && message.contains("memory"), "{message}");
        assert!(message.contains("64GB"), "{message}");
        let message = read_tenant(r#"{"name": "a", "cpus": "1"}"#).unwrap_err().to_string();
        assert!(message.contains("cpus"), "{message}");
    }

    #[test]
    fn a_request_needs_its_size_only() {
        let request = read_request(r#"{"vcpus": 4, "memory": "4 GiB"}"#).unwrap();
        assert_eq!(request, RequestSpec::new("vm1", 4, Bytes::from_gib(4)));
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(read_request(&text).unwrap(), request);
    }
}
