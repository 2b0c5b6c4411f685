//! What the receiver stands on: a queue between its two parts, and a memory of what was handled.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared::ids::EventId;
use shared::queue::Receipt;

/// Something that the receiver stands on could not be reached, or answered with an error. What was asked may have been done.
#[derive(Debug, thiserror::Error)]
#[error("the {part} is unavailable")]
pub struct Unavailable {
    /// Which part: `queue` or `table`.
    pub part: &'static str,
    /// What happened.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The queue between door and worker. It hands out one message of an event at a time.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends the event with this id; it is durable when this returns. The same id within five minutes is sent once.
    ///
    /// # Errors
    /// [`Unavailable`].
    async fn send(&self, id: &EventId, body: String) -> Result<(), Unavailable>;

    /// Has a message come again after `wait`.
    ///
    /// # Errors
    /// [`Unavailable`]; the message then comes again after the queue's own time.
    async fn put_off(&self, receipt: &Receipt, wait: SignedDuration) -> Result<(), Unavailable>;
}

/// Remembers which events were handled.
#[async_trait]
pub trait Memory: Send + Sync {
    /// Until when the id is remembered, if it is; a time that has passed means that it is not. Reads what was written last.
    ///
    /// # Errors
    /// [`Unavailable`].
    async fn handled(&self, id: &EventId) -> Result<Option<Timestamp>, Unavailable>;

    /// Remembers the id until then.
    ///
    /// # Errors
    /// [`Unavailable`].
    async fn note(&self, id: &EventId, until: Timestamp) -> Result<(), Unavailable>;
}
