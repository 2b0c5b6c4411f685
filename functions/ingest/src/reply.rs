//! The one table of outcomes and what is answered to them.

use http::{Response, StatusCode};
use shared::body::BodyError;
use shared::platform::FieldError;
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

/// Why nothing was accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No billing account has this pair of ids, or it is not this merchant's.
    #[error("no billing account")]
    UnknownAccount,
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
    /// The table can't be asked.
    #[error("the table is unavailable")]
    Store(#[from] StoreError),
    /// The queue did not take it.
    #[error("the queue is unavailable")]
    Queue(#[from] QueueError),
}

impl Refusal {
    /// The cause, for the operator's log.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        let source: &dyn std::error::Error = match self {
            Self::Store(source) => source,
            Self::Queue(source) => source,
            Self::UnknownAccount
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
}
