//! Host descriptions as JSON text: `{"format": "pinwise-host/1", …}` and the builder's fields.

use std::fmt;

use serde::Deserialize as _;
use serde::de::value::CowStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer as _, MapAccess, Visitor,
};

use crate::discover::shown::shorten;
use crate::host::builder::HostBuilder;

/// The format that [`write_host`] writes and [`read_host`] reads.
pub const FORMAT: &str = "pinwise-host/1";
/// The longest text that [`read_host`] looks at: 64 MiB, some hundred times the largest host.
pub const MAX_TEXT: usize = 64 << 20;
/// The longest part of a foreign text that a message shows.
const MAX_SHOWN: usize = 200;

/// Why a text is not a host description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A text beyond [`MAX_TEXT`].
    #[error("the description has {bytes} bytes, the limit is {MAX_TEXT}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A format that is not [`FORMAT`].
    #[error("the description's format is {found:?}, this version reads {FORMAT:?}")]
    Format {
        /// What it says instead.
        found: String,
    },
    /// No format is named: probably not a host description at all.
    #[error("the description names no format, it must begin with \"format\": {FORMAT:?}")]
    NoFormat,
    /// A name or a number that cannot be: it refers to nothing, is there twice, or is too large.
    #[error("at {path}: {problem}")]
    Wrong {
        /// The way to the value, e.g. `gpus[1].switch`.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Not JSON, an unknown or missing field, or a value that the field does not allow.
    #[error("line {line}, column {column}, at {path}: {problem}")]
    Value {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The way to the value, e.g. `nodes[1].memory`; `.` for the description itself.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads a description. What it describes is checked by [`HostBuilder::build`] only.
///
/// # Errors
/// [`SnapshotError`] if the text is too long, names no or another format, is not JSON, or has a field
/// that is unknown, missing, twice there, or of the wrong form.
pub fn read_host(text: &str) -> Result<HostBuilder, SnapshotError> {
    bounded(text)?;
    // The format first and apart: a later format's unknown fields must not be what is reported.
    match format_of(text)? {
        Some(found) if found == FORMAT => {}
        Some(found) => return Err(SnapshotError::Format { found: shorten(&found, MAX_SHOWN) }),
        None => return Err(SnapshotError::NoFormat),
    }
    read(text, |json| HostBuilder::deserialize(WithoutFormat(json)))
}

pub(super) fn bounded(text: &str) -> Result<(), SnapshotError> {
    match text.len() {
        bytes if bytes > MAX_TEXT => Err(SnapshotError::TooLong { bytes }),
        _ => Ok(()),
    }
}

/// The format that a description names.
pub(super) fn format_of(text: &str) -> Result<Option<String>, SnapshotError> {
    read(text, |json| json.deserialize_map(FormatVisitor))
}

pub(super) type Json<'a, 'de> = serde_path_to_error::Deserializer<
    'a,
    'a,
    &'a mut serde_json::Deserializer<serde_json::de::StrRead<'de>>,
>;

/// Runs `parse` over the whole text and says where it failed.
pub(super) fn read<'de, T>(
    text: &'de str,
    parse: impl FnOnce(Json<'_, 'de>) -> Result<T, serde_json::Error>,
) -> Result<T, SnapshotError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let result = parse(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    result.and_then(|value| json.end().map(|()| value)).map_err(|error| {
        let whole = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        SnapshotError::Value {
            line: error.line(),
            column: error.column(),
            path: place_of(&track.path().to_string()),
            problem: shorten(whole.strip_suffix(&place).unwrap_or(&whole), MAX_SHOWN),
        }
    })
}

/// The path, `.` where the text ended before there was one.
fn place_of(path: &str) -> String {
    if path == "?" { ".".to_owned() } else { shorten(path, MAX_SHOWN) }
}

/// Finds the format and skips all else.
struct FormatVisitor;

impl<'de> Visitor<'de> for FormatVisitor {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host description")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut format = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == "format" {
                format = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(format)
    }
}

/// A deserializer that hides the field `format` from a structure that refuses unknown fields;
/// `serde(flatten)` would accept them all and lose the paths.
pub(super) struct WithoutFormat<D>(pub(super) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for WithoutFormat<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(WithoutFormat(visitor))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for WithoutFormat<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(WithoutFormat(map))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutFormat<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.0.next_key::<std::borrow::Cow<'de, str>>()? {
            if key != "format" {
                let key: CowStrDeserializer<'_, A::Error> = key.into_deserializer();
                return seed.deserialize(key).map(Some);
            }
            self.0.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

/// Writes a description: a line for each node, core, L3 domain, PCI function and GPU link, so that
/// two versions can be compared line by line. The same description gives the same bytes, and
/// reading them back gives the same description. Empty fields are left out.
#[must_use]
pub fn write_host(host: &HostBuilder) -> String {
    let HostBuilder {
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
        devices,
        gpu_links,
        fabric_partitions,
        sources,
    } = host;
    let mut fields = vec![format!("\"format\": {}", json(FORMAT))];
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
    scalar("reserved", !reserved.is_empty(), json(reserved));
    scalar("devices", !devices.is_empty(), lines(devices));
    scalar("gpu_links", !gpu_links.is_empty(), lines(gpu_links));
    scalar("fabric_partitions", !fabric_partitions.is_empty(), lines(fabric_partitions));
    scalar("sources", !sources.is_empty(), lines(sources));
    format!("{{\n  {}\n}}\n", fields.join(",\n  "))
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("the description has no maps and no failing fields")
}

/// An array with a line for each item.
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
            ("\"core\": 0", "\"kore\": 0", "at cores[0].kore: unknown field `kore`"),
            ("\"name\"", "\"nome\"", "line 1, column 35, at .: unknown field `nome`"),
            ("\"name\"", "\"about\"", "missing field `name`"),
            ("\"nodes\"", "\"cores\": [], \"nodes\"", "duplicate field `cores`"),
            ("host/1", "host/2", "the description's format is \"pinwise-host/2\""),
            ("\"format\"", "\"formal\"", "the description names no format"),
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
