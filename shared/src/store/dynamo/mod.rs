//! The store in DynamoDB: every port in one type, one file per noun.
//!
//! What the requests say of keys and attributes is made by `item`; here are the calls and what their failures mean.
//! A condition that does not hold is an outcome, and so is a collision with a transaction, since both mean that
//! somebody else wrote first. Everything else that goes wrong is [`StoreError::Unavailable`], with the cause.

mod breakers;
mod clients;
mod config;
mod decisions;
mod deliveries;
mod enriched;
mod events;
mod gather;
mod intents;
mod lines;
mod newest;
mod quarantine;
mod table;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, Put, ReturnConsumedCapacity, ReturnValue,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use jiff::{SignedDuration, Timestamp};

pub use table::create_table;

use gather::{Gather, Inserted};

use super::StoreError;
use super::item::{self, Change, Condition, Find, Item, Key, Vault};
use crate::entropy::Entropy;
use crate::secret::Keyring;

/// A transaction that collided with another is made again so many times in all.
const COLLISIONS_MOST: usize = 4;

/// The store in a DynamoDB table.
#[derive(Clone)]
pub struct DynamoStore {
    client: Client,
    table: String,
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy>,
    retention: SignedDuration,
    capacity: Option<ReturnConsumedCapacity>,
    gather: Arc<Gather>,
}

/// How a conditional write of a whole item ended.
enum Written {
    Done,
    /// The condition did not hold: for this item, where the service shows it.
    Refused(Option<Item>),
}

/// How a change of an item ended.
enum Changed {
    /// Done; this is how the item was before. If it was not there, it has no attributes, or only its key.
    From(Item),
    /// The condition did not hold.
    Refused,
}

/// How a transaction ended.
enum Committed {
    Done,
    /// A condition did not hold; nothing was written.
    Refused {
        /// The first write whose condition did not hold, counting from 0.
        first: usize,
    },
}

/// How one try of a transaction ended.
enum Tried {
    Ended(Committed),
    /// Another transaction, or a write, was at one of its items at the same moment; nothing was written.
    Collided(StoreError),
}

/// One page of what a [`Find`] finds, and where the next one begins.
struct Found {
    items: Vec<Item>,
    next: Option<Item>,
}

impl DynamoStore {
    /// The store in `table`: secrets sealed with `keyring`, records kept for `retention`.
    #[must_use]
    pub fn new(
        client: Client,
        table: impl Into<String>,
        keyring: Arc<Keyring>,
        entropy: Arc<dyn Entropy>,
        retention: SignedDuration,
    ) -> Self {
        Self {
            client,
            table: table.into(),
            keyring,
            entropy,
            retention,
            capacity: None,
            gather: Arc::default(),
        }
    }

    /// Whether the service is to say what each request consumed, table and indexes apart: for whoever reads the
    /// answers on their way, as the tests that count the bill do.
    #[must_use]
    pub fn metered(self, metered: bool) -> Self {
        Self {
            capacity: metered.then_some(ReturnConsumedCapacity::Indexes),
            ..self
        }
    }

