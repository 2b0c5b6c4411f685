//! What AWS would bill: requests to the queues by chunks of 64 KB, consumed capacity of the table, invocations.
//!
//! The counts are exact: the table's engine reports consumed capacity by the documented rules ([`crate::meter`]), and
//! a queue request is billed per 64 KB of its payload. Prices are the list prices of us-east-1, November 2026, without
//! free tiers.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::SignedDuration;
use shared::queue::{Defer, Enqueue, Lease, Message, Queue, QueueError, Receipt, Received};

use crate::meter::Call;

/// A queue request is billed once per so many bytes of payload.
const CHUNK: usize = 64 * 1024;

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests to queues, in chunks.
    pub queue_requests: u64,
    /// Consumed write units of table and indexes, in halves.
    pub write_halves: u64,
    /// Consumed read units of table and indexes, in halves.
    pub read_halves: u64,
    /// Invocations of functions.
    pub invocations: u64,
    /// Requests to a door.
    pub door_requests: u64,
}

impl Usage {
    /// Adds what requests to the table consumed.
    #[must_use]
    pub fn with(mut self, calls: &[Call]) -> Self {
        let reads = [
            "GetItem",
            "Query",
            "Scan",
            "BatchGetItem",
            "TransactGetItems",
        ];
        for call in calls {
            if reads.contains(&call.operation.as_str()) {
                self.read_halves += call.total();
            } else {
                self.write_halves += call.total();
            }
        }
        self
    }
}

/// Counts requests to queues and doors, and the invocations they make.
#[derive(Debug, Clone, Default)]
pub struct Till(Arc<Mutex<Usage>>);

impl Till {
    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was used since the last time.
    pub fn take(&self) -> Usage {
        std::mem::take(&mut self.lock())
    }

    /// A request came to a door, which is an invocation of its function.
    pub fn door(&self) {
        let mut usage = self.lock();
        usage.door_requests += 1;
        usage.invocations += 1;
    }

    fn request(&self, bytes: usize) {
        let chunks = bytes.div_ceil(CHUNK).max(1);
        self.lock().queue_requests += u64::try_from(chunks).unwrap_or(u64::MAX);
    }
}

/// Queues whose requests are counted as SQS and its poller would make them.
#[derive(Clone)]
pub struct Billed<T> {
    inner: T,
    till: Till,
}

impl<T> Billed<T> {
    /// Counts the requests to `inner`.
    pub fn new(inner: T, till: Till) -> Self {
        Self { inner, till }
    }
}

#[async_trait]
impl<T: Enqueue> Enqueue for Billed<T> {
    async fn send(&self, queue: Queue, messages: Vec<Message>) -> Result<(), QueueError> {
        for batch in messages.chunks(10) {
            self.till.request(batch.iter().map(Message::size).sum());
        }
        self.inner.send(queue, messages).await
    }
}

#[async_trait]
impl<T: Lease> Lease for Billed<T> {
    async fn receive(
        &self,
        queue: Queue,
        most: usize,
        wait: SignedDuration,
    ) -> Result<Vec<Received>, QueueError> {
        let received = self.inner.receive(queue, most, wait).await?;
        // Empty receives are billed by the hour, not by the event.
        if !received.is_empty() {
            self.till
                .request(received.iter().map(|message| message.body.len()).sum());
            self.till.lock().invocations += 1;
        }
        Ok(received)
    }

    async fn delete(&self, queue: Queue, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        if !receipts.is_empty() {
            self.till.request(0);
        }
        self.inner.delete(queue, receipts).await
    }
}

#[async_trait]
impl<T: Defer> Defer for Billed<T> {
    async fn defer(
        &self,
        queue: Queue,
        leases: Vec<(Receipt, SignedDuration)>,
    ) -> Result<(), QueueError> {
        self.till.request(0);
        self.inner.defer(queue, leases).await
    }
}

/// List prices in micro-dollars per million, us-east-1, November 2026.
mod price {
    pub(super) const QUEUE_REQUESTS: u64 = 400_000;
    pub(super) const WRITE_UNITS: u64 = 625_000;
    pub(super) const READ_UNITS: u64 = 125_000;
    pub(super) const INVOCATIONS: u64 = 200_000;
    pub(super) const HTTP_API: u64 = 1_000_000;
    /// 256 MB on arm64 for a millisecond: what the template gives each function.
    pub(super) const PICO_PER_MS: u64 = 3_333;
}

/// Billed milliseconds of an invocation: what the cost model of a door and of a batch of ten assumes.
#[derive(Debug, Clone, Copy)]
pub struct Durations {
    /// A door's.
    pub door_ms: u64,
    /// A batch's.
    pub batch_ms: u64,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            door_ms: 5,
            batch_ms: 60,
        }
    }
}

/// What a million events cost, in micro-dollars.
#[derive(Debug, Clone)]
pub struct Bill {
    /// What is billed, how much of it per million events, and its price.
    pub lines: Vec<(&'static str, u64, u64)>,
    /// Everything behind an HTTP API.
    pub http_api: u64,
    /// Everything behind a function URL.
    pub function_url: u64,
}

impl Bill {
    /// The bill of a million events, from the usage of `events` of them.
    #[must_use]
    pub fn per_million(usage: Usage, events: u64, durations: Durations) -> Self {
        let scaled = |count: u64| count.saturating_mul(1_000_000) / events.max(1);
        let cost = |count: u64, price: u64| count.saturating_mul(price) / 1_000_000;
        let (writes, reads) = (
            scaled(usage.write_halves) / 2,
            scaled(usage.read_halves) / 2,
        );
        let (queue, invocations) = (scaled(usage.queue_requests), scaled(usage.invocations));
        let doors = scaled(usage.door_requests);
        let batches = invocations.saturating_sub(doors);
        let compute_ms = doors * durations.door_ms + batches * durations.batch_ms;
        let lines = vec![
            (
                "queue requests (64 KB chunks)",
                queue,
                cost(queue, price::QUEUE_REQUESTS),
            ),
            ("write units", writes, cost(writes, price::WRITE_UNITS)),
            ("read units", reads, cost(reads, price::READ_UNITS)),
            (
                "invocations",
                invocations,
                cost(invocations, price::INVOCATIONS),
            ),
            (
                "compute, ms at 256 MB (assumed)",
                compute_ms,
                compute_ms * price::PICO_PER_MS / 1_000_000,
            ),
        ];
        let function_url = lines.iter().map(|(_, _, cost)| cost).sum();
        Self {
            lines,
            http_api: function_url + cost(doors, price::HTTP_API),
            function_url,
        }
    }
}

fn dollars(micro: u64) -> String {
    format!("{}.{:02}", micro / 1_000_000, micro % 1_000_000 / 10_000)
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| per million events | count | $ |\n|---|---:|---:|")?;
        for (name, count, cost) in &self.lines {
            writeln!(f, "| {name} | {count} | {} |", dollars(*cost))?;
        }
        writeln!(
            f,
            "| **behind a function URL** | | **{}** |",
            dollars(self.function_url)
        )?;
        write!(
            f,
            "| **behind an HTTP API** | | **{}** |",
            dollars(self.http_api)
        )
    }
}
