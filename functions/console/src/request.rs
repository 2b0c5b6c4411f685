//! What a request says, read strictly: the ids of its path, the parameters of its query, the object in its body.
//!
//! What is wrong with it is told by `complaint`, which names the field and never what it held.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use url::form_urlencoded;

use shared::event::EventType;
use shared::ids::{
    ConnectorAccountId, EndpointId, EventId, IdError, KeyId, ProfileId, QuarantineId, TenantId,
};

use crate::complaint::complaint;
use crate::cursor;
use crate::handler::Console;
use crate::reply::Refusal;

/// The longest body that is taken, in bytes.
pub(crate) const BODY_MOST: usize = 64 * 1024;

/// An id that stands in paths.
pub(crate) trait PathId: Sized {
    /// What the routes call it.
    const NAME: &'static str;

    /// Takes a segment that has the id's form.
    fn read(text: String) -> Result<Self, Refusal>;
}

macro_rules! path_id {
    ($($id:ident $name:literal),+) => {
        $(impl PathId for $id {
            const NAME: &'static str = $name;

            fn read(text: String) -> Result<Self, Refusal> {
                Self::parse(text).map_err(|error: IdError| Refusal::parameter(Self::NAME, error.to_string()))
            }
        })+
    };
}

path_id! {
    TenantId "tenant",
    KeyId "key",
    EndpointId "endpoint",
    ProfileId "profile_id",
    ConnectorAccountId "connector_account_id",
    EventId "event",
    QuarantineId "message"
}

/// The name of a wallet client. Clients and endpoints share their names, and not their paths.
pub(crate) struct ClientName(pub(crate) EndpointId);

impl PathId for ClientName {
    const NAME: &'static str = "client";

    fn read(text: String) -> Result<Self, Refusal> {
        let id = EndpointId::parse(text);
        id.map(Self)
            .map_err(|error| Refusal::parameter(Self::NAME, error.to_string()))
    }
}

impl PathId for EventType {
    const NAME: &'static str = "type";

    fn read(text: String) -> Result<Self, Refusal> {
        Self::parse(text).map_err(|error| Refusal::parameter(Self::NAME, error.to_string()))
    }
}

/// The segment of the path that its route calls `name`.
pub(crate) async fn param(parts: &mut Parts, name: &'static str) -> Result<String, Refusal> {
    let no_text = |_| Refusal::parameter(name, "must be UTF-8");
    let params = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(no_text)?;
    let value = params
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned());
    // A handler that asks for what its route does not name is ours to mend; the tests call every route.
    value.ok_or(Refusal::NoSuchPath)
}

/// An id of the path.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: PathId> FromRequestParts<Arc<Console>> for Id<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Console>) -> Result<Self, Refusal> {
        T::read(param(parts, T::NAME).await?).map(Self)
    }
}

/// The query's parameters as the fields of `T`, which are texts; unknown and repeated ones are refused.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Console>> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Console>) -> Result<Self, Refusal> {
        read_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn read_query<T: DeserializeOwned>(query: &str) -> Result<T, Refusal> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let given = MapDeserializer::<_, serde::de::value::Error>::new(pairs);
    T::deserialize(given).map_err(|error| {
        let (name, rule) = complaint(String::new(), &error.to_string());
        Refusal::parameter(name, rule)
    })
}

/// A parameter of the query that is not empty; an empty one counts as left out.
pub(crate) fn given(value: &str) -> Option<&str> {
    (!value.is_empty()).then_some(value)
}

/// How many items a page may have: 1 to 100, 50 if it is not said.
pub(crate) fn limit(value: &str) -> Result<usize, Refusal> {
    match given(value).map_or(Ok(50), str::parse) {
        Ok(limit @ 1..=100) => Ok(limit),
        Ok(_) | Err(_) => Err(Refusal::parameter(
            "limit",
            "must be a whole number from 1 to 100",
        )),
    }
}

/// A time of the query.
pub(crate) fn time(name: &'static str, value: &str) -> Result<Option<Timestamp>, Refusal> {
    let rule = "must be a time such as 2026-01-31T12:00:00Z (RFC 3339; write `+` as %2B)";
    given(value)
        .map(|value| value.parse().map_err(|_| Refusal::parameter(name, rule)))
        .transpose()
}

/// The place that a cursor stands for.
pub(crate) fn from_cursor(cursor: &str) -> Result<String, Refusal> {
    cursor::read(cursor).ok_or_else(bad_cursor)
}

/// A cursor that we did not make.
pub(crate) fn bad_cursor() -> Refusal {
    Refusal::parameter("cursor", "must be the `next_cursor` of the page before")
}

/// The body as `T`: declared as JSON, of at most [`BODY_MOST`] bytes, an object with no field that `T` does not know.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Console>> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::NotJsonType);
        }
        let body = Bytes::from_request(request, console)
            .await
            .map_err(|rejection| {
                if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    Refusal::BodyTooLong
                } else {
                    Refusal::BodyCutOff
                }
            })?;
        read_body(&body).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = declared.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

