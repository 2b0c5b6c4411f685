//! A console on an embedded table and queues in this process, and how it is called.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use console::handler::{Console, router};
use dynoxide::Database;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::aws::{Account, Clients, http_client};
use shared::delivery::{Delivery, DeliveryKey, Outcome, State, Try, Vetting};
use shared::entropy::SystemEntropy;
use shared::event::{Chosen, Event, EventType, Json, Recipients, Role, Source};
use shared::ids::{EndpointId, EventId, Round, TenantId};
use shared::queue::memory::MemoryQueues;
use shared::queue::{Lease, Queue};
use shared::secret::{Keyring, Secret, key_hash};
use shared::store::dynamo::{DynamoStore, create_table};
use shared::store::{Deliveries, Events};
use shared::time::ManualClock;
use tokio::net::TcpListener;
use tower::ServiceExt;

/// The operator's key.
pub(crate) const OPERATOR: &str = "the-operators-key";

/// When the tests begin.
pub(crate) const START: &str = "2026-11-22T09:00:00.000Z";

/// A console and what it stands on.
pub(crate) struct World {
    api: Router,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) queues: MemoryQueues,
    pub(crate) store: DynamoStore,
    client: Client,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) raw: String,
}

impl Answer {
    /// The value at a JSON pointer; `null` where there is none.
    pub(crate) fn at(&self, pointer: &str) -> Value {
        self.body.pointer(pointer).cloned().unwrap_or_default()
    }

    /// The text at a JSON pointer; empty where there is none.
    pub(crate) fn text(&self, pointer: &str) -> String {
        self.at(pointer).as_str().unwrap_or_default().to_owned()
    }

