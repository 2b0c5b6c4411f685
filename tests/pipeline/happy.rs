//! The main job: a signed billing webhook in, a signed delivery out, with the exact bytes at each hand-over.

use jiff::{SignedDuration, Timestamp};
use shared::queue::{Lease, Queue};
use shared::secret::Secret;
use shared::signature::{TOLERANCE, standard};
use shared::time::Clock;
use tests::scene::{SHOP_SECRET, SHOP_URL, Scene};

use crate::{FAILED, PAID, states, text};

#[tokio::test]
async fn a_failed_payment_and_its_recovery_reach_the_merchant_signed() -> anyhow::Result<()> {
    let scene = Scene::start().await?;

    let answer = scene.webhook(FAILED).await?;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
    scene.settle().await?;
    scene.clock.advance(SignedDuration::from_secs(30));
    assert_eq!(scene.webhook(PAID).await?.status, 200);
    scene.settle().await?;

    assert!(scene.queues.is_empty(), "nothing is left on any queue");
    let requests = scene.far.requests();
    let bodies: Vec<_> = requests
        .iter()
        .map(|request| String::from_utf8_lossy(&request.body))
        .collect();
    assert_eq!(
        bodies,
        [
            r#"{"type":"recovery.payment_failed","timestamp":"2025-01-01T00:01:00Z","data":{"profile_id":"pro_1","connector_account_id":"mca_1","invoice_id":"in_1QfInv","charge":"ch_3QfA1","transaction_id":"pi_3QfA1","amount":2500,"currency":"USD","triggered_by":"external","occurred_at":"2025-01-01T00:01:00Z"}}"#,
            r#"{"type":"recovery.payment_succeeded","timestamp":"2025-01-04T00:01:10Z","data":{"profile_id":"pro_1","connector_account_id":"mca_1","invoice_id":"in_1QfInv","charge":"ch_3QfA2","transaction_id":"pi_3QfA1","amount":2500,"currency":"USD","triggered_by":"external","occurred_at":"2025-01-04T00:01:10Z"}}"#,
            r#"{"type":"recovery.recovered","timestamp":"2025-01-04T00:01:10Z","data":{"profile_id":"pro_1","connector_account_id":"mca_1","invoice_id":"in_1QfInv","amount":2500,"currency":"USD","charge":"ch_3QfA2","triggered_by":"external","charges_tried":2,"retries_told":0}}"#,
        ]
    );
    for request in &requests {
        assert_eq!(request.url, SHOP_URL);
        let header = |name: &str| {
            request
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let headers = standard::Headers {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
        };
        let verified = standard::verify(
            headers,
            &request.body,
            &[Secret::new(SHOP_SECRET)],
            scene.clock.now(),
            TOLERANCE,
        );
        assert!(verified.is_ok(), "{verified:?}");
        assert_eq!(header("content-type"), Some("application/json"));
    }

    let events = scene.events().await?;
    assert_eq!(
        states(&events),
        [
            "recovery.payment_failed delivered",
            "recovery.payment_succeeded delivered",
            "recovery.recovered delivered"
        ]
    );
    for event in &events {
        assert_eq!(text(event, "/deliveries/0/endpoint"), "shop");
        assert_eq!(text(event, "/deliveries/0/tries/0/status"), "200");
        assert_eq!(text(event, "/resource"), "in_1QfInv");
    }
    Ok(())
}

#[tokio::test]
async fn each_hand_over_is_these_bytes() -> anyhow::Result<()> {
    let mut bodies = Vec::new();
    for queue in [Queue::Recover, Queue::Fanout, Queue::Deliver] {
        let scene = Scene::start().await?;
        scene.webhook(FAILED).await?;
        while scene.queues.len(queue) == 0 {
            scene.step_without(queue).await?;
        }
        let received = scene
            .queues
            .receive(queue, 10, SignedDuration::ZERO)
            .await?;
        bodies.extend(received.into_iter().map(|message| message.body));
    }
    assert_eq!(
        bodies,
        [
            include_str!("../golden/failed-payment/recover.json").trim_end(),
            include_str!("../golden/failed-payment/fanout.json").trim_end(),
            include_str!("../golden/failed-payment/deliver.json").trim_end(),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn the_intent_shows_its_attempts_and_its_end() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    scene.webhook(FAILED).await?;
    scene.webhook(PAID).await?;
    scene.settle().await?;
    let path = "/v1/tenants/acme/intents?profile=pro_1&account=mca_1&invoice=in_1QfInv";
    let intent = scene.operator("GET", path, serde_json::Value::Null).await?;
    assert_eq!(text(&intent, "/state"), "recovered");
    let shown = intent.to_string();
    assert!(
        shown.contains("ch_3QfA1") && shown.contains("ch_3QfA2"),
        "{shown}"
    );
    Ok(())
}

#[tokio::test]
async fn a_genuine_event_of_no_interest_is_answered_200_and_can_be_found() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let body = include_str!("../fixtures/stripe/customer.created.json");
    assert_eq!(scene.webhook(body).await?.status, 200);
    scene.settle().await?;
    let events = scene.events().await?;
    assert_eq!(states(&events), ["customer.created skipped"]);
    assert_eq!(
        events.first().map(|event| text(event, "/reason")),
        Some("not_handled".into())
    );
    assert!(scene.far.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn the_time_of_an_event_is_when_it_happened_and_that_of_a_try_when_it_was_sent()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    scene.webhook(FAILED).await?;
    scene.clock.advance(SignedDuration::from_secs(100));
    scene.settle().await?;
    let sent = scene.far.requests();
    let header = sent
        .first()
        .and_then(|request| request.headers.get("webhook-timestamp"));
    let stamp: i64 = header
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .parse()?;
    assert_eq!(Timestamp::from_second(stamp)?, scene.clock.now());
    Ok(())
}
