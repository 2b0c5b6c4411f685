//! Reads and first writes that are asked for at the same moment, made by one request.
//!
//! The messages of a batch are handled at once, so their reads and writes come together; most of what a request takes
//! of a function's time is the request itself, not the item (ADR 0015). The first to ask lets all who are ready ask
//! too, and then makes one request for the group. It is only a shorter way to the same end: what it does not settle
//! beyond doubt, and a group of one, is done by a request of its own, with that request's conditions, retries and
//! errors. DynamoDB bills items, not requests, so it costs the same.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    BatchStatementErrorCodeEnum, BatchStatementRequest, BatchStatementResponse, KeysAndAttributes,
};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::warn;

use super::DynamoStore;
use crate::problem::chain;
use crate::store::item::{self, Item, Key};

/// DynamoDB takes so many statements in a request; it would take more keys.
const GROUP_MOST: usize = 25;
/// A larger item goes alone, so that a group stays well within what a request may hold, in bytes.
const ITEM_MOST: usize = 32 * 1024;

/// So long a group's request may take, its repetitions included: who is in it has a request of its own before it after
/// that, and a function's time has to hold both.
const LONGEST: Duration = Duration::from_secs(3);

/// What became of a write in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    /// The item is written.
    Done,
    /// There is one with this key already.
    Known,
}

struct Ask<T, A> {
    key: Key,
    what: T,
    answer: oneshot::Sender<A>,
}

/// Who waits to be part of the next group.
struct Waiting<T, A>(Mutex<Vec<Ask<T, A>>>);

impl<T, A> Default for Waiting<T, A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T, A> Waiting<T, A> {
    /// Joins the next group. Whoever opens it has to make its request.
    fn join(&self, key: Key, what: T) -> (oneshot::Receiver<A>, Option<Opened<'_, T, A>>) {
        let (answer, answered) = oneshot::channel();
        let mut asks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = asks.is_empty();
        asks.push(Ask { key, what, answer });
        // Made only for the first: dropping one gives the group up.
        (answered, first.then(|| Opened(Some(self))))
    }

    fn take(&self) -> Vec<Ask<T, A>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The duty to make a group's request. If it is dropped, its members get no answer and do without.
struct Opened<'a, T, A>(Option<&'a Waiting<T, A>>);

impl<T, A> Opened<'_, T, A> {
    /// The group, once all who are ready to ask have asked.
    async fn close(mut self) -> Vec<Ask<T, A>> {
        tokio::task::yield_now().await;
        self.0.take().map(Waiting::take).unwrap_or_default()
    }
}

impl<T, A> Drop for Opened<'_, T, A> {
    fn drop(&mut self) {
        if let Some(waiting) = self.0 {
            drop(waiting.take());
        }
    }
}

/// The groups of one store, shared by its clones.
#[derive(Default)]
pub(super) struct Gather {
    reads: Waiting<(), Option<Item>>,
    inserts: Waiting<Item, Inserted>,
}

impl DynamoStore {
    /// Reads an item, up to date, together with others. `None`: it has to be read alone.
    pub(super) async fn get_gathered(&self, key: &Key) -> Option<Option<Item>> {
        let (answer, opened) = self.gather.reads.join(key.clone(), ());
        if let Some(opened) = opened {
            let mut asks = opened.close().await;
            while asks.len() > 1 {
                let rest = asks.split_off(asks.len().min(GROUP_MOST));
                self.read_group(asks).await;
                asks = rest;
            }
        }
        answer.await.ok()
    }

    /// Writes an item that must not be there yet, together with others. `None`: it has to be written alone, and may be
    /// written already.
    pub(super) async fn insert_gathered(&self, key: &Key, item: &Item) -> Option<Inserted> {
        if item::size(item) > ITEM_MOST {
            return None;
        }
        let (answer, opened) = self.gather.inserts.join(key.clone(), item.clone());
        if let Some(opened) = opened {
            let mut asks = opened.close().await;
            // A key is in it once; who would write it as well goes alone.
            let mut keys = HashSet::new();
            asks.retain(|ask| keys.insert(ask.key.clone()));
            while asks.len() > 1 {
                let rest = asks.split_off(asks.len().min(GROUP_MOST));
                self.insert_group(asks).await;
                asks = rest;
            }
        }
        answer.await.ok()
    }

