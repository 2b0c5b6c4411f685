//! Errors that name the field of a body that is wrong.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::ids::{ChargeKey, IdError};
use crate::money::MoneyError;

/// What is wrong with a field. Its text never holds the field's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The body is no JSON at all.
    #[error("is not JSON")]
    NotJson,
    /// The field is missing, or of another kind than the platform documents.
    #[error("is missing or of the wrong kind")]
    Shape,
    /// The field is an id that we can't keep.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The field is an amount or a currency that can't be had in minor units.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// The field is a time out of range.
    #[error("is not a unix time in seconds")]
    Time,
}

/// The name of a whole body.
const BODY: &str = "body";

/// A field of a body, by its path, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct FieldError {
    /// The path from the root of the body (`data.object.currency`), or `body` for all of it.
    pub field: String,
    /// What is wrong.
    pub problem: Problem,
}

/// Turns a problem into the error of the field it was found in.
pub(super) fn at<P: Into<Problem>>(field: &'static str) -> impl FnOnce(P) -> FieldError {
    move |problem| FieldError {
        field: field.to_owned(),
        problem: problem.into(),
    }
}

/// Turns the error of a document that is one of several into one that says which.
pub(super) fn within(document: &'static str) -> impl FnOnce(FieldError) -> FieldError {
    move |error| FieldError {
        field: match error.field.as_str() {
            BODY => document.to_owned(),
            field => format!("{document}.{field}"),
        },
        problem: error.problem,
    }
}

/// Reads a field that describes and decides nothing: one that is not as documented is taken for absent, so that what
/// matters is not lost with it.
pub(super) fn if_it_fits<'de, D, T>(value: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Value::deserialize(value)?;
    Ok(serde_json::from_value(value).ok())
}

/// What a gateway gave as its reference of a charge, if that tells the charge from others. A gateway may write what it
/// likes: something that can't be kept, or zeros for the charges that it made nothing of.
pub(super) fn gateway_key(reference: &str) -> Option<ChargeKey> {
    let says = |byte: u8| !matches!(byte, b'0' | b'-');
    let key = ChargeKey::parse(reference).ok();
    key.filter(|key| key.as_str().bytes().any(says))
}

/// Reads a body into the form a platform documents, naming the path of what does not fit.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, FieldError> {
    // Keeping track of the path takes longer than reading, so only what does not fit is read with it.
    serde_json::from_slice(body).or_else(|_| read_by_path(body))
}

fn read_by_path<T: DeserializeOwned>(body: &[u8]) -> Result<T, FieldError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let inner = error.inner();
        let not_json = inner.is_syntax() || inner.is_eof();
        let (field, problem) = if not_json {
            (BODY.to_owned(), Problem::NotJson)
        } else {
            (path(&error), Problem::Shape)
        };
        FieldError { field, problem }
    })?;
    json.end().map_err(|_| FieldError {
        field: BODY.to_owned(),
        problem: Problem::NotJson,
    })?;
    Ok(value)
}

/// The path of a missing field ends at the object that lacks it; the parser's message names the field.
fn path(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let message = error.inner().to_string();
    let name = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    let parent = (error.path().iter().len() > 0).then(|| error.path().to_string());
    match (parent, name) {
        (Some(parent), Some(name)) => format!("{parent}.{name}"),
        (Some(parent), None) => parent,
        (None, Some(name)) => name.to_owned(),
        (None, None) => BODY.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_of_a_gateway_is_a_key_only_if_it_tells_a_charge_from_others() {
        let cases = [
            ("ch_3QfA1", true),
            ("40000000001", true),
            ("0a", true),
            ("", false),
            ("0", false),
            ("0000000000000", false),
            ("00000000-0000-0000-0000-000000000000", false),
            ("-", false),
            ("ch 3QfA1", false),
        ];
        for (reference, want) in cases {
            assert_eq!(gateway_key(reference).is_some(), want, "{reference:?}");
        }
    }
}
