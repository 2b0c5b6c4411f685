//! The one table of outcomes and what is answered to them.

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use shared::access::AccessError;
use shared::body::BodyError;
use shared::event::FieldError;
use shared::ids::EventId;
use shared::problem::Problem;
use shared::queue::QueueError;
use shared::signature::VerifyError;
use shared::store::StoreError;

use crate::batch::MOST;
use crate::body::{ARRAY_MOST, EVENT_MOST};

/// What was accepted.
#[derive(Debug)]
pub enum Accepted {
    /// One event is on the queue: 200 with an empty body, which is all that Rafiki takes for success.
    One,
    /// What became of each event of an array, in its order: 200 if all were accepted, else 207.
    Array(Vec<Item>),
}

/// What became of one event of an array.
#[derive(Debug)]
pub struct Item {
    /// Its id, where it could be read.
    pub id: Option<EventId>,
    /// Why it was not accepted, if so.
    pub refused: Option<Refusal>,
}

#[derive(Serialize)]
struct Told<'a> {
    id: Option<&'a str>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

#[derive(Serialize)]
struct Results<'a> {
    results: Vec<Told<'a>>,
}

impl Accepted {
    /// The answer.
    #[must_use]
    pub fn response(&self) -> Response<String> {
        let items = match self {
            Self::One => return Response::new(String::new()),
            Self::Array(items) => items,
        };
        let told = |item: &Item| {
            let problem = item.refused.as_ref().map(Refusal::problem);
            (
                (
                    item.id.clone(),
                    problem.as_ref().map_or(200, |problem| problem.status),
                ),
                problem,
            )
        };
        let told: Vec<_> = items.iter().map(told).collect();
        let whole = told.iter().all(|(_, problem)| problem.is_none());
        let later = told
            .iter()
            .filter_map(|(_, problem)| problem.as_ref()?.retry_after_s)
            .max();
        let results = told
            .iter()
            .map(|((id, status), problem)| Told {
                id: id.as_ref().map(EventId::as_str),
                status: *status,
                problem: problem.clone(),
            })
            .collect();
        let body = serde_json::to_string(&Results { results })
            .expect("ids, numbers and problems always have a JSON form");
        let mut response = Response::new(body);
        if !whole {
            *response.status_mut() = StatusCode::MULTI_STATUS;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = later {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Why nothing was accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is neither a signature nor a key.
    #[error("neither signed nor with a key")]
    NoProof,
    /// The tenant's payment backend did not send this, or there is none.
    #[error(transparent)]
    Unauthentic(#[from] VerifyError),
    /// The key does not open this.
    #[error(transparent)]
    Access(AccessError),
    /// The body, or an event of an array, was not received.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A parameter, or a field of the body, is wrong.
    #[error(transparent)]
    Wrong(#[from] FieldError),
    /// An earlier event of the same array has the same id and another content.
    #[error("another event of the array has this id")]
    SameId,
    /// The table can't be asked.
    #[error("the table is unavailable")]
    Store(#[from] StoreError),
    /// The queue did not take it.
    #[error("the queue is unavailable")]
    Queue(#[from] QueueError),
    /// The queue took other events of the array and not this one.
    #[error("the queue refused this event")]
    NotTaken,
}

impl From<AccessError> for Refusal {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::NoKey => Self::NoProof,
            AccessError::Store(error) => Self::Store(error),
            AccessError::UnknownKey
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
        let source: &dyn std::error::Error = match self {
            Self::Store(source) => source,
            Self::Queue(source) => source,
            _ => return None,
        };
        Some(shared::problem::chain(source))
    }

    /// The problem that is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::NoProof => Problem::unauthorized(
                "Sign the event in the header `Rafiki-Signature`, or send a key in `Authorization: Bearer <key>`.",
            ),
            Self::Unauthentic(error) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "/problems/bad-signature",
                "Not authentic",
                format!(
                    "Not taken as sent by a payment backend of this tenant: {error}. Compare the secret with the \
                     tenant's publisher `rafiki`, and the clock with ours."
                ),
            ),
            Self::Access(error) => error.problem(),
            Self::Body(BodyError::TooLong(most)) => Problem {
                detail: format!(
                    "At most {most} bytes are taken here: {EVENT_MOST} for an event, {ARRAY_MOST} for an array of up \
                     to {MOST}."
                ),
                ..BodyError::TooLong(*most).problem()
            },
            Self::Body(error) => error.problem(),
            Self::Wrong(wrong) => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/malformed-event",
                "Not an event that can be taken",
                format!("{wrong}."),
            ),
            Self::SameId => Problem::new(
                StatusCode::CONFLICT,
                "/problems/same-id",
                "Two events with one id",
                "`id` is that of an earlier event of the array whose type or data differ; give it one of its own.",
            ),
            Self::Store(_) | Self::Queue(_) => Problem::unavailable(),
            Self::NotTaken => Problem {
                detail: "This event was not accepted; send it again after the time in Retry-After."
                    .to_owned(),
                ..Problem::unavailable()
            },
        }
    }

    /// The answer.
    #[must_use]
    pub fn response(&self) -> Response<String> {
        let mut response = self.problem().response();
        // What RFC 6750 has a 401 say.
        let challenge = match self {
            Self::NoProof | Self::Unauthentic(_) => Some(r#"Bearer realm="payrelay""#),
            Self::Access(AccessError::UnknownKey) => {
                Some(r#"Bearer realm="payrelay", error="invalid_token""#)
            }
            _ => None,
        };
        if let Some(challenge) = challenge {
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