    fn vault(&self) -> Vault<'_> {
        Vault {
            keyring: &self.keyring,
            entropy: self.entropy.as_ref(),
        }
    }

    /// When something written at `now` expires, in seconds.
    fn expiry(&self, now: Timestamp) -> i64 {
        now.as_second().saturating_add(self.retention.as_secs())
    }

    async fn get(&self, key: &Key, consistent: bool) -> Result<Option<Item>, StoreError> {
        if consistent && let Some(found) = self.get_gathered(key).await {
            return Ok(found);
        }
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .consistent_read(consistent)
            .set_return_consumed_capacity(self.capacity.clone());
        Ok(request.send().await.map_err(unavailable)?.item)
    }

    /// What `wanted` finds in an item as it was a moment ago. Where that is nothing, the item as it is now is asked: it may just
    /// have been made, and whoever acts on its absence is not asked again.
    async fn get_surely<T>(
        &self,
        key: &Key,
        wanted: impl Fn(Item) -> Result<Option<T>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        for consistent in [false, true] {
            let found = self.get(key, consistent).await?;
            if let Some(found) = found.map_or(Ok(None), &wanted)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn put(
        &self,
        key: &Key,
        item: Item,
        condition: Option<Condition>,
    ) -> Result<Written, StoreError> {
        if !item::fits(&item) {
            return Err(key.too_large());
        }
        if condition.as_ref().is_some_and(Condition::is_absent)
            && let Some(inserted) = self.insert_gathered(key, &item).await
        {
            match inserted {
                Inserted::Done => return Ok(Written::Done),
                Inserted::Known => {
                    let found = self.get(key, true).await?;
                    if found.is_some() {
                        return Ok(Written::Refused(found));
                    }
                    // It went away in between.
                }
            }
        }
        let mut request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .set_return_consumed_capacity(self.capacity.clone());
        if let Some(Condition { expression, values }) = condition {
            request = request
                .condition_expression(expression)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
            for (name, value) in values {
                request = request.expression_attribute_values(name, value);
            }
        }
        match request.send().await {
            Ok(_) => Ok(Written::Done),
            Err(error) if lost(&error) => Ok(Written::Refused(match error.into_service_error() {
                PutItemError::ConditionalCheckFailedException(refused) => refused.item,
                _ => None,
            })),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn change(&self, key: &Key, change: Change) -> Result<Changed, StoreError> {
        let Change {
            expression,
            condition,
            values,
        } = change;
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression(expression)
            .set_condition_expression(condition.map(str::to_owned))
            .set_expression_attribute_names(item::aliases(&[Some(expression), condition]))
            .return_values(ReturnValue::AllOld)
            .set_return_consumed_capacity(self.capacity.clone());
        for (name, value) in values {
            request = request.expression_attribute_values(name, value);
        }
        match request.send().await {
            Ok(done) => Ok(Changed::From(done.attributes.unwrap_or_default())),
            Err(error) if lost(&error) => Ok(Changed::Refused),
            Err(error) if oversized(&error) => Err(key.too_large()),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Removes an item; answers what it was.
    async fn remove(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .return_values(ReturnValue::AllOld)
            .set_return_consumed_capacity(self.capacity.clone());
        Ok(request
            .send()
            .await
            .map_err(unavailable)?
            .attributes
            .filter(|item| !item.is_empty()))
    }

    async fn find(
        &self,
        find: &Find,
        start: Option<Item>,
        limit: Option<usize>,
    ) -> Result<Found, StoreError> {
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .set_index_name(find.index.map(str::to_owned))
            .key_condition_expression(find.expression)
            .set_filter_expression(find.filter.clone())
            .scan_index_forward(!find.newest_first)
            .consistent_read(find.consistent)
            .set_limit(limit.map(|limit| i32::try_from(limit.max(1)).unwrap_or(i32::MAX)))
            .set_exclusive_start_key(start)
            .set_return_consumed_capacity(self.capacity.clone());
        for (name, value) in &find.values {
            request = request.expression_attribute_values(*name, value.clone());
        }
        let answer = request.send().await.map_err(unavailable)?;
        Ok(Found {
            items: answer.items.unwrap_or_default(),
            next: answer.last_evaluated_key.filter(|key| !key.is_empty()),
        })
    }

    async fn find_all(&self, find: &Find) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let found = self.find(find, start, None).await?;
            items.extend(found.items);
            start = found.next;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// Makes a transaction, again if it collides with others.
    async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<Committed, StoreError> {
        let mut collisions = 0;
        loop {
            match self.transact_once(writes.clone()).await? {
                Tried::Ended(committed) => return Ok(committed),
                Tried::Collided(problem) => {
                    collisions += 1;
                    if collisions == COLLISIONS_MOST {
                        return Err(problem);
                    }
                }
            }
        }
    }

    /// Makes a transaction. A request whose answer was lost is made again by the SDK under the same token, by which the
    /// service knows it.
    async fn transact_once(&self, writes: Vec<TransactWriteItem>) -> Result<Tried, StoreError> {
        let request = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .set_return_consumed_capacity(self.capacity.clone());
        let error = match request.send().await {
            Ok(_) => return Ok(Tried::Ended(Committed::Done)),
            Err(error) => error,
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            _ => &[],
        };
        let first = |code: &str| {
            reasons
                .iter()
                .position(|reason| reason.code() == Some(code))
        };
        if let Some(first) = first("ConditionalCheckFailed") {
            return Ok(Tried::Ended(Committed::Refused { first }));
        }
        if first("TransactionConflict").is_some() {
            return Ok(Tried::Collided(unavailable(error)));
        }
        Err(unavailable(error))
    }

    fn checking(
        &self,
        key: &Key,
        Condition { expression, values }: Condition,
    ) -> TransactWriteItem {
        let mut check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .condition_expression(expression);
        for (name, value) in values {
            check = check.expression_attribute_values(name, value);
        }
        let check = check.build().expect("table, key and condition are set");
        TransactWriteItem::builder().condition_check(check).build()
    }

    fn putting(&self, item: Item, condition: Option<Condition>) -> TransactWriteItem {
        let mut put = Put::builder().table_name(&self.table).set_item(Some(item));
        if let Some(Condition { expression, values }) = condition {
            put = put.condition_expression(expression);
            for (name, value) in values {
                put = put.expression_attribute_values(name, value);
            }
        }
        let put = put.build().expect("table and item are set");
        TransactWriteItem::builder().put(put).build()
    }

    fn changing(&self, key: &Key, change: Change) -> TransactWriteItem {
        let Change {
            expression,
            condition,
            values,
        } = change;
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression(expression)
            .set_condition_expression(condition.map(str::to_owned))
            .set_expression_attribute_names(item::aliases(&[Some(expression), condition]));
        for (name, value) in values {
            update = update.expression_attribute_values(name, value);
        }
        let update = update.build().expect("table, key and change are set");
        TransactWriteItem::builder().update(update).build()
    }

    fn removing(&self, key: &Key, condition: Option<Condition>) -> TransactWriteItem {
        let mut delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key.item()));
        if let Some(Condition { expression, values }) = condition {
            delete = delete.condition_expression(expression);
            for (name, value) in values {
                delete = delete.expression_attribute_values(name, value);
            }
        }
        let delete = delete.build().expect("table and key are set");
        TransactWriteItem::builder().delete(delete).build()
    }
}

/// Somebody else wrote first.
fn lost<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(
        error.code(),
        Some("ConditionalCheckFailedException" | "TransactionConflictException")
    )
}

/// A change would make the item too large; of whole items the size is known before.
fn oversized<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("ValidationException")
        && error
            .message()
            .is_some_and(|message| message.starts_with("Item size"))
}

fn unavailable<E, R>(error: SdkError<E, R>) -> StoreError
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    StoreError::Unavailable(Box::new(error))
}
