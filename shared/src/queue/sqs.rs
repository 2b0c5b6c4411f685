//! The queues in SQS, and the event that Lambda makes of their messages.
//!
//! A request that takes several messages can succeed for some and fail for others with status 200, so every entry's
//! result is looked at. SQS counts in whole seconds: a wait is rounded up, so that nothing comes before its time.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Config;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageSystemAttributeName, SendMessageBatchRequestEntry,
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use super::{
    Batch, Defer, Enqueue, Lease, MESSAGE_MOST, Message, Queue, QueueError, Receipt, Received,
    partly,
};

/// A request has at most so many entries.
const ENTRIES_MOST: usize = 10;
/// So many requests are made at the same time, where no order is to be kept.
const AT_ONCE: usize = 8;
/// The longest delay, in seconds.
const DELAY_MOST: i32 = 900;
/// The longest visibility timeout, in seconds.
const HIDDEN_MOST: i32 = 43_200;
/// The longest wait for a first message, in seconds.
const WAIT_MOST: i32 = 20;
/// How much longer than its wait a request for messages may take.
const WAIT_SPARE: Duration = Duration::from_secs(3);

/// Queues in SQS, by their URLs.
#[derive(Debug, Clone)]
pub struct SqsQueues {
    client: Client,
    urls: BTreeMap<Queue, String>,
}

impl SqsQueues {
    /// The queues at `urls`; the others are not there.
    #[must_use]
    pub fn new(client: Client, urls: impl IntoIterator<Item = (Queue, String)>) -> Self {
        Self {
            client,
            urls: urls.into_iter().collect(),
        }
    }

    fn url(&self, queue: Queue) -> Result<&str, QueueError> {
        let missing = || format!("the URL of the queue `{}` is not known", queue.as_str());
        self.urls
            .get(&queue)
            .map(String::as_str)
            .ok_or_else(|| QueueError::Unavailable(missing().into()))
    }

    async fn send_one(&self, queue: Queue, message: Message) -> Result<(), QueueError> {
        self.client
            .send_message()
            .queue_url(self.url(queue)?)
            .set_delay_seconds(delay(queue, &message))
            .set_message_deduplication_id(deduplication(queue, &message))
            .message_body(message.body)
            .set_message_group_id(message.group)
            .send()
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    /// Sends the messages of one request, the first of which has the place `first`; answers the places of those that were
    /// refused.
    async fn send_some(
        &self,
        queue: Queue,
        first: usize,
        messages: Vec<Message>,
    ) -> Result<Vec<usize>, QueueError> {
        let sent = messages.len();
        let entry = |(index, message): (usize, Message)| {
            SendMessageBatchRequestEntry::builder()
                .id((first + index).to_string())
                .set_delay_seconds(delay(queue, &message))
                .set_message_deduplication_id(deduplication(queue, &message))
                .message_body(message.body)
                .set_message_group_id(message.group)
                .build()
        };
        let entries = built(messages.into_iter().enumerate().map(entry))?;
        let url = self.url(queue)?;
        let request = self.client.send_message_batch().queue_url(url);
        let answer = request.set_entries(Some(entries)).send().await;
        let failed = answer.map_err(unavailable)?.failed;
        Ok(places(failed.iter().map(|entry| entry.id()), first, sent))
    }
}

#[async_trait]
impl Enqueue for SqsQueues {
    async fn send(&self, queue: Queue, mut messages: Vec<Message>) -> Result<(), QueueError> {
        let mut sizes = messages.iter().map(Message::size);
        if let Some(size) = sizes.find(|size| *size > MESSAGE_MOST) {
            return Err(QueueError::TooLarge { size });
        }
        if messages.len() < 2 {
            return match messages.pop() {
                Some(message) => self.send_one(queue, message).await,
                None => Ok(()),
            };
        }
        let sent = messages.len();
        // On a FIFO queue the order of sending counts.
        let at_once = if queue.is_fifo() { 1 } else { AT_ONCE };
        let mut first = 0;
        let batches = batches(messages).into_iter().map(|batch| {
            let place = first;
            first += batch.len();
            (place, batch)
        });
        let refused: Vec<Vec<usize>> = stream::iter(batches)
            .map(|(first, batch)| self.send_some(queue, first, batch))
            .buffered(at_once)
            .try_collect()
            .await?;
        partly(sent, refused.concat())
    }
}

#[async_trait]
impl Lease for SqsQueues {
    async fn receive(
        &self,
        queue: Queue,
        most: usize,
        wait: SignedDuration,
    ) -> Result<Vec<Received>, QueueError> {
        let wait = seconds(wait, WAIT_MOST);
        // The client's own timeouts are for requests that are answered at once.
        let longest = Duration::from_secs(u64::try_from(wait).unwrap_or_default()) + WAIT_SPARE;
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(longest)
            .operation_timeout(longest)
            .build();
        let answer = self
            .client
            .receive_message()
            .queue_url(self.url(queue)?)
            .max_number_of_messages(i32::try_from(most.clamp(1, ENTRIES_MOST)).unwrap_or(1))
            .wait_time_seconds(wait)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .customize()
            .config_override(Config::builder().timeout_config(timeouts))
            .send()
            .await
            .map_err(unavailable)?;
        let received = answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(|message| {
                let attributes = message.attributes.unwrap_or_default();
                let attribute = |name| attributes.get(&name).map(String::as_str);
                leased(
                    message.message_id,
                    message.receipt_handle,
                    message.body,
                    attribute(MessageSystemAttributeName::ApproximateReceiveCount),
                    attribute(MessageSystemAttributeName::SentTimestamp),
                    attribute(MessageSystemAttributeName::MessageGroupId),
                )
            });
        received
            .collect::<Result<_, _>>()
            .map_err(|error| QueueError::Unavailable(error.into()))
    }

