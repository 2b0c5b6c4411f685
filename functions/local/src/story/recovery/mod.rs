//! One failed invoice, from its failure to its recovery. Played are the merchant, its payment service provider, and Stripe.

mod far_side;
mod merchant;

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use axum::body::Body;
use http::{HeaderMap, Method, Request};
use serde_json::{Value, json};
use shared::entropy::SeededEntropy;
use shared::ids::{ConnectorAccountId, InvoiceId, ProfileId, TenantId};
use shared::recovery::{Intent, IntentKey};
use shared::secret::Secret;
use shared::store::Intents;
use shared::time::Clock;

use super::stage::{STEPS_MOST, Shown, Stage};
use crate::demo;
use crate::lines::Audience;
use crate::send::stripe;
use far_side::FarSide;

/// The invoice.
const INVOICE: &str = "in_demo";
/// Its first charge, which Stripe makes itself.
const FIRST_CHARGE: &str = "ch_by_stripe";
/// The waits after the first charge, the second and the third.
const LADDER_S: [u32; 3] = [3 * 3600, 12 * 3600, 18 * 3600];
/// The merchant's endpoint.
const SHOP_URL: &str = "https://shop.example/hooks";

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

/// What the story plays on, and who plays in it.
struct Story {
    stage: Stage,
    far_side: Arc<FarSide>,
    tenant: TenantId,
    key: IntentKey,
}

impl Story {
    async fn begin(audience: Audience) -> anyhow::Result<Self> {
        let (stage, far_side) =
            Stage::set(|_| Ok(FarSide::new()), Shown::Minutes, audience).await?;
        let story = Self {
            stage,
            far_side,
            tenant: TenantId::parse(demo::TENANT)?,
            key: IntentKey {
                profile_id: ProfileId::parse(demo::PROFILE)?,
                connector_account_id: ConnectorAccountId::parse(demo::ACCOUNT)?,
                invoice_id: InvoiceId::parse(INVOICE)?,
            },
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
            self.stage.ask(Method::PUT, &path, Some(&body)).await?;
        }
        self.stage.tell(
            "operator",
            "sets up: Stripe tries once itself, then the merchant 3 h, 12 h and 18 h after the charge before; Stripe is to \
             be told of a success"
                .to_owned(),
        )
    }

    /// Posts a webhook of Stripe's about the invoice, of which some places are set otherwise.
    async fn stripe_posts(&self, fixture: &str, places: &[(&str, Value)]) -> anyhow::Result<()> {
        let now = self.stage.clock.now();
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
        self.stage.post(request).await?;
        Ok(())
    }

    async fn stripe_could_not_collect(&self) -> anyhow::Result<()> {
        self.far_side.stripe_charged(FIRST_CHARGE, INVOICE);
        self.stage.tell(
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
        self.stage.tell(
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
        let read = self
            .stage
            .world
            .store()
            .intent(&self.tenant, &self.key)
            .await?;
        Ok(read.map(|read| read.value))
    }

    /// Works on all that can be done now, the merchant's part included.
    async fn work(&self) -> anyhow::Result<()> {
        for _ in 0..STEPS_MOST {
            if self.stage.world.step().await > 0 {
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
            let next = self.stage.next_message().into_iter();
            let Some(next) = next.chain(intent.retry.due_at()).min() else {
                ensure!(
                    intent.state.ended(),
                    "nothing is due, and the invoice is not collected"
                );
                return Ok(());
            };
            self.stage.pass(next).await?;
        }
        bail!("the invoice is never collected")
    }

    async fn epilogue(&self) -> anyhow::Result<()> {
        let key = &self.key;
        let path = format!(
            "/v1/tenants/{}/intents?profile={}&account={}&invoice={}",
            self.tenant, key.profile_id, key.connector_account_id, key.invoice_id
        );
        let told = self.stage.ask(Method::GET, &path, None).await?;
        let of = |pointer: &str| match told.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "nothing".to_owned(),
        };
        self.stage.tell(
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
