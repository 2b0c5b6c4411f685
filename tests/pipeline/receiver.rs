//! The receiver to copy at the far end of the whole path: what Payrelay delivers reaches the account once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ::receiver::account::{Account, Answer};
use ::receiver::aws::DynamoMemory;
use ::receiver::event::{Event as Told, Secrets};
use ::receiver::handler::{Door, router};
use ::receiver::inprocess::{InProcessQueue, LINE, queues};
use ::receiver::ports::Memory;
use ::receiver::worker::Worker;
use async_trait::async_trait;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use axum::Router;
use axum::body::{Body, to_bytes};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::delivery::{Outcome, Request};
use shared::event::Role;
use shared::event::grant::Revoked;
use shared::event::incoming_payment::{IncomingPayment, PartialPaymentReceived};
use shared::event::liquidity::Liquidity;
use shared::event::outgoing_payment::OutgoingPayment;
use shared::event::wallet_address::{NotFound, WebMonetization};
use shared::ids::{EventId, TenantId};
use shared::queue::memory::MemoryQueues;
use shared::queue::task::{PublishTask, send};
use shared::queue::{Lease, Task};
use shared::secret::Secret;
use shared::time::{Clock, later};
use shared::transport::Transport;
use tests::scene::{SHOP_SECRET, Scene};
use tests::stories::{TENANT, event};
use tower::ServiceExt;

use crate::text;

const SECRET: &str = "the-secret-of-this-ase";
const REMEMBER: SignedDuration = SignedDuration::from_hours(4 * 24);

/// Posts to a door in this process, which is there once the scene has a clock.
#[derive(Default)]
struct Posted(OnceLock<Router>);

