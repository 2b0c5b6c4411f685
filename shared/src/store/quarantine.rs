//! Messages set aside because of an accident of ours: kept whole and sealed, shown, and redriven by hand.

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Page, StoreError};
use crate::ids::{QuarantineId, TenantId};
use crate::queue::{Queue, Received};
use crate::secret::Secret;

/// Why a message was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It is no task that we know.
    Undecodable,
    /// Its handler panicked three times.
    Panicked,
    /// It came far more often than its tries explain.
    Stuck,
    /// The queue itself gave it up.
    DeadLetter,
}

impl Cause {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::Panicked => "panicked",
            Self::Stuck => "stuck",
            Self::DeadLetter => "dead_letter",
        }
    }
}

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
        }
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

    /// Sets a message aside; doing so again changes nothing.
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
