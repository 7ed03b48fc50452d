//! Requests as JSON texts.

use super::format::REQUEST;
use super::text::{JsonError, read_by_hand};
use super::write::{Tagged, to_lines};
use crate::request::RequestSpec;

/// Reads a request; [`RequestSpec::build`] checks it. Only the size is required: `{"vcpus": 4,
/// "memory": "4 GiB"}`. The format may be omitted.
///
/// # Errors
/// [`JsonError`] if the text is too long, names another format, is not JSON, or has an unknown,
/// missing, repeated or malformed field.
pub fn read_request(text: &str) -> Result<RequestSpec, JsonError> {
    read_by_hand(text, REQUEST)
}

/// Writes a request: name, size, and every value that differs from its default.
#[must_use]
pub fn write_request(request: &RequestSpec) -> String {
    to_lines(&Tagged { format: REQUEST, value: request })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Policies, Policy};
    use crate::units::{Bytes, PageSize};
    use crate::workload::{Weights, Workload};

    #[test]
    fn a_request_needs_its_size_only() {
        let request = read_request(r#"{"vcpus": 4, "memory": "4 GiB"}"#).unwrap();
        assert_eq!(request, RequestSpec::new("vm1", 4, Bytes::from_gib(4)));
        let text = write_request(&request);
        let expected = "{\n  \"format\": \"pinwise-request/1\",\n  \"name\": \"vm1\",\n  \"vcpus\": 4,\n  \
                        \"memory\": \"4 GiB\"\n}\n";
        assert_eq!(text, expected);
        assert_eq!(read_request(&text).unwrap(), request);
    }

    #[test]
    fn a_bad_field_is_named_with_its_place_and_its_format() {
        for (text, said) in [
            (
                r#"{"vcpus": 4, "memory": "64GB"}"#,
                "line 1, column 30, at memory: \"64GB\" is not an amount of memory",
            ),
            (
                r#"{"vcpus": 4, "memory": "4 GiB", "colour": 1}"#,
                "at colour: unknown field `colour` in pinwise-request/1, expected one of `name`",
            ),
            (
                r#"{"vcpus": 4, "memory": "4 GiB", "policies": {"a`, expected b": 1}}"#,
                "unknown field `a`, expected b` in pinwise-request/1, expected one of `dedicated_cpus`",
            ),
            (
                r#"{"vcpus": 4, "memory": "4 GiB", "page_size": "4KiB", "page-size": "4KiB"}"#,
                "duplicate field `page_size`",
            ),
            (
                r#"{"format": "pinwise-request/2", "vcpus": {"min": 4}}"#,
                "the text has format \"pinwise-request/2\", but this version reads \"pinwise-request/1\"",
            ),
            (
                r#"{"format": "pinwise-tenant/1", "name": "a"}"#,
                "the text has format \"pinwise-tenant/1\"",
            ),
        ] {
            let message = read_request(text).unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
    }

    #[test]
    fn hyphens_are_read_as_well() {
        let old = r#"{"name": "x", "vcpus": 64, "memory": "400 GiB", "page-size": "1 GiB",
            "even-cells": true, "peer-to-peer": false, "emulator-pcpus": 1, "io-threads": 2,
            "policies": {"dedicated-cpus": "ignore", "whole-cores": "prefer", "own-l3": "prefer", "one-node": "prefer",
                "gpu-locality": "require", "same-switch": "prefer", "linked-gpus": "prefer",
                "fabric-partition": "ignore"},
            "workload": {"custom": {"cpu-single-thread": 1, "cpu-all-threads": 2,
                "memory-bandwidth": 3, "memory-latency": 4, "gpu-compute": 5,
                "host-gpu-transfer": 6, "collective": 7}}}"#;
        let request = RequestSpec {
            page_size: Some(PageSize::GIB_1),
            even_cells: true,
            peer_to_peer: Some(false),
            emulator_pcpus: 1,
            io_threads: 2,
            policies: Policies {
                dedicated_cpus: Policy::Ignore,
                whole_cores: Policy::Prefer,
                own_l3: Policy::Prefer,
                one_node: Policy::Prefer,
                gpu_locality: Policy::Require,
                same_switch: Policy::Prefer,
                linked_gpus: Policy::Prefer,
                fabric_partition: Policy::Ignore,
            },
            workload: Workload::Custom(Weights {
                cpu_single_thread: 1,
                cpu_all_threads: 2,
                memory_bandwidth: 3,
                memory_latency: 4,
                gpu_compute: 5,
                host_gpu_transfer: 6,
                collective: 7,
            }),
            ..RequestSpec::new("x", 64, Bytes::from_gib(400))
        };
        assert_eq!(read_request(old).unwrap(), request);
        // Its canonical form has the same words with underscores.
        let text = write_request(&request);
        assert_eq!(read_request(&text).unwrap(), request);
        let keys = |text: &str| text.matches("_").count();
        assert_eq!(keys(&text), keys(&old.replace('-', "_")), "{text}");
    }
}
