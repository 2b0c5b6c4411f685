//! The port to the queues: sending ([`Enqueue`]), receiving ([`Lease`]) and putting off ([`Defer`]).
//!
//! A queue is named for its reader. What travels on it is a [`task::Task`]. There are two adapters: SQS and an
//! in-process queue on an injected clock; `tests/contract` holds them together.

pub mod batch;
pub mod memory;
#[cfg(feature = "aws")]
pub mod sqs;
pub mod task;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

pub use batch::{Batch, Disposition, Handle};
pub use task::Task;

/// The queues, each named for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Queue {
    /// Signals of billing platforms.
    Recover,
    /// Events to be recorded and given to their endpoints.
    Fanout,
    /// Deliveries.
    Deliver,
    /// Deliveries that have to arrive in order: a FIFO queue, which `deliver` reads as well.
    DeliverOrdered,
}

impl Queue {
    /// Every queue, in the order of the flow.
    pub const ALL: [Self; 4] = [
        Self::Recover,
        Self::Fanout,
        Self::Deliver,
        Self::DeliverOrdered,
    ];

    /// The queue's name, which begins with its reader's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "recover",
            Self::Fanout => "fanout",
            Self::Deliver => "deliver",
            Self::DeliverOrdered => "deliver-ordered",
        }
    }

    /// Whether it keeps the order of each group, holds a group back while one of its messages is out, and drops what was
    /// sent to the group under the same deduplication id within 5 minutes.
    #[must_use]
    pub fn is_fifo(self) -> bool {
        match self {
            Self::Recover | Self::Fanout | Self::Deliver => false,
            Self::DeliverOrdered => true,
        }
    }

    /// The queue with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.as_str() == name)
    }
}

/// The longest message SQS takes, body and attributes, and all entries of a batch together (1 MiB).
pub const MESSAGE_MOST: usize = 1024 * 1024;

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The body.
    pub body: String,
    /// On a standard queue the fair-queue group, on a FIFO queue the group whose order is kept, which each message needs.
    pub group: Option<String>,
    /// On a FIFO queue, where each message needs it: messages of a group with the same id within 5 minutes are one.
    /// Standard queues take no notice of it.
    pub deduplication: Option<String>,
    /// How long it stays hidden at first, at most 15 minutes. FIFO queues take no notice of it.
    pub delay: SignedDuration,
}

impl Message {
    /// A message with this body and nothing else.
    #[must_use]
    pub fn new(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            group: None,
            deduplication: None,
            delay: SignedDuration::ZERO,
        }
    }

    /// What counts towards the size limits.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body.len()
    }
}

/// Why messages were not taken.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue could not be reached, or answered with an error. What was sent may have arrived all the same.
    #[error("the queue is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The queue took some entries of a batch and refused others.
    #[error("the queue refused {} of {sent} messages", .refused.len())]
    Partly {
        /// How many were sent.
        sent: usize,
        /// The places of those that were refused, from 0; the others were taken.
        refused: Vec<usize>,
    },
    /// A message is longer than a queue takes; nothing was sent.
    #[error("a message of {size} bytes is longer than the {MESSAGE_MOST} that a queue takes")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
}

/// What it means that of so many messages those at these places were refused.
fn partly(sent: usize, refused: Vec<usize>) -> Result<(), QueueError> {
    if refused.is_empty() {
        Ok(())
    } else {
        Err(QueueError::Partly { sent, refused })
    }
}

/// Sends messages.
#[async_trait]
pub trait Enqueue: Send + Sync {
    /// Sends all `messages`, in as few requests as the limits on a batch allow; they are durable when it returns.
    ///
    /// # Errors
    /// See [`QueueError`]. After an error any of them may or may not have been sent, but for [`QueueError::Partly`], which
    /// names those that were not.
    async fn send(&self, queue: Queue, messages: Vec<Message>) -> Result<(), QueueError>;
}

/// What identifies a message while it is leased.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A message that was received and is hidden from others for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The queue's id of the message, the same at every receipt.
    pub id: String,
    /// The lease.
    pub receipt: Receipt,
    /// The body.
    pub body: String,
    /// How often it was received, this time included.
    pub count: u32,
    /// When it was sent.
    pub sent: Timestamp,
    /// The group that it was sent with.
    pub group: Option<String>,
}

/// Receives messages and lets go of them.
#[async_trait]
pub trait Lease: Send + Sync {
    /// Receives up to 10 messages, waiting at most `wait` (20 s) for the first.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`].
    async fn receive(
        &self,
        queue: Queue,
        most: usize,
        wait: SignedDuration,
    ) -> Result<Vec<Received>, QueueError>;

    /// Lets go of messages for good.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`], or [`QueueError::Partly`]: what is left comes again.
    async fn delete(&self, queue: Queue, receipts: Vec<Receipt>) -> Result<(), QueueError>;
}

/// Puts messages off.
#[async_trait]
pub trait Defer: Send + Sync {
    /// Sets how long, from now, each message stays hidden.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`], or [`QueueError::Partly`]: what is left comes again after the queue's own time.
    async fn defer(
        &self,
        queue: Queue,
        leases: Vec<(Receipt, SignedDuration)>,
    ) -> Result<(), QueueError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_has_a_name_that_leads_back_to_it() {
        let cases = [
            (Queue::Recover, "recover", false),
            (Queue::Fanout, "fanout", false),
            (Queue::Deliver, "deliver", false),
            (Queue::DeliverOrdered, "deliver-ordered", true),
        ];
        assert_eq!(cases.map(|(queue, _, _)| queue), Queue::ALL);
        for (queue, name, fifo) in cases {
            assert_eq!((queue.as_str(), queue.is_fifo()), (name, fifo));
            assert_eq!(Queue::parse(name), Some(queue));
        }
        assert_eq!(Queue::parse("nonsense"), None);
    }

    #[test]
    fn what_counts_towards_the_limits_is_the_body_in_bytes() {
        assert_eq!(MESSAGE_MOST, 1_048_576);
        assert_eq!(Message::new("").size(), 0);
        assert_eq!(Message::new("caf\u{e9}").size(), 5);
    }

    #[test]
    fn a_batch_was_taken_unless_some_of_it_was_refused() {
        assert!(partly(3, vec![]).is_ok());
        let got = partly(3, vec![0, 2]);
        assert!(
            matches!(&got, Err(QueueError::Partly { sent: 3, refused }) if refused == &[0, 2]),
            "{got:?}"
        );
    }
}