    /// Status and detail of a problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        assert_eq!(self.at("/status"), self.status, "{self:?}");
        (self.status, self.text("/detail"))
    }

    pub(crate) fn header(&self, name: &str) -> String {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|console| console).await
    }

    /// A world whose console was changed by `change`.
    pub(crate) async fn with(change: impl FnOnce(Console) -> Console) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let database = Database::memory().expect("the embedded engine opens");
        tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener,
            database,
            std::future::pending(),
        ));
        let client = Clients::over(Account::local(endpoint), http_client()).dynamodb();
        create_table(&client, "payrelay")
            .await
            .expect("the table is made");

        let keyring = Keyring::parse("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
            .expect("a valid setting");
        let retention = SignedDuration::from_hours(30 * 24);
        let store = DynamoStore::new(
            client.clone(),
            "payrelay",
            Arc::new(keyring),
            Arc::new(SystemEntropy),
            retention,
        );
        let clock = Arc::new(ManualClock::new(START.parse().expect("a time")));
        let queues = MemoryQueues::new(clock.clone());
        let port = Arc::new(store.clone());
        let console = Console {
            tenants: port.clone(),
            keys: port.clone(),
            credentials: port.clone(),
            endpoints: port.clone(),
            breakers: port.clone(),
            accounts: port.clone(),
            publishers: port.clone(),
            anchors: port.clone(),
            anchor_admin: port.clone(),
            lines: port.clone(),
            events: port.clone(),
            deliveries: port.clone(),
            intents: port.clone(),
            intent_list: port.clone(),
            quarantine: port,
            queues: Arc::new(queues.clone()),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            vetting: Vetting::default(),
            operator_key_hash: key_hash(&Secret::new(OPERATOR)),
        };
        Self {
            api: router(change(console)),
            clock,
            queues,
            store,
            client,
        }
    }

    /// Sends a request as it is.
    /// The world with a store that seals with a key that its console doesn't have.
    pub(crate) fn sealing_otherwise(mut self) -> Self {
        let keyring = Keyring::parse("k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
        self.store = DynamoStore::new(
            self.client.clone(),
            "payrelay",
            Arc::new(keyring.expect("a valid setting")),
            Arc::new(SystemEntropy),
            SignedDuration::from_hours(24),
        );
        self
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self
            .api
            .clone()
            .oneshot(request)
            .await
            .expect("a router always answers");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("the body is whole");
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            raw: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// Sends a request with `key`, and a JSON body if it is not `null`.
    pub(crate) async fn call(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"));
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
        };
        self.send(request.expect("a valid request")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(OPERATOR, "GET", path, Value::Null).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(OPERATOR, "PUT", path, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(OPERATOR, "POST", path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(OPERATOR, "DELETE", path, Value::Null).await
    }

    /// Makes a tenant and a key of it.
    pub(crate) async fn tenant(&self, id: &str) -> String {
        let made = self
            .put(&format!("/v1/tenants/{id}"), serde_json::json!({}))
            .await;
        assert_eq!(made.status, 201, "{made:?}");
        let key = self
            .post(&format!("/v1/tenants/{id}/keys"), serde_json::json!({}))
            .await;
        assert_eq!(key.status, 201, "{key:?}");
        key.text("/key")
    }

    /// Moves the clock on by so many seconds.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    pub(crate) fn now(&self) -> Timestamp {
        use shared::time::Clock as _;
        self.clock.now()
    }

    /// Records an event that goes to these endpoints of the tenant's merchant.
    pub(crate) async fn record(&self, tenant: &str, id: &str, endpoints: &[&str]) -> Event {
        let chosen = Chosen::Endpoints(endpoints.iter().map(|id| endpoint_id(id)).collect());
        self.record_for(
            tenant,
            event(id),
            Recipients::Chosen(BTreeMap::from([(Role::Merchant, chosen)])),
        )
        .await
    }

    pub(crate) async fn record_for(
        &self,
        tenant: &str,
        event: Event,
        recipients: Recipients,
    ) -> Event {
        let recorded = self
            .store
            .record(&tenant_id(tenant), &event, &recipients, self.now())
            .await;
        let _new = recorded.expect("the table takes it");
        event
    }

    /// Keeps a delivery with one try for each of `statuses`, which left it in `state`.
    pub(crate) async fn tried(&self, key: DeliveryKey, statuses: &[u16], state: State) {
        let tries = statuses
            .iter()
            .map(|status| Try::new(self.now(), self.now(), &Outcome::answered(*status)));
        let delivery = Delivery {
            state,
            tries: tries.collect(),
            ..Delivery::new(key, None)
        };
        let _saved = self
            .store
            .save_delivery(&delivery, None, self.now())
            .await
            .expect("the table takes it");
    }

    /// Takes what is on a queue.
    pub(crate) async fn taken(&self, queue: Queue) -> Vec<String> {
        let received = self
            .queues
            .receive(queue, 10, SignedDuration::ZERO)
            .await
            .expect("there is such a queue");
        received.into_iter().map(|message| message.body).collect()
    }

    /// Everything in the table, as the SDK prints it.
    pub(crate) async fn dump(&self) -> String {
        let scanned = self
            .client
            .scan()
            .table_name("payrelay")
            .send()
            .await
            .expect("the table answers");
        let mut items: Vec<_> = scanned.items().iter().map(sorted).collect();
        items.sort();
        items.join("\n")
    }
}

fn sorted<K: Ord + std::fmt::Debug, V: std::fmt::Debug>(
    item: &std::collections::HashMap<K, V>,
) -> String {
    format!("{:?}", item.iter().collect::<BTreeMap<_, _>>())
}

pub(crate) fn tenant_id(id: &str) -> TenantId {
    TenantId::parse(id).expect("a valid id")
}

pub(crate) fn endpoint_id(id: &str) -> EndpointId {
    EndpointId::parse(id).expect("a valid id")
}

/// An event of its own type, about `in_1`.
pub(crate) fn event(id: &str) -> Event {
    Event {
        id: EventId::parse(id).expect("a valid id"),
        event_type: EventType::parse("recovery.payment_failed").expect("a valid type"),
        data: Json::parse(r#"{ "amount": 2500, "rate": 1.50 }"#.into()).expect("valid JSON"),
        at: START.parse().expect("a time"),
        source: Source::new("stripe"),
        resource: Some("in_1".to_owned()),
    }
}

pub(crate) fn delivery_key(tenant: &str, event: &str, endpoint: &str, round: u32) -> DeliveryKey {
    DeliveryKey {
        tenant: tenant_id(tenant),
        event: EventId::parse(event).expect("a valid id"),
        endpoint: endpoint_id(endpoint),
        round: Round::new(round).expect("rounds count from 1"),
    }
}
