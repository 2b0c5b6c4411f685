//! A whole Payrelay on a driven clock: the `World` of `cargo local` with one tenant, one merchant endpoint and one
//! Stripe account, and the means to post, wait, die and look.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::Body;
use data_encoding::BASE64;
use http::{Request as HttpRequest, StatusCode};
use jiff::{SignedDuration, Timestamp};
use local::embedded::{Embedded, TABLE};
use local::world::{Parts, World};
use serde_json::{Value, json};
use shared::aws::{Account, Clients, http_client};
use shared::delivery::{Failure, Vetting};
use shared::entropy::SeededEntropy;
use shared::ids::{EndpointId, TenantId};
use shared::platform::BillingAccount;
use shared::queue::Queue;
use shared::queue::memory::MemoryQueues;
use shared::secret::{Keyring, Secret, key_hash};
use shared::signature::stripe;
use shared::store::dynamo::{DynamoStore, create_table};
use shared::store::{Accounts, Claimed, EndpointAdmin, Put};
use shared::time::{Clock, ManualClock, later};
use shared::transport::scripted::{Scripted, ScriptedApi};
use shared::transport::{Answer as Called, Call, Caller, Transport};
use tower::ServiceExt;

use crate::bill::{Billed, Till, Usage};
use crate::effects::{Effects, Watched, watched_http};
use crate::faults::Faults;
use crate::meter::Meter;
use crate::stories::{STRIPE_SECRET, TENANT, account};

/// The operator's key.
const OPERATOR: &str = "prk_the_operator_of_the_scene";
/// The secret of the endpoint `shop`: bytes 00 to 1f.
pub const SHOP_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Where the endpoint `shop` is.
pub const SHOP_URL: &str = "https://shop.example/hook";
/// The short form of the door's path.
pub const DOOR: &str = "/v2/webhooks/revenue_recovery/pro_1/mca_1";
/// What Chargebee proves itself with.
const CHARGEBEE_PAIR: (&str, &str) = ("payrelay", "m3hT0vq7Zs9LxR2cKp5wBn8d");
/// When every scene begins: the time of the fixtures, nearly.
pub const BEGIN: i64 = 1_735_689_700;

/// What a door or the operator API answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What is outside: receivers of deliveries, and the billing platforms.
#[derive(Clone)]
struct Outside {
    transport: Arc<dyn Transport>,
    platforms: Arc<dyn Caller>,
}

/// The scene.
pub struct Scene {
    /// The clock everything goes by.
    pub clock: Arc<ManualClock>,
    /// The far side, where it is played.
    pub far: Arc<Scripted>,
    /// The billing platforms' APIs, where they are played.
    pub api_calls: Arc<ScriptedApi>,
    /// The queues.
    pub queues: MemoryQueues,
    /// The effects, to count them or to die after one.
    pub effects: Arc<Effects>,
    /// What the network does to requests to the table.
    pub faults: Faults,
    /// What AWS would bill for queues and doors.
    pub till: Till,
    meter: Meter,
    outside: Outside,
    embedded: Embedded,
    world: World,
    api: Router,
}

impl Scene {
    /// A scene whose far side is played.
    ///
    /// # Errors
    /// If the embedded table does not start.
    pub async fn start() -> Result<Self> {
        let (far, platforms) = (Arc::new(Scripted::default()), Arc::default());
        Self::with(far.clone(), far, platforms, None).await
    }

    /// A scene with another far side.
    ///
    /// # Errors
    /// If the embedded table does not start.
    pub async fn with_transport(transport: Arc<dyn Transport>) -> Result<Self> {
        Self::with(Arc::default(), transport, Arc::default(), None).await
    }

    /// A scene whose billing platforms are called by `caller`.
    ///
    /// # Errors
    /// If the embedded table does not start.
    pub async fn with_platforms(caller: Arc<dyn Caller>) -> Result<Self> {
        let far = Arc::new(Scripted::default());
        Self::with(far.clone(), far, Arc::default(), Some(caller)).await
    }

