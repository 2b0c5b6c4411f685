//! `cargo local demo recovery`: one failed invoice, from its failure to its recovery, on a clock that is driven.
//!
//! Everything of Payrelay is the real thing, wired as everywhere else. Played are the merchant, its payment service
//! provider, and Stripe. Nothing leaves the process, so the story takes seconds and is the same every time.

mod far_side;
mod merchant;

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use shared::delivery::Vetting;
use shared::entropy::SeededEntropy;
use shared::ids::{ConnectorAccountId, InvoiceId, ProfileId, TenantId};
use shared::queue::Queue;
use shared::queue::memory::MemoryQueues;
use shared::recovery::{Intent, IntentKey};
use shared::secret::{Keyring, Secret, key_hash};
use shared::store::Intents;
use shared::store::dynamo::create_table;
use shared::time::{Clock, ManualClock};
use tower::ServiceExt;

use crate::demo;
use crate::embedded::{Embedded, TABLE};
use crate::lines::{Audience, say};
use crate::send::stripe;
use crate::world::{Parts, World};
use far_side::FarSide;

/// When the story begins: when the fixtures do.
const BEGIN_S: i64 = 1_735_689_660;
/// The invoice.
const INVOICE: &str = "in_demo";
/// Its first charge, which Stripe makes itself.
const FIRST_CHARGE: &str = "ch_by_stripe";
/// The waits after the first charge, the second and the third.
const LADDER_S: [u32; 3] = [3 * 3600, 12 * 3600, 18 * 3600];
/// The merchant's endpoint.
const SHOP_URL: &str = "https://shop.example/hooks";
/// The operator's key.
const OPERATOR_KEY: &str = "operator-demo-key";
/// A story that takes more steps than this has lost its thread.
const STEPS_MOST: usize = 1000;
/// More of an answer is not read.
const BODY_MOST: usize = 1024 * 1024;

/// Tells the story to its end.
///
/// # Errors
/// If it does not come to the end that it should.
pub async fn recovery(audience: Audience) -> anyhow::Result<()> {
    let story = Story::begin(audience).await?;
    story.stripe_could_not_collect().await?;
    story.until_it_ends().await?;
    story.stripe_says_that_it_is_paid().await?;
    story.work().await?;
    story.epilogue().await
}

/// One step of the story.
#[derive(Debug, Serialize)]
struct Line {
    at: Timestamp,
    who: &'static str,
    what: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, who, what } = self;
        write!(f, "{}  {who:<9} {what}", minute(*at))
    }
}

