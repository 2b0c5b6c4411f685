//! Deliveries in the table.

use async_trait::async_trait;
use futures::future::try_join_all;
use futures::try_join;
use jiff::{SignedDuration, Timestamp};
use tracing::error;

use super::{Changed, DynamoStore};
use crate::delivery::{Delivery, DeliveryKey, State};
use crate::event::{Callback, Line};
use crate::ids::{EndpointId, EventId, Round, TenantId};
use crate::problem::chain;
use crate::store::{
    Deliveries, Page, Read, Saved, StoreError, Undelivered, UndeliveredQuery, Version, item,
};
use crate::time::later;

/// An event must still be there when a parked delivery is taken up, with time for whoever is late.
const SPARE: SignedDuration = SignedDuration::from_hours(24);
/// So many entries of a list are read at once.
const AT_ONCE: usize = 200;
/// A page ends after so many rounds of reading, however little a filter let through.
const ROUNDS_MOST: usize = 20;

#[async_trait]
impl Deliveries for DynamoStore {
    async fn delivery(&self, key: &DeliveryKey) -> Result<Option<Read<Delivery>>, StoreError> {
        let found = self.get(&item::delivery_key(key), true).await?;
        found.as_ref().map(item::delivery).transpose()
    }

    async fn save_delivery(
        &self,
        delivery: &Delivery,
        read: Option<Version>,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        if let State::Parked { due } = delivery.state {
            self.keep_event(delivery, due).await?;
        }
        let ttl = self.expiry(delivery.state.due().map_or(now, |due| due.max(now)));
        let item = item::new_delivery(delivery, read, now, self.entropy.bytes(), ttl);
        self.save(&item::delivery_key(&delivery.key), item, read)
            .await
    }

    async fn deliveries(
        &self,
        tenant: &TenantId,
        event: &EventId,
    ) -> Result<Vec<Delivery>, StoreError> {
        let items = self.find_all(&item::find_deliveries(tenant, event)).await?;
        items
            .iter()
            .map(|item| item::delivery(item).map(|read| read.value))
            .collect()
    }

    async fn undelivered(
        &self,
        tenant: &TenantId,
        endpoint: &EndpointId,
        query: &UndeliveredQuery,
    ) -> Result<Page<Delivery, String>, StoreError> {
        let limit = query.limit.max(1);
        let Some(find) = item::find_undelivered(tenant, endpoint, query) else {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        };
        let mut entries = Vec::new();
        let mut start = None;
        for _ in 0..ROUNDS_MOST {
            let found = self.find(&find, start, Some(AT_ONCE)).await?;
            for entry in found.items {
                let end = item::page_end(&entry)?;
                if Some(&end) != query.after.as_ref() {
                    entries.push((item::parked_key(&entry)?, end));
                }
            }
            start = found.next;
            if start.is_none() || entries.len() > limit {
                break;
            }
        }
        let next = if entries.len() > limit {
            entries.truncate(limit);
            entries.last().map(|(_, end)| end.clone())
        } else {
            start.as_ref().map(item::page_end).transpose()?
        };
        let records = try_join_all(entries.iter().map(|(key, _)| self.latest(key))).await?;
        // What got through since it was listed is not shown, nor what was sent again in a later round.
        let asked = |delivery: &Delivery| {
            Undelivered::of(delivery.state)
                .is_some_and(|it| query.state.is_none_or(|state| state == it))
        };
        let deliveries = records.into_iter().flatten().map(|read| read.value);
        Ok(Page {
            items: deliveries.filter(asked).collect(),
            next,
        })
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<DeliveryKey>, StoreError> {
        let finds = item::find_due(now);
        let found =
            try_join_all(finds.iter().map(|find| self.find(find, None, Some(limit)))).await?;
        let keys = found
            .iter()
            .flat_map(|found| &found.items)
            .map(item::parked_key);
        // One entry that can't be read must not keep all the others waiting.
        let readable = keys.filter_map(|key| {
            key.inspect_err(|problem| {
                error!(error = chain(problem), "an entry of parked deliveries")
            })
            .ok()
        });
        Ok(readable.collect())
    }
}

impl DynamoStore {
    /// A delivery, if no later round of it was begun.
    async fn latest(&self, key: &DeliveryKey) -> Result<Option<Read<Delivery>>, StoreError> {
        let next = DeliveryKey {
            round: key.round.next(),
            ..key.clone()
        };
        let (delivery, later) = try_join!(self.delivery(key), self.delivery(&next))?;
        Ok(delivery.filter(|_| later.is_none()))
    }

    /// A parked delivery needs its event again: where the wait may outlast it, the event is kept for longer. Of a
    /// first round the first try tells about when the event was recorded; of later ones nothing does.
    async fn keep_event(&self, delivery: &Delivery, due: Timestamp) -> Result<(), StoreError> {
        let needed = later(due, SPARE);
        let recorded = delivery
            .tries
            .first()
            .filter(|_| delivery.key.round == Round::FIRST)
            .map(|first| first.at);
        if recorded.is_none_or(|recorded| later(recorded, self.retention) < needed) {
            let (tenant, needed) = (&delivery.key.tenant, needed.as_second());
            let key = item::event_key(tenant, &delivery.key.event);
            // Refused: it is kept for that long anyway.
            if let Changed::From(event) = self.change(&key, item::keep_until(needed)).await?
                && let Some(callback) = item::recipients(&event)?.callback()
            {
                self.keep_line(tenant, callback, needed).await?;
            }
        }
        Ok(())
    }

    /// What is told after a callback waits for it, and a transaction knows where it goes: they are kept for as long.
    async fn keep_line(
        &self,
        tenant: &TenantId,
        Callback { line, number, .. }: &Callback,
        needed: i64,
    ) -> Result<(), StoreError> {
        if let Line::Transaction { id } = line {
            // Refused: it is not over, and never expires.
            self.change(&item::transaction_key(tenant, id), item::keep_until(needed))
                .await?;
        }
        for later in number.saturating_add(1).. {
            let key = item::event_key(tenant, &line.event(tenant, later));
            // Refused: there is none, or it is kept for that long, and so is what follows it.
            if let Changed::Refused = self.change(&key, item::keep_until(needed)).await? {
                break;
            }
        }
        Ok(())
    }
}
