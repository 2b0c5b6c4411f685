//! Accidents of ours: set aside, shown, redriven; and one of them does not touch the rest of its batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::Value;
use shared::delivery::{Outcome, Request};
use shared::queue::{Enqueue, Message, Queue};
use shared::transport::Transport;
use tests::scene::Scene;

use crate::{FAILED, PAID, list, states, text};

/// Panics over one event for as long as it is told to, and counts how often it is sent.
#[derive(Default)]
struct Panicky {
    on: AtomicBool,
    sent: AtomicUsize,
}

#[async_trait]
impl Transport for Panicky {
    async fn post(&self, request: Request) -> Outcome {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        assert!(
            !(self.on.load(Ordering::SeqCst) && body.contains("in_poison")),
            "the test wants a panic"
        );
        self.sent
            .fetch_add(usize::from(body.contains("in_poison")), Ordering::SeqCst);
        Outcome::answered(200)
    }
}

async fn quarantined(scene: &Scene) -> anyhow::Result<Vec<Value>> {
    let answer = scene.operator("GET", "/v1/quarantine", Value::Null).await?;
    Ok(list(&answer, "/data").into_iter().cloned().collect())
}

#[tokio::test]
async fn what_can_not_be_decoded_is_set_aside_at_once_and_the_rest_is_delivered()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    scene
        .queues
        .send(Queue::Recover, vec![Message::new("no task at all")])
        .await?;
    scene.webhook(FAILED).await?;
    scene.settle().await?;
    assert!(scene.queues.is_empty());
    assert_eq!(
        states(&scene.events().await?),
        ["recovery.payment_failed delivered"]
    );
    let entries = quarantined(&scene).await?;
    assert_eq!(entries.len(), 1);
    assert_eq!(
        entries.first().map(|entry| text(entry, "/cause")),
        Some("undecodable".into())
    );
    assert_eq!(
        entries.first().map(|entry| text(entry, "/queue")),
        Some("recover".into())
    );
    assert!(
        !entries
            .iter()
            .any(|entry| entry.to_string().contains("no task at all")),
        "the body is not shown"
    );
    Ok(())
}

