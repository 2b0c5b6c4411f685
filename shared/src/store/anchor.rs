//! The ports to an anchor's things: transactions and what is told of them, the order that keeps, and how it is configured.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Put, Read, Saved, StoreError, Version};
use crate::customer::{
    AnchorSettings, Client, Registration, SigningKeys, Snapshot, Telling, Transaction,
};
use crate::delivery::{Breaker, Cursor, Endpoint};
use crate::event::{Callback, Line};
use crate::ids::{CustomerId, EndpointId, EventId, TenantId, TransactionId};

/// What a change leaves behind; all of it is written, or nothing.
#[derive(Debug, Clone, Copy)]
pub struct AnchorStep<'a> {
    /// The transaction as it stands now.
    pub transaction: &'a Transaction,
    /// The state it was read in; `None`: it was not there.
    pub read: Option<Version>,
    /// What is remembered of the customer now, by its line, and the state it was read in.
    pub snapshot: Option<(&'a Line, &'a Snapshot, Option<Version>)>,
    /// The registration that a verdict ends, and the state it was read in.
    pub registration: Option<(&'a Registration, Version)>,
    /// The events that are recorded, each with its receiver; those for a wallet client with an entry in the outbox.
    pub tellings: &'a [Telling],
}

/// Transactions of anchors, and what goes with them.
#[async_trait]
pub trait Transactions: Send + Sync {
    /// Reads a transaction, consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn transaction(
        &self,
        tenant: &TenantId,
        id: &TransactionId,
    ) -> Result<Option<Read<Transaction>>, StoreError>;

    /// Reads what was last said of a customer in a line, consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn snapshot(
        &self,
        tenant: &TenantId,
        line: &Line,
    ) -> Result<Option<Read<Snapshot>>, StoreError>;

    /// Writes all of a change if everything is still as it was read, else nothing.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn save_change(
        &self,
        tenant: &TenantId,
        step: &AnchorStep<'_>,
        now: Timestamp,
    ) -> Result<Saved, StoreError>;
}

/// The callback URLs that wallets put for single customers.
#[async_trait]
pub trait Registrations: Send + Sync {
    /// Reads the one that a client put for a customer, consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn registration(
        &self,
        tenant: &TenantId,
        client: &EndpointId,
        customer: &CustomerId,
    ) -> Result<Option<Read<Registration>>, StoreError>;

    /// Puts one, whatever was there, as long as the client is there; [`Put::NoTenant`] if it is not.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn put_registration(
        &self,
        tenant: &TenantId,
        registration: &Registration,
    ) -> Result<Put, StoreError>;
}

/// What was recorded to be told and may not be on its queue yet.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Events recorded before `before` and not noted as sent, the oldest first, at most `limit` of each shard; more may be
    /// left. The index lags behind the table: what is named may have been sent.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn unsent(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(TenantId, EventId)>, StoreError>;

    /// Notes that an event is on its queue.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn note_sent(&self, tenant: &TenantId, event: &EventId) -> Result<(), StoreError>;
}

/// Where a callback goes, as it is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackTarget {
    /// The client with its URL for this callback, and the tenant's signing seed as its one secret.
    pub endpoint: Endpoint,
    /// The client's breaker.
    pub breaker: Breaker,
    /// Whether what was overtaken while it waited is left out.
    pub latest_only: bool,
    /// Whether its text is erased once it is delivered.
    pub erase: bool,
}

/// Lines: what is told in order, and how far that is.
#[async_trait]
pub trait Lines: Send + Sync {
    /// How far a line is settled, read consistently; `None` if nothing of it ever was.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn cursor(
        &self,
        tenant: &TenantId,
        line: &Line,
    ) -> Result<Option<Read<Cursor>>, StoreError>;

    /// Writes how far a line is settled at `now`, if that is still as `read` (`None`: not there).
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn save_cursor(
        &self,
        tenant: &TenantId,
        line: &Line,
        cursor: &Cursor,
        read: Option<Version>,
        now: Timestamp,
    ) -> Result<Saved, StoreError>;

    /// The number of the last callback of a line, read consistently; 0 if there was none.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn newest(&self, tenant: &TenantId, line: &Line) -> Result<u64, StoreError>;

    /// Where a callback goes at `now`, with the seed that signs then, read consistently; `None` if the client, or its URL
    /// for it, is not there any more.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn callback_target(
        &self,
        tenant: &TenantId,
        callback: &Callback,
        now: Timestamp,
    ) -> Result<Option<CallbackTarget>, StoreError>;

    /// Erases the payload of an event that was delivered: it reads as `null` from then on.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn erase(&self, tenant: &TenantId, event: &EventId) -> Result<(), StoreError>;
}

/// How tenants' anchors work with us, for who acts on it; read consistently.
#[async_trait]
pub trait Anchors: Send + Sync {
    /// How a tenant's anchor works with us; `None` if it was not set up.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn anchor(&self, tenant: &TenantId) -> Result<Option<Read<AnchorSettings>>, StoreError>;

    /// Whether a tenant has a key to sign callbacks with; it is not opened.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn can_sign(&self, tenant: &TenantId) -> Result<bool, StoreError>;

    /// The wallet clients of a tenant, by name.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn clients(&self, tenant: &TenantId) -> Result<Vec<Client>, StoreError>;

    /// One wallet client.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn client(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Read<Client>>, StoreError>;
}

/// The configuration of anchors, for the operator. Reading is [`Anchors`].
#[async_trait]
pub trait AnchorAdmin: Send + Sync {
    /// Keeps how a tenant's anchor works with us, if it is still as `read` (`None`: not there).
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn put_anchor(
        &self,
        settings: &AnchorSettings,
        read: Option<Version>,
    ) -> Result<Put, StoreError>;

    /// Removes it. Whether it was there.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn delete_anchor(&self, tenant: &TenantId) -> Result<bool, StoreError>;

    /// Keeps a wallet client, if it is still as `read` (`None`: not there) and no endpoint has its name. One that is there
    /// keeps when it was made: what wallets registered with it is good for the client that was made then.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn put_client(&self, client: &Client, read: Option<Version>) -> Result<Put, StoreError>;

    /// Removes a wallet client, and with it what wallets registered with it. Whether it was there.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn delete_client(&self, tenant: &TenantId, id: &EndpointId) -> Result<bool, StoreError>;

    /// What a tenant's callbacks are signed with, open.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn signing_keys(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<Read<SigningKeys>>, StoreError>;

    /// Keeps what a tenant's callbacks are signed with, if that is still as `read` (`None`: not there).
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn put_signing_keys(
        &self,
        tenant: &TenantId,
        keys: &SigningKeys,
        read: Option<Version>,
    ) -> Result<Put, StoreError>;

    /// Removes them: nothing is signed until there are others. Whether they were there.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn delete_signing_keys(&self, tenant: &TenantId) -> Result<bool, StoreError>;
}
