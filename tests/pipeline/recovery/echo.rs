//! What is told more than once: a charge of ours that the platform echoes, a success of somebody else's, a success that was
//! recorded, and a webhook that comes again after days.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use axum::body::Body;
use http::Request;
use jiff::{SignedDuration, Timestamp};
use local::platform_api::{Kind, PlatformApi};
use serde_json::{Value, json};
use shared::delivery::Vetting;
use shared::platform::account::Settings;
use shared::platform::{BillingAccount, Platform};
use shared::recovery::{Mode, Terms};
use shared::secret::Secret;
use shared::signature::{basic, recurly, stripe};
use shared::time::{Clock, SystemClock, later};
use shared::transport::Answer;
use shared::transport::https::Https;
use tests::scene::{DOOR, Scene};
use tests::stories::{TENANT, account};

use super::billing::{self, Charge};
use super::enrichment::{BASE, keep, wait};
use crate::{FAILED, PAID, list, states, text};

const NOTIFICATION: &str = include_str!("../../fixtures/recurly/payment.failed.json");
const UNNAMED: &str = include_str!("../../fixtures/recurly/charge_invoice.failed.uuid.json");
const TRANSACTION: &str = include_str!("../../fixtures/recurly/api/transaction.declined.json");
const INVOICE: &str = include_str!("../../fixtures/recurly/api/invoice.past_due.json");
const CHARGE_FAILED: &str = include_str!("../../fixtures/stripe/api/charge.failed.json");
const CHARGE_SUCCEEDED: &str = include_str!("../../fixtures/stripe/api/charge.succeeded.json");

/// A signing secret, and a pair of HTTP Basic too.
const SECRET: &str = "hook_user:hook_pass_of_the_scene";

const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;

/// An account in the place of the scene's, whose API is at `base`, if it has one.
fn at(platform: Platform, base: Option<&str>, terms: Terms) -> Result<BillingAccount> {
    Ok(BillingAccount {
        platform,
        webhook_secrets: vec![Secret::new(SECRET)],
        api_key: base.map(|_| Secret::new("key")),
        settings: Settings {
            api_base_url: base.map(str::to_owned),
            terms,
        },
        ..account()?
    })
}

/// The merchant is told to charge so long after each failure.
fn steps(ladder: &[u32]) -> Terms {
    Terms {
        mode: Mode::Cascading,
        ladder_s: Some(ladder.to_vec()),
        ..Terms::default()
    }
}

/// A scene whose platforms are called over the network, on this machine.
async fn on_the_network() -> Result<Scene> {
    let vetting = Vetting::new(vec!["127.0.0.0/8".parse()?], None);
    let https = Https::new(vetting, Arc::new(SystemClock))?;
    Scene::with_platforms(Arc::new(https)).await
}

/// The platform posts `body`, which it signs now.
async fn post(scene: &Scene, platform: Platform, body: &str) -> Result<()> {
    let (secret, now) = (Secret::new(SECRET), scene.clock.now());
    let (name, value) = match platform {
        Platform::Stripe => (stripe::HEADER, stripe::sign(&secret, now, body.as_bytes())),
        Platform::Recurly => (
            recurly::HEADER,
            recurly::sign(&secret, now, body.as_bytes()),
        ),
        Platform::Chargebee => ("authorization", basic::header(&secret)),
        Platform::Custom => bail!("it has no webhooks"),
    };
    let request = Request::builder()
        .method("POST")
        .uri(DOOR)
        .header("content-type", "application/json")
        .header(name, value.context("the secret protects")?);
    let answer = scene
        .send(request.body(Body::from(body.to_owned()))?)
        .await?;
    ensure!(answer.status == 200, "{}", answer.body);
    scene.settle().await
}

/// The site of Chargebee posts what it tells of a charge of `INV-1001`.
async fn tell(scene: &Scene, number: u32, at: Timestamp, status: &'static str) -> Result<()> {
    let charge = Charge { number, at, status };
    let body = billing::body("INV-1001", &charge)?.to_string();
    post(scene, Platform::Chargebee, &body).await
}

