//! The one table of outcomes and what is answered to them.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use shared::access::AccessError;
use shared::body::BodyError;
use shared::decision::Decision;
use shared::event::FieldError;
use shared::ids::EventId;
use shared::problem::Problem;
use shared::store::StoreError;

use crate::handler::KEY_MOST;

/// What whoever waits is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(flatten)]
    decision: &'a Decision,
    event_id: &'a EventId,
}

/// The decision, and the event that it is found by.
#[must_use]
pub fn answer(id: &EventId, decision: &Decision) -> Response<String> {
    let told = Told {
        decision,
        event_id: id,
    };
    let body = serde_json::to_string(&told).expect("texts and amounts always have a JSON form");
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Why no decision is told.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Its key does not open the door.
    #[error(transparent)]
    Access(AccessError),
    /// The question has no name, or none that can be kept.
    #[error("no idempotency key")]
    NoIdempotencyKey,
    /// The body was not received.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It can't be understood.
    #[error(transparent)]
    Malformed(#[from] FieldError),
    /// Another question was asked under its name.
    #[error("another question has this idempotency key")]
    OtherQuestion,
    /// Its name leads to an event that is no decision.
    #[error("the idempotency key leads to an event that is no decision")]
    KeyTaken,
    /// The table can't be asked.
    #[error("the table is unavailable")]
    Store(#[from] StoreError),
    /// What was decided may have been kept or not: the write failed, which says nothing of its effect.
    #[error("it is not known whether the decision was kept")]
    NotKept(#[source] StoreError),
}

impl From<AccessError> for Refusal {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Store(error) => Self::Store(error),
            AccessError::NoKey
            | AccessError::UnknownKey
            | AccessError::Forbidden
            | AccessError::Tenant(_)
            | AccessError::NoTenant => Self::Access(error),
        }
    }
}

impl Refusal {
    /// The cause, for the operator's log.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Store(source) | Self::NotKept(source) => Some(shared::problem::chain(source)),
            Self::Access(_)
            | Self::NoIdempotencyKey
            | Self::Body(_)
            | Self::Malformed(_)
            | Self::OtherQuestion
            | Self::KeyTaken => None,
        }
    }

    /// The answer.
    #[must_use]
    pub fn response(&self) -> Response<String> {
        let mut response = self.problem().response();
        if let Some(challenge) = self.challenge() {
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// What RFC 6750 has a 401 say.
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::Access(AccessError::NoKey) => Some(r#"Bearer realm="payrelay""#),
            Self::Access(AccessError::UnknownKey) => {
                Some(r#"Bearer realm="payrelay", error="invalid_token""#)
            }
            _ => None,
        }
    }

    fn problem(&self) -> Problem {
        match self {
            Self::Access(error) => error.problem(),
            Self::NoIdempotencyKey => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/invalid-parameter",
                "A parameter is not right",
                format!(
                    "`Idempotency-Key`: send this header once, with 1 to {KEY_MOST} printable ASCII characters and no \
                     space; each question has its own, and asks again with the same."
                ),
            ),
            Self::Body(error) => error.problem(),
            Self::Malformed(error) => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/invalid-field",
                "A field of the body is not right",
                format!("{error}."),
            ),
            Self::OtherQuestion => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "/problems/idempotency-key-reused",
                "Idempotency key used for another question",
                "`Idempotency-Key`: another question was asked with this one; a new question needs a new key.",
            ),
            Self::KeyTaken => Problem::new(
                StatusCode::CONFLICT,
                "/problems/idempotency-key-taken",
                "Idempotency key taken",
                "`Idempotency-Key`: an event that is no decision has the id that this key leads to; choose another key.",
            ),
            Self::NotKept(_) => Problem {
                detail: "Whether a decision was kept is not known. Ask again with the same `Idempotency-Key` after the time in \
                         Retry-After: if one was, it is the answer."
                    .to_owned(),
                ..Problem::unavailable()
            },
            Self::Store(_) => Problem {
                detail: "Nothing was decided. Ask again with the same `Idempotency-Key` after the time in Retry-After."
                    .to_owned(),
                ..Problem::unavailable()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_surely_not_decided_is_told_as_such() {
        let unavailable = || StoreError::Unavailable("the connection broke".into());
        let cases = [
            (Refusal::Store(unavailable()), "Nothing was decided. "),
            (
                Refusal::NotKept(unavailable()),
                "Whether a decision was kept is not known. ",
            ),
        ];
        for (refusal, told) in cases {
            let response = refusal.response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(response.headers().contains_key("retry-after"), "{refusal}");
            let body = response.into_body();
            assert!(body.contains(told), "{refusal}: {body}");
            let again = "Ask again with the same `Idempotency-Key`";
            assert!(body.contains(again), "{refusal}: {body}");
        }
    }
}