    async fn delete(&self, queue: Queue, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        let url = self.url(queue)?;
        let mut refused = Vec::new();
        for (number, some) in receipts.chunks(ENTRIES_MOST).enumerate() {
            let first = number * ENTRIES_MOST;
            let entry = |(index, receipt): (usize, &Receipt)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id((first + index).to_string())
                    .receipt_handle(&receipt.0)
                    .build()
            };
            let entries = built(some.iter().enumerate().map(entry))?;
            let request = self.client.delete_message_batch().queue_url(url);
            let answer = request.set_entries(Some(entries)).send().await;
            let failed = answer.map_err(unavailable)?.failed;
            let ids = failed.iter().map(|entry| entry.id());
            refused.extend(places(ids, first, some.len()));
        }
        partly(receipts.len(), refused)
    }
}

#[async_trait]
impl Defer for SqsQueues {
    async fn defer(
        &self,
        queue: Queue,
        leases: Vec<(Receipt, SignedDuration)>,
    ) -> Result<(), QueueError> {
        let url = self.url(queue)?;
        let mut refused = Vec::new();
        for (number, some) in leases.chunks(ENTRIES_MOST).enumerate() {
            let first = number * ENTRIES_MOST;
            let entry = |(index, (receipt, wait)): (usize, &(Receipt, SignedDuration))| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id((first + index).to_string())
                    .receipt_handle(&receipt.0)
                    .visibility_timeout(seconds(*wait, HIDDEN_MOST))
                    .build()
            };
            let entries = built(some.iter().enumerate().map(entry))?;
            let request = self.client.change_message_visibility_batch().queue_url(url);
            let answer = request.set_entries(Some(entries)).send().await;
            let failed = answer.map_err(unavailable)?.failed;
            let ids = failed.iter().map(|entry| entry.id());
            refused.extend(places(ids, first, some.len()));
        }
        partly(leases.len(), refused)
    }
}

/// The places that the ids of failed entries name. If one names none, no entry of the request is taken for done.
fn places<'a>(ids: impl Iterator<Item = &'a str>, first: usize, sent: usize) -> Vec<usize> {
    let all = first..first + sent;
    let named: Option<Vec<usize>> = ids
        .map(|id| id.parse().ok().filter(|place| all.contains(place)))
        .collect();
    named.unwrap_or_else(|| all.clone().collect())
}

/// Whole seconds, rounded up.
fn seconds(wait: SignedDuration, most: i32) -> i32 {
    let up = wait
        .as_secs()
        .saturating_add(i64::from(wait.subsec_nanos() > 0));
    i32::try_from(up.clamp(0, i64::from(most))).unwrap_or(most)
}

/// A queue's own delay holds for a message that names none. A FIFO queue refuses a message that names one.
fn delay(queue: Queue, message: &Message) -> Option<i32> {
    let delayed = message.delay > SignedDuration::ZERO && !queue.is_fifo();
    delayed.then(|| seconds(message.delay, DELAY_MOST))
}

/// A standard queue refuses a message that has one.
fn deduplication(queue: Queue, message: &Message) -> Option<String> {
    message.deduplication.clone().filter(|_| queue.is_fifo())
}