/// The merchant reports what came of the first retry, which it made now.
async fn report(scene: &Scene, invoice: &str, event: &str, charge: &str) -> Result<()> {
    let now = scene.clock.now();
    let left = if event == "payment_succeeded" {
        0
    } else {
        2500
    };
    let currency = if invoice == "INV-1001" { "EUR" } else { "USD" };
    let body = json!({
        "id": format!("rep_{charge}"),
        "profile_id": "pro_1",
        "connector_account_id": "mca_1",
        "invoice_id": invoice,
        "event": event,
        "occurred_at": now,
        "amount": 2500,
        "amount_left": left,
        "currency": currency,
        "charge": {"charge_id": charge, "triggered_by": "internal", "retry": 1, "made_at": now},
    });
    let path = format!("/v1/tenants/{TENANT}/recovery/attempts");
    scene.operator("POST", &path, body).await?;
    scene.settle().await
}

async fn intent(scene: &Scene, invoice: &str) -> Result<Value> {
    let path =
        format!("/v1/tenants/{TENANT}/intents?profile=pro_1&account=mca_1&invoice={invoice}");
    scene.operator("GET", &path, Value::Null).await
}

/// Time passes until the planned retry is due, and the merchant is told so.
async fn until_told(scene: &Scene, invoice: &str) -> Result<()> {
    let planned = text(&intent(scene, invoice).await?, "/retry/at");
    scene.clock.advance_to(planned.parse()?);
    scene.sweep().await?;
    scene.settle().await?;
    ensure!(count(scene, "recovery.retry_due").await? == 1);
    Ok(())
}

async fn count(scene: &Scene, name: &str) -> Result<usize> {
    let events = scene.events().await?;
    Ok(events.iter().filter(|it| text(it, "/type") == name).count())
}

/// Everything that anybody can see: the intent, the events with their deliveries, and how much was posted.
async fn seen(scene: &Scene, invoice: &str) -> Result<(Value, Vec<Value>, usize)> {
    let posted = scene.far.requests().len();
    Ok((intent(scene, invoice).await?, scene.events().await?, posted))
}

#[tokio::test]
async fn a_retry_that_is_reported_and_echoed_is_one_charge_of_ours() -> Result<()> {
    let scene = Scene::start().await?;
    let account = at(Platform::Chargebee, None, steps(&[3 * HOUR, DAY]))?;
    keep(&scene, &account).await?;
    tell(&scene, 1, scene.clock.now(), "failure").await?;
    until_told(&scene, "INV-1001").await?;
    report(&scene, "INV-1001", "payment_failed", "ch_INV-1001_2").await?;
    let (before, events, posted) = seen(&scene, "INV-1001").await?;
    assert_eq!(text(&before, "/retry/stage"), "planned");

    scene.clock.advance(SignedDuration::from_mins(2));
    let made = later(scene.clock.now(), SignedDuration::from_secs(-90));
    tell(&scene, 2, made, "failure").await?;
    let (after, told, posted_since) = seen(&scene, "INV-1001").await?;
    assert_eq!((told, posted_since), (events, posted));
    assert_eq!(after.pointer("/retry/at"), before.pointer("/retry/at"));
    assert_eq!(text(&after, "/retry/stage"), "planned");
    let attempts = list(&after, "/attempts");
    let ours: Vec<_> = attempts
        .iter()
        .filter(|it| text(it, "/triggered_by") == "internal")
        .map(|it| list(it, "/ids").len())
        .collect();
    assert_eq!((attempts.len(), ours), (2, vec![2]), "{after:#}");
    Ok(())
}

