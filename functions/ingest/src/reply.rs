//! The one table of outcomes and what is answered to them.

use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;
use shared::access::AccessError;
use shared::body::BodyError;
use shared::ids::SignalId;
use shared::platform::FieldError;
use shared::platform::custom::ReportError;
use shared::problem::Problem;
use shared::queue::QueueError;
use shared::signature::VerifyError;
use shared::store::StoreError;

/// What was accepted; 200 with an empty body either way, so that no platform sends it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// A signal is on the queue.
    Queued,
    /// Genuine and of no interest: to be recorded as ignored.
    Ignored,
}

impl Accepted {
    /// The name in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ignored => "ignored",
        }
    }

    /// The answer.
    #[must_use]
    pub fn response(self) -> Response<String> {
        match self {
            Self::Queued | Self::Ignored => Response::new(String::new()),
        }
    }
}

/// A report that was accepted: 200 with the id by which it is known.
#[derive(Debug)]
pub struct Reported(pub SignalId);

impl Reported {
    /// The answer.
    #[must_use]
    pub fn response(&self) -> Response<String> {
        let mut response = Response::new(json!({ "signal": self.0 }).to_string());
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// The error of a report that is no text.
pub(crate) fn no_text() -> shared::event::FieldError {
    shared::event::FieldError {
        field: "body".to_owned(),
        rule: "is not UTF-8".to_owned(),
    }
}

/// Why nothing was accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No billing account has this pair of ids, or it is not this merchant's.
    #[error("no billing account")]
    UnknownAccount,
    /// The billing account has no webhooks: its merchant reports with a key.
    #[error("the billing account has no webhooks")]
    NoWebhooks,
    /// The key does not open this.
    #[error(transparent)]
    Access(AccessError),
    /// The body was not received.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The platform did not send this.
    #[error(transparent)]
    Unauthentic(#[from] VerifyError),
    /// A secret of the billing account can't be opened, so it can't be told whether the platform sent this.
    #[error("a secret of the billing account can't be opened")]
    Locked,
    /// It is authentic and can't be understood.
    #[error(transparent)]
    Malformed(#[from] FieldError),
    /// A field of a report is missing or wrong.
    #[error(transparent)]
    Wrong(#[from] shared::event::FieldError),
    /// The report is right, and the billing account's platform is to tell it.
    #[error("{0}")]
    NotOurs(String),
    /// The table can't be asked.
    #[error("the table is unavailable")]
    Store(#[from] StoreError),
    /// The queue did not take it.
    #[error("the queue is unavailable")]
    Queue(#[from] QueueError),
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

impl From<ReportError> for Refusal {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Field(error) => Self::Wrong(error),
            ReportError::NotOurs(_) => Self::NotOurs(error.to_string()),
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
            Self::UnknownAccount
            | Self::NoWebhooks
            | Self::Access(_)
            | Self::Wrong(_)
            | Self::NotOurs(_)
            | Self::Body(_)
            | Self::Unauthentic(_)
            | Self::Locked
            | Self::Malformed(_) => return None,
        };
        Some(shared::problem::chain(source))
    }

    /// The answer.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::UnknownAccount => Problem::new(
                StatusCode::NOT_FOUND,
                "/problems/unknown-account",
                "Unknown billing account",
                "No billing account has this profile and connector account id; register it first.",
            ),
            Self::NoWebhooks => Problem::new(
                StatusCode::NOT_FOUND,
                "/problems/no-webhooks",
                "No webhooks here",
                "This billing account is `custom` and has no webhooks; report through \
                 `POST /v1/tenants/{tenant}/recovery/attempts`.",
            ),
            Self::Access(error) => error.problem(),
            Self::Wrong(error) => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/malformed-report",
                "Not a report that can be taken",
                format!("{error}."),
            ),
            Self::NotOurs(error) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "/problems/not-yours-to-report",
                "Not to be reported",
                format!("{error}."),
            ),
            Self::Body(error) => error.problem(),
            Self::Unauthentic(error) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "/problems/bad-signature",
                "Not authentic",
                format!("Not taken as sent by the billing platform: {error}."),
            ),
            Self::Malformed(error) => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/malformed-event",
                "Not an event that can be understood",
                format!("{error}."),
            ),
            Self::Locked | Self::Store(_) | Self::Queue(_) => Problem::unavailable(),
        }
    }

    /// The answer to a report: to a 401 belongs what it is to be shown (RFC 6750).
    #[must_use]
    pub fn response(&self) -> Response<String> {
        let mut response = self.problem().response();
        let challenge = match self {
            Self::Access(AccessError::NoKey) => Some(r#"Bearer realm="payrelay""#),
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
