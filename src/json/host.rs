//! Host descriptions as JSON text: `{"format": "pinwise-host/1", …}` and the fields of
//! [`HostSpec`].

use super::format::HOST;
use super::text::{JsonError, read_as};
use crate::host::spec::HostSpec;
use crate::host::{Reserve, ReserveMemory};

/// Reads a description. Only [`HostSpec::build`] checks its contents.
///
/// # Errors
/// [`JsonError`] if the text is too long, names no format or another one, is not JSON, or has an
/// unknown, missing, repeated or malformed field.
pub fn read_host(text: &str) -> Result<HostSpec, JsonError> {
    read_as(text, HOST)
}

/// Writes a description with one line for each node, core, L3 domain, PCI function and GPU link, so
/// that two versions can be compared line by line. The same description gives the same bytes, and
/// reading them gives the same description. Empty fields are omitted.
#[must_use]
pub fn write_host(host: &HostSpec) -> String {
    let HostSpec {
        name,
        about,
        cpu_vendor,
        cpu_model,
        nodes,
        cores,
        l3_domains,
        caches,
        clusters,
        offline,
        allowed,
        isolated,
        reserved,
        reserve_memory,
        devices,
        gpu_links,
        fabric_partitions,
        sources,
    } = host;
    let mut fields = vec![format!("\"format\": {}", json(HOST))];
    let mut scalar = |name: &str, there: bool, value: String| {
        if there {
            fields.push(format!("{}: {value}", json(name)));
        }
    };
    scalar("name", true, json(name));
    scalar("about", !about.is_empty(), json(about));
    scalar("cpu_vendor", true, json(cpu_vendor));
    scalar("cpu_model", !cpu_model.is_empty(), json(cpu_model));
    scalar("nodes", true, lines(nodes));
    scalar("cores", true, lines(cores));
    scalar("l3_domains", !l3_domains.is_empty(), lines(l3_domains));
    scalar("caches", !caches.is_empty(), lines(caches));
    scalar("clusters", !clusters.is_empty(), json(clusters));
    scalar("offline", !offline.is_empty(), json(offline));
    scalar("allowed", allowed.is_some(), json(allowed));
    scalar("isolated", !isolated.is_empty(), json(isolated));
    scalar("reserved", *reserved != Reserve::Auto, json(reserved));
    scalar("reserve_memory", *reserve_memory != ReserveMemory::default(), json(reserve_memory));
    scalar("devices", !devices.is_empty(), lines(devices));
    scalar("gpu_links", !gpu_links.is_empty(), lines(gpu_links));
    scalar("fabric_partitions", !fabric_partitions.is_empty(), lines(fabric_partitions));
    scalar("sources", !sources.is_empty(), lines(sources));
    format!("{{\n  {}\n}}\n", fields.join(",\n  "))
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("the description has no maps and no failing fields")
}

/// An array with one line for each item.
fn lines<T: serde::Serialize>(items: &[T]) -> String {
    if items.is_empty() {
        return "[]".to_owned();
    }
    let items: Vec<_> = items.iter().map(json).collect();
    format!("[\n    {}\n  ]", items.join(",\n    "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"format": "pinwise-host/1", "name": "tiny",
        "nodes": [{"id": 0, "cpus": "0-1", "memory": "4 GiB"}],
        "cores": [{"package": 0, "core": 0, "pcpus": "0-1"}]}"#;

    #[test]
    fn a_hand_written_description_comes_back_the_same_from_its_canonical_form() {
        let host = read_host(SMALL).unwrap().build().unwrap();
        let text = write_host(host.description());
        assert_eq!(&read_host(&text).unwrap(), host.description());
        assert_eq!(write_host(&read_host(&text).unwrap()), text);
        assert!(text.contains("\n    {\"package\":0,\"core\":0,\"pcpus\":\"0-1\"}\n"), "{text}");
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_its_path() {
        for (from, to, message) in [
            ("4 GiB", "4 GB", "line 2, column 60, at nodes[0].memory: \"4 GB\" is not an amount"),
            (
                "\"core\": 0",
                "\"kore\": 0",
                "at cores[0].kore: unknown field `kore` in pinwise-host/1",
            ),
            (
                "\"name\"",
                "\"nome\"",
                "line 1, column 35, at nome: unknown field `nome` in pinwise-host/1",
            ),
            ("\"name\"", "\"about\"", "missing field `name`"),
            ("\"nodes\"", "\"cores\": [], \"nodes\"", "duplicate field `cores`"),
            ("host/1", "host/2", "the text has format \"pinwise-host/2\", but this version reads"),
            ("\"format\"", "\"formal\"", "the text names no format"),
            ("}]}", "}]} x", "trailing characters"),
            ("}]}", "}]", "EOF while parsing"),
        ] {
            assert!(SMALL.contains(from), "{from}");
            let said = read_host(&SMALL.replacen(from, to, 1)).err().map(|e| e.to_string());
            assert!(said.clone().unwrap_or_default().contains(message), "{said:?}");
        }
    }

    #[test]
    fn hostile_texts_are_refused_in_few_words() {
        let deep = "[".repeat(1 << 20);
        let long =
            format!("{{\"format\":\"pinwise-host/1\",\"{}\\u001b\":1}}", "x".repeat(1 << 20));
        let number = SMALL.replace("\"id\": 0", "\"id\": 99999999999999999999");
        for text in ["", "null", "[]", "{}", "\u{feff}{}", &deep, &long, &number] {
            let message = read_host(text).unwrap_err().to_string();
            assert!(message.len() < 1000 && !message.contains('\u{1b}'), "{message}");
        }
    }

    #[test]
    fn any_change_of_one_byte_is_refused_or_comes_back_the_same() {
        let bytes = SMALL.as_bytes();
        let mut built = 0;
        for at in 0..bytes.len() {
            for byte in *b"0-\"}{[,:9 e\\" {
                let mut changed = bytes.to_vec();
                changed[at] = byte;
                let text = String::from_utf8(changed).unwrap();
                let Ok(host) = read_host(&text) else { continue };
                assert_eq!(read_host(&write_host(&host)).unwrap(), host, "{text}");
                built += usize::from(host.build().is_ok());
            }
        }
        assert!(built > 100, "{built}");
    }
}
