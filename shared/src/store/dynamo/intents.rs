//! Intents in the table.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{DynamoStore, Written};
use crate::ids::TenantId;
use crate::recovery::{Intent, IntentKey};
use crate::store::{Intents, Read, Saved, StoreError, Version, item};

#[async_trait]
impl Intents for DynamoStore {
    async fn intent(
        &self,
        tenant: &TenantId,
        key: &IntentKey,
    ) -> Result<Option<Read<Intent>>, StoreError> {
        let found = self.get(&item::intent_key(tenant, key), true).await?;
        found.as_ref().map(item::intent).transpose()
    }

    async fn save_intent(
        &self,
        tenant: &TenantId,
        intent: &Intent,
        read: Option<Version>,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let ttl = intent.state.ended().then(|| self.expiry(now));
        let item = item::new_intent(tenant, intent, read, self.entropy.bytes(), ttl);
        self.save(&item::intent_key(tenant, &intent.key), item, read)
            .await
    }
}

impl DynamoStore {
    /// Writes an item over what was read. A request whose answer was lost is made again by the SDK, and then finds
    /// the version changed by itself: that is told from a lost race by what the writer drew.
    pub(super) async fn save(
        &self,
        key: &item::Key,
        item: item::Item,
        read: Option<Version>,
    ) -> Result<Saved, StoreError> {
        match self
            .put(key, item.clone(), Some(item::unchanged(read)))
            .await?
        {
            Written::Done => Ok(Saved::Stored),
            Written::Refused(Some(found)) if item::same_write(&item, &found) => Ok(Saved::Stored),
            Written::Refused(_) => Ok(Saved::Lost),
        }
    }
}
