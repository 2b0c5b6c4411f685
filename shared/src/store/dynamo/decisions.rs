//! Decisions in the table: the event and its one delivery are written together or not at all.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Committed, DynamoStore};
use crate::delivery::Delivery;
use crate::event::{Event, Recipients};
use crate::ids::TenantId;
use crate::store::{Decisions, Events, Recorded, StoreError, item};

#[async_trait]
impl Decisions for DynamoStore {
    async fn record_decision(
        &self,
        tenant: &TenantId,
        event: &Event,
        recipients: &Recipients,
        delivery: Option<&Delivery>,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let Some(delivery) = delivery else {
            return self.record(tenant, event, recipients, now).await;
        };
        let key = item::event_key(tenant, &event.id);
        let ttl = self.expiry(now);
        let decided = item::new_event(tenant, event, recipients, now, ttl, self.vault());
        if !item::fits(&decided) {
            return Err(key.too_large());
        }
        let tried = item::new_delivery(delivery, None, now, self.entropy.bytes(), ttl);
        let writes = vec![
            self.putting(decided, Some(item::absent())),
            self.putting(tried, Some(item::absent())),
        ];
        match self.transact(writes).await? {
            Committed::Done => Ok(Recorded::New),
            Committed::Refused { .. } => {
                let gone =
                    || StoreError::Unavailable("the event went away while it was read".into());
                let found = self.get(&key, true).await?.ok_or_else(gone)?;
                item::event(&found, self.vault()).map(|known| Recorded::Known(Box::new(known)))
            }
        }
    }
}
