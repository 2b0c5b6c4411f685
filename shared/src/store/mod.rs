//! The ports to the table, by capability: a function's struct lists exactly the ones it may use.
//!
//! Every write that depends on what was read is conditional on the [`Version`] read; losing the race is
//! [`Saved::Lost`], no error: read again, decide again. Reads that decide are consistent. There is one
//! implementation ([`dynamo`]), which speaks DynamoDB everywhere: on AWS, embedded in `local`, in tests.

#[cfg(feature = "aws")]
pub mod dynamo;
#[cfg(feature = "aws")]
mod item;

mod admin;
mod anchor;
mod breakers;
mod cached;
mod intents;
mod quarantine;

use async_trait::async_trait;
use jiff::Timestamp;

pub use admin::{
    AccountRecord, Accounts, Claimed, Credential, Credentials, EndpointAdmin, EndpointRecord,
    KeyRecord, Keys, Made, PublisherRecord, Publishers, Put, Scope, TenantRecord, Tenants,
};
pub use anchor::{
    AnchorAdmin, AnchorStep, Anchors, CallbackTarget, Lines, Outbox, Registrations, Transactions,
};
pub use breakers::{Backlogs, Breakers, HeldEntry, Receiver, Receivers};
pub use cached::{
    Cached, CachedAccounts, CachedBackends, CachedCredentials, CachedEndpoints, CachedReceivers,
    CachedRecoveryAccounts, CachedTenants, CachedTerms,
};
pub use intents::{
    DueIntents, IntentList, IntentQuery, IntentStep, IntentSummary, Intents, LedgerStep,
};
pub use quarantine::{Cause, Quarantine, QuarantineAdmin, Quarantined};

use crate::delivery::{Delivery, DeliveryKey, Endpoint, State};
use crate::event::{Event, EventType, Recipients};
use crate::ids::{ConnectorAccountId, EndpointId, EventId, ProfileId, TenantId};
use crate::platform::{BillingAccount, Enriched, RecoveryAccount, Thin};
use crate::recovery::Terms;

/// Why the table did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be reached, throttled us, or its answer was lost. What was asked may have been done.
    #[error("the table is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An item is not of a form that we know, or a sealed secret in it does not open.
    #[error("the item {item} can't be read: {problem}")]
    Corrupt {
        /// The item's key.
        item: String,
        /// What is wrong, without the item's content.
        problem: String,
    },
    /// What is to be written is larger than an item may be (400 KB).
    #[error("the item {item} is larger than the table takes")]
    TooLarge {
        /// The item's key.
        item: String,
    },
}

/// Which state of an item was read; a write conditional on it fails if the item changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(pub u64);

/// Something read, and the state it was read in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<T> {
    /// What was read.
    pub value: T,
    /// The state it was read in.
    pub version: Version,
}

/// How a conditional write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    /// It was written.
    Stored,
    /// Somebody else wrote first; nothing was written.
    Lost,
}

/// An event, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// The event.
    pub event: Event,
    /// Who it goes to.
    pub recipients: Recipients,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// How often another payload came under the same id, and was not taken.
    pub conflicts: u32,
}

/// What recording an event found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Recorded {
    /// It is new and was recorded.
    New,
    /// The id was there already, with this.
    Known(Box<Read<EventRecord>>),
}

/// An event in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSummary {
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// What it is about.
    pub resource: Option<String>,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// Which events to list: newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only of this type.
    pub event_type: Option<EventType>,
    /// Only about this.
    pub resource: Option<String>,
    /// Only recorded at or after this time.
    pub since: Option<Timestamp>,
    /// Only recorded before this time.
    pub until: Option<Timestamp>,
    /// Where the last page ended; see [`Page::next`].
    pub cursor: Option<Cursor>,
    /// At most so many; 1 to 100.
    pub limit: usize,
}

/// A place in a list of events, newest first: after this event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// When the last event shown was recorded.
    pub at: Timestamp,
    /// The last event shown.
    pub id: EventId,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C = Cursor> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one, and only there.
    pub next: Option<C>,
}

