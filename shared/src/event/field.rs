//! Reading a payload into the form that the catalogue documents, naming the field that does not fit.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeOwned, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A field that is not as documented, by its path, and what it must be. Neither tells what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {rule}")]
pub struct FieldError {
    /// The path from the root of the event, such as `data.receivedAmount.value`.
    pub field: String,
    /// What is wrong and what it must be, such as `is missing`.
    pub rule: String,
}

/// Reads the object `json`, which is found at `root` of an event (`data`); an empty root is the event, or another body,
/// itself.
///
/// # Errors
/// The field that is wrong.
pub fn read<T: DeserializeOwned>(root: &str, json: &str) -> Result<T, FieldError> {
    // Keeping track of the path takes longer than reading, so only what does not fit is read with it.
    match serde_json::from_str(json) {
        Ok(Object(value)) => Ok(value),
        Err(_) => read_by_path(root, json),
    }
}

fn read_by_path<T: DeserializeOwned>(root: &str, json: &str) -> Result<T, FieldError> {
    let not_json = || FieldError {
        field: if root.is_empty() { "body" } else { root }.to_owned(),
        rule: "is not JSON".to_owned(),
    };
    let mut parser = serde_json::Deserializer::from_str(json);
    let read = serde_path_to_error::deserialize::<_, Object<T>>(&mut parser);
    let Object(value) = read.map_err(|error| {
        if !error.inner().is_data() {
            return not_json();
        }
        let inside = error.path().to_string();
        let parent: Vec<_> = [root, inside.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        explain(&parent.join("."), &error.inner().to_string())
    })?;
    parser.end().map_err(|_| not_json())?;
    Ok(value)
}

/// What an object reads into. A list of the members in their order is no object, though a derived reader would take it
/// for one.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        object_of(json, "an object").map(Self)
    }
}

/// Reads the members of an object.
struct Members<T> {
    rule: &'static str,
    read: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

/// Reads an object; `rule` is the error's end of `must be ..`.
pub(super) fn object_of<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    json: D,
    rule: &'static str,
) -> Result<T, D::Error> {
    json.deserialize_map(Members {
        rule,
        read: PhantomData,
    })
}

/// Reads an object, for fields.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    json: D,
) -> Result<T, D::Error> {
    object_of(json, "an object")
}

/// Reads an object that need not be there, for fields.
pub(super) fn optional_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    json: D,
) -> Result<Option<T>, D::Error> {
    let read = Option::<Object<T>>::deserialize(json)?;
    Ok(read.map(|Object(value)| value))
}

/// Puts the parser's message in words that a sender can act on. Of the message only names of fields are kept, and what
/// follows the last `expected`, which is ours: the rest may quote what was sent.
fn explain(place: &str, message: &str) -> FieldError {
    let message = message.rsplit_once(" at line ").map_or(message, |m| m.0);
    let named = |prefix: &str| {
        let name = message.strip_prefix(prefix)?.split('`').next()?;
        let plain =
            name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        plain.then(|| {
            // The path ends with a field that is not known, but not with one that is missing.
            let parent = place
                .strip_suffix(name)
                .map_or(place, |parent| parent.trim_end_matches('.'));
            if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}.{name}")
            }
        })
    };
    let error = |field: String, rule: &str| FieldError {
        field,
        rule: rule.to_owned(),
    };
    let place = if place.is_empty() { "body" } else { place };
    if let Some(field) = named("missing field `") {
        return error(field, "is missing");
    }
    if let Some(field) = named("unknown field `") {
        return error(field, "is not a field that may stand here");
    }
    if let Some(field) = named("duplicate field `") {
        return error(field, "stands there twice");
    }
    match message.rsplit_once(", expected ") {
        Some((_, "a boolean")) => error(place.to_owned(), "must be true or false"),
        Some((_, "u8")) => error(place.to_owned(), "must be a whole number from 0 to 255"),
        Some((_, "u32" | "i64")) => error(place.to_owned(), "must be a whole number"),
        Some((_, "a map")) => error(place.to_owned(), "must be an object"),
        Some((_, expected)) => FieldError {
            field: place.to_owned(),
            rule: format!("must be {expected}"),
        },
        None => error(
            place.to_owned(),
            "is not of the form that the event's JSON Schema asks for",
        ),
    }
}

/// Reads a text and judges it; `rule` says what it must be.
struct Judge<F> {
    rule: &'static str,
    accept: F,
}

impl<T, F: FnOnce(&str) -> Option<T>> Visitor<'_> for Judge<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let rule = self.rule;
        (self.accept)(text).ok_or_else(|| E::invalid_value(Unexpected::Other("this text"), &rule))
    }
}

