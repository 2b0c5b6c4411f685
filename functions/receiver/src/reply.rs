//! The one table of outcomes and what is answered to them.

use http::{Response, StatusCode};
use shared::body::BodyError;
use shared::problem::{Problem, chain};
use shared::signature::VerifyError;

use crate::ports::Unavailable;

/// The answer to an event that is on the queue: exactly 200, since Rafiki takes nothing else for success.
#[must_use]
pub fn accepted() -> Response<String> {
    Response::new(String::new())
}

/// Why nothing was accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It was not received, or is longer than a queue takes.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// None of our senders sent this.
    #[error(transparent)]
    Unauthentic(#[from] VerifyError),
    /// It is authentic and no event.
    #[error("`{field}` must {must}")]
    Malformed {
        /// Which part of it.
        field: &'static str,
        /// What it must do or be.
        must: String,
    },
    /// The queue did not take it.
    #[error("the queue did not take it")]
    Queue(#[from] Unavailable),
}

impl Refusal {
    /// The cause, for the operator's log.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Queue(cause) => Some(chain(cause)),
            Self::Body(_) | Self::Unauthentic(_) | Self::Malformed { .. } => None,
        }
    }

    /// The answer. To all but 200 a sender tries again, so what is refused is not lost while it might become right.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Body(error) => error.problem(),
            Self::Unauthentic(error) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "/problems/bad-signature",
                "Not authentic",
                format!("Not taken as sent by who holds the secret: {error}."),
            ),
            Self::Malformed { .. } => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/malformed-event",
                "Not an event",
                format!("{self}."),
            ),
            Self::Queue(_) => Problem::unavailable(),
        }
    }
}