/// Events.
#[async_trait]
pub trait Events: Send + Sync {
    /// Records an event once: the first to come under its id is kept.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn record(
        &self,
        tenant: &TenantId,
        event: &Event,
        recipients: &Recipients,
        now: Timestamp,
    ) -> Result<Recorded, StoreError>;

    /// Replaces who an event goes to, if it is still as `read`.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn set_recipients(
        &self,
        tenant: &TenantId,
        event: &EventId,
        recipients: &Recipients,
        read: Version,
    ) -> Result<Saved, StoreError>;

    /// Notes that another payload came under an event's id.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn note_conflict(&self, tenant: &TenantId, event: &EventId) -> Result<(), StoreError>;

    /// Reads an event, consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn event(
        &self,
        tenant: &TenantId,
        id: &EventId,
    ) -> Result<Option<Read<EventRecord>>, StoreError>;

    /// Lists events of a tenant, newest first. A page of a filtered list may hold fewer than asked for, even none,
    /// and yet not be the last: that is what `next` tells.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn events(
        &self,
        tenant: &TenantId,
        query: &EventQuery,
    ) -> Result<Page<EventSummary>, StoreError>;
}

/// Decisions, for the door that makes them. What is found of them is [`Events`]' and [`Deliveries`]'.
#[async_trait]
pub trait Decisions: Send + Sync {
    /// Records a decision once, with the requests that were made for it: the first to come under its id is kept.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn record_decision(
        &self,
        tenant: &TenantId,
        event: &Event,
        recipients: &Recipients,
        delivery: Option<&Delivery>,
        now: Timestamp,
    ) -> Result<Recorded, StoreError>;
}

/// How a delivery stands that did not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undelivered {
    /// It waits for its next try, which is more than 15 minutes away.
    Parked,
    /// It waits for its endpoint, whose breaker is open.
    Held,
    /// It was given up.
    GivenUp,
    /// It would have come too late to be of use.
    Expired,
    /// Its endpoint took no deliveries when it was due.
    Skipped,
    /// Its message was set aside.
    Quarantined,
}

impl Undelivered {
    /// Every one of them.
    pub const ALL: [Self; 6] = [
        Self::Parked,
        Self::Held,
        Self::GivenUp,
        Self::Expired,
        Self::Skipped,
        Self::Quarantined,
    ];

    /// The state's wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Held => "held",
            Self::GivenUp => "given_up",
            Self::Expired => "expired",
            Self::Skipped => "skipped",
            Self::Quarantined => "quarantined",
        }
    }

    /// The one with this wire name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }

    /// Which of them a delivery's state is, if it is one.
    #[must_use]
    pub fn of(state: State) -> Option<Self> {
        match state {
            State::Parked { .. } => Some(Self::Parked),
            State::Held { .. } => Some(Self::Held),
            State::GivenUp { .. } => Some(Self::GivenUp),
            State::Expired => Some(Self::Expired),
            State::Skipped { .. } => Some(Self::Skipped),
            State::Quarantined { .. } => Some(Self::Quarantined),
            State::Queued | State::Retrying { .. } | State::Delivered | State::Superseded => None,
        }
    }
}

/// Which deliveries of an endpoint that did not get through to list: those tried first last come first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UndeliveredQuery {
    /// Only those that stand so.
    pub state: Option<Undelivered>,
    /// Only those first tried at or after this time.
    pub since: Option<Timestamp>,
    /// Where the last page ended; see [`Page::next`].
    pub after: Option<String>,
    /// At most so many; 1 to 100.
    pub limit: usize,
}

