//! Both parts wired in one process, deliveries as the sender signs them, and an account that keeps what it was told.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use futures::FutureExt;
use http::{HeaderMap, Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use receiver::account::{Account, Answer as Done};
use receiver::event::{Event, Secrets};
use receiver::handler::{Door, router};
use receiver::inprocess::{InProcessMemory, InProcessQueue, LINE, queues};
use receiver::ports::{Memory, Queue};
use receiver::worker::Worker;
use shared::event::grant::Revoked;
use shared::event::incoming_payment::{IncomingPayment, PartialPaymentReceived};
use shared::event::liquidity::Liquidity;
use shared::event::outgoing_payment::OutgoingPayment;
use shared::event::wallet_address::{NotFound, WebMonetization};
use shared::ids::EventId;
use shared::queue::memory::MemoryQueues;
use shared::queue::{Lease, Received};
use shared::secret::Secret;
use shared::signature::{rafiki, standard};
use shared::time::{Clock, ManualClock};
use tower::ServiceExt;

pub(crate) const RAFIKI: &str = "rafiki-test-secret";
pub(crate) const RAFIKI_OLD: &str = "rafiki-old-secret";
pub(crate) const WHSEC: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const WHSK: &str =
    "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";
pub(crate) const WHPK: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

/// As long as the least that the settings take.
pub(crate) const REMEMBER: SignedDuration = SignedDuration::from_hours(4 * 24);

/// What methods were called with, and what the next ones answer.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Each call: the method, or the type for those without one, and the event's id.
    pub(crate) calls: Mutex<Vec<(String, String)>>,
    /// So many calls fail before one succeeds.
    pub(crate) failures: Mutex<u32>,
    /// Whether failing is panicking.
    pub(crate) panics: bool,
}

impl Told {
    pub(crate) fn calls(&self) -> Vec<(String, String)> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn call(&self, method: &str, id: &str) -> Done {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((method.to_owned(), id.to_owned()));
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if *failures == 0 {
            return Ok(());
        }
        *failures -= 1;
        drop(failures);
        assert!(!self.panics, "as asked");
        Err("as asked".into())
    }
}

#[async_trait]
impl Account for Told {
    async fn incoming_payment_created(&self, id: &EventId, _: &IncomingPayment) -> Done {
        self.call("incoming_payment_created", id.as_str())
    }

    async fn incoming_payment_completed(&self, id: &EventId, _: &IncomingPayment) -> Done {
        self.call("incoming_payment_completed", id.as_str())
    }

    async fn incoming_payment_expired(&self, id: &EventId, _: &IncomingPayment) -> Done {
        self.call("incoming_payment_expired", id.as_str())
    }

    async fn partial_payment_received(&self, id: &EventId, _: &PartialPaymentReceived) -> Done {
        self.call("partial_payment_received", id.as_str())
    }

    async fn outgoing_payment_created(&self, id: &EventId, _: &OutgoingPayment) -> Done {
        self.call("outgoing_payment_created", id.as_str())
    }

    async fn outgoing_payment_completed(&self, id: &EventId, _: &OutgoingPayment) -> Done {
        self.call("outgoing_payment_completed", id.as_str())
    }

    async fn outgoing_payment_failed(&self, id: &EventId, _: &OutgoingPayment) -> Done {
        self.call("outgoing_payment_failed", id.as_str())
    }

    async fn outgoing_payment_funded(&self, id: &EventId, _: &OutgoingPayment) -> Done {
        self.call("outgoing_payment_funded", id.as_str())
    }

    async fn outgoing_payment_cancelled(&self, id: &EventId, _: &OutgoingPayment) -> Done {
        self.call("outgoing_payment_cancelled", id.as_str())
    }

    async fn wallet_address_not_found(&self, id: &EventId, _: &NotFound) -> Done {
        self.call("wallet_address_not_found", id.as_str())
    }

    async fn web_monetization(&self, id: &EventId, _: &WebMonetization) -> Done {
        self.call("web_monetization", id.as_str())
    }

    async fn asset_liquidity_low(&self, id: &EventId, _: &Liquidity) -> Done {
        self.call("asset_liquidity_low", id.as_str())
    }

    async fn asset_liquidity_high(&self, id: &EventId, _: &Liquidity) -> Done {
        self.call("asset_liquidity_high", id.as_str())
    }

    async fn peer_liquidity_low(&self, id: &EventId, _: &Liquidity) -> Done {
        self.call("peer_liquidity_low", id.as_str())
    }

    async fn peer_liquidity_high(&self, id: &EventId, _: &Liquidity) -> Done {
        self.call("peer_liquidity_high", id.as_str())
    }

    async fn grant_revoked(&self, id: &EventId, _: &Revoked) -> Done {
        self.call("grant_revoked", id.as_str())
    }

    async fn other(&self, event: &Event) -> Done {
        self.call(event.event_type.as_str(), event.id.as_str())
    }
}

