//! The ports to the outside: one request, one outcome, never an error beyond that.

#[cfg(feature = "https")]
pub mod https;
pub mod scripted;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::SignedDuration;

use crate::delivery::{Failure, Outcome, Request};

/// Posts requests to targets.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Posts `request` within its deadline and says what came of it.
    async fn post(&self, request: Request) -> Outcome;
}

/// One request to somebody's API, whose answer is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Where to; judged like any target when it is resolved.
    pub url: String,
    /// Everything that the API asks for.
    pub headers: HeaderMap,
    /// The body, to the byte.
    pub body: Bytes,
    /// How long it may take, from name resolution to the last byte of the answer.
    pub deadline: SignedDuration,
    /// So many bytes of the answer's body are read; a longer one is cut. At most [`ANSWER_MOST`].
    pub most: usize,
}

/// An API's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long it asked us to wait.
    pub retry_after: Option<SignedDuration>,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Whether that is all of it.
    pub whole: bool,
}

impl Answer {
    /// An answer with all of its body, that asks for no wait.
    #[must_use]
    pub fn of(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            retry_after: None,
            body: body.into(),
            whole: true,
        }
    }
}

/// So many bytes of an API's answer are read at most: an invoice of hundreds of line items has several MiB, and ten answers
/// at once must leave a function of 256 MiB room.
pub const ANSWER_MOST: usize = 4 * 1024 * 1024;

/// Calls somebody's API.
#[async_trait]
pub trait Caller: Send + Sync {
    /// Makes `call` within its deadline.
    ///
    /// # Errors
    /// Why there was no answer. What was asked may have been done.
    async fn call(&self, call: Call) -> Result<Answer, Failure>;
}
