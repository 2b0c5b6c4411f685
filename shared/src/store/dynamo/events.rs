//! Events in the table.

use async_trait::async_trait;
use jiff::Timestamp;

use super::newest::Newest;
use super::{Changed, DynamoStore, Written};
use crate::event::{Event, Recipients};
use crate::ids::{EventId, TenantId};
use crate::store::{
    EventQuery, EventRecord, EventSummary, Events, Page, Read, Recorded, Saved, StoreError,
    Version, item,
};

#[async_trait]
impl Events for DynamoStore {
    async fn record(
        &self,
        tenant: &TenantId,
        event: &Event,
        recipients: &Recipients,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let key = item::event_key(tenant, &event.id);
        let item = item::new_event(
            tenant,
            event,
            recipients,
            now,
            self.expiry(now),
            self.vault(),
        );
        let found = match self.put(&key, item, Some(item::absent())).await? {
            Written::Done => return Ok(Recorded::New),
            Written::Refused(Some(found)) => found,
            Written::Refused(None) => {
                let gone =
                    || StoreError::Unavailable("the event went away while it was read".into());
                self.get(&key, true).await?.ok_or_else(gone)?
            }
        };
        item::event(&found, self.vault()).map(|known| Recorded::Known(Box::new(known)))
    }

    async fn set_recipients(
        &self,
        tenant: &TenantId,
        event: &EventId,
        recipients: &Recipients,
        read: Version,
    ) -> Result<Saved, StoreError> {
        let change = item::choose(recipients, read);
        Ok(
            match self.change(&item::event_key(tenant, event), change).await? {
                Changed::From(_) => Saved::Stored,
                Changed::Refused => Saved::Lost,
            },
        )
    }

    async fn note_conflict(&self, tenant: &TenantId, event: &EventId) -> Result<(), StoreError> {
        // Refused: the event has expired, and its conflicts with it.
        self.change(&item::event_key(tenant, event), item::count_conflict())
            .await?;
        Ok(())
    }

    async fn event(
        &self,
        tenant: &TenantId,
        id: &EventId,
    ) -> Result<Option<Read<EventRecord>>, StoreError> {
        let found = self.get(&item::event_key(tenant, id), true).await?;
        found
            .map(|item| item::event(&item, self.vault()))
            .transpose()
    }

    async fn events(
        &self,
        tenant: &TenantId,
        query: &EventQuery,
    ) -> Result<Page<EventSummary>, StoreError> {
        self.newest(Newest {
            finds: item::find_events(tenant, query),
            cursor: query.cursor.as_ref(),
            limit: query.limit,
            entry: item::summary,
            place: item::place,
        })
        .await
    }
}