#[tokio::test]
async fn a_panic_touches_only_its_message_which_is_set_aside_after_the_third_and_can_be_redriven()
-> anyhow::Result<()> {
    let transport = Arc::new(Panicky {
        on: AtomicBool::new(true),
        ..Panicky::default()
    });
    let scene = Scene::with_transport(transport.clone()).await?;
    scene.webhook(FAILED).await?;
    scene
        .webhook(
            &FAILED
                .replace("evt_1QfF1", "evt_2")
                .replace("in_1QfInv", "in_poison"),
        )
        .await?;
    scene.pass(SignedDuration::from_mins(30)).await?;
    assert!(scene.queues.is_empty());
    let mut delivered: Vec<_> = states(&scene.events().await?);
    delivered.sort();
    assert_eq!(
        delivered,
        [
            "recovery.payment_failed delivered",
            "recovery.payment_failed quarantined"
        ]
    );
    let entries = quarantined(&scene).await?;
    assert_eq!(
        entries.first().map(|entry| text(entry, "/cause")),
        Some("panicked".into())
    );
    assert_eq!(
        entries.first().map(|entry| text(entry, "/endpoint")),
        Some("shop".into())
    );
    assert_eq!(
        entries.first().map(|entry| text(entry, "/type")),
        Some("recovery.payment_failed".into())
    );
    let id = entries
        .first()
        .map(|entry| text(entry, "/id"))
        .unwrap_or_default();

    transport.on.store(false, Ordering::SeqCst);
    scene
        .operator("POST", &format!("/v1/quarantine/{id}/redrive"), Value::Null)
        .await?;
    scene.settle().await?;
    assert_eq!(
        states(&scene.events().await?),
        ["recovery.payment_failed delivered"; 2]
    );
    assert!(quarantined(&scene).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_delivery_set_aside_says_so_and_is_sent_once_however_it_is_taken_up() -> anyhow::Result<()>
{
    const REPLAY: &[&str] = &["replay"];
    const REDRIVE: &[&str] = &["redrive"];
    const EACH: &[&str] = &["replay", "redrive", "replay"];
    for levers in [REPLAY, REDRIVE, EACH] {
        let transport = Arc::new(Panicky {
            on: AtomicBool::new(true),
            ..Panicky::default()
        });
        let scene = Scene::with_transport(transport.clone()).await?;
        scene
            .webhook(&FAILED.replace("in_1QfInv", "in_poison"))
            .await?;
        scene.pass(SignedDuration::from_mins(30)).await?;
        let set_aside = scene
            .operator(
                "GET",
                "/v1/tenants/acme/events?state=quarantined",
                Value::Null,
            )
            .await?;
        let event = text(&set_aside, "/data/0/id");
        let shown = scene.events().await?.pop().unwrap_or_default();
        assert_eq!(
            (
                text(&shown, "/deliveries/0/state"),
                text(&shown, "/deliveries/0/reason")
            ),
            ("quarantined".to_owned(), "panicked".to_owned())
        );

        transport.on.store(false, Ordering::SeqCst);
        let message = quarantined(&scene)
            .await?
            .first()
            .map(|entry| text(entry, "/id"))
            .unwrap_or_default();
        for lever in levers {
            let path = match *lever {
                "replay" => format!("/v1/tenants/acme/events/{event}/deliveries/shop/replay"),
                _ => format!("/v1/quarantine/{message}/redrive"),
            };
            scene.operator("POST", &path, Value::Null).await?;
        }
        scene.pass(SignedDuration::from_mins(30)).await?;
        assert_eq!(
            states(&scene.events().await?),
            ["recovery.payment_failed delivered"],
            "{levers:?}"
        );
        assert_eq!(transport.sent.load(Ordering::SeqCst), 1, "{levers:?}");
        assert!(scene.queues.is_empty(), "{levers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_message_that_comes_again_and_again_without_a_try_is_set_aside() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    scene.webhook(FAILED).await?;
    scene.settle().await?;
    scene.break_items("I").await?;
    scene.webhook(PAID).await?;
    scene.pass(SignedDuration::from_hours(12)).await?;
    let entries = quarantined(&scene).await?;
    assert_eq!(
        entries.first().map(|entry| text(entry, "/cause")),
        Some("stuck".into())
    );
    assert_eq!(
        entries.first().map(|entry| text(entry, "/received")),
        Some("21".into())
    );
    assert!(scene.queues.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_a_queue_gave_up_is_found_in_the_table_and_redriven() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let task = tests::stories::signal(FAILED)?.encode();
    scene
        .queues
        .dead_letters()
        .send(Queue::Recover, vec![task])
        .await?;
    scene.sweep().await?;
    let entries = quarantined(&scene).await?;
    assert_eq!(
        entries.first().map(|entry| text(entry, "/cause")),
        Some("dead_letter".into())
    );
    assert_eq!(
        entries.first().map(|entry| text(entry, "/tenant")),
        Some("acme".into())
    );
    let about = |pointer: &str| entries.first().map(|entry| text(entry, pointer));
    assert_eq!(about("/signal"), Some("evt_1QfF1".into()));
    assert_eq!(about("/resource"), Some("in_1QfInv".into()));
    assert!(scene.queues.dead_letters().is_empty());
    let id = entries
        .first()
        .map(|entry| text(entry, "/id"))
        .unwrap_or_default();
    scene
        .operator("POST", &format!("/v1/quarantine/{id}/redrive"), Value::Null)
        .await?;
    scene.settle().await?;
    assert_eq!(
        states(&scene.events().await?),
        ["recovery.payment_failed delivered"]
    );
    Ok(())
}
