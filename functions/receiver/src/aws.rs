//! The queue in SQS and the memory in DynamoDB.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use shared::ids::EventId;
use shared::queue::Receipt;

use crate::ports::{Memory, Queue, Unavailable};

/// The longest visibility timeout, in seconds.
const HIDDEN_MOST: i64 = 43_200;

/// A FIFO queue in SQS.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl SqsQueue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(client: aws_sdk_sqs::Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
        }
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, id: &EventId, body: String) -> Result<(), Unavailable> {
        let sent = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            // A group per event: its messages are handed out one at a time, and none waits for another event's.
            .message_group_id(id.as_str())
            .message_deduplication_id(id.as_str())
            .send()
            .await;
        sent.map(|_| ())
            .map_err(|error| unavailable("queue", error))
    }

    async fn put_off(&self, receipt: &Receipt, wait: SignedDuration) -> Result<(), Unavailable> {
        let seconds = i32::try_from(wait.as_secs().clamp(0, HIDDEN_MOST)).unwrap_or_default();
        let put_off = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(&receipt.0)
            .visibility_timeout(seconds)
            .send()
            .await;
        put_off
            .map(|_| ())
            .map_err(|error| unavailable("queue", error))
    }
}

/// The table's key: the event's id.
const ID: &str = "id";
/// When an item expires, in unix seconds: the attribute that the table's TTL is on.
const EXPIRES_AT: &str = "expires_at";

/// A table in DynamoDB with an item for each handled event.
///
/// DynamoDB removes what expired when it gets round to it, so the time in the item decides, not its absence.
#[derive(Debug, Clone)]
pub struct DynamoMemory {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl DynamoMemory {
    /// The table of this name.
    #[must_use]
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }
}

#[async_trait]
impl Memory for DynamoMemory {
    async fn handled(&self, id: &EventId) -> Result<Option<Timestamp>, Unavailable> {
        let found = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(ID, text(id))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("table", error))?;
        found.item.map(|item| expiry(&item)).transpose()
    }

    async fn note(&self, id: &EventId, until: Timestamp) -> Result<(), Unavailable> {
        let seconds = AttributeValue::N(until.as_second().to_string());
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(ID, text(id))
            .item(EXPIRES_AT, seconds)
            .send()
            .await;
        put.map(|_| ()).map_err(|error| unavailable("table", error))
    }
}

fn text(id: &EventId) -> AttributeValue {
    AttributeValue::S(id.as_str().to_owned())
}

fn expiry(item: &HashMap<String, AttributeValue>) -> Result<Timestamp, Unavailable> {
    let seconds = item
        .get(EXPIRES_AT)
        .and_then(|value| value.as_n().ok())
        .and_then(|seconds| seconds.parse().ok());
    seconds
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or_else(|| Unavailable {
            part: "table",
            source: format!("an item without a time in `{EXPIRES_AT}`").into(),
        })
}

fn unavailable(
    part: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Unavailable {
    Unavailable {
        part,
        source: Box::new(error),
    }
}
