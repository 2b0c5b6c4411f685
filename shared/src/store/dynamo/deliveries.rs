//! Deliveries in the table.

use async_trait::async_trait;
use futures::future::try_join_all;
use futures::try_join;
use jiff::{SignedDuration, Timestamp};
use tracing::error;

use super::config::UNDER_WAY;
use super::newest::Newest;
use super::{Changed, DynamoStore};
use crate::delivery::{Delivery, DeliveryKey, State};
use crate::event::{Callback, Line};
use crate::ids::{EndpointId, EventId, Round, TenantId};
use crate::problem::chain;
use crate::store::item::Find;
use crate::store::{
    Deliveries, Page, Read, Saved, StoreError, Undelivered, UndeliveredQuery, Version, item,
};
use crate::time::later;

/// An event must still be there when a parked delivery is taken up, with time for whoever is late.
const SPARE: SignedDuration = SignedDuration::from_hours(24);

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
        let waits_until = match delivery.state {
            State::Parked { due: until } | State::Held { until } => {
                self.keep_event(delivery, until, now).await?;
                until
            }
            State::Retrying { due } => due,
            State::Queued
            | State::Delivered
            | State::GivenUp { .. }
            | State::Superseded
            | State::Expired
            | State::Skipped { .. }
            | State::Quarantined { .. } => now,
        };
        let ttl = self.expiry(waits_until.max(now));
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
        let page = self
            .newest(Newest {
                finds: item::find_undelivered(tenant, endpoint, query),
                cursor: query.after.as_ref(),
                limit: query.limit,
                entry: item::parked_key,
                place: item::page_end,
            })
            .await?;
        let records = try_join_all(page.items.iter().map(|key| self.latest(key))).await?;
        // What got through since it was listed is not shown, nor what was sent again in a later round.
        let asked = |delivery: &Delivery| {
            Undelivered::of(delivery.state)
                .is_some_and(|it| query.state.is_none_or(|state| state == it))
        };
        let deliveries = records.into_iter().flatten().map(|read| read.value);
        Ok(Page {
            items: deliveries.filter(asked).collect(),
            next: page.next,
        })
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<DeliveryKey>, StoreError> {
        self.waiting(&item::find_due(now), limit).await
    }
}

impl DynamoStore {
    /// The deliveries that entries of an index stand for; at most `limit` of each shard.
    pub(super) async fn waiting(
        &self,
        finds: &[Find],
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, StoreError> {
        let found =
            try_join_all(finds.iter().map(|find| self.find(find, None, Some(limit)))).await?;
        let keys = found
            .iter()
            .flat_map(|found| &found.items)
            .map(item::parked_key);
        // One entry that can't be read must not keep all the others waiting.
        let readable = keys.filter_map(|key| {
            key.inspect_err(|problem| {
                error!(error = chain(problem), "an entry of waiting deliveries")
            })
            .ok()
        });
        Ok(readable.collect())
    }

    /// A delivery, if no later round of it was begun.
    async fn latest(&self, key: &DeliveryKey) -> Result<Option<Read<Delivery>>, StoreError> {
        let next = DeliveryKey {
            round: key.round.next(),
            ..key.clone()
        };
        let (delivery, later) = try_join!(self.delivery(key), self.delivery(&next))?;
        Ok(delivery.filter(|_| later.is_none()))
    }

    /// A delivery that waits in the table needs its event again: where the wait may outlast it, the event is kept for
    /// longer. Of a first round the first try tells about when the event was recorded, or that it was not longer ago than a
    /// message can be under way; of later ones nothing does.
    async fn keep_event(
        &self,
        delivery: &Delivery,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let needed = later(until, SPARE);
        let first = delivery.tries.first().map(|first| first.at);
        let recorded = Some(first.unwrap_or_else(|| later(now, -UNDER_WAY)))
            .filter(|_| delivery.key.round == Round::FIRST);
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
