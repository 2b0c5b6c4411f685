//! Deliveries in the table.

use async_trait::async_trait;
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use tracing::error;

use super::DynamoStore;
use crate::delivery::{Delivery, DeliveryKey, State};
use crate::ids::{EventId, Round, TenantId};
use crate::problem::chain;
use crate::store::{Deliveries, Read, Saved, StoreError, Version, item};
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
            let key = item::event_key(&delivery.key.tenant, &delivery.key.event);
            // Refused: it is kept for that long anyway.
            self.change(&key, item::keep_until(needed.as_second()))
                .await?;
        }
        Ok(())
    }
}
