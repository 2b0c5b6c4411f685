//! An endpoint that fails on is left alone: what is due is held, one probe at a time asks, and what waited is let go.

use anyhow::Result;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::delivery::breaker::Came;
use shared::delivery::{Breaker, BreakerPolicy, Outcome, Request};
use shared::ids::{EndpointId, TenantId};
use shared::queue::Queue;
use shared::store::{Breakers, Saved};
use shared::time::Clock;
use tests::scene::{SHOP_SECRET, SHOP_URL, Scene};

use crate::{FAILED, list, text};

const SHOP: &str = "/v1/tenants/acme/endpoints/shop";

fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// Failed payments of invoices of their own, each of which `shop` is told of.
async fn payments(scene: &Scene, numbers: impl IntoIterator<Item = usize>) -> Result<()> {
    for number in numbers {
        let body = FAILED
            .replace("evt_1QfF1", &format!("evt_{number:05}"))
            .replace("in_1QfInv", &format!("in_{number:05}"));
        scene.webhook(&body).await?;
    }
    scene.settle().await
}

/// A scene whose `shop` has these settings and answers 500, and which was told of `count` payments.
async fn failing(settings: Value, count: usize) -> Result<Scene> {
    let scene = Scene::start().await?;
    put_shop(&scene, settings).await?;
    scene.far.script(SHOP_URL, [Outcome::answered(500)]);
    payments(&scene, 0..count).await?;
    Ok(scene)
}

async fn put_shop(scene: &Scene, settings: Value) -> Result<()> {
    let mut body = json!({ "url": SHOP_URL, "secrets": [SHOP_SECRET] });
    if let (Some(body), Some(settings)) = (body.as_object_mut(), settings.as_object()) {
        body.extend(settings.clone());
    }
    scene.put_endpoint("shop", body).await?;
    Ok(())
}

async fn breaker(scene: &Scene) -> Result<Breaker> {
    let (tenant, shop) = (TenantId::parse("acme")?, EndpointId::parse("shop")?);
    let read = scene.store().breaker(&tenant, &shop).await?;
    Ok(read.map(|read| read.value).unwrap_or_default())
}

/// How many of what did not get through to `shop` stand so.
async fn undelivered(scene: &Scene, state: &str) -> Result<usize> {
    let path = format!("{SHOP}/deliveries?limit=100&state={state}");
    let page = scene.operator("GET", &path, Value::Null).await?;
    Ok(list(&page, "/data").len())
}

/// How the deliveries stand, with how many there are of each.
async fn stand(scene: &Scene) -> Result<Vec<(String, usize)>> {
    let mut states = std::collections::BTreeMap::new();
    for event in scene.events().await? {
        for delivery in list(&event, "/deliveries") {
            let state = [text(delivery, "/state"), text(delivery, "/reason")].join(" ");
            *states.entry(state.trim_end().to_owned()).or_insert(0) += 1;
        }
    }
    Ok(states.into_iter().collect())
}

fn all(state: &str, count: usize) -> Vec<(String, usize)> {
    vec![(state.to_owned(), count)]
}

#[tokio::test]
async fn after_ten_failures_in_a_row_what_is_due_is_held_and_holds_no_message() -> Result<()> {
    let scene = failing(json!({}), 10).await?;
    assert_eq!(breaker(&scene).await?.as_str(), "open");
    assert_eq!(undelivered(&scene, "held").await?, 0, "no retry is due yet");
    payments(&scene, 10..15).await?;
    assert_eq!(undelivered(&scene, "held").await?, 5);
    scene.pass(secs(30)).await?;
    assert_eq!(undelivered(&scene, "held").await?, 15);
    assert!(scene.queues.is_empty());
    assert_eq!(scene.far.requests().len(), 10);
    let event = scene.events().await?.pop().unwrap_or_default();
    assert_eq!(text(&event, "/state"), "held");
    Ok(())
}