#[async_trait]
impl Transport for Posted {
    async fn post(&self, request: Request) -> Outcome {
        let door = self.0.get().expect("it was set before anything is sent");
        let mut posted = http::Request::post(request.url).body(Body::from(request.body));
        if let Ok(posted) = &mut posted {
            *posted.headers_mut() = request.headers;
        }
        let posted = posted.expect("its URL was registered");
        let answer = door.clone().oneshot(posted).await;
        let (parts, body) = answer.expect("it never fails").into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        Outcome::Answered {
            status: parts.status.as_u16(),
            retry_after: None,
            excerpt: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// Keeps what it credits.
#[derive(Default)]
struct Ledger(Mutex<Vec<(EventId, u64)>>);

impl Ledger {
    fn credits(&self) -> Vec<(EventId, u64)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

macro_rules! nothing_to_do {
    ($($method:ident: $data:ty),*) => {
        #[async_trait]
        impl Account for Ledger {
            async fn incoming_payment_completed(&self, id: &EventId, payment: &IncomingPayment) -> Answer {
                let credit = (id.clone(), payment.received_amount.value.0);
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push(credit);
                Ok(())
            }

            $(async fn $method(&self, _: &EventId, _: &$data) -> Answer {
                Err("not asked for".into())
            })*

            async fn other(&self, event: &Told) -> Answer {
                Err(format!("nobody sends {} here", event.event_type).into())
            }
        }
    };
}

nothing_to_do!(
    incoming_payment_created: IncomingPayment,
    incoming_payment_expired: IncomingPayment,
    partial_payment_received: PartialPaymentReceived,
    outgoing_payment_created: OutgoingPayment,
    outgoing_payment_completed: OutgoingPayment,
    outgoing_payment_failed: OutgoingPayment,
    outgoing_payment_funded: OutgoingPayment,
    outgoing_payment_cancelled: OutgoingPayment,
    wallet_address_not_found: NotFound,
    web_monetization: WebMonetization,
    asset_liquidity_low: Liquidity,
    asset_liquidity_high: Liquidity,
    peer_liquidity_low: Liquidity,
    peer_liquidity_high: Liquidity,
    grant_revoked: Revoked
);

/// Payrelay, and an ASE behind it with an endpoint of each scheme.
struct Both {
    scene: Scene,
    queues: MemoryQueues,
    memory: Arc<DynamoMemory>,
    ledger: Arc<Ledger>,
    worker: Worker,
}

impl Both {
    async fn start() -> anyhow::Result<Self> {
        let posted = Arc::new(Posted::default());
        let scene = Scene::with_transport(posted.clone()).await?;
        let clock: Arc<dyn Clock> = scene.clock.clone();
        let queues = queues(clock.clone());
        let queue = Arc::new(InProcessQueue(Arc::new(queues.clone())));
        let secrets = Secrets {
            rafiki: vec![Secret::new(SECRET)],
            standard: vec![Secret::new(SHOP_SECRET)],
        };
        let door = Door {
            secrets: Arc::new(secrets),
            queue: queue.clone(),
            clock: clock.clone(),
        };
        assert!(posted.0.set(router(door)).is_ok());
        let memory = Arc::new(DynamoMemory::new(scene.table(), handled(&scene).await?));
        let ledger = Arc::new(Ledger::default());
        let worker = Worker {
            account: ledger.clone(),
            memory: memory.clone(),
            queue,
            remember: REMEMBER,
            clock,
        };
        for (scheme, secret) in [("rafiki", SECRET), ("standard-webhooks", SHOP_SECRET)] {
            let url = format!("https://ase.example/{scheme}");
            let settings =
                json!({ "url": url, "role": "ase", "scheme": scheme, "secrets": [secret] });
            scene.put_endpoint(scheme, settings).await?;
        }
        Ok(Self {
            scene,
            queues,
            memory,
            ledger,
            worker,
        })
    }

    /// Tells of a completed payment; answers the event's id.
    async fn tell(&self, number: usize) -> anyhow::Result<EventId> {
        let completed = event(number, self.scene.clock.now())?;
        let id = completed.id.clone();
        let task = PublishTask {
            tenant: TenantId::parse(TENANT)?,
            event: completed,
            roles: Some(BTreeSet::from([Role::Ase])),
            guard: None,
        };
        send(&self.scene.queues, [Task::Publish(task)]).await?;
        self.scene.settle().await?;
        Ok(id)
    }

    /// Handles what is on the receiver's queue; answers how many messages there were.
    async fn work(&self) -> anyhow::Result<usize> {
        let received = self.queues.receive(LINE, 10, SignedDuration::ZERO).await?;
        let again = self.worker.run(received.clone()).await;
        assert_eq!(again, Vec::<String>::new());
        let receipts: Vec<_> = received.into_iter().map(|it| it.receipt).collect();
        let handled = receipts.len();
        self.queues.delete(LINE, receipts).await?;
        Ok(handled)
    }
}

/// The table of `infra/receiver.yaml`.
async fn handled(scene: &Scene) -> anyhow::Result<&'static str> {
    let attribute = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S)
        .build()?;
    let key = KeySchemaElement::builder()
        .attribute_name("id")
        .key_type(KeyType::Hash)
        .build()?;
    let request = scene.table().create_table().table_name("handled");
    request
        .attribute_definitions(attribute)
        .key_schema(key)
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await?;
    Ok("handled")
}

#[tokio::test]
async fn a_payment_that_arrives_by_both_schemes_is_credited_once() -> anyhow::Result<()> {
    let both = Both::start().await?;
    let id = both.tell(1).await?;
    assert_eq!(both.memory.handled(&id).await?, None);
    // The queue takes an id once within five minutes.
    assert_eq!(both.work().await?, 1);
    assert_eq!(both.ledger.credits(), [(id.clone(), 1000)]);
    let until = later(both.scene.clock.now(), REMEMBER);
    assert_eq!(both.memory.handled(&id).await?, Some(until));

    let events = both.scene.events().await?;
    let states: Vec<_> = events
        .iter()
        .flat_map(|event| crate::list(event, "/deliveries"))
        .map(|delivery| text(delivery, "/state"))
        .collect();
    assert_eq!(states, ["delivered", "delivered"]);
    Ok(())
}

#[tokio::test]
async fn a_replay_after_a_day_is_answered_and_dropped() -> anyhow::Result<()> {
    let both = Both::start().await?;
    let id = both.tell(1).await?;
    both.work().await?;
    both.scene.clock.advance(SignedDuration::from_hours(24));
    let id = id.as_str();
    let path = format!("/v1/tenants/{TENANT}/events/{id}/deliveries/rafiki/replay");
    both.scene.operator("POST", &path, Value::Null).await?;
    both.scene.settle().await?;
    assert_eq!(both.work().await?, 1, "the door took it");
    assert_eq!(both.ledger.credits().len(), 1);
    Ok(())
}
