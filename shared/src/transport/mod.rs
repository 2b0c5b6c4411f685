//! The port to the outside: one request, one outcome, never an error beyond that.

#[cfg(feature = "https")]
pub mod https;
pub mod scripted;

use async_trait::async_trait;

use crate::delivery::{Outcome, Request};

/// Posts requests to targets.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Posts `request` within its deadline and says what came of it.
    async fn post(&self, request: Request) -> Outcome;
}