    async fn with(
        far: Arc<Scripted>,
        transport: Arc<dyn Transport>,
        platforms: Arc<ScriptedApi>,
        caller: Option<Arc<dyn Caller>>,
    ) -> Result<Self> {
        let outside = Outside {
            transport,
            platforms: caller.unwrap_or_else(|| platforms.clone()),
        };
        let embedded = Embedded::in_memory().await?;
        create_table(&embedded.client(), TABLE).await?;
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(BEGIN)?));
        let queues = MemoryQueues::new(clock.clone());
        let (effects, faults) = (Arc::new(Effects::default()), Faults::default());
        let (till, meter) = (Till::default(), Meter::default());
        let world = world(
            &embedded.account(),
            &clock,
            &queues,
            (&effects, &faults),
            (&till, &meter),
            &outside,
        )?;
        let api = world.api();
        let scene = Self {
            clock,
            far,
            api_calls: platforms,
            queues,
            effects,
            faults,
            till,
            meter,
            outside,
            embedded,
            world,
            api,
        };
        scene
            .operator("PUT", &format!("/v1/tenants/{TENANT}"), json!({}))
            .await?;
        scene
            .put_endpoint("shop", json!({ "url": SHOP_URL, "secrets": [SHOP_SECRET] }))
            .await?;
        let account = json!({ "platform": "stripe", "webhook_secrets": [STRIPE_SECRET] });
        scene
            .operator(
                "PUT",
                &format!("/v1/tenants/{TENANT}/billing-accounts/pro_1/mca_1"),
                account,
            )
            .await?;
        Ok(scene)
    }

    /// The process starts anew: caches and everything in hand are gone, table and queues are as they were.
    ///
    /// # Errors
    /// If the world can't be wired.
    pub fn restart(&mut self) -> Result<()> {
        self.effects.restart();
        let account = self.embedded.account();
        self.world = world(
            &account,
            &self.clock,
            &self.queues,
            (&self.effects, &self.faults),
            (&self.till, &self.meter),
            &self.outside,
        )?;
        self.api = self.world.api();
        Ok(())
    }

    /// Sends any request to the one port.
    ///
    /// # Errors
    /// If the request can't be made.
    pub async fn send(&self, request: HttpRequest<Body>) -> Result<Answer> {
        let (parts, body) = self.api.clone().oneshot(request).await?.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await?;
        let body = String::from_utf8(body.to_vec())?;
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    /// Calls the operator API and expects success.
    ///
    /// # Errors
    /// If it was none; the problem document is in the text.
    pub async fn operator(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        let answer = self.call(method, path, body).await?;
        ensure!(
            answer.status.is_success(),
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        Ok(answer.json())
    }

    /// Calls the operator API.
    ///
    /// # Errors
    /// If the request can't be made.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Result<Answer> {
        let request = HttpRequest::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {OPERATOR}"));
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        self.send(
            request
                .header("content-type", "application/json")
                .body(body)?,
        )
        .await
    }

    /// Makes or replaces a merchant endpoint of the tenant; `settings` overrides the usual ones.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn put_endpoint(&self, id: &str, settings: Value) -> Result<Value> {
        let mut body = json!({ "role": "merchant", "scheme": "standard-webhooks" });
        if let (Some(body), Some(settings)) = (body.as_object_mut(), settings.as_object()) {
            body.extend(settings.clone());
        }
        self.operator("PUT", &format!("/v1/tenants/{TENANT}/endpoints/{id}"), body)
            .await
    }

    /// Posts a Stripe webhook, signed now.
    ///
    /// # Errors
    /// If the request can't be made.
    pub async fn webhook(&self, body: &str) -> Result<Answer> {
        let signature = stripe::sign(
            &Secret::new(STRIPE_SECRET),
            self.clock.now(),
            body.as_bytes(),
        );
        let request = HttpRequest::builder()
            .method("POST")
            .uri(DOOR)
            .header("content-type", "application/json");
        let request = request.header(
            stripe::HEADER,
            signature.context("the secret is not empty")?,
        );
        self.send(request.body(Body::from(body.to_owned()))?).await
    }

    /// Has the tenant bill by Chargebee too, on these terms.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn put_chargebee(&self, terms: Value) -> Result<Value> {
        let (user, password) = CHARGEBEE_PAIR;
        let mut body = json!({
            "platform": "chargebee",
            "basic": [{ "user": user, "password": password }],
        });
        if let (Some(body), Some(terms)) = (body.as_object_mut(), terms.as_object()) {
            body.extend(terms.clone());
        }
        let path = format!("/v1/tenants/{TENANT}/billing-accounts/pro_1/mca_chargebee");
        self.operator("PUT", &path, body).await
    }

    /// Posts a Chargebee webhook for the account of [`Scene::put_chargebee`].
    ///
    /// # Errors
    /// If the request can't be made.
    pub async fn chargebee(&self, body: &str) -> Result<Answer> {
        let (user, password) = CHARGEBEE_PAIR;
        let pair = BASE64.encode(format!("{user}:{password}").as_bytes());
        let request = HttpRequest::builder()
            .method("POST")
            .uri("/v2/webhooks/revenue_recovery/pro_1/mca_chargebee")
            .header("content-type", "application/json")
            .header("authorization", format!("Basic {pair}"));
        self.send(request.body(Body::from(body.to_owned()))?).await
    }

    /// Handles messages until none shows at this moment.
    ///
    /// # Errors
    /// If a queue fails.
    pub async fn settle(&self) -> Result<()> {
        while self.world.step().await > 0 {}
        Ok(())
    }

    /// One round of every worker.
    ///
    /// # Errors
    /// If a queue fails.
    pub async fn step(&self) -> Result<usize> {
        Ok(self.world.step().await)
    }

    /// One round of every worker but that of `idle`.
    ///
    /// # Errors
    /// If a queue fails.
    pub async fn step_without(&self, idle: Queue) -> Result<()> {
        for queue in Queue::ALL.into_iter().filter(|queue| *queue != idle) {
            let messages = self.world.receive(queue, SignedDuration::ZERO).await?;
            self.world.handle(queue, messages).await;
        }
        Ok(())
    }

    /// Runs one sweep.
    ///
    /// # Errors
    /// If the table or a queue fails.
    pub async fn sweep(&self) -> Result<()> {
        self.world.sweep().await?;
        Ok(())
    }

    /// Lets time pass: every message is handled at the moment it shows, and the sweep runs each minute.
    ///
    /// # Errors
    /// If a queue or the table fails.
    pub async fn pass(&self, time: SignedDuration) -> Result<()> {
        let end = later(self.clock.now(), time);
        let mut minute = later(self.clock.now(), SignedDuration::from_mins(1));
        self.settle().await?;
        loop {
            let shows = Queue::ALL
                .into_iter()
                .filter_map(|queue| self.queues.next_visible(queue))
                .min();
            let next = shows.unwrap_or(end).min(minute).min(end);
            self.clock.advance_to(next);
            if next == minute {
                self.sweep().await?;
                minute = later(minute, SignedDuration::from_mins(1));
            }
            self.settle().await?;
            if next >= end {
                return Ok(());
            }
        }
    }

    /// The tenant's events as the API lists them, oldest first, each with its deliveries.
    ///
    /// # Errors
    /// If the API refuses.
    pub async fn events(&self) -> Result<Vec<Value>> {
        let list = self
            .operator(
                "GET",
                &format!("/v1/tenants/{TENANT}/events?limit=100"),
                Value::Null,
            )
            .await?;
        let mut events = Vec::new();
        for event in list
            .get("data")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .rev()
        {
            let id = event
                .get("id")
                .and_then(Value::as_str)
                .context("an event has an id")?;
            events.push(
                self.operator(
                    "GET",
                    &format!("/v1/tenants/{TENANT}/events/{id}"),
                    Value::Null,
                )
                .await?,
            );
        }
        Ok(events)
    }

    /// What was used since the last time.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.till.take().with(&self.meter.take())
    }

    /// The store behind everything.
    #[must_use]
    pub fn store(&self) -> &Arc<DynamoStore> {
        self.world.store()
    }

    /// Writes nonsense over the content of every item whose sort key begins so: an accident that no retry heals.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn break_items(&self, sort_keys: &str) -> Result<()> {
        let client = self.table();
        for mut item in client
            .scan()
            .table_name(TABLE)
            .send()
            .await?
            .items
            .unwrap_or_default()
        {
            let sort_key = item.get("sk").and_then(|it| it.as_s().ok());
            if !sort_key.is_some_and(|it| it.starts_with(sort_keys)) {
                continue;
            }
            // Its content is JSON, deflated where that saves something.
            let content = |value: &AttributeValue| match value {
                AttributeValue::S(text) => text.starts_with('{'),
                other => other.is_b(),
            };
            for value in item.values_mut().filter(|value| content(value)) {
                *value = AttributeValue::B(Blob::new(b"nonsense"));
            }
            client
                .put_item()
                .table_name(TABLE)
                .set_item(Some(item))
                .send()
                .await?;
        }
        Ok(())
    }

    /// Makes the entries of `due` in the partitions of this name old ones, as if their items had changed since.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn backdate_entries(&self, partitions: &str) -> Result<()> {
        let client = self.table();
        let found = client.scan().table_name(TABLE).send().await?;
        for mut item in found.items.unwrap_or_default() {
            let partition = item.get("dpk").and_then(|it| it.as_s().ok());
            if partition.is_some_and(|it| it.starts_with(partitions)) {
                let old = AttributeValue::S("000000000000000#".to_owned());
                item.insert("dsk".to_owned(), old);
                let put = client.put_item().table_name(TABLE);
                put.set_item(Some(item)).send().await?;
            }
        }
        Ok(())
    }

    /// Seals the secrets of an endpoint with a key that nothing here opens.
    ///
    /// # Errors
    /// If the endpoint is not there, or the table fails.
    pub async fn lock(&self, endpoint: &str) -> Result<()> {
        let (tenant, id) = (TenantId::parse(TENANT)?, EndpointId::parse(endpoint)?);
        let read = self.store().endpoint_record(&tenant, &id).await?;
        let read = read.context("the endpoint is there")?;
        let store = self.store_of_another_key()?;
        let put = store.put_endpoint(&read.value, Some(read.version)).await?;
        ensure!(put == Put::Replaced, "{put:?}");
        Ok(())
    }

    /// Seals the secrets of the scene's billing account with a key that nothing here opens.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn lock_account(&self) -> Result<()> {
        self.put_locked(&account()?).await
    }

    /// Keeps a billing account in the place of the scene's, its secrets sealed with a key that nothing here opens.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn put_locked(&self, account: &BillingAccount) -> Result<()> {
        let store = self.store_of_another_key()?;
        let claimed = store.put_account(account, self.clock.now()).await?;
        ensure!(claimed == Claimed::Replaced, "{claimed:?}");
        Ok(())
    }

    /// A store that seals with a key that nothing here opens.
    ///
    /// # Errors
    /// None that a test can do anything about.
    pub fn store_of_another_key(&self) -> Result<DynamoStore> {
        let keys = Keyring::parse("lost:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")?;
        let (keys, entropy) = (Arc::new(keys), Arc::new(SeededEntropy::new(8)));
        let kept_for = SignedDuration::from_hours(24);
        Ok(DynamoStore::new(
            self.table(),
            TABLE,
            keys,
            entropy,
            kept_for,
        ))
    }

    /// The client of the table, for looking behind the API.
    #[must_use]
    pub fn table(&self) -> aws_sdk_dynamodb::Client {
        self.embedded.client()
    }
}