/// The messages in as few requests as the limits on number and size allow, in their order.
fn batches(messages: Vec<Message>) -> Vec<Vec<Message>> {
    let mut batches: Vec<Vec<Message>> = Vec::new();
    let mut room = 0;
    for message in messages {
        let size = message.size();
        match batches.last_mut() {
            Some(batch) if batch.len() < ENTRIES_MOST && size <= room => {
                room -= size;
                batch.push(message);
            }
            Some(_) | None => {
                room = MESSAGE_MOST.saturating_sub(size);
                batches.push(vec![message]);
            }
        }
    }
    batches
}

fn built<T>(entries: impl Iterator<Item = Result<T, BuildError>>) -> Result<Vec<T>, QueueError> {
    entries.collect::<Result<_, _>>().map_err(unavailable)
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> QueueError {
    QueueError::Unavailable(Box::new(error))
}

/// A message of an event or an answer lacks what SQS always gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message has no {0}, so this is nothing that SQS sends")]
pub struct Incomplete(&'static str);

fn leased(
    id: Option<String>,
    receipt: Option<String>,
    body: Option<String>,
    count: Option<&str>,
    sent: Option<&str>,
    group: Option<&str>,
) -> Result<Received, Incomplete> {
    let sent = sent.and_then(|sent| sent.parse().ok());
    Ok(Received {
        id: id.filter(|id| !id.is_empty()).ok_or(Incomplete("id"))?,
        receipt: Receipt(receipt.ok_or(Incomplete("receipt"))?),
        body: body.ok_or(Incomplete("body"))?,
        count: count.and_then(|count| count.parse().ok()).unwrap_or(1),
        sent: sent
            .and_then(|sent| Timestamp::from_millisecond(sent).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH),
        group: group.map(str::to_owned),
    })
}

/// The messages of an event that Lambda made of a queue's messages.
///
/// # Errors
/// [`Incomplete`]. The invocation should fail with it: an answer could not name the message that failed.
pub fn received(event: SqsEvent) -> Result<Vec<Received>, Incomplete> {
    let one = |message: aws_lambda_events::sqs::SqsMessage| {
        let attribute = |name| message.attributes.get(name).map(String::as_str);
        let count = attribute("ApproximateReceiveCount");
        let sent = attribute("SentTimestamp");
        let group = attribute("MessageGroupId");
        leased(
            message.message_id,
            message.receipt_handle,
            message.body,
            count,
            sent,
            group,
        )
    };
    event.records.into_iter().map(one).collect()
}

/// Why the messages of an event can't be handled. The invocation should fail with it, so that they stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// One of them is none.
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
    /// They don't all come from one queue that somebody here reads.
    #[error("the messages come from {}, which nobody here reads", .0.as_deref().unwrap_or("no queue that they name"))]
    Source(Option<String>),
}

impl SqsQueues {
    /// Has an event handled by the worker of the queue that its messages come from, for a function that reads several.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub async fn handle(
        &self,
        workers: &[Batch],
        event: SqsEvent,
    ) -> Result<SqsBatchResponse, Unreadable> {
        let queue = self.source(&event)?;
        let worker = workers.iter().find(|worker| worker.queue() == queue);
        let worker = worker.ok_or_else(|| Unreadable::Source(Some(queue.as_str().to_owned())))?;
        Ok(response(worker.run(received(event)?).await))
    }

    fn source(&self, event: &SqsEvent) -> Result<Queue, Unreadable> {
        let mut arns = event
            .records
            .iter()
            .map(|record| record.event_source_arn.as_deref());
        let arn = arns.next().flatten();
        // arn:aws:sqs:region:account:name, and https://host/account/name
        let name = arn.and_then(|arn| arn.rsplit(':').next());
        let named = |url: &str| name.is_some() && url.rsplit('/').next() == name;
        match self.urls.iter().find(|(_, url)| named(url)) {
            Some((queue, _)) if arns.all(|other| other == arn) => Ok(*queue),
            Some(_) | None => Err(Unreadable::Source(arn.map(str::to_owned))),
        }
    }
}

