//! What is told in order, in the table: transactions, what was last said of customers, the outbox, and how far each line is
//! settled.
//!
//! None of it expires while it may be needed, so it outlasts a deleted tenant. What was written long before the tenant was
//! made is not there for it: each item says when it was written, and is read together with the tenant.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::TransactWriteItem;
use futures::future::try_join_all;
use futures::try_join;
use jiff::Timestamp;
use tracing::error;

use super::config::UNDER_WAY;
use super::{Committed, DynamoStore, Tried, Written};
use crate::customer::{Snapshot, Transaction};
use crate::delivery::Cursor;
use crate::event::{Callback, Line};
use crate::ids::{EventId, TenantId, TransactionId};
use crate::problem::chain;
use crate::store::item::{Condition, Item, Key};
use crate::store::{
    AnchorStep, CallbackTarget, Lines, Outbox, Read, Saved, StoreError, Transactions, Version, item,
};
use crate::time::later;

#[async_trait]
impl Transactions for DynamoStore {
    async fn transaction(
        &self,
        tenant: &TenantId,
        id: &TransactionId,
    ) -> Result<Option<Read<Transaction>>, StoreError> {
        let found = self
            .get_current(tenant, &item::transaction_key(tenant, id))
            .await?;
        found
            .map(|item| item::transaction(tenant, &item, self.vault()))
            .transpose()
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        line: &Line,
    ) -> Result<Option<Read<Snapshot>>, StoreError> {
        let found = self
            .get_current(tenant, &item::snapshot_key(tenant, line))
            .await?;
        found
            .map(|item| item::snapshot(tenant, &item, self.vault()))
            .transpose()
    }

    async fn save_change(
        &self,
        tenant: &TenantId,
        step: &AnchorStep<'_>,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let saved = self
            .try_change(tenant, step, now, item::unchanged(None))
            .await?;
        if saved == Saved::Stored {
            return Ok(saved);
        }
        // What was read as not there may have been left by a deleted tenant.
        let transaction = item::transaction_key(tenant, &step.transaction.id);
        let mut unread = Vec::new();
        if step.read.is_none() {
            unread.push(transaction);
        }
        if let Some((line, _, None)) = &step.snapshot {
            unread.push(item::snapshot_key(tenant, line));
        }
        if unread.is_empty() {
            return Ok(Saved::Lost);
        }
        let found = try_join_all(unread.iter().map(|key| self.get(key, true))).await?;
        match self.left_over(tenant, found.into_iter().flatten()).await? {
            Some(condition) => self.try_change(tenant, step, now, condition).await,
            None => Ok(Saved::Lost),
        }
    }
}

impl DynamoStore {
    /// The item at `key`, unless a deleted tenant of the same name left it there.
    async fn get_current(&self, tenant: &TenantId, key: &Key) -> Result<Option<Item>, StoreError> {
        let tenant_key = item::tenant_key(tenant);
        let (tenant, found) = try_join!(self.get(&tenant_key, true), self.get(key, true))?;
        match found {
            Some(found) if item::is_left_over(&found, tenant.as_ref())? => Ok(None),
            found => Ok(found),
        }
    }

    /// If some of what was `found` was left by a deleted tenant: the condition by which that is as good as not there.
    async fn left_over(
        &self,
        tenant: &TenantId,
        found: impl IntoIterator<Item = Item>,
    ) -> Result<Option<Condition>, StoreError> {
        let tenant = self.get(&item::tenant_key(tenant), true).await?;
        for found in found {
            if item::is_left_over(&found, tenant.as_ref())? {
                return item::absent_or_left_over(tenant.as_ref()).map(Some);
            }
        }
        Ok(None)
    }

