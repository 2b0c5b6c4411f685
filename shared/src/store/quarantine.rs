//! Messages set aside because of an accident of ours: kept whole and sealed, shown, and redriven by hand.

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use jiff::Timestamp;

use super::{Page, StoreError};
pub use crate::delivery::Cause;
use crate::delivery::Delivery;
use crate::ids::{QuarantineId, TenantId};
use crate::queue::{Queue, Received, Task};
use crate::secret::Secret;

/// A message set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its name: derived from queue and message, so that setting aside twice is once.
    pub id: QuarantineId,
    /// The queue it came from.
    pub queue: Queue,
    /// Why.
    pub cause: Cause,
    /// Whose it is, where that could be read.
    pub tenant: Option<TenantId>,
    /// When it was set aside.
    pub at: Timestamp,
    /// How often it had been received.
    pub count: u32,
    /// The message's body, which is sealed at rest.
    pub body: Secret,
    /// Whether the body can't be opened, since the key that sealed it is not there, or it was damaged: it is empty here.
    pub locked: bool,
}

impl Quarantined {
    /// A message of `queue`, to be set aside at `at`.
    #[must_use]
    pub fn new(
        queue: Queue,
        message: &Received,
        cause: Cause,
        tenant: Option<TenantId>,
        at: Timestamp,
    ) -> Self {
        Self {
            id: Self::id_of(queue, &message.id),
            queue,
            cause,
            tenant,
            at,
            count: message.count,
            body: Secret::new(message.body.as_str()),
            locked: false,
        }
    }

    /// The delivery that the message was to work on, if it is one and can be read, not tried as far as the message tells,
    /// and how often it had been parked when the message was sent.
    #[must_use]
    pub fn delivery(&self) -> Option<(Delivery, u32)> {
        match Task::decode(self.body.expose()) {
            Ok(task) if task.queue() != self.queue => None,
            Ok(Task::Deliver(task)) => Some((Delivery::new(task.key(), task.guard), task.hop)),
            Ok(Task::Callback(task)) => Some((Delivery::new(task.key(), None), task.hop)),
            Ok(
                Task::Signal(_)
                | Task::Thin(_)
                | Task::Ignored(_)
                | Task::Lever(_)
                | Task::RecordBack(_)
                | Task::Publish(_),
            )
            | Err(_) => None,
        }
    }

    /// Notes in the record of the delivery, sent after it was parked `hop` times, that this message was set aside; see
    /// [`Delivery::set_aside`].
    pub fn note_in(&self, hop: u32, delivery: &mut Delivery) -> bool {
        let is_this = |message: &str| Self::id_of(self.queue, message) == self.id;
        delivery.set_aside(self.cause, hop, is_this, self.at)
    }

    /// The name that a message of `queue` has when it is set aside, from the queue's id of it.
    #[must_use]
    pub fn id_of(queue: Queue, message: &str) -> QuarantineId {
        let hash = digest(&SHA256, message.as_bytes());
        let name = HEXLOWER.encode(hash.as_ref().get(..12).unwrap_or_default());
        QuarantineId::parse(format!("{}-{name}", queue.as_str()))
            .expect("a queue's name and hex digits make a valid id")
    }
}

/// Setting messages aside, for workers.
#[async_trait]
pub trait Quarantine: Send + Sync {
    /// Counts a panic over a message and answers how many there were.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn count_panic(
        &self,
        queue: Queue,
        message: &str,
        now: Timestamp,
    ) -> Result<u32, StoreError>;

    /// Sets a message aside, and has the delivery that it was to work on say so; doing so again changes nothing.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn quarantine(&self, entry: &Quarantined) -> Result<(), StoreError>;
}

/// What was set aside, for the operator.
#[async_trait]
pub trait QuarantineAdmin: Send + Sync {
    /// Lists what was set aside, newest first; `after` is the `next` of the page before. `tenant` limits the list to
    /// one tenant's messages.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn quarantined(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Quarantined, String>, StoreError>;

    /// One message.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn find_quarantined(&self, id: &QuarantineId) -> Result<Option<Quarantined>, StoreError>;

    /// Forgets a message, after it was redriven or for good. Whether it was there.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn forget_quarantined(&self, id: &QuarantineId) -> Result<bool, StoreError>;
}