/// The answer that lets go of all messages of an event but those with the ids in `failures`.
#[must_use]
pub fn response(failures: Vec<String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures
        .into_iter()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_the_order_and_both_limits() {
        let message = |size: usize| Message::new("x".repeat(size));
        let half = MESSAGE_MOST / 2;
        let cases = [
            (vec![], vec![]),
            (vec![1; 10], vec![10]),
            (vec![1; 25], vec![10, 10, 5]),
            (vec![half, half], vec![2]),
            (vec![half, half + 1], vec![1, 1]),
            (vec![half, half, 0, 1], vec![3, 1]),
            (vec![MESSAGE_MOST, MESSAGE_MOST], vec![1, 1]),
        ];
        for (sizes, want) in cases {
            let batches = batches(sizes.iter().copied().map(message).collect());
            let got: Vec<usize> = batches.iter().map(Vec::len).collect();
            assert_eq!(got, want, "{sizes:?}");
            let order: Vec<usize> = batches.concat().iter().map(Message::size).collect();
            assert_eq!(order, sizes);
        }
    }

    #[test]
    fn failed_entries_are_told_by_their_places_and_a_strange_answer_takes_nothing_for_done() {
        let cases: [(&[&str], Vec<usize>); 5] = [
            (&[], vec![]),
            (&["10", "12"], vec![10, 12]),
            (&["9"], vec![10, 11, 12]),
            (&["13"], vec![10, 11, 12]),
            (&["10", "x"], vec![10, 11, 12]),
        ];
        for (ids, want) in cases {
            assert_eq!(places(ids.iter().copied(), 10, 3), want, "{ids:?}");
        }
    }

    #[test]
    fn waits_are_whole_seconds_and_never_shorter_than_asked() {
        let cases = [
            (-5_000, 0),
            (0, 0),
            (1, 1),
            (1_000, 1),
            (1_001, 2),
            (i64::MAX / 2_000_000, 43_200),
        ];
        for (milliseconds, want) in cases {
            let wait = SignedDuration::from_millis(milliseconds);
            assert_eq!(seconds(wait, HIDDEN_MOST), want, "{milliseconds} ms");
        }
    }

    #[test]
    fn an_event_becomes_messages_and_the_answer_names_those_that_failed() {
        let event = |record: &str| {
            serde_json::from_str::<SqsEvent>(&format!(r#"{{"Records":[{record}]}}"#))
                .expect("an event of this form")
        };
        let whole = r#"{"messageId":"m1","receiptHandle":"r1","body":"{}","attributes":
            {"ApproximateReceiveCount":"3","SentTimestamp":"1767225600123","MessageGroupId":"g1"},
            "eventSource":"aws:sqs"}"#;
        let want = Received {
            id: "m1".into(),
            receipt: Receipt("r1".into()),
            body: "{}".into(),
            count: 3,
            sent: Timestamp::from_millisecond(1_767_225_600_123).expect("a time in range"),
            group: Some("g1".into()),
        };
        assert_eq!(received(event(whole)), Ok(vec![want]));
        for (name, missing) in [
            ("id", r#"{"receiptHandle":"r1","body":"{}"}"#),
            ("id", r#"{"messageId":"","receiptHandle":"r1","body":"{}"}"#),
            ("receipt", r#"{"messageId":"m1","body":"{}"}"#),
            ("body", r#"{"messageId":"m1","receiptHandle":"r1"}"#),
        ] {
            assert_eq!(received(event(missing)), Err(Incomplete(name)), "{missing}");
        }
        let urls = [
            (Queue::Deliver, "deliver"),
            (Queue::DeliverOrdered, "deliver-ordered.fifo"),
        ]
        .map(|(queue, name)| (queue, format!("https://sqs.example/1/{name}")));
        let client = crate::aws::Clients::new(crate::aws::Account::local("http://127.0.0.1:1"));
        let queues = SqsQueues::new(client.sqs(), urls);
        let from = |arn: &str| format!(r#"{{"messageId":"m1","eventSourceARN":"{arn}"}}"#);
        let (one, other) = (
            "arn:aws:sqs:r:1:deliver",
            "arn:aws:sqs:r:1:deliver-ordered.fifo",
        );
        let unknown = |arn: Option<&str>| Err(Unreadable::Source(arn.map(str::to_owned)));
        for (records, want) in [
            (from(one), Ok(Queue::Deliver)),
            (
                format!("{},{}", from(other), from(other)),
                Ok(Queue::DeliverOrdered),
            ),
            (format!("{},{}", from(one), from(other)), unknown(Some(one))),
            (
                from("arn:aws:sqs:r:1:fanout"),
                unknown(Some("arn:aws:sqs:r:1:fanout")),
            ),
            (r#"{"messageId":"m1"}"#.to_owned(), unknown(None)),
        ] {
            assert_eq!(queues.source(&event(&records)), want, "{records}");
        }
        let answer = |ids: &[&str]| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            serde_json::to_string(&response(ids)).expect("it has a JSON form")
        };
        assert_eq!(answer(&[]), r#"{"batchItemFailures":[]}"#);
        assert_eq!(
            answer(&["m1"]),
            r#"{"batchItemFailures":[{"itemIdentifier":"m1"}]}"#
        );
    }
}