fn world(
    account: &Account,
    clock: &Arc<ManualClock>,
    queues: &MemoryQueues,
    (effects, faults): (&Arc<Effects>, &Faults),
    (till, meter): (&Till, &Meter),
    outside: &Outside,
) -> Result<World> {
    let http = meter.over(watched_http(faults.over(http_client()), effects.clone()));
    let watched = Watched::new(Billed::new(queues.clone(), till.clone()), effects.clone());
    let clock: Arc<dyn Clock> = clock.clone();
    Ok(World::new(Parts {
        clock,
        entropy: Arc::new(SeededEntropy::new(7)),
        dynamodb: Clients::over(account.clone(), http).dynamodb(),
        table: TABLE.to_owned(),
        queues: Arc::new(watched),
        dead: Arc::new(queues.dead_letters()),
        transport: Arc::new(Watched::new(
            Shared(outside.transport.clone()),
            effects.clone(),
        )),
        platforms: Arc::new(Watched::new(
            Shared(outside.platforms.clone()),
            effects.clone(),
        )),
        business: Arc::new(Watched::new(
            Shared(outside.platforms.clone()),
            effects.clone(),
        )),
        keyring: Arc::new(Keyring::parse(
            "scene:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        )?),
        vetting: Vetting::new(vec!["127.0.0.0/8".parse()?], None),
        operator_key_hash: key_hash(&Secret::new(OPERATOR)),
        retention: SignedDuration::from_hours(30 * 24),
    }))
}

/// A far side that several wrappers share.
struct Shared<T: ?Sized>(Arc<T>);

#[async_trait::async_trait]
impl Transport for Shared<dyn Transport> {
    async fn post(&self, request: shared::delivery::Request) -> shared::delivery::Outcome {
        self.0.post(request).await
    }
}

#[async_trait::async_trait]
impl Caller for Shared<dyn Caller> {
    async fn call(&self, call: Call) -> std::result::Result<Called, Failure> {
        self.0.call(call).await
    }
}
