//! The process dies after each effect in turn; the replay ends in the same state.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde_json::Value;
use shared::delivery::Outcome;
use tests::scene::{SHOP_URL, Scene};

use crate::{FAILED, PAID, list, states, text};

/// Runs the path of one failed and one successful charge, with one refused try, dying after effect `crash`.
/// Answers the scene at rest and whether the process died.
async fn story(crash: Option<usize>) -> anyhow::Result<(Scene, bool)> {
    let mut scene = Scene::start().await?;
    scene
        .far
        .script(SHOP_URL, [Outcome::answered(500), Outcome::answered(200)]);
    for body in [FAILED, PAID] {
        assert_eq!(scene.webhook(body).await?.status, 200);
    }
    let mut died = false;
    if let Some(number) = crash {
        scene.effects.die_after(number);
        died = tokio::select! {
            biased;
            () = scene.effects.death() => true,
            settled = scene.settle() => { settled?; false }
        };
        // What the process had in hand comes back when its visibility has run out.
        scene.restart()?;
    }
    scene.pass(SignedDuration::from_mins(10)).await?;
    Ok((scene, died))
}

/// What the far side got, without what differs from try to try: each event id once.
fn told(scene: &Scene) -> BTreeSet<String> {
    let id = |request: &shared::delivery::Request| {
        let id = request
            .headers
            .get("webhook-id")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        format!("{id} {}", String::from_utf8_lossy(&request.body))
    };
    scene.far.requests().iter().map(id).collect()
}

/// How often the far side got each event.
fn requests_by_id(scene: &Scene) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in scene.far.requests() {
        let id = request
            .headers
            .get("webhook-id")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        *counts.entry(id.to_owned()).or_default() += 1;
    }
    counts
}

fn at_rest(events: &[Value]) -> BTreeSet<String> {
    states(events).into_iter().collect()
}

#[tokio::test]
async fn dying_after_any_effect_loses_nothing_and_ends_in_the_same_state() -> anyhow::Result<()> {
    let (calm, _) = story(None).await?;
    let (want, want_told) = (at_rest(&calm.events().await?), told(&calm));
    assert_eq!(want.len(), 3, "{want:?}");
    assert_eq!(
        calm.far.requests().len(),
        4,
        "three events and one refused try"
    );

    let calm_requests = requests_by_id(&calm);
    let mut crashes = 0;
    for number in 1.. {
        let (scene, died) = story(Some(number)).await?;
        if !died {
            break;
        }
        crashes += 1;
        let events = scene.events().await?;
        assert_eq!(at_rest(&events), want, "after effect {number}");
        assert_eq!(told(&scene), want_told, "after effect {number}");
        assert!(
            scene.queues.is_empty(),
            "after effect {number}: nothing is left on any queue"
        );
        let tries: usize = events
            .iter()
            .map(|event| list(event, "/deliveries/0/tries").len())
            .sum();
        let sent = scene.far.requests().len();
        // A request whose record was lost with the process is made again: that is the one known difference, and it is
        // bounded by what the process had in hand.
        assert!(
            (tries..=tries + 3).contains(&sent),
            "after effect {number}: {sent} requests, {tries} recorded"
        );
        for (id, count) in requests_by_id(&scene) {
            let calm = calm_requests.get(&id).copied().unwrap_or_default();
            assert!(
                count <= calm + 1,
                "after effect {number}: {id} was sent {count} times, {calm} without a crash"
            );
        }
        for event in &events {
            assert_eq!(
                list(event, "/deliveries").len(),
                1,
                "{}",
                text(event, "/id")
            );
        }
    }
    assert!(
        crashes >= 12,
        "the story has at least twelve effects, not {crashes}"
    );
    Ok(())
}
