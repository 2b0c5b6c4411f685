//! Events in the table, and their list over all shards of the index `time`.

use std::collections::VecDeque;

use async_trait::async_trait;
use futures::future::try_join_all;
use jiff::Timestamp;

use super::{Changed, DynamoStore, Written};
use crate::event::{Event, Recipients};
use crate::ids::{EventId, TenantId};
use crate::store::item::{Find, Item};
use crate::store::{
    Cursor, EventQuery, EventRecord, EventSummary, Events, Page, Read, Recorded, Saved, StoreError,
    Version, item,
};

/// A filter is applied after reading, so that many entries of a shard are read at once.
const FILTERED_AT_ONCE: usize = 500;
/// A page ends after so many rounds of reading, however little a filter let through.
const ROUNDS_MOST: usize = 20;

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
        let item = item::new_event(tenant, event, recipients, now, self.expiry(now));
        let found = match self.put(&key, item, Some(item::absent())).await? {
            Written::Done => return Ok(Recorded::New),
            Written::Refused(Some(found)) => found,
            Written::Refused(None) => {
                let gone =
                    || StoreError::Unavailable("the event went away while it was read".into());
                self.get(&key, true).await?.ok_or_else(gone)?
            }
        };
        item::event(&found).map(|known| Recorded::Known(Box::new(known)))
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
        found.as_ref().map(item::event).transpose()
    }

    async fn events(
        &self,
        tenant: &TenantId,
        query: &EventQuery,
    ) -> Result<Page<EventSummary>, StoreError> {
        let mut shards: Vec<Shard> = item::find_events(tenant, query)
            .into_iter()
            .map(Shard::new)
            .collect();
        let mut items = Vec::new();
        let mut rounds = 0;
        loop {
            let hungry: Vec<&mut Shard> =
                shards.iter_mut().filter(|shard| shard.hungry()).collect();
            if !hungry.is_empty() && rounds == ROUNDS_MOST {
                // Down to the highest of these places, every shard was read and what passed is on the page.
                let places: Vec<&Item> = hungry
                    .into_iter()
                    .filter_map(|shard| shard.ahead.place())
                    .collect();
                let next = places
                    .into_iter()
                    .map(item::place)
                    .collect::<Result<Vec<_>, _>>()?
                    .into_iter()
                    .max();
                return Ok(Page { items, next });
            }
            if !hungry.is_empty() {
                rounds += 1;
                try_join_all(hungry.into_iter().map(|shard| self.feed(shard, query))).await?;
                continue;
            }
            // Every shard shows its newest entry, or has none left.
            let newest = shards.iter_mut().max_by(|a, b| a.newest().cmp(&b.newest()));
            let Some(newest) = newest.filter(|shard| shard.newest().is_some()) else {
                return Ok(Page { items, next: None });
            };
            if items.len() >= query.limit.max(1) {
                let next = items.last().map(cursor);
                return Ok(Page { items, next });
            }
            items.extend(newest.read.pop_front());
        }
    }
}

impl DynamoStore {
    /// Reads on in one shard.
    async fn feed(&self, shard: &mut Shard, query: &EventQuery) -> Result<(), StoreError> {
        let start = match std::mem::replace(&mut shard.ahead, Ahead::Nothing) {
            Ahead::All => None,
            Ahead::After(place) => Some(place),
            Ahead::Nothing => return Ok(()),
        };
        // A page takes about as much from each of the shards.
        let at_once = if shard.find.filter.is_some() {
            FILTERED_AT_ONCE
        } else {
            query.limit / 4 + 2
        };
        let found = self.find(&shard.find, start, Some(at_once)).await?;
        for entry in &found.items {
            let summary = item::summary(entry)?;
            if query.cursor.as_ref() != Some(&cursor(&summary)) {
                shard.read.push_back(summary);
            }
        }
        shard.ahead = found.next.map_or(Ahead::Nothing, Ahead::After);
        Ok(())
    }
}

fn cursor(summary: &EventSummary) -> Cursor {
    Cursor {
        at: summary.recorded_at,
        id: summary.id.clone(),
    }
}

/// What is still to be read of a shard.
enum Ahead {
    All,
    After(Item),
    Nothing,
}

impl Ahead {
    fn place(&self) -> Option<&Item> {
        match self {
            Self::After(place) => Some(place),
            Self::All | Self::Nothing => None,
        }
    }
}

/// One shard of a list: what was read of it and is not on the page yet, newest first.
struct Shard {
    find: Find,
    read: VecDeque<EventSummary>,
    ahead: Ahead,
}

impl Shard {
    fn new(find: Find) -> Self {
        Self {
            find,
            read: VecDeque::new(),
            ahead: Ahead::All,
        }
    }

    fn hungry(&self) -> bool {
        self.read.is_empty() && !matches!(self.ahead, Ahead::Nothing)
    }

    fn newest(&self) -> Option<(Timestamp, &str)> {
        self.read
            .front()
            .map(|summary| (summary.recorded_at, summary.id.as_str()))
    }
}