/// A time, to the minute.
fn minute(at: Timestamp) -> String {
    let at = at.to_zoned(TimeZone::UTC);
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Says what happens at the story's own time.
struct Teller {
    clock: Arc<ManualClock>,
    audience: Audience,
}

impl Teller {
    fn tell(&self, who: &'static str, what: String) -> anyhow::Result<()> {
        let at = self.clock.now();
        say(&Line { at, who, what }, self.audience)
    }
}

/// What the story plays on.
struct Story {
    teller: Teller,
    clock: Arc<ManualClock>,
    queues: MemoryQueues,
    far_side: Arc<FarSide>,
    world: World,
    api: Router,
    tenant: TenantId,
    key: IntentKey,
    /// Ends with the story.
    _table: Embedded,
}

impl Story {
    async fn begin(audience: Audience) -> anyhow::Result<Self> {
        let table = Embedded::in_memory().await?;
        create_table(&table.client(), TABLE).await?;
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(BEGIN_S)?));
        let entropy = Arc::new(SeededEntropy::new(BEGIN_S.unsigned_abs()));
        let queues = MemoryQueues::new(clock.clone());
        let far_side = Arc::new(FarSide::new());
        let keyring = Keyring::parse(&crate::data::new_key(entropy.as_ref()))?;
        let world = World::new(Parts {
            dynamodb: table.client(),
            table: TABLE.to_owned(),
            queues: Arc::new(queues.clone()),
            dead: Arc::new(queues.dead_letters()),
            transport: far_side.clone(),
            platforms: far_side.clone(),
            business: far_side.clone(),
            keyring: Arc::new(keyring),
            vetting: Vetting::default(),
            operator_key_hash: key_hash(&Secret::new(OPERATOR_KEY)),
            retention: SignedDuration::from_hours(30 * 24),
            clock: clock.clone(),
            entropy,
        });
        let api = world.api();
        let story = Self {
            teller: Teller {
                clock: clock.clone(),
                audience,
            },
            clock,
            queues,
            far_side,
            world,
            api,
            tenant: TenantId::parse(demo::TENANT)?,
            key: IntentKey {
                profile_id: ProfileId::parse(demo::PROFILE)?,
                connector_account_id: ConnectorAccountId::parse(demo::ACCOUNT)?,
                invoice_id: InvoiceId::parse(INVOICE)?,
            },
            _table: table,
        };
        story.set_up().await?;
        Ok(story)
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        let tenant = format!("/v1/tenants/{}", self.tenant);
        let (profile, account) = (&self.key.profile_id, &self.key.connector_account_id);
        let puts = [
            (tenant.clone(), json!({"display_name": "Demo"})),
            (
                format!("{tenant}/endpoints/shop"),
                json!({
                    "url": SHOP_URL,
                    "role": "merchant",
                    "scheme": "standard-webhooks",
                    "secrets": [demo::ENDPOINT_SECRET],
                }),
            ),
            (
                format!("{tenant}/billing-accounts/{profile}/{account}"),
                json!({
                    "platform": "stripe",
                    "webhook_secrets": [demo::PUBLISHER_SECRET],
                    "api_key": far_side::STRIPE_KEY,
                    "mode": "cascading",
                    "retry_threshold": 1,
                    "ladder_s": LADDER_S,
                    "record_back": true,
                }),
            ),
        ];
        for (path, body) in puts {
            self.ask(Method::PUT, &path, Some(&body)).await?;
        }
        self.teller.tell(
            "operator",
            "sets up: Stripe tries once itself, then the merchant 3 h, 12 h and 18 h after the charge before; Stripe is to \
             be told of a success"
                .to_owned(),
        )
    }

    /// Asks the API with the operator's key.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let text = body.map(ToString::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {OPERATOR_KEY}"))
            .header("content-type", "application/json")
            .body(Body::from(text))?;
        self.post(request).await
    }

    async fn post(&self, request: Request<Body>) -> anyhow::Result<Value> {
        let path = request.uri().path().to_owned();
        let answer = self.api.clone().oneshot(request).await?;
        let status = answer.status();
        let body = to_bytes(answer.into_body(), BODY_MOST).await?;
        ensure!(
            status.is_success(),
            "{path} answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Posts a webhook of Stripe's about the invoice, of which some places are set otherwise.
    async fn stripe_posts(&self, fixture: &str, places: &[(&str, Value)]) -> anyhow::Result<()> {
        let now = self.clock.now();
        let entropy = SeededEntropy::new(now.as_second().unsigned_abs());
        let mut webhook = stripe::fresh(fixture, Some(INVOICE), now, &entropy)?;
        let mut body: Value = serde_json::from_slice(&webhook.body)?;
        for (pointer, value) in places {
            let place = body.pointer_mut(pointer);
            value.clone_into(place.with_context(|| format!("{fixture} has no {pointer}"))?);
        }
        webhook.body = serde_json::to_vec(&body)?.into();
        let headers = webhook.headers(&Secret::new(demo::PUBLISHER_SECRET), now)?;
        let mut request = Request::post(demo::webhook_path()).body(Body::from(webhook.body))?;
        request.headers_mut().extend::<HeaderMap>(headers);
        self.post(request).await?;
        Ok(())
    }

    async fn stripe_could_not_collect(&self) -> anyhow::Result<()> {
        self.far_side.stripe_charged(FIRST_CHARGE, INVOICE);
        self.teller.tell(
            "Stripe",
            format!("could not collect {INVOICE}, and posts invoice.payment_failed"),
        )?;
        let charge = ("/data/object/charge", FIRST_CHARGE.into());
        self.stripe_posts("invoice.payment_failed", &[charge]).await
    }

    /// Stripe tells of what it was told, without a charge of its own.
    async fn stripe_says_that_it_is_paid(&self) -> anyhow::Result<()> {
        ensure!(
            self.far_side.stripe_was_told(),
            "Stripe was not told of the success"
        );
        self.teller.tell(
            "Stripe",
            "was told that the invoice is paid out of band, and posts invoice.paid, which changes nothing"
                .to_owned(),
        )?;
        let places = [
            ("/data/object/charge", Value::Null),
            ("/data/object/payment_intent", Value::Null),
            // Stripe counts its own charges, of which it made one.
            ("/data/object/attempt_count", 1.into()),
        ];
        self.stripe_posts("invoice.paid", &places).await
    }

    async fn intent(&self) -> anyhow::Result<Option<Intent>> {
        let read = self.world.store().intent(&self.tenant, &self.key).await?;
        Ok(read.map(|read| read.value))
    }

    /// Works on all that can be done now, the merchant's part included.
    async fn work(&self) -> anyhow::Result<()> {
        for _ in 0..STEPS_MOST {
            if self.world.step().await > 0 {
                continue;
            }
            let Some(heard) = self.far_side.next_heard() else {
                return Ok(());
            };
            self.merchant_acts(&heard).await?;
        }
        bail!("there is always more to do")
    }

    /// Moves on from one time at which something is due to the next, until the invoice is collected.
    async fn until_it_ends(&self) -> anyhow::Result<()> {
        for _ in 0..STEPS_MOST {
            self.work().await?;
            let intent = self.intent().await?;
            let intent = intent.context("no intent was made of the failure")?;
            let queued = Queue::ALL.map(|queue| self.queues.next_visible(queue));
            let next = queued.into_iter().flatten().chain(intent.retry.due_at());
            let Some(next) = next.min() else {
                ensure!(
                    intent.state.ended(),
                    "nothing is due, and the invoice is not collected"
                );
                return Ok(());
            };
            self.clock.advance_to(next);
            self.world.sweep().await?;
        }
        bail!("the invoice is never collected")
    }

    async fn epilogue(&self) -> anyhow::Result<()> {
        let key = &self.key;
        let path = format!(
            "/v1/tenants/{}/intents?profile={}&account={}&invoice={}",
            self.tenant, key.profile_id, key.connector_account_id, key.invoice_id
        );
        let told = self.ask(Method::GET, &path, None).await?;
        let of = |pointer: &str| match told.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "nothing".to_owned(),
        };
        self.teller.tell(
            "operator",
            format!(
                "finds the invoice {}, after {} charges of which the merchant made {}; Stripe: {}",
                of("/state"),
                of("/tried"),
                of("/retry/told"),
                of("/record_back/state")
            ),
        )?;
        let (state, recorded) = (of("/state"), of("/record_back/state"));
        ensure!(
            (state.as_str(), recorded.as_str()) == ("recovered", "recorded"),
            "the invoice is {state}, and telling Stripe of it is {recorded}"
        );
        Ok(())
    }
}
