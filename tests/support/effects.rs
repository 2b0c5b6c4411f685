//! Where tests stand between the code and the world: counting effects, and dying after one of them.
//!
//! An effect is a write to the table, a request to a queue, or a request to an endpoint. A crash lets the effect
//! happen and nothing after it: the process is gone before it learns of the answer. While a part is out of order, nothing
//! that is asked of it happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use jiff::SignedDuration;
use shared::delivery::{Failure, Outcome, Request};
use shared::queue::{Defer, Enqueue, Lease, Message, Queue, QueueError, Receipt, Received};
use shared::transport::{Answer, Call, Caller, Transport};
use tokio::sync::Notify;

/// No crash is planned.
const NEVER: usize = usize::MAX;

/// Counts effects, and dies after a chosen one.
#[derive(Debug)]
pub struct Effects {
    count: AtomicUsize,
    last: AtomicUsize,
    died: Notify,
    table_out: AtomicBool,
    queues_out: AtomicBool,
}

impl Default for Effects {
    fn default() -> Self {
        Self {
            count: AtomicUsize::new(0),
            last: AtomicUsize::new(NEVER),
            died: Notify::new(),
            table_out: AtomicBool::new(false),
            queues_out: AtomicBool::new(false),
        }
    }
}

impl Effects {
    /// How many effects there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Plans the crash after effect `number`, counting from 1 and from now.
    pub fn die_after(&self, number: usize) {
        self.count.store(0, Ordering::SeqCst);
        self.last.store(number, Ordering::SeqCst);
    }

    /// Whether the table is out of order from now on.
    pub fn table_out(&self, out: bool) {
        self.table_out.store(out, Ordering::SeqCst);
    }

    /// Whether messages can't be sent from now on.
    pub fn queues_out(&self, out: bool) {
        self.queues_out.store(out, Ordering::SeqCst);
    }

    /// A new process: nothing more is planned.
    pub fn restart(&self) {
        self.last.store(NEVER, Ordering::SeqCst);
    }

    /// Waits for the crash.
    pub async fn death(&self) {
        self.died.notified().await;
    }

    /// An effect has happened: the process that died by it never gets past this line.
    async fn happened(&self) {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let last = self.last.load(Ordering::SeqCst);
        if number == last {
            self.died.notify_one();
        }
        if number >= last {
            std::future::pending::<()>().await;
        }
    }
}

/// A wrapper whose effects are counted.
#[derive(Clone)]
pub struct Watched<T> {
    inner: T,
    effects: Arc<Effects>,
}

impl<T> Watched<T> {
    /// Counts the effects of `inner`.
    pub fn new(inner: T, effects: Arc<Effects>) -> Self {
        Self { inner, effects }
    }
}

#[async_trait]
impl<T: Enqueue> Enqueue for Watched<T> {
    async fn send(&self, queue: Queue, messages: Vec<Message>) -> Result<(), QueueError> {
        if self.effects.queues_out.load(Ordering::SeqCst) {
            return Err(QueueError::Unavailable("out of order".into()));
        }
        let sent = self.inner.send(queue, messages).await;
        self.effects.happened().await;
        sent
    }
}

#[async_trait]
impl<T: Lease> Lease for Watched<T> {
    async fn receive(
        &self,
        queue: Queue,
        most: usize,
        wait: SignedDuration,
    ) -> Result<Vec<Received>, QueueError> {
        self.inner.receive(queue, most, wait).await
    }

    async fn delete(&self, queue: Queue, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        let deleted = self.inner.delete(queue, receipts).await;
        self.effects.happened().await;
        deleted
    }
}

#[async_trait]
impl<T: Defer> Defer for Watched<T> {
    async fn defer(
        &self,
        queue: Queue,
        leases: Vec<(Receipt, SignedDuration)>,
    ) -> Result<(), QueueError> {
        let deferred = self.inner.defer(queue, leases).await;
        self.effects.happened().await;
        deferred
    }
}

#[async_trait]
impl<T: Transport> Transport for Watched<T> {
    async fn post(&self, request: Request) -> Outcome {
        let outcome = self.inner.post(request).await;
        self.effects.happened().await;
        outcome
    }
}

#[async_trait]
impl<T: Caller> Caller for Watched<T> {
    async fn call(&self, call: Call) -> Result<Answer, Failure> {
        let answer = self.inner.call(call).await;
        self.effects.happened().await;
        answer
    }
}

/// An HTTP client for the SDK whose writes are counted as effects.
#[must_use]
pub fn watched_http(inner: SharedHttpClient, effects: Arc<Effects>) -> SharedHttpClient {
    http_client_fn(move |settings, components| {
        let connector = inner.http_connector(settings, components);
        SharedHttpConnector::new(WatchedConnector {
            connector,
            effects: effects.clone(),
        })
    })
}

#[derive(Debug)]
struct WatchedConnector {
    connector: SharedHttpConnector,
    effects: Arc<Effects>,
}

impl HttpConnector for WatchedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = operation.rsplit('.').next().unwrap_or_default();
        let writes = [
            "PutItem",
            "UpdateItem",
            "DeleteItem",
            "TransactWriteItems",
            "BatchWriteItem",
            "BatchExecuteStatement",
        ];
        if !operation.is_empty() && self.effects.table_out.load(Ordering::SeqCst) {
            // Not a failure to connect, which the SDK would wait out in real time.
            let down = ConnectorError::user("out of order".into());
            return HttpConnectorFuture::ready(Err(down));
        }
        let is_write = writes.contains(&operation);
        let (call, effects) = (self.connector.call(request), self.effects.clone());
        HttpConnectorFuture::new(async move {
            let answer = call.await;
            if is_write {
                effects.happened().await;
            }
            answer
        })
    }
}
