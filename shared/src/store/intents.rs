//! The ports to intents: read and stepped one at a time, found when they are due, listed.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, Read, Saved, StoreError, Version};
use crate::ids::TenantId;
use crate::recovery::{Intent, IntentKey, State, TokenLedger};

/// What one step leaves behind; all of it is written, or nothing.
#[derive(Debug, Clone)]
pub struct IntentStep<'a> {
    /// The intent as it stands now.
    pub intent: &'a Intent,
    /// The state it was read in; `None`: it was not there.
    pub read: Option<Version>,
    /// What the step changes for all invoices of its tokens; of each token once.
    pub ledgers: Vec<LedgerStep<'a>>,
}

impl<'a> IntentStep<'a> {
    /// A step that changes nothing but the intent.
    #[must_use]
    pub fn alone(intent: &'a Intent, read: Option<Version>) -> Self {
        Self {
            intent,
            read,
            ledgers: Vec::new(),
        }
    }
}

/// What a step changes for all invoices of a token.
#[derive(Debug, Clone, Copy)]
pub struct LedgerStep<'a> {
    /// The token. It is not kept with its ledger, which is found by its hash.
    pub token: &'a str,
    /// The ledger as it stands now.
    pub ledger: &'a TokenLedger,
    /// The state it was read in; `None`: it was not there.
    pub read: Option<Version>,
}

/// Intents, with their attempts, and the ledgers of their tokens.
#[async_trait]
pub trait Intents: Send + Sync {
    /// Reads an intent, consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn intent(
        &self,
        tenant: &TenantId,
        key: &IntentKey,
    ) -> Result<Option<Read<Intent>>, StoreError>;

    /// Reads what is known of a token of a tenant, consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn ledger(
        &self,
        tenant: &TenantId,
        token: &str,
    ) -> Result<Option<Read<TokenLedger>>, StoreError>;

    /// Writes an intent, and the ledgers that the step has, if all are still as they were read; else none of them. Intents that ended expire, open ones never do. A ledger expires once no try in it counts any more,
    /// unless the token must not be charged again: then it is kept for 400 days.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn save_step(
        &self,
        tenant: &TenantId,
        step: &IntentStep<'_>,
        now: Timestamp,
    ) -> Result<Saved, StoreError>;
}

/// Intents that time alone moves on.
#[async_trait]
pub trait DueIntents: Send + Sync {
    /// Intents that are due at `now` ([`Retry::due_at`](crate::recovery::Retry::due_at)), at most `limit` of each shard;
    /// more may be left. The index lags behind the table: only the intent, read again, says what is so.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn due_intents(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(TenantId, IntentKey)>, StoreError>;
}

/// An intent in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentSummary {
    /// Which invoice.
    pub key: IntentKey,
    /// How it stands, or stood a moment ago.
    pub state: State,
    /// When it was first recorded, to the millisecond.
    pub opened_at: Timestamp,
}

/// Which intents to list: those opened last come first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntentQuery {
    /// Only those that stand so.
    pub state: Option<State>,
    /// Only those opened at or after this time.
    pub since: Option<Timestamp>,
    /// Where the last page ended; see [`Page::next`].
    pub cursor: Option<String>,
    /// At most so many; 1 to 100.
    pub limit: usize,
}

/// Intents of a tenant, for whoever looks for them.
#[async_trait]
pub trait IntentList: Send + Sync {
    /// Lists intents of a tenant, opened since the tenant was made, those opened last first. A page of a filtered list may hold fewer than asked for, even
    /// none, and yet not be the last: that is what `next` tells.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn intents(
        &self,
        tenant: &TenantId,
        query: &IntentQuery,
    ) -> Result<Page<IntentSummary, String>, StoreError>;
}