#[tokio::test]
async fn it_is_probed_once_after_each_pause_and_each_failure_doubles_it() -> Result<()> {
    let scene = failing(json!({}), 15).await?;
    let tried = scene.far.requests().len();
    assert!(
        (10..=15).contains(&tried),
        "a batch is tried at once: {tried}"
    );
    let mut probes = Vec::new();
    for minute in 1..=16 {
        scene.pass(secs(60)).await?;
        if scene.far.requests().len() > tried + probes.len() {
            probes.push(minute);
        }
        assert_eq!(scene.far.requests().len(), tried + probes.len());
    }
    assert_eq!(probes, [1, 3, 7, 15]);
    assert!(scene.queues.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_waited_is_let_go_oldest_first_and_no_faster_than_the_settings_say() -> Result<()> {
    let settings = json!({ "breaker": { "failures": 2, "release_per_minute": 8 } });
    let scene = failing(settings, 2).await?;
    for number in 2..30 {
        payments(&scene, [number]).await?;
        scene.clock.advance(SignedDuration::from_millis(10));
    }
    assert_eq!(scene.far.requests().len(), 2);
    scene.far.script(SHOP_URL, [Outcome::answered(200)]);
    let mut minutes = Vec::new();
    while stand(&scene).await? != all("delivered", 30) {
        let before = scene.far.requests().len();
        scene.pass(secs(60)).await?;
        minutes.push(scene.far.requests().len() - before);
        assert!(minutes.len() < 10, "{minutes:?}");
    }
    // The probe, after which nothing is let go until the next minute; then no more than the rate.
    assert_eq!(minutes.first(), Some(&1), "{minutes:?}");
    assert!(minutes.iter().all(|requests| *requests <= 8), "{minutes:?}");
    let ids: Vec<_> = scene.far.requests().iter().skip(2).map(id).collect();
    let mut wanted = Vec::new();
    for event in scene.events().await? {
        wanted.push(text(&event, "/id"));
    }
    assert_eq!(ids, wanted, "as they were recorded");
    assert_eq!(breaker(&scene).await?.as_str(), "releasing");
    scene.pass(secs(600)).await?;
    assert_eq!(breaker(&scene).await?.as_str(), "closed");
    Ok(())
}

fn id(request: &Request) -> String {
    let header = request.headers.get("webhook-id");
    let text = header.and_then(|value| value.to_str().ok());
    text.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn one_that_fails_again_while_its_backlog_is_let_go_keeps_the_rest() -> Result<()> {
    let settings = json!({ "breaker": { "failures": 2 } });
    let scene = failing(settings, 2).await?;
    payments(&scene, 2..40).await?;
    let well = Outcome::answered(200);
    scene
        .far
        .script(SHOP_URL, [well.clone(), well, Outcome::answered(500)]);
    // The probe, then ten at first: of which one gets through, and two fail before it opens again.
    scene.pass(secs(175)).await?;
    assert_eq!(breaker(&scene).await?.as_str(), "open");
    assert_eq!(scene.far.requests().len(), 2 + 1 + 1 + 2);
    assert!(undelivered(&scene, "held").await? >= 36);
    assert!(scene.queues.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_backlog_that_could_not_be_read_is_let_go_when_it_can() -> Result<()> {
    let scene = failing(json!({ "breaker": { "failures": 2 } }), 2).await?;
    payments(&scene, 2..40).await?;
    scene.far.script(SHOP_URL, [Outcome::answered(200)]);
    scene.pass(secs(60)).await?;
    assert_eq!(breaker(&scene).await?.as_str(), "releasing");
    let held = undelivered(&scene, "held").await?;
    scene.faults.cut_off("D#shop#");
    scene.clock.advance(secs(400));
    assert!(scene.sweep().await.is_err(), "it is told");
    assert_eq!(breaker(&scene).await?.as_str(), "releasing");
    scene.faults.none();
    assert_eq!(undelivered(&scene, "held").await?, held);
    scene.pass(secs(600)).await?;
    assert_eq!(stand(&scene).await?, all("delivered", 40));
    assert_eq!(breaker(&scene).await?.as_str(), "closed");
    Ok(())
}

#[tokio::test]
async fn what_is_held_and_can_not_be_read_hides_no_delivery_that_can_be_a_probe() -> Result<()> {
    let scene = failing(json!({ "breaker": { "failures": 2 } }), 2).await?;
    payments(&scene, 2..32).await?;
    scene.break_items("D#shop#").await?;
    scene.clock.advance(SignedDuration::from_millis(10));
    payments(&scene, 32..34).await?;
    scene.far.script(SHOP_URL, [Outcome::answered(200)]);
    scene.pass(secs(60)).await?;
    assert_eq!(breaker(&scene).await?.as_str(), "releasing");
    assert_eq!(scene.far.requests().len(), 3);
    Ok(())
}

#[tokio::test]
async fn what_was_held_until_its_retries_were_over_is_given_up_and_says_why() -> Result<()> {
    let settings =
        json!({ "breaker": { "failures": 2 }, "retry": { "policy": "linear", "max_retry": 1 } });
    let scene = failing(settings, 2).await?;
    payments(&scene, 2..6).await?;
    scene.pass(secs(20)).await?;
    assert_eq!(stand(&scene).await?, all("held", 6));
    scene.pass(secs(600)).await?;
    let states = stand(&scene).await?;
    let of = |state: &str| {
        states
            .iter()
            .filter(|(it, _)| it == state)
            .map(|(_, n)| n)
            .sum::<usize>()
    };
    assert_eq!(
        of("given_up endpoint_down") + of("given_up retries_exhausted"),
        6,
        "{states:?}"
    );
    assert!(of("given_up endpoint_down") >= 3, "{states:?}");
    assert!(scene.queues.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_held_longer_than_it_is_of_use_expires() -> Result<()> {
    let settings = json!({ "breaker": { "failures": 2 }, "useful_for_ms": 95_000 });
    let scene = failing(settings, 2).await?;
    payments(&scene, 2..6).await?;
    assert_eq!(undelivered(&scene, "held").await?, 4);
    scene.pass(secs(240)).await?;
    assert_eq!(stand(&scene).await?, all("expired", 6));
    assert!(scene.far.requests().len() <= 3);
    Ok(())
}

#[tokio::test]
async fn what_is_held_for_an_endpoint_that_takes_nothing_any_more_is_skipped() -> Result<()> {
    for (change, reason) in [
        ("delete", "endpoint_deleted"),
        ("disable", "endpoint_disabled"),
    ] {
        let settings = json!({ "breaker": { "failures": 2 } });
        let scene = failing(settings, 2).await?;
        payments(&scene, 2..20).await?;
        if change == "delete" {
            scene.operator("DELETE", SHOP, Value::Null).await?;
        } else {
            put_shop(&scene, json!({ "state": "disabled" })).await?;
        }
        // Configuration is cached for ten seconds.
        scene.clock.advance(secs(11));
        scene.pass(secs(400)).await?;
        assert_eq!(
            stand(&scene).await?,
            all(&format!("skipped {reason}"), 20),
            "{change}"
        );
        assert_eq!(scene.far.requests().len(), 2, "{change}");
        assert!(scene.queues.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_copy_of_the_worker_that_does_not_know_yet_neither_closes_it_nor_goes_on_for_long()
-> Result<()> {
    let scene = Scene::start().await?;
    payments(&scene, 0..1).await?;
    // Another copy of the worker saw it fail, and this one has read it a moment before.
    let (tenant, shop) = (TenantId::parse("acme")?, EndpointId::parse("shop")?);
    let mut opened = breaker(&scene).await?;
    let now = scene.clock.now();
    opened.note(&BreakerPolicy::default(), &[Came::Failed; 10], now);
    let saved = scene
        .store()
        .save_breaker(&tenant, &shop, &opened, None, now)
        .await?;
    assert_eq!(saved, Saved::Stored);
    payments(&scene, 1..3).await?;
    assert_eq!(scene.far.requests().len(), 3);
    assert_eq!(
        breaker(&scene).await?,
        opened,
        "what got through was begun on an old view"
    );
    scene.clock.advance(secs(11));
    payments(&scene, 3..5).await?;
    assert_eq!(scene.far.requests().len(), 3);
    assert_eq!(undelivered(&scene, "held").await?, 2);
    scene.pass(secs(240)).await?;
    assert_eq!(stand(&scene).await?, all("delivered", 5));
    Ok(())
}

#[tokio::test]
async fn one_failure_among_many_that_get_through_opens_nothing() -> Result<()> {
    let scene = Scene::start().await?;
    let (well, ill) = (Outcome::answered(200), Outcome::answered(500));
    let mut script = Vec::new();
    for _ in 0..30 {
        script.extend([ill.clone(), well.clone(), well.clone()]);
    }
    script.push(well);
    scene.far.script(SHOP_URL, script);
    payments(&scene, 0..60).await?;
    assert_eq!(breaker(&scene).await?.as_str(), "closed");
    scene.pass(secs(60)).await?;
    assert_eq!(breaker(&scene).await?.as_str(), "closed");
    assert_eq!(undelivered(&scene, "held").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_endpoint_without_a_breaker_is_tried_by_its_policy_alone() -> Result<()> {
    let retry = json!({ "policy": "linear", "max_retry": 2 });
    let scene = failing(json!({ "breaker": "off", "retry": retry }), 20).await?;
    scene.pass(secs(60)).await?;
    assert_eq!(scene.far.requests().len(), 60);
    assert_eq!(stand(&scene).await?, all("given_up retries_exhausted", 20));
    assert_eq!(breaker(&scene).await?, Breaker::default());
    Ok(())
}

#[tokio::test]
async fn a_dead_endpoint_with_a_long_backlog_has_few_messages_and_others_none_the_fewer()
-> Result<()> {
    let scene = Scene::start().await?;
    let settings = json!({ "url": "https://other.example/hook", "secrets": [SHOP_SECRET] });
    scene.put_endpoint("other", settings).await?;
    scene.far.script(SHOP_URL, [Outcome::answered(500)]);
    let mut most = 0;
    for hundred in 0..5 {
        payments(&scene, hundred * 100..hundred * 100 + 100).await?;
        most = most.max(scene.queues.len(Queue::Deliver));
        scene.pass(secs(20)).await?;
    }
    let of = |host: &str| {
        let requests = scene.far.requests();
        requests.iter().filter(|it| it.url.contains(host)).count()
    };
    assert_eq!(of("other"), 500);
    assert!(of("shop") <= 30, "{}", of("shop"));
    assert!(most <= 20, "{most}");
    assert!(scene.queues.is_empty());
    assert_eq!(undelivered(&scene, "held").await?, 100, "a page of them");
    Ok(())
}

#[tokio::test]
async fn what_was_being_held_when_the_process_died_is_held_or_comes_again() -> Result<()> {
    for effect in 1..=14 {
        let settings = json!({ "breaker": { "failures": 2 } });
        let mut scene = failing(settings, 2).await?;
        scene.far.script(SHOP_URL, [Outcome::answered(200)]);
        scene.effects.die_after(effect);
        let story = async {
            payments(&scene, 2..4).await?;
            // The probe, and what is let go after it.
            scene.pass(secs(130)).await
        };
        let died = tokio::select! {
            ended = story => { ended?; false }
            () = scene.effects.death() => true,
        };
        assert!(died, "there are at least {effect} effects");
        scene.restart()?;
        payments(&scene, 2..4).await?;
        // What was in hand shows again after its visibility timeout.
        scene.pass(secs(480)).await?;
        let states = stand(&scene).await?;
        assert_eq!(states, all("delivered", 4), "after effect {effect}");
        assert!(scene.queues.is_empty(), "after effect {effect}");
    }
    Ok(())
}