    async fn read_group(&self, asks: Vec<Ask<(), Option<Item>>>) {
        // Several may ask for the same item: one reading answers all of them.
        let keys: HashSet<&Key> = asks.iter().map(|ask| &ask.key).collect();
        let keys = keys.into_iter().map(Key::item).collect();
        let keys = KeysAndAttributes::builder()
            .consistent_read(true)
            .set_keys(Some(keys))
            .build()
            .expect("the keys are set");
        let request = self
            .client
            .batch_get_item()
            .request_items(&self.table, keys)
            .set_return_consumed_capacity(self.capacity.clone());
        let answer = match timeout(LONGEST, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(problem)) => {
                warn!(
                    error = chain(&problem),
                    "a group of reads failed; each is made alone"
                );
                return;
            }
            Err(_late) => {
                warn!("a group of reads took too long; each is made alone");
                return;
            }
        };
        let unread = answer.unprocessed_keys.unwrap_or_default();
        let unread: HashSet<Key> = unread
            .values()
            .flat_map(KeysAndAttributes::keys)
            .filter_map(item::key_of)
            .collect();
        let found = answer.responses.unwrap_or_default();
        let found: HashMap<Key, Item> = found
            .into_values()
            .flatten()
            .filter_map(|item| Some((item::key_of(&item)?, item)))
            .collect();
        for Ask { key, answer, .. } in asks {
            if !unread.contains(&key) {
                // Whoever asked may have gone; then nobody needs the answer.
                let _ = answer.send(found.get(&key).cloned());
            }
        }
    }

    async fn insert_group(&self, asks: Vec<Ask<Item, Inserted>>) {
        let (statements, answers): (Vec<_>, Vec<_>) = asks
            .into_iter()
            .map(|ask| (insert(&self.table, ask.what), ask.answer))
            .unzip();
        let request = self
            .client
            .batch_execute_statement()
            .set_statements(Some(statements))
            .set_return_consumed_capacity(self.capacity.clone());
        let results = match timeout(LONGEST, request.send()).await {
            Ok(Ok(answer)) => answer.responses.unwrap_or_default(),
            Ok(Err(problem)) => {
                warn!(
                    error = chain(&problem),
                    "a group of writes failed; each is made alone"
                );
                return;
            }
            Err(_late) => {
                warn!("a group of writes took too long; each is made alone");
                return;
            }
        };
        // Answers come in the order of the statements; without one for each, none is believed.
        if results.len() == answers.len() {
            for (result, answer) in results.iter().zip(answers) {
                if let Some(inserted) = inserted(result) {
                    // As above.
                    let _ = answer.send(inserted);
                }
            }
        }
    }
}

/// PartiQL's INSERT fails if there is an item with this key.
fn insert(table: &str, item: Item) -> BatchStatementRequest {
    let mut names = String::new();
    let mut values = Vec::with_capacity(item.len());
    for (name, value) in item {
        names.push_str(if names.is_empty() { "'" } else { ",'" });
        names.push_str(&name);
        names.push_str("':?");
        values.push(value);
    }
    BatchStatementRequest::builder()
        .statement(format!("INSERT INTO \"{table}\" VALUE {{{names}}}"))
        .set_parameters(Some(values))
        .build()
        .expect("the statement is set")
}

fn inserted(result: &BatchStatementResponse) -> Option<Inserted> {
    match &result.error {
        None => Some(Inserted::Done),
        Some(error) if error.code == Some(BatchStatementErrorCodeEnum::DuplicateItem) => {
            Some(Inserted::Known)
        }
        Some(error) => {
            // Its message may quote the item.
            let code = error.code.as_ref().map(BatchStatementErrorCodeEnum::as_str);
            warn!(code, "a write of a group was refused; it is made alone");
            None
        }
    }
}
