//! The one table of outcomes and what is answered to them.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use shared::access::AccessError;
use shared::body::BodyError;
use shared::event::FieldError;
use shared::problem::{Problem, chain};
use shared::signature::jwt::TokenError;
use shared::store::{StoreError, Version};

use crate::business::Trouble;
use crate::rpc::{Answer, NotCalls};

/// What is said where a wallet would have to be told, and nothing can be signed.
pub const NO_SIGNING_KEY: &str = "the tenant has no signing key to tell the wallet with; put one at .../anchor/signing-key; nothing was changed";

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The key does not open this door.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The token does not.
    #[error(transparent)]
    Token(TokenError),
    /// Wallets can't sign in, since the tenant has not said how.
    #[error("the tenant has not set up SEP-10")]
    NoSep10,
    /// The token is of no wallet client of the tenant.
    #[error("the token is of no wallet client")]
    NoClient,
    /// The body was not received.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It holds no calls.
    #[error(transparent)]
    NotCalls(#[from] NotCalls),
    /// A field is not right.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The transaction is not in the state that the caller read it in.
    #[error("the transaction is not as it was read")]
    Changed,
    /// A wallet would have to be told, and nothing can be signed.
    #[error("the tenant has no signing key")]
    NoSigningKey,
    /// Others changed it again and again.
    #[error("lost every race")]
    Contended,
    /// The business server has no usable answer.
    #[error(transparent)]
    Business(#[from] Trouble),
    /// The table can't be asked.
    #[error("the table is unavailable")]
    Store(#[from] StoreError),
}

impl Refusal {
    /// A field that is not right, and what it must be.
    #[must_use]
    pub fn field(field: &str, rule: impl Into<String>) -> Self {
        Self::Field(FieldError {
            field: field.to_owned(),
            rule: rule.into(),
        })
    }

    /// The cause, for the operator's log.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Store(trouble) | Self::Access(AccessError::Store(trouble)) => {
                Some(chain(trouble))
            }
            _ => None,
        }
    }

    /// The answer.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Access(error) => error.problem(),
            Self::Token(error) => {
                Problem::unauthorized(&format!("This is no token for this door: {error}."))
            }
            Self::NoSep10 => Problem::unauthorized(
                "This anchor takes no SEP-10 tokens here: its operator has not said who issues them.",
            ),
            Self::NoClient => Problem::new(
                StatusCode::FORBIDDEN,
                "/problems/no-client",
                "No wallet client",
                "The token's client domain and account are those of no wallet client of this anchor; ask it to register yours.",
            ),
            Self::Body(error) => error.problem(),
            Self::NotCalls(_) => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/not-calls",
                "No JSON-RPC calls",
                "Send a JSON array of JSON-RPC 2.0 calls, or one call.",
            ),
            Self::Field(error) => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/invalid-field",
                "A field is not right",
                error.to_string(),
            ),
            Self::NotFound(what) => Problem::new(
                StatusCode::NOT_FOUND,
                "/problems/not-found",
                "Not found",
                format!("There is no such {what}."),
            ),
            Self::Changed => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "/problems/changed",
                "Changed since it was read",
                "`If-Match` and `If-None-Match` name another state than the transaction's; read it again.",
            ),
            Self::NoSigningKey => Problem::new(
                StatusCode::CONFLICT,
                "/problems/no-signing-key",
                "No signing key",
                NO_SIGNING_KEY,
            ),
            Self::Contended => Problem {
                detail: "Others changed the transaction again and again; put it again.".to_owned(),
                ..Problem::unavailable()
            },
            Self::Business(Trouble::Unknown) => Problem::new(
                StatusCode::NOT_FOUND,
                "/problems/not-found",
                "Not found",
                "There is no such customer of this account.",
            ),
            Self::Business(Trouble::Refused(text)) => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/refused-by-anchor",
                "Refused by the anchor",
                text.clone(),
            ),
            Self::Business(_) => Problem {
                detail: "The anchor's business server can't be asked now; put it again after the time in Retry-After."
                    .to_owned(),
                ..Problem::unavailable()
            },
            Self::Store(_) => Problem::unavailable(),
        }
    }
}

/// A JSON answer that nobody keeps.
#[must_use]
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Response<String> {
    let body = serde_json::to_string(body).expect("texts and JSON values always have a JSON form");
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A transaction, and the state it is in.
#[must_use]
pub fn in_state<T: Serialize>(status: StatusCode, body: &T, version: Version) -> Response<String> {
    let mut response = json(status, body);
    let tag = HeaderValue::try_from(format!("\"{}\"", version.0));
    let tag = tag.expect("a number in quotes is a header's value");
    response.headers_mut().insert(ETAG, tag);
    response
}

/// The answers to calls; `alone` to one that came alone.
#[must_use]
pub fn calls(answers: &[Answer], alone: bool) -> Response<String> {
    match answers {
        [answer] if alone => json(StatusCode::OK, answer),
        answers => json(StatusCode::OK, &answers),
    }
}