/// Deliveries.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Reads a delivery, consistently; `None` if it was never tried.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn delivery(&self, key: &DeliveryKey) -> Result<Option<Read<Delivery>>, StoreError>;

    /// Writes a delivery if it is still as `read` (`None`: not there).
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn save_delivery(
        &self,
        delivery: &Delivery,
        read: Option<Version>,
        now: Timestamp,
    ) -> Result<Saved, StoreError>;

    /// Every delivery of an event that was tried, by endpoint and round.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn deliveries(
        &self,
        tenant: &TenantId,
        event: &EventId,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Lists deliveries of an endpoint that did not get through. The list may lag a moment behind; how each stands is read
    /// consistently. A page may hold fewer than asked for, even none, and yet not be the last.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn undelivered(
        &self,
        tenant: &TenantId,
        endpoint: &EndpointId,
        query: &UndeliveredQuery,
    ) -> Result<Page<Delivery, String>, StoreError>;

    /// Parked deliveries that are due at `now`, at most `limit` of each shard; more may be left.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<DeliveryKey>, StoreError>;
}

/// Endpoints, for those who send to them; what is read may be some seconds old.
#[async_trait]
pub trait Endpoints: Send + Sync {
    /// Every endpoint of a tenant.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn endpoints(&self, tenant: &TenantId) -> Result<Vec<Endpoint>, StoreError>;

    /// One endpoint.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn endpoint(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Endpoint>, StoreError>;

    /// Notes that an endpoint, as it was `tried`, answered 410 Gone: it takes no deliveries until the operator enables it
    /// again. One that has another URL by now did not answer.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn mark_gone(&self, tried: &Endpoint) -> Result<(), StoreError>;
}

/// Endpoints as they are at this moment, for what is settled for good by how they are.
#[async_trait]
pub trait EndpointsNow: Send + Sync {
    /// Every endpoint of a tenant, read consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn endpoints_now(&self, tenant: &TenantId) -> Result<Vec<Endpoint>, StoreError>;

    /// One endpoint, read consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn endpoint_now(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Endpoint>, StoreError>;
}

/// Billing accounts, for the door.
#[async_trait]
pub trait BillingAccounts: Send + Sync {
    /// The account that a pair of ids names, with its webhook secrets open. The key for the platform's API stays sealed:
    /// a door asks nobody, and is what the world can reach.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn billing_account(
        &self,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<BillingAccount>, StoreError>;
}

/// Billing accounts, for who acts on their invoices behind the door; what is read may be some seconds old.
#[async_trait]
pub trait RecoveryAccounts: Send + Sync {
    /// The account that a pair of ids names, if it is the tenant's, with the key for its platform's API open. Its webhook
    /// secrets stay sealed.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn recovery_account(
        &self,
        tenant: &TenantId,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<RecoveryAccount>, StoreError>;
}

/// What billing accounts agreed on for the recovery of their invoices, for whoever needs nothing secret of them.
#[async_trait]
pub trait AccountTerms: Send + Sync {
    /// The terms of a tenant's account; `None` if it has no such account.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn terms(
        &self,
        tenant: &TenantId,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<Terms>, StoreError>;
}

/// What asking a platform about a thin notification came to, so that it is asked once.
#[async_trait]
pub trait Enrichments: Send + Sync {
    /// What it came to, if that is known; read consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn enriched(
        &self,
        tenant: &TenantId,
        thin: &Thin,
    ) -> Result<Option<Enriched>, StoreError>;

    /// Keeps what it came to, for longer than any platform sends a notification again. Answers what is kept: the first to
    /// come stays.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn keep_enriched(
        &self,
        tenant: &TenantId,
        thin: &Thin,
        enriched: Enriched,
        now: Timestamp,
    ) -> Result<Enriched, StoreError>;
}

/// Payment backends, for the doors.
#[async_trait]
pub trait PaymentBackends: Send + Sync {
    /// The backend that publishes for a tenant, with its secrets open.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn payment_backend(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<PublisherRecord>, StoreError>;
}

/// Which tenants there are, for the doors: an operator's key may name any.
#[async_trait]
pub trait KnownTenants: Send + Sync {
    /// Whether there is such a tenant.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn is_known(&self, tenant: &TenantId) -> Result<bool, StoreError>;
}
