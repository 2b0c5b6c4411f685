//! Breakers in the table, and the deliveries that are held for their endpoints.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures::future::try_join_all;
use futures::try_join;
use jiff::{SignedDuration, Timestamp};
use tracing::error;

use super::{DynamoStore, unavailable};
use crate::delivery::{Breaker, DeliveryKey, Endpoint};
use crate::ids::{EndpointId, TenantId};
use crate::problem::chain;
use crate::store::item::{Item, Key};
use crate::store::{
    Backlogs, Breakers, Endpoints, HeldEntry, Read, Receiver, Receivers, Saved, StoreError,
    Version, item,
};
use crate::time::later;

/// One that is closed is forgotten so long after its last failure, or after it was closed.
const CLOSED_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

#[async_trait]
impl Receivers for DynamoStore {
    async fn receiver(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Receiver>, StoreError> {
        let keys = [
            item::endpoint_key(tenant, id),
            item::breaker_key(tenant, id),
        ];
        let [endpoint, breaker] = self.get_both(keys).await?;
        let Some(endpoint) = endpoint else {
            return Ok(None);
        };
        let read = breaker.as_ref().map(item::breaker).transpose()?;
        Ok(Some(Receiver {
            endpoint: item::endpoint(tenant, &endpoint, self.vault())?
                .value
                .endpoint,
            breaker: read.map(|read| read.value).unwrap_or_default(),
        }))
    }

    async fn mark_gone(&self, tried: &Endpoint) -> Result<(), StoreError> {
        Endpoints::mark_gone(self, tried).await
    }
}

#[async_trait]
impl Breakers for DynamoStore {
    async fn breaker(
        &self,
        tenant: &TenantId,
        endpoint: &EndpointId,
    ) -> Result<Option<Read<Breaker>>, StoreError> {
        let found = self.get(&item::breaker_key(tenant, endpoint), true).await?;
        found.as_ref().map(item::breaker).transpose()
    }

    async fn breakers(&self, tenant: &TenantId) -> Result<Vec<(EndpointId, Breaker)>, StoreError> {
        let items = self.find_all(&item::find_breakers(tenant)).await?;
        let one = |found| Ok((item::breaker_of(found)?, item::breaker(found)?.value));
        items.iter().map(one).collect()
    }

    async fn save_breaker(
        &self,
        tenant: &TenantId,
        endpoint: &EndpointId,
        breaker: &Breaker,
        read: Option<Version>,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let ttl = later(now, CLOSED_KEPT).as_second();
        let writer = self.entropy.bytes();
        let item = item::new_breaker(tenant, endpoint, breaker, read, writer, ttl);
        self.save(&item::breaker_key(tenant, endpoint), item, read)
            .await
    }
}

#[async_trait]
impl Backlogs for DynamoStore {
    async fn due_breakers(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(TenantId, EndpointId)>, StoreError> {
        let found = self.find_all(&item::find_due_breakers(now)).await?;
        let readable = found.iter().map(item::due_breaker).filter_map(|named| {
            // One entry that can't be read must not keep all the others waiting.
            named
                .inspect_err(|problem| error!(error = chain(problem), "an entry of due breakers"))
                .ok()
        });
        Ok(readable.collect())
    }

    async fn held(
        &self,
        tenant: &TenantId,
        endpoint: &EndpointId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<HeldEntry>, StoreError> {
        let finds = item::find_held(tenant, endpoint, after);
        let found =
            try_join_all(finds.iter().map(|find| self.find(find, None, Some(limit)))).await?;
        let mut entries = found
            .iter()
            .flat_map(|found| &found.items)
            .map(|entry| {
                Ok(HeldEntry {
                    key: item::parked_key(entry)?,
                    place: item::held_place(entry)?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        entries.sort_by(|one, other| one.place.cmp(&other.place));
        entries.truncate(limit);
        Ok(entries)
    }

    async fn overdue(&self, now: Timestamp, limit: usize) -> Result<Vec<DeliveryKey>, StoreError> {
        self.waiting(&item::find_overdue(now), limit).await
    }
}

impl DynamoStore {
    /// Two items by one request, at half the price of a consistent one; what the service leaves out is asked for alone.
    async fn get_both(&self, keys: [Key; 2]) -> Result<[Option<Item>; 2], StoreError> {
        let asked = keys.iter().map(Key::item).collect();
        let asked = KeysAndAttributes::builder()
            .set_keys(Some(asked))
            .build()
            .expect("the keys are set");
        let request = self
            .client
            .batch_get_item()
            .request_items(&self.table, asked)
            .set_return_consumed_capacity(self.capacity.clone());
        let answer = request.send().await.map_err(unavailable)?;
        let [one, other] = &keys;
        if answer.unprocessed_keys.is_some_and(|left| !left.is_empty()) {
            let (one, other) = try_join!(self.get(one, false), self.get(other, false))?;
            return Ok([one, other]);
        }
        let found: Vec<Item> = answer
            .responses
            .unwrap_or_default()
            .into_values()
            .flatten()
            .collect();
        let at = |key: &Key| {
            let is_it = |found: &&Item| item::key_of(found).as_ref() == Some(key);
            found.iter().find(is_it).cloned()
        };
        Ok([at(one), at(other)])
    }
}
