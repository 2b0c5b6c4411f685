//! Messages set aside, in the table.

use async_trait::async_trait;
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use tracing::error;

use super::{Changed, DynamoStore};
use crate::delivery::Delivery;
use crate::ids::{QuarantineId, TenantId};
use crate::problem::chain;
use crate::queue::Queue;
use crate::store::{
    Deliveries, Page, Quarantine, QuarantineAdmin, Quarantined, Read, Saved, StoreError, item,
};
use crate::time::later;

/// Panics over a message are counted together within so long.
const COUNTED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// So often a lost race over a delivery is run again.
const RACES: usize = 8;

#[async_trait]
impl Quarantine for DynamoStore {
    async fn count_panic(
        &self,
        queue: Queue,
        message: &str,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let key = item::panics_key(&Quarantined::id_of(queue, message));
        let ttl = later(now, COUNTED_FOR).as_second();
        match self.change(&key, item::count_panic(ttl)).await? {
            Changed::From(before) => Ok(item::panics(&before)?.saturating_add(1)),
            Changed::Refused => Err(StoreError::Unavailable(
                "the count of panics is contended".into(),
            )),
        }
    }

    async fn quarantine(&self, entry: &Quarantined) -> Result<(), StoreError> {
        if let Some((fresh, hop)) = entry.delivery() {
            match self.note(entry, &fresh, hop).await {
                // A record that can't be read may be why the message is set aside; it must not keep it from that.
                Err(problem @ (StoreError::Corrupt { .. } | StoreError::TooLarge { .. })) => {
                    error!(
                        error = chain(&problem),
                        "a delivery can't say that it was set aside"
                    );
                }
                noted => noted?,
            }
        }
        let key = item::quarantine_key(&entry.id);
        let (first, further) = item::new_quarantined(entry, self.expiry(entry.at), self.vault());
        if !further.is_empty() && self.get(&key, true).await?.is_some() {
            return Ok(());
        }
        for (part, item) in (1..).zip(further) {
            self.put(&item::part_key(&entry.id, part), item, None)
                .await?;
        }
        // Refused: it was set aside before.
        self.put(&key, first, Some(item::absent())).await?;
        Ok(())
    }
}

impl DynamoStore {
    /// Has the delivery of a message say that the message was set aside. It does so before the message is listed: dying
    /// in between, the message comes again and takes the delivery up again.
    async fn note(
        &self,
        entry: &Quarantined,
        fresh: &Delivery,
        hop: u32,
    ) -> Result<(), StoreError> {
        for _ in 0..RACES {
            let (mut delivery, version) = match self.delivery(&fresh.key).await? {
                Some(Read { value, version }) => (value, Some(version)),
                None => (fresh.clone(), None),
            };
            if !entry.note_in(hop, &mut delivery)
                || self.save_delivery(&delivery, version, entry.at).await? == Saved::Stored
            {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("the delivery is contended".into()))
    }
}

#[async_trait]
impl QuarantineAdmin for DynamoStore {
    async fn quarantined(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Quarantined, String>, StoreError> {
        let limit = limit.max(1);
        let Some(find) = item::find_quarantined(tenant, after) else {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        };
        let mut entries = Vec::new();
        let mut start = None;
        // One more than the page takes tells whether there is another page.
        while entries.len() <= limit {
            let found = self
                .find(&find, start, Some(limit.saturating_add(2)))
                .await?;
            for entry in found.items {
                let end = item::page_end(&entry)?;
                if Some(end.as_str()) != after {
                    entries.push((item::listed_id(&entry)?, end));
                }
            }
            start = found.next;
            if start.is_none() {
                break;
            }
        }
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| more).map(|(_, end)| end.clone());
        let items = try_join_all(entries.iter().map(|(id, _)| self.find_quarantined(id))).await?;
        // One that was forgotten since it was listed is not shown.
        Ok(Page {
            items: items.into_iter().flatten().collect(),
            next,
        })
    }

    async fn find_quarantined(&self, id: &QuarantineId) -> Result<Option<Quarantined>, StoreError> {
        let Some(first) = self.get(&item::quarantine_key(id), true).await? else {
            return Ok(None);
        };
        let keys: Vec<_> = (1..=item::parts(&first)?)
            .map(|part| item::part_key(id, part))
            .collect();
        let parts = try_join_all(keys.iter().map(|key| self.get(key, true))).await?;
        let Some(parts) = parts.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        item::quarantined(&first, &parts, self.vault()).map(Some)
    }

    async fn forget_quarantined(&self, id: &QuarantineId) -> Result<bool, StoreError> {
        let Some(first) = self.remove(&item::quarantine_key(id)).await? else {
            return Ok(false);
        };
        // What is left behind if this ends here leads nowhere, and expires.
        for part in 1..=item::parts(&first)? {
            self.remove(&item::part_key(id, part)).await?;
        }
        self.remove(&item::panics_key(id)).await?;
        Ok(true)
    }
}
