//! Lists that lie in several partitions of the index `time`, read side by side and merged, newest first.

use std::collections::VecDeque;

use futures::future::try_join_all;

use super::DynamoStore;
use crate::store::item::{Find, Item};
use crate::store::{Page, StoreError};

/// A filter is applied after reading, so that many entries of a shard are read at once.
const FILTERED_AT_ONCE: usize = 500;
/// A page ends after so many rounds of reading, however little a filter let through.
const ROUNDS_MOST: usize = 20;

/// What to list, and how its entries are read.
pub(super) struct Newest<'a, T, P> {
    /// One for each shard.
    pub(super) finds: Vec<Find>,
    /// The place after which the page begins. The entry there is found as well, and left out.
    pub(super) cursor: Option<&'a P>,
    /// At most so many.
    pub(super) limit: usize,
    /// What an entry shows.
    pub(super) entry: fn(&Item) -> Result<T, StoreError>,
    /// Where an entry is, given its keys; the newest is the greatest.
    pub(super) place: fn(&Item) -> Result<P, StoreError>,
}

impl DynamoStore {
    /// One page of a list.
    pub(super) async fn newest<T, P: Ord + Clone>(
        &self,
        list: Newest<'_, T, P>,
    ) -> Result<Page<T, P>, StoreError> {
        let limit = list.limit.max(1);
        let mut shards: Vec<Shard<T, P>> = list.finds.iter().cloned().map(Shard::new).collect();
        let (mut items, mut last) = (Vec::new(), None);
        let mut rounds = 0;
        loop {
            let hungry: Vec<_> = shards.iter_mut().filter(|shard| shard.hungry()).collect();
            if !hungry.is_empty() && rounds == ROUNDS_MOST {
                // Down to the highest of these places, every shard was read and what passed is on the page.
                let next = hungry
                    .into_iter()
                    .filter_map(|shard| shard.ahead.place())
                    .map(list.place)
                    .collect::<Result<Vec<_>, _>>()?
                    .into_iter()
                    .max();
                return Ok(Page { items, next });
            }
            if !hungry.is_empty() {
                rounds += 1;
                try_join_all(hungry.into_iter().map(|shard| self.feed(shard, &list))).await?;
                continue;
            }
            // Every shard shows its newest entry, or has none left.
            let newest = shards.iter_mut().max_by(|a, b| a.newest().cmp(&b.newest()));
            let Some(newest) = newest.filter(|shard| shard.newest().is_some()) else {
                return Ok(Page { items, next: None });
            };
            if items.len() >= limit {
                return Ok(Page { items, next: last });
            }
            if let Some((place, entry)) = newest.read.pop_front() {
                last = Some(place);
                items.push(entry);
            }
        }
    }

    /// Reads on in one shard.
    async fn feed<T, P: Ord>(
        &self,
        shard: &mut Shard<T, P>,
        list: &Newest<'_, T, P>,
    ) -> Result<(), StoreError> {
        let start = match std::mem::replace(&mut shard.ahead, Ahead::Nothing) {
            Ahead::All => None,
            Ahead::After(place) => Some(place),
            Ahead::Nothing => return Ok(()),
        };
        // A page takes about as much from each of the shards.
        let at_once = if shard.find.filter.is_some() {
            FILTERED_AT_ONCE
        } else {
            list.limit * 2 / list.finds.len().max(1) + 2
        };
        let found = self.find(&shard.find, start, Some(at_once)).await?;
        for item in &found.items {
            let place = (list.place)(item)?;
            if list.cursor != Some(&place) {
                shard.read.push_back((place, (list.entry)(item)?));
            }
        }
        shard.ahead = found.next.map_or(Ahead::Nothing, Ahead::After);
        Ok(())
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
struct Shard<T, P> {
    find: Find,
    read: VecDeque<(P, T)>,
    ahead: Ahead,
}

impl<T, P: Ord> Shard<T, P> {
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

    fn newest(&self) -> Option<&P> {
        self.read.front().map(|(place, _)| place)
    }
}