/// Reads a text that `accept` takes; `rule` is the error's end of `must be ..`.
pub(crate) fn text<'de, D: Deserializer<'de>, T>(
    json: D,
    rule: &'static str,
    accept: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    json.deserialize_str(Judge { rule, accept })
}

/// A text of 1 to 2048 characters: an id or a URL that is carried and not interpreted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// The most characters it may have.
    pub const MOST: usize = 2048;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        text(json, "a string of 1 to 2048 characters", |text| {
            (1..=Self::MOST)
                .contains(&text.chars().count())
                .then(|| Self(text.to_owned()))
        })
    }
}

/// A point in time, written as RFC 3339; we write it as ECMAScript does, with milliseconds and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        json.collect_str(&format_args!("{:.3}", self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        instant(json).map(Self)
    }
}

/// Reads a point in time, written as RFC 3339.
pub(super) fn instant<'de, D: Deserializer<'de>>(json: D) -> Result<Timestamp, D::Error> {
    let rule = "a date and time such as `2026-08-17T12:00:00.000Z`";
    text(json, rule, |text| {
        // The parser knows more forms of ISO 8601 than RFC 3339 does.
        let mut bytes = text.bytes();
        let form = bytes.nth(10) == Some(b'T')
            && bytes.nth(2) == Some(b':')
            && bytes.nth(2) == Some(b':')
            && !text.contains(['[', ',']);
        form.then(|| text.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read is of interest")]
    struct Inner {
        flag: bool,
        small: u8,
        id: Text,
        at: Option<Time>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it can be read is of interest")]
    struct Outer {
        #[serde(deserialize_with = "object")]
        inner: Inner,
    }

    #[test]
    fn an_error_names_the_field_and_what_it_must_be_and_never_what_was_sent() {
        let cases = [
            (r#"[]"#, "`data` must be an object"),
            (r#"{}"#, "`data.inner` is missing"),
            (r#"[{"flag":true}]"#, "`data` must be an object"),
            (
                r#"{"inner":[true,7,"x",null]}"#,
                "`data.inner` must be an object",
            ),
            (
                r#"{"inner":"s3cret, expected x"}"#,
                "`data.inner` must be an object",
            ),
            (
                r#"{"inner":{"flag":true}}"#,
                "`data.inner.small` is missing",
            ),
            (
                r#"{"inner":{"flag":"s3cret"}}"#,
                "`data.inner.flag` must be true or false",
            ),
            (
                r#"{"inner":{"flag":true,"flag":true}}"#,
                "`data.inner.flag` stands there twice",
            ),
            (
                r#"{"inner":{"small":256}}"#,
                "`data.inner.small` must be a whole number from 0 to 255",
            ),
            (
                r#"{"inner":{"small":1.5}}"#,
                "`data.inner.small` must be a whole number from 0 to 255",
            ),
            (
                r#"{"inner":{"id":""}}"#,
                "`data.inner.id` must be a string of 1 to 2048 characters",
            ),
            (
                r#"{"inner":{"id":7}}"#,
                "`data.inner.id` must be a string of 1 to 2048 characters",
            ),
            (
                r#"{"inner":{"more":7}}"#,
                "`data.inner.more` is not a field that may stand here",
            ),
            (
                r#"{"inner":{"at":"s3cret"}}"#,
                "`data.inner.at` must be a date and time such as `2026-08-17T12:00:00.000Z`",
            ),
        ];
        for (json, want) in cases {
            let error = read::<Outer>("data", json).expect_err(json);
            assert_eq!(error.to_string(), want, "{json}");
        }
        let root = read::<Outer>("", "{}").expect_err("it lacks a field");
        assert_eq!(root.to_string(), "`inner` is missing");
    }

    #[test]
    fn a_time_is_read_as_rfc_3339_and_written_as_ecmascript_does() {
        let time = |text: &str| serde_json::from_value::<Time>(text.into()).ok();
        let written = |text: &str| serde_json::to_value(time(text)?).ok();
        let cases = [
            ("2026-08-17T12:00:00.000Z", Some("2026-08-17T12:00:00.000Z")),
            ("2026-08-17T12:00:00Z", Some("2026-08-17T12:00:00.000Z")),
            (
                "2026-08-17T14:00:00.5+02:00",
                Some("2026-08-17T12:00:00.500Z"),
            ),
            ("2026-08-17 12:00:00Z", None),
            ("2026-08-17T12:00Z", None),
            ("2026-08-17T12:00:00", None),
            ("2026-13-17T12:00:00Z", None),
            ("2026-08-17T12:00:00Z[UTC]", None),
            ("2026-08-17", None),
        ];
        for (text, want) in cases {
            assert_eq!(written(text), want.map(Into::into), "{text}");
        }
    }
}
