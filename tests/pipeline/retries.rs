//! When a failed try is followed by another, to the second, and how it ends.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::delivery::Outcome;
use tests::scene::{SHOP_SECRET, SHOP_URL, Scene};

use crate::{FAILED, list, text};

/// Seconds from the first try of a delivery to each of its tries.
fn offsets(event: &Value) -> anyhow::Result<Vec<i64>> {
    let times: Result<Vec<Timestamp>, _> = list(event, "/deliveries/0/tries")
        .into_iter()
        .map(|tried| text(tried, "/at").parse())
        .collect();
    let times = times?;
    let first = times.first().copied().unwrap_or_default();
    Ok(times
        .into_iter()
        .map(|at| at.duration_since(first).as_secs())
        .collect())
}

async fn failing(
    settings: Value,
    outcome: Outcome,
    time: SignedDuration,
) -> anyhow::Result<(Scene, Value)> {
    let scene = Scene::start().await?;
    scene.put_endpoint("shop", settings).await?;
    scene.far.script(SHOP_URL, [outcome]);
    scene.webhook(FAILED).await?;
    scene.pass(time).await?;
    let event = scene.events().await?.pop().unwrap_or_default();
    Ok((scene, event))
}

#[tokio::test]
async fn linear_retries_come_after_exactly_10_20_30_and_so_on_seconds_and_end_visibly()
-> anyhow::Result<()> {
    let settings =
        json!({ "url": SHOP_URL, "scheme": "rafiki", "secrets": ["rafiki-test-secret"] });
    let (scene, event) = failing(
        settings,
        Outcome::answered(500),
        SignedDuration::from_mins(20),
    )
    .await?;
    let want: Vec<i64> = (0..=10).map(|n| (1..=n).map(|k| 10 * k).sum()).collect();
    assert_eq!(offsets(&event)?, want);
    assert_eq!(text(&event, "/state"), "failed");
    assert_eq!(text(&event, "/deliveries/0/state"), "given_up");
    assert_eq!(text(&event, "/deliveries/0/reason"), "retries_exhausted");
    assert_eq!(scene.far.requests().len(), 11);
    assert!(scene.queues.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_ladder_goes_through_the_parking_place_and_ends_after_its_last_step() -> anyhow::Result<()>
{
    let settings = json!({ "url": SHOP_URL, "secrets": [SHOP_SECRET], "retry": { "policy": "ladder", "waits_s": [5, 300, 1800, 7200] } });
    let (scene, event) = failing(
        settings,
        Outcome::answered(503),
        SignedDuration::from_hours(6),
    )
    .await?;
    let offsets = offsets(&event)?;
    let waits: Vec<i64> = offsets
        .iter()
        .zip(offsets.iter().skip(1))
        .map(|(a, b)| b - a)
        .collect();
    // Jitter adds up to a tenth; what was parked waits for the sweep of its minute.
    for (wait, (planned, slack)) in waits.iter().zip([(5, 0), (300, 0), (1800, 60), (7200, 60)]) {
        assert!(
            (planned..=planned + planned / 10 + slack).contains(wait),
            "{waits:?}"
        );
    }
    assert_eq!(waits.len(), 4);
    assert_eq!(text(&event, "/deliveries/0/reason"), "retries_exhausted");
    assert!(scene.queues.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_parked_delivery_holds_no_message_and_shows_when_it_is_due() -> anyhow::Result<()> {
    let settings = json!({ "url": SHOP_URL, "secrets": [SHOP_SECRET], "retry": { "policy": "ladder", "waits_s": [3600] } });
    let (scene, event) = failing(
        settings,
        Outcome::answered(503),
        SignedDuration::from_mins(5),
    )
    .await?;
    assert!(scene.queues.is_empty());
    assert_eq!(text(&event, "/deliveries/0/state"), "parked");
    assert!(
        text(&event, "/deliveries/0/next_try_at")
            .parse::<Timestamp>()
            .is_ok()
    );
    scene.far.script(SHOP_URL, [Outcome::answered(200)]);
    scene.pass(SignedDuration::from_mins(70)).await?;
    let event = scene.events().await?.pop().unwrap_or_default();
    assert_eq!(text(&event, "/deliveries/0/state"), "delivered");
    assert_eq!(scene.far.requests().len(), 2);
    Ok(())
}

#[tokio::test]
async fn overlapping_sweeps_send_a_parked_delivery_once() -> anyhow::Result<()> {
    let settings = json!({ "url": SHOP_URL, "secrets": [SHOP_SECRET], "retry": { "policy": "ladder", "waits_s": [3600, 3600] } });
    let (scene, _) = failing(
        settings,
        Outcome::answered(503),
        SignedDuration::from_mins(5),
    )
    .await?;
    scene.clock.advance(SignedDuration::from_hours(2));
    let (one, two, three) = tokio::join!(scene.sweep(), scene.sweep(), scene.sweep());
    one.and(two).and(three)?;
    scene.settle().await?;
    assert_eq!(
        scene.far.requests().len(),
        2,
        "one try more, however many messages there were"
    );
    Ok(())
}

#[tokio::test]
async fn retry_after_lengthens_a_wait_and_never_shortens_it() -> anyhow::Result<()> {
    for (hint_s, want_s) in [(120, 120), (1, 10)] {
        let settings = json!({ "url": SHOP_URL, "secrets": [SHOP_SECRET], "retry": { "policy": "linear", "max_retry": 1 } });
        let outcome = Outcome::Answered {
            status: 429,
            retry_after: Some(SignedDuration::from_secs(hint_s)),
            excerpt: String::new(),
        };
        let (_, event) = failing(settings, outcome, SignedDuration::from_mins(5)).await?;
        assert_eq!(offsets(&event)?, [0, want_s], "Retry-After: {hint_s}");
    }
    Ok(())
}

#[tokio::test]
async fn a_retry_that_would_come_too_late_to_be_of_use_is_not_made() -> anyhow::Result<()> {
    let settings = json!({ "url": SHOP_URL, "secrets": [SHOP_SECRET], "useful_for_ms": 95_000, "retry": { "policy": "linear" } });
    let (scene, event) = failing(
        settings,
        Outcome::answered(500),
        SignedDuration::from_mins(20),
    )
    .await?;
    // It happened 40 s before the scene began: tries at 0, 10 and 30 s lie within 95 s, one at 60 s would not.
    assert_eq!(offsets(&event)?, [0, 10, 30]);
    assert_eq!(text(&event, "/deliveries/0/state"), "expired");
    assert!(scene.queues.is_empty());
    Ok(())
}