fn read_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let not_json = |problem: &str| Refusal::NotJson {
        problem: problem.to_owned(),
    };
    match body.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(_) => return Err(not_json("it does not begin with `{`")),
        None => return Err(not_json("it is empty")),
    }
    let malformed = |error: &serde_json::Error| {
        not_json(&format!(
            "it is not JSON at line {}, column {}",
            error.line(),
            error.column()
        ))
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        if error.inner().is_data() {
            let path = if error.path().iter().len() > 0 {
                error.path().to_string()
            } else {
                String::new()
            };
            let message = error.inner().to_string();
            let message = message
                .rsplit_once(" at line ")
                .map_or(message.as_str(), |(message, _)| message);
            let (path, rule) = complaint(path, message);
            Refusal::field(path, rule)
        } else {
            malformed(error.inner())
        }
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// A text that people read: 1 to 100 characters, none of them a control character.
pub(crate) fn label(field: &'static str, text: Option<String>) -> Result<Option<String>, Refusal> {
    let fits = |text: &String| {
        (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    match text {
        Some(text) if !fits(&text) => Err(Refusal::field(
            field,
            "must be 1 to 100 characters, none of them a control character",
        )),
        text => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use shared::delivery::{Filter, Policy, Scheme};

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the complaints are looked at")]
    struct Form {
        name: String,
        count: Option<u32>,
        scheme: Option<Scheme>,
        filter: Option<Filter>,
        secrets: Option<Vec<String>>,
        retry: Option<Policy>,
        inner: Option<Inner>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the complaints are looked at")]
    struct Inner {
        deep: u32,
    }

    fn told(refusal: Refusal) -> (String, String) {
        match refusal {
            Refusal::Field { path, rule } => (path, rule),
            Refusal::Parameter { name, rule } => (name.into_owned(), rule),
            Refusal::NotJson { problem } => ("-".to_owned(), problem),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_complaint_names_the_field_and_the_rule_and_never_what_was_given() {
        let cases = [
            (r#"{}"#, "name", "is missing"),
            (r#"{"name":"n","inner":{}}"#, "inner.deep", "is missing"),
            (r#"{"name":"n","name":"hush"}"#, "name", "is given twice"),
            (
                r#"{"name":"n","nam":"hush"}"#,
                "nam",
                "is not known here; expected is one of `name`, `count`, `scheme`, `filter`, `secrets`, `retry`, `inner`",
            ),
            (
                r#"{"name":"n","inner":{"deep":1,"hush`, expected x":1}}"#,
                "inner.hush`, expected x",
                "is not known here; expected is `deep`",
            ),
            (r#"{"name":{"hush":1}}"#, "name", "must be a string"),
            (
                r#"{"name":"n","count":"hush, expected u32"}"#,
                "count",
                "must be a whole number that is not negative",
            ),
            (
                r#"{"name":"n","count":-1}"#,
                "count",
                "must be a whole number that is not negative",
            ),
            (
                r#"{"name":"n","count":1.5}"#,
                "count",
                "must be a whole number that is not negative",
            ),
            (
                r#"{"name":"n","scheme":"hush"}"#,
                "scheme",
                "must be one of `rafiki`, `standard-webhooks`, `stellar`",
            ),
            (
                r#"{"name":"n","filter":["hush hush"]}"#,
                "filter",
                "each entry must be an event type, a prefix such as `recovery.*`, or `*`, and there must be 1 to 100",
            ),
            (
                r#"{"name":"n","secrets":"hush"}"#,
                "secrets",
                "must be a list",
            ),
            (
                r#"{"name":"n","secrets":["a",7]}"#,
                "secrets[1]",
                "must be a string",
            ),
            (
                r#"{"name":"n","retry":"hush"}"#,
                "retry",
                "must be an object",
            ),
            (r#"{"name":"n","retry":{}}"#, "retry.policy", "is missing"),
            (
                r#"{"name":"n","retry":{"policy":"hush"}}"#,
                "retry.policy",
                "must be `linear` or `ladder`",
            ),
            (
                r#"{"name":"n","retry":{"policy":"ladder"}}"#,
                "retry.waits_s",
                "is missing",
            ),
            (
                r#"{"name":"n","retry":{"policy":"ladder","waits_s":["hush"]}}"#,
                "retry",
                "must be a whole number that is not negative",
            ),
            (
                r#"{"name":"n","retry":{"policy":"linear","hush":1}}"#,
                "retry.hush",
                "is not known here; expected is one of `step_s`, `max_retry`, `cap_s`",
            ),
            (
                r#"{"name":"n","inner":"hush"}"#,
                "inner",
                "must be an object",
            ),
            ("", "-", "it is empty"),
            ("[]", "-", "it does not begin with `{`"),
            (r#""hush""#, "-", "it does not begin with `{`"),
            (r#"{"name":"#, "-", "it is not JSON at line 1, column 8"),
            (
                r#"{"name":"n"} {}"#,
                "-",
                "it is not JSON at line 1, column 14",
            ),
        ];
        for (body, path, rule) in cases {
            let got = read_body::<Form>(body.as_bytes()).map(|_| ()).map_err(told);
            assert_eq!(got, Err((path.to_owned(), rule.to_owned())), "{body}");
        }
        assert!(read_body::<Form>(br#" {"name":"n","count":4} "#).is_ok());
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        #[serde(default)]
        state: String,
        invoice: String,
    }

    #[test]
    fn a_query_is_read_strictly() {
        let read = |query| read_query::<Asked>(query).map_err(told);
        let refused = |name: &str, rule: &str| Err((name.to_owned(), rule.to_owned()));
        let asked = |state: &str, invoice: &str| {
            Ok(Asked {
                state: state.to_owned(),
                invoice: invoice.to_owned(),
            })
        };
        assert_eq!(read("invoice=in_1&state=a%20b+c"), asked("a b c", "in_1"));
        assert_eq!(read("invoice=in_1"), asked("", "in_1"));
        assert_eq!(read(""), refused("invoice", "is missing"));
        assert_eq!(
            read("invoice=1&invoice=2"),
            refused("invoice", "is given twice")
        );
        assert_eq!(
            read("invoice=1&sate=x"),
            refused(
                "sate",
                "is not known here; expected is `state` or `invoice`"
            )
        );
    }
}