    /// Writes all of a change in one transaction; `absent` is the condition for what was not there.
    ///
    /// It does not check that the tenant is there: all changes of a tenant would collide over that, and what is written for
    /// one that was just deleted is not there for the next.
    async fn try_change(
        &self,
        tenant: &TenantId,
        step: &AnchorStep<'_>,
        now: Timestamp,
        absent: Condition,
    ) -> Result<Saved, StoreError> {
        let as_read = |read: Option<Version>| match read {
            None => absent.clone(),
            read => item::unchanged(read),
        };
        let (vault, ttl) = (self.vault(), self.expiry(now));
        let transaction = step.transaction;
        // For longer than its events, some of which may still be on their way, and which its URL is needed for.
        let expires = transaction.status.is_final();
        let expires = expires.then(|| later(later(now, self.retention), UNDER_WAY).as_second());
        let mut puts = vec![(
            item::new_transaction(tenant, transaction, step.read, now, expires, vault),
            as_read(step.read),
        )];
        if let Some((line, snapshot, read)) = step.snapshot {
            let item = item::new_snapshot(tenant, line, snapshot, read, now, vault);
            puts.push((item, as_read(read)));
        }
        for telling in step.tellings {
            let item = item::new_telling(tenant, telling, now, ttl, vault);
            puts.push((item, item::absent()));
        }
        let mut writes = puts
            .into_iter()
            .map(|(item, condition)| self.putting_what_fits(item, condition))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some((registration, read)) = step.registration {
            let key = item::registration_key(tenant, &registration.client, &registration.customer);
            writes.push(self.changing(&key, item::change_registration(registration, read)));
        }
        if step.read.is_none() {
            // Of one that had the id before, and expired: its numbers begin anew.
            let line = Line::Transaction {
                id: transaction.id.clone(),
            };
            writes.push(self.removing(&item::cursor_key(tenant, &line), None));
        }
        Ok(match self.transact_once(writes).await? {
            Tried::Ended(Committed::Done) => Saved::Stored,
            Tried::Ended(Committed::Refused { .. }) | Tried::Collided(_) => Saved::Lost,
        })
    }

    fn putting_what_fits(
        &self,
        item: Item,
        condition: Condition,
    ) -> Result<TransactWriteItem, StoreError> {
        if item::fits(&item) {
            return Ok(self.putting(item, Some(condition)));
        }
        let item = item::key_of(&item).map_or_else(String::new, |key| key.name());
        Err(StoreError::TooLarge { item })
    }
}

#[async_trait]
impl Outbox for DynamoStore {
    async fn unsent(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(TenantId, EventId)>, StoreError> {
        let finds = item::find_unsent(before);
        let found =
            try_join_all(finds.iter().map(|find| self.find(find, None, Some(limit)))).await?;
        let events = found
            .iter()
            .flat_map(|found| &found.items)
            .map(item::unsent_event);
        // One entry that can't be read must not keep all the others waiting.
        let readable = events.filter_map(|event| {
            event
                .inspect_err(|problem| error!(error = chain(problem), "an entry of the outbox"))
                .ok()
        });
        Ok(readable.collect())
    }

    async fn note_sent(&self, tenant: &TenantId, event: &EventId) -> Result<(), StoreError> {
        // Refused: it was noted before, or the event has expired.
        self.change(&item::event_key(tenant, event), item::note_sent())
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Lines for DynamoStore {
    async fn cursor(
        &self,
        tenant: &TenantId,
        line: &Line,
    ) -> Result<Option<Read<Cursor>>, StoreError> {
        let found = self
            .get_current(tenant, &item::cursor_key(tenant, line))
            .await?;
        found.as_ref().map(item::cursor).transpose()
    }

    async fn save_cursor(
        &self,
        tenant: &TenantId,
        line: &Line,
        cursor: &Cursor,
        read: Option<Version>,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let key = item::cursor_key(tenant, line);
        let item = item::new_cursor(tenant, line, cursor, read, now, self.entropy.bytes());
        let saved = self.save(&key, item.clone(), read).await?;
        if saved == Saved::Stored || read.is_some() {
            return Ok(saved);
        }
        // As with a change: what was read as not there may be left over.
        let found = self.get(&key, true).await?;
        let Some(condition) = self.left_over(tenant, found).await? else {
            return Ok(Saved::Lost);
        };
        Ok(match self.put(&key, item.clone(), Some(condition)).await? {
            Written::Done => Saved::Stored,
            Written::Refused(Some(found)) if item::same_write(&item, &found) => Saved::Stored,
            Written::Refused(_) => Saved::Lost,
        })
    }

    async fn newest(&self, tenant: &TenantId, line: &Line) -> Result<u64, StoreError> {
        let found = self
            .get_current(tenant, &item::counting_key(tenant, line))
            .await?;
        found.as_ref().map_or(Ok(0), item::told)
    }

    async fn callback_target(
        &self,
        tenant: &TenantId,
        callback: &Callback,
        now: Timestamp,
    ) -> Result<Option<CallbackTarget>, StoreError> {
        self.target_of(tenant, callback, now).await
    }

    async fn erase(&self, tenant: &TenantId, event: &EventId) -> Result<(), StoreError> {
        // Refused: it was erased before, or the event has expired.
        self.change(&item::event_key(tenant, event), item::erase())
            .await?;
        Ok(())
    }
}
