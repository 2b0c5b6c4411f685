//! What platforms told of thin notifications, in the table.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{DynamoStore, Written};
use crate::ids::TenantId;
use crate::platform::{Enriched, Thin};
use crate::store::{Enrichments, StoreError, item};
use crate::time::later;

/// Longer than any platform sends a notification again.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(10 * 24);

#[async_trait]
impl Enrichments for DynamoStore {
    async fn enriched(
        &self,
        tenant: &TenantId,
        thin: &Thin,
    ) -> Result<Option<Enriched>, StoreError> {
        let found = self.get(&item::enriched_key(tenant, thin), true).await?;
        found.as_ref().map(item::enriched).transpose()
    }

    async fn keep_enriched(
        &self,
        tenant: &TenantId,
        thin: &Thin,
        enriched: Enriched,
        now: Timestamp,
    ) -> Result<Enriched, StoreError> {
        let key = item::enriched_key(tenant, thin);
        let ttl = later(now, KEPT_FOR).as_second();
        let item = item::new_enriched(tenant, thin, &enriched, ttl);
        match self.put(&key, item, Some(item::absent())).await? {
            Written::Done => Ok(enriched),
            Written::Refused(Some(found)) => item::enriched(&found),
            // It is there, and the service does not show it.
            Written::Refused(None) => {
                let kept = self.enriched(tenant, thin).await?;
                kept.ok_or_else(|| {
                    StoreError::Unavailable("what was kept went away while it was read".into())
                })
            }
        }
    }
}