/// A delivery as it goes over the wire.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) method: &'static str,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Delivery {
    pub(crate) fn unsigned(body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST",
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        let value = value.parse().expect("printable");
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn rafiki(body: &str, secret: &str, at: Timestamp) -> Self {
        let signature = rafiki::sign(&[&Secret::new(secret)], at, body.as_bytes());
        Self::unsigned(body).with(rafiki::HEADER, &signature.expect("it is JSON"))
    }

    pub(crate) fn standard(id: &str, body: &str, secret: &str, at: Timestamp) -> Self {
        let key = standard::SigningKey::parse(&Secret::new(secret)).expect("a valid secret");
        let signature = standard::sign(&[key], id, at, body.as_bytes());
        Self::unsigned(body)
            .with(standard::ID_HEADER, id)
            .with(standard::TIMESTAMP_HEADER, &at.as_second().to_string())
            .with(standard::SIGNATURE_HEADER, &signature)
    }
}

/// What the door answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Both parts on one queue and one memory.
pub(crate) struct Receiver {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) queues: MemoryQueues,
    pub(crate) told: Arc<Told>,
    door: Door,
    worker: Worker,
}

impl Receiver {
    pub(crate) fn new(told: Told) -> Self {
        Self::over(told, |queue, memory, account| (queue, memory, account))
    }

    /// With ports that `wrap` puts something around.
    pub(crate) fn over(
        told: Told,
        wrap: impl FnOnce(
            Arc<dyn Queue>,
            Arc<dyn Memory>,
            Arc<dyn Account>,
        ) -> (Arc<dyn Queue>, Arc<dyn Memory>, Arc<dyn Account>),
    ) -> Self {
        let now = "2026-08-17T12:00:00Z".parse().expect("a time");
        let clock = Arc::new(ManualClock::new(now));
        let queues = queues(clock.clone());
        let told = Arc::new(told);
        let (queue, memory, account) = wrap(
            Arc::new(InProcessQueue(Arc::new(queues.clone()))),
            Arc::new(InProcessMemory::default()),
            told.clone(),
        );
        let secrets = Secrets {
            rafiki: vec![Secret::new(RAFIKI), Secret::new(RAFIKI_OLD)],
            standard: vec![Secret::new(WHSEC), Secret::new(WHPK)],
        };
        let door = Door {
            secrets: Arc::new(secrets),
            queue: queue.clone(),
            clock: clock.clone(),
        };
        let worker = Worker {
            account,
            memory,
            queue,
            remember: REMEMBER,
            clock: clock.clone(),
        };
        Self {
            clock,
            queues,
            told,
            door,
            worker,
        }
    }

    /// What the door answers; `None` if it died over it.
    pub(crate) fn post(&self, delivery: &Delivery) -> Option<Answer> {
        let mut request = Request::builder()
            .method(delivery.method)
            .uri("/hooks/rafiki")
            .body(Body::from(delivery.body.clone()))
            .expect("a request");
        *request.headers_mut() = delivery.headers.clone();
        let answer = async {
            let answer = router(self.door.clone()).oneshot(request).await;
            let (parts, body) = answer.expect("it never fails").into_parts();
            let body = to_bytes(body, usize::MAX).await.expect("it is all there");
            Answer {
                status: parts.status,
                headers: parts.headers,
                body: String::from_utf8_lossy(&body).into_owned(),
            }
        };
        // Nothing here waits for anything, so what is not ready at once never will be.
        answer.now_or_never()
    }

    /// One invocation of the worker with what the queue hands out; `None` if it died over it.
    pub(crate) fn work(&self) -> Option<Worked> {
        let received = self
            .queues
            .receive(LINE, 10, SignedDuration::ZERO)
            .now_or_never()?
            .expect("it is there");
        let again = self.worker.run(received.clone()).now_or_never()?;
        let done = |message: &&Received| !again.contains(&message.id);
        let receipts: Vec<_> = received
            .iter()
            .filter(done)
            .map(|message| message.receipt.clone())
            .collect();
        let worked = Worked {
            received: received.len(),
            done: receipts.len(),
        };
        self.queues
            .delete(LINE, receipts)
            .now_or_never()?
            .expect("it is there");
        Some(worked)
    }

    /// The body of the one message on the queue.
    pub(crate) fn queued(&self) -> String {
        let received = self
            .queues
            .receive(LINE, 10, SignedDuration::ZERO)
            .now_or_never();
        let received = received.and_then(Result::ok).expect("it is there");
        let bodies: Vec<_> = received.into_iter().map(|message| message.body).collect();
        bodies.concat()
    }

    /// The same, and the process dies before the messages are let go of.
    pub(crate) fn work_and_die_before_letting_go(&self) {
        let received = self
            .queues
            .receive(LINE, 10, SignedDuration::ZERO)
            .now_or_never();
        let received = received.and_then(Result::ok).expect("it is there");
        let again = self.worker.run(received).now_or_never();
        assert_eq!(again, Some(vec![]));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// What an invocation of the worker did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Worked {
    pub(crate) received: usize,
    pub(crate) done: usize,
}

/// Vector A of the scheme's own tests, with another id.
pub(crate) fn not_found(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","type":"wallet_address.not_found","data":{{"walletAddressUrl":"https://wallet.example.com/carla_garcia"}}}}"#
    )
}