#[tokio::test]
async fn a_success_of_somebody_else_stops_a_planned_retry() -> Result<()> {
    let api = PlatformApi::new(Secret::new("key"));
    for charge in [CHARGE_FAILED, CHARGE_SUCCEEDED] {
        api.put(Kind::StripeCharge, serde_json::from_str(charge)?);
    }
    let serving = api.start().await?;
    let scene = on_the_network().await?;
    let base = serving.base_url();
    keep(
        &scene,
        &at(Platform::Stripe, Some(&base), steps(&[7 * DAY]))?,
    )
    .await?;
    post(&scene, Platform::Stripe, FAILED).await?;
    let planned = intent(&scene, "in_1QfInv").await?;
    assert_eq!(text(&planned, "/retry/stage"), "planned");

    scene.clock.advance(SignedDuration::from_hours(73));
    post(&scene, Platform::Stripe, PAID).await?;
    let paid = intent(&scene, "in_1QfInv").await?;
    assert_eq!(text(&paid, "/retry/stage"), "ended");
    assert_eq!(text(&paid, "/retry/reason"), "recovered");
    for attempt in list(&paid, "/attempts") {
        assert_eq!(text(attempt, "/enrichment"), "enriched");
    }
    scene.clock.advance(SignedDuration::from_hours(10 * 24));
    scene.sweep().await?;
    scene.settle().await?;
    assert_eq!(count(&scene, "recovery.retry_due").await?, 0);
    assert_eq!(count(&scene, "recovery.recovered").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_reported_success_is_recorded_at_the_platform_once_and_its_echo_is_no_second_one()
-> Result<()> {
    let chargebee =
        json!({"id": "INV-1001", "status": "payment_due", "total": 2500, "amount_due": 2500});
    let stripe =
        json!({"id": "in_1QfInv", "object": "invoice", "status": "open", "amount_remaining": 2500});
    let cases = [
        (Platform::Chargebee, Kind::ChargebeeInvoice, chargebee),
        (Platform::Stripe, Kind::StripeInvoice, stripe),
    ];
    for (platform, kind, invoice) in cases {
        let id = text(&invoice, "/id");
        let api = PlatformApi::new(Secret::new("key"));
        api.put(kind, invoice);
        api.put(Kind::StripeCharge, serde_json::from_str(CHARGE_FAILED)?);
        let serving = api.start().await?;
        let scene = on_the_network().await?;
        let terms = Terms {
            record_back: true,
            ..steps(&[3 * HOUR, DAY])
        };
        keep(&scene, &at(platform, Some(&serving.base_url()), terms)?).await?;
        match platform {
            Platform::Stripe => post(&scene, platform, FAILED).await?,
            _ => tell(&scene, 1, scene.clock.now(), "failure").await?,
        }
        until_told(&scene, &id).await?;
        report(&scene, &id, "payment_succeeded", "ch_INV-1001_2").await?;
        wait(&scene, SignedDuration::from_mins(1)).await?;
        let recorded = intent(&scene, &id).await?;
        assert_eq!(text(&recorded, "/record_back/state"), "recorded", "{id}");
        assert_eq!(text(&recorded, "/state"), "recovered", "{id}");
        assert_eq!(api.recorded().len(), 1, "{:?}", api.asked());
        assert_eq!(count(&scene, "recovery.recovered").await?, 1, "{id}");

        let asked = api.asked().len();
        match platform {
            Platform::Stripe => {
                let mut paid: Value = serde_json::from_str(PAID)?;
                let now = scene.clock.now().as_second();
                let set = [
                    ("/created", json!(now)),
                    ("/data/object/charge", Value::Null),
                    ("/data/object/payment_intent", Value::Null),
                ];
                for (place, value) in set {
                    *paid.pointer_mut(place).context(place)? = value;
                }
                post(&scene, platform, &paid.to_string()).await?;
            }
            _ => tell(&scene, 2, scene.clock.now(), "success").await?,
        }
        wait(&scene, SignedDuration::from_hours(2)).await?;
        let echoed = intent(&scene, &id).await?;
        assert_eq!(count(&scene, "recovery.recovered").await?, 1, "{id}");
        assert_eq!(text(&echoed, "/state"), "recovered", "{id}");
        assert_eq!(text(&echoed, "/retry/stage"), "ended", "{id}");
        assert_eq!(text(&echoed, "/record_back/state"), "recorded", "{id}");
        assert_eq!(
            (api.recorded().len(), api.asked().len()),
            (1, asked),
            "{id}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_webhook_that_comes_again_after_three_days_and_seven_hours_changes_nothing() -> Result<()>
{
    let failed = Charge {
        number: 1,
        at: "2025-01-01T00:01:00Z".parse()?,
        status: "failure",
    };
    let plain = billing::body("INV-1001", &failed)?.to_string();
    let cases = [
        (Platform::Chargebee, None, plain.as_str(), "INV-1001"),
        (Platform::Recurly, Some(BASE), NOTIFICATION, "inv_r100"),
    ];
    for (platform, base, body, invoice) in cases {
        let mut scene = Scene::start().await?;
        keep(&scene, &at(platform, base, steps(&[7 * DAY]))?).await?;
        let said = [
            (
                "transactions/uuid-63b068f7d409d4b4478dea4e6aba58ae",
                TRANSACTION,
            ),
            ("invoices/inv_r100", INVOICE),
        ];
        for (path, body) in said {
            let url = format!("{BASE}/{path}");
            scene.api_calls.script(&url, [Ok(Answer::of(200, body))]);
        }
        post(&scene, platform, body).await?;
        let before = seen(&scene, invoice).await?;
        let asked = scene.api_calls.calls().len();
        assert_eq!(asked, if base.is_some() { 2 } else { 0 }, "{invoice}");

        scene.clock.advance(SignedDuration::from_hours(3 * 24 + 7));
        scene.restart()?;
        post(&scene, platform, body).await?;
        wait(&scene, SignedDuration::from_hours(1)).await?;
        assert_eq!(seen(&scene, invoice).await?, before, "{invoice}");
        assert_eq!(scene.api_calls.calls().len(), asked, "{invoice}");
    }
    Ok(())
}

#[tokio::test]
async fn a_hard_decline_ends_the_retries_also_by_a_code_of_the_accounts_own() -> Result<()> {
    let cases = [
        ("stolen_card", "ended", Some("hard_declined")),
        ("our_own_code", "ended", Some("hard_declined")),
        ("card_declined", "planned", None),
    ];
    for (code, stage, reason) in cases {
        let scene = Scene::start().await?;
        let terms = Terms {
            hard_declines: ["our_own_code".to_owned()].into(),
            ..steps(&[3 * HOUR])
        };
        keep(&scene, &at(Platform::Chargebee, None, terms)?).await?;
        let charge = Charge {
            number: 1,
            at: scene.clock.now(),
            status: "failure",
        };
        let mut body = billing::body("INV-1001", &charge)?;
        let place = "/content/transaction/error_code";
        *body.pointer_mut(place).context(place)? = json!(code);
        post(&scene, Platform::Chargebee, &body.to_string()).await?;
        scene.clock.advance(SignedDuration::from_hours(4));
        if reason.is_some() {
            scene.sweep().await?;
            scene.settle().await?;
        }

        let events = scene.events().await?;
        let mut ends = events
            .iter()
            .filter(|it| text(it, "/type") == "recovery.limits_exhausted");
        let end = ends.next().map(|it| text(it, "/data/reason"));
        assert_eq!(end.as_deref(), reason, "{code}");
        assert_eq!(ends.count(), 0, "{code}");
        assert_eq!(count(&scene, "recovery.retry_due").await?, 0, "{code}");
        let intent = intent(&scene, "INV-1001").await?;
        assert_eq!(text(&intent, "/retry/stage"), stage, "{code}");
    }
    Ok(())
}

#[tokio::test]
async fn a_hard_decline_that_only_the_platform_tells_of_counts_whoever_told_of_the_charge_first()
-> Result<()> {
    for seconds in [-60, 5] {
        let scene = Scene::start().await?;
        let account = at(Platform::Chargebee, None, steps(&[3 * HOUR, DAY]))?;
        keep(&scene, &account).await?;
        tell(&scene, 1, scene.clock.now(), "failure").await?;
        until_told(&scene, "INV-1001").await?;
        scene.clock.advance(SignedDuration::from_mins(2));
        report(&scene, "INV-1001", "payment_failed", "ch_INV-1001_2").await?;
        let echo = Charge {
            number: 2,
            at: later(scene.clock.now(), SignedDuration::from_secs(seconds)),
            status: "failure",
        };
        let mut body = billing::body("INV-1001", &echo)?;
        let place = "/content/transaction/error_code";
        *body.pointer_mut(place).context(place)? = json!("stolen_card");
        post(&scene, Platform::Chargebee, &body.to_string()).await?;
        let intent = intent(&scene, "INV-1001").await?;
        let ended = (
            text(&intent, "/retry/stage"),
            text(&intent, "/retry/reason"),
        );
        assert_eq!(
            ended,
            ("ended".to_owned(), "hard_declined".to_owned()),
            "{seconds}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_invoice_that_is_not_named_is_taken_in_and_set_aside() -> Result<()> {
    let scene = Scene::start().await?;
    let account = at(Platform::Recurly, Some(BASE), steps(&[DAY]))?;
    keep(&scene, &account).await?;
    post(&scene, Platform::Recurly, UNNAMED).await?;
    let events = scene.events().await?;
    assert_eq!(states(&events), ["charge_invoice.failed skipped"]);
    let event = events.first().context("one")?;
    assert_eq!(text(event, "/reason"), "not_enriched");
    assert_eq!(text(event, "/data/problem"), "not_understood");
    assert!(scene.api_calls.calls().is_empty());
    Ok(())
}
