//! JSON texts of a named format: bounded in size, and every error has its place.

use std::fmt;

use serde::Deserialize;
use serde::de::value::CowStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer as _, MapAccess, Visitor,
};

use crate::shown::shorten;

/// The largest text that is read: 64 MiB, about a hundred times the largest host's.
pub const MAX_TEXT: usize = 64 << 20;
/// The largest part of a foreign text that a message shows, in bytes.
const MAX_SHOWN: usize = 200;

/// The reason why a text does not conform to its format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// A text beyond [`MAX_TEXT`].
    #[error("the text has {bytes} bytes, but the limit is {MAX_TEXT}")]
    TooLong {
        /// The length in bytes.
        bytes: usize,
    },
    /// A format other than the expected one, or another version of it.
    #[error("the text has format {found:?}, but this version reads {expected:?}")]
    Format {
        /// The format that the text names.
        found: String,
        /// The format that was expected.
        expected: &'static str,
    },
    /// No format: the text is probably something else.
    #[error("the text names no format; add \"format\": {expected:?}")]
    NoFormat {
        /// The format that was expected.
        expected: &'static str,
    },
    /// An impossible name or number: it refers to nothing, is repeated, or is too large.
    #[error("at {path}: {problem}")]
    Wrong {
        /// The path to the value, e.g. `gpus[1].switch`.
        path: String,
        /// The problem.
        problem: String,
    },
    /// Not JSON, an unknown or missing field, or a value that the field does not allow. The message
    /// about an unknown field names the format.
    #[error("line {line}, column {column}, at {path}: {problem}")]
    Value {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The path to the value, e.g. `nodes[1].memory`; `.` for the text itself.
        path: String,
        /// The problem.
        problem: String,
    },
}

/// Reads a text that names the format `expected`. `T` must refuse unknown fields
/// (`serde(deny_unknown_fields)`); the field `format` is hidden from it.
///
/// # Errors
/// [`JsonError`] if the text is too long, names no format or another one, is not JSON, or has an
/// unknown, missing, repeated or malformed field.
pub fn read_as<'de, T: Deserialize<'de>>(
    text: &'de str,
    expected: &'static str,
) -> Result<T, JsonError> {
    match of_format(text, expected)? {
        true => read_fields(text, expected),
        false => Err(JsonError::NoFormat { expected }),
    }
}

/// The same for a text that people write by hand: it may omit the format, but not name another one.
pub(super) fn read_by_hand<'de, T: Deserialize<'de>>(
    text: &'de str,
    expected: &'static str,
) -> Result<T, JsonError> {
    of_format(text, expected)?;
    read_fields(text, expected)
}

/// Whether the text names its format, which must then be `expected`. This is checked first: a text
/// of a later version must not be reported for an unknown field.
fn of_format(text: &str, expected: &'static str) -> Result<bool, JsonError> {
    match format_of(text)? {
        Some(found) if found != expected => {
            Err(JsonError::Format { found: shorten(&found, MAX_SHOWN), expected })
        }
        found => Ok(found.is_some()),
    }
}

fn read_fields<'de, T: Deserialize<'de>>(
    text: &'de str,
    format: &'static str,
) -> Result<T, JsonError> {
    read(text, Some(format), |json| T::deserialize(WithoutFormat(json)))
}

/// The format that a text names; `None` if it names none.
///
/// # Errors
/// [`JsonError`] if the text is too long or not a JSON object.
pub fn format_of(text: &str) -> Result<Option<String>, JsonError> {
    match text.len() {
        bytes if bytes > MAX_TEXT => Err(JsonError::TooLong { bytes }),
        _ => read(text, None, |json| json.deserialize_map(FormatVisitor)),
    }
}

type Json<'a, 'de> = serde_path_to_error::Deserializer<
    'a,
    'a,
    &'a mut serde_json::Deserializer<serde_json::de::StrRead<'de>>,
>;

/// Runs `parse` over the whole text and adds the place of an error.
fn read<'de, T>(
    text: &'de str,
    format: Option<&'static str>,
    parse: impl FnOnce(Json<'_, 'de>) -> Result<T, serde_json::Error>,
) -> Result<T, JsonError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let result = parse(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    result.and_then(|value| json.end().map(|()| value)).map_err(|error| {
        let whole = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let problem = whole.strip_suffix(&place).unwrap_or(&whole);
        JsonError::Value {
            line: error.line(),
            column: error.column(),
            path: place_of(&track.path().to_string()),
            problem: format
                .and_then(|format| unknown_field(problem, format))
                .unwrap_or_else(|| shorten(problem, MAX_SHOWN)),
        }
    })
}

/// serde's message about an unknown field, with the format's name added: "unknown field `vcpu` in
/// pinwise-request/1, expected one of ...".
fn unknown_field(problem: &str, format: &str) -> Option<String> {
    let rest = problem.strip_prefix("unknown field `")?;
    // The name comes from the text and may hold anything; the rest is serde's and cannot hold the
    // separator.
    let (name, expected) = rest.rsplit_once("`, expected ")?;
    // The older spelling with hyphens is accepted but not advertised.
    let (lead, names) = match expected.strip_prefix("one of ") {
        Some(names) => ("one of ", names),
        None => ("", expected),
    };
    let is_older = |name: &&str| name.contains('-') && names.contains(&name.replace('-', "_"));
    let names: Vec<&str> = names.split(", ").filter(|name| !is_older(name)).collect();
    let name = shorten(name, MAX_SHOWN / 2);
    let expected = shorten(&format!("{lead}{}", names.join(", ")), MAX_SHOWN / 2);
    Some(format!("unknown field `{name}` in {format}, expected {expected}"))
}

/// The path, or `.` if the text ended before any.
fn place_of(path: &str) -> String {
    if path == "?" { ".".to_owned() } else { shorten(path, MAX_SHOWN) }
}

/// Finds the format and skips everything else.
struct FormatVisitor;

impl<'de> Visitor<'de> for FormatVisitor {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
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
        let mut seed = Some(seed);
        while let Some(key) = self.0.next_key_seed(Key(&mut seed))? {
            if key.is_some() {
                return Ok(key);
            }
            self.0.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

/// A key that is passed to its seed unless it is `format`. This happens while the key is read, so
/// that an error has the key's path.
struct Key<'s, K>(&'s mut Option<K>);

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<'_, K> {
    type Value = Option<K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let key = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let seed = if key == "format" { None } else { self.0.take() };
        let key: CowStrDeserializer<'_, D::Error> = key.into_deserializer();
        seed.map(|seed| seed.deserialize(key)).transpose()
    }
}
