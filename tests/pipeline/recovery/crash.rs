//! The process dies after each effect of a failed payment and of the sweep that tells the merchant to charge again:
//! nothing is lost, and nothing is told under another id.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tests::scene::Scene;
use tests::stories::TENANT;

use crate::text;

const DECLINED: &str = include_str!("../../fixtures/chargebee/payment_failed.json");

/// How many acts there are.
const ACTS: usize = 3;

async fn act(scene: &Scene, number: usize) -> Result<()> {
    match number {
        0 => {
            let answer = scene.chargebee(DECLINED).await?;
            ensure!(answer.status == 200, "{}", answer.body);
        }
        1 => {
            scene.pass(SignedDuration::from_mins(3)).await?;
            scene.clock.advance(SignedDuration::from_mins(55));
        }
        // It falls due after an hour, and the merchant has another one.
        _ => scene.pass(SignedDuration::from_mins(8)).await?,
    }
    Ok(())
}

/// Plays it, dying after effect `crash`. Answers the scene at rest, and whether the process died.
async fn play(crash: Option<usize>) -> Result<(Scene, bool)> {
    let mut scene = Scene::start().await?;
    let terms = json!({ "mode": "cascading", "ladder_s": [3600], "retry_window_s": 3600 });
    scene.put_chargebee(terms).await?;
    if let Some(number) = crash {
        scene.effects.die_after(number);
    }
    let mut died = false;
    for number in 0..ACTS {
        let dies = tokio::select! {
            biased;
            () = scene.effects.death() => true,
            done = act(&scene, number) => { done?; false }
        };
        if dies {
            died = true;
            scene.restart()?;
            act(&scene, number).await?;
        }
    }
    Ok((scene, died))
}

/// How often the merchant was told each event, by its id.
fn told(scene: &Scene) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in scene.far.requests() {
        let id = request.headers.get("webhook-id");
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        *counts.entry(id.to_owned()).or_default() += 1;
    }
    counts
}

/// The intent's stage, and which retry it is.
async fn stage(scene: &Scene) -> Result<(String, String)> {
    let path = format!(
        "/v1/tenants/{TENANT}/intents?profile=pro_1&account=mca_chargebee&invoice=INV-1001"
    );
    let intent = scene.operator("GET", &path, Value::Null).await?;
    Ok((text(&intent, "/retry/stage"), text(&intent, "/retry/told")))
}

#[tokio::test]
async fn dying_after_any_effect_tells_of_the_failure_and_of_the_retry_under_the_same_ids()
-> Result<()> {
    let (calm, _) = play(None).await?;
    let want: BTreeSet<_> = told(&calm).into_keys().collect();
    let events = calm.events().await?;
    let types: BTreeSet<_> = events.iter().map(|event| text(event, "/type")).collect();
    let types: Vec<_> = types.iter().map(String::as_str).collect();
    assert_eq!(
        types,
        [
            "recovery.payment_failed",
            "recovery.retry_due",
            "recovery.retry_scheduled",
        ]
    );
    assert_eq!(stage(&calm).await?, ("due".to_owned(), "1".to_owned()));
    let mut crashes = 0;
    for number in 1.. {
        let (scene, died) = play(Some(number)).await?;
        if !died {
            break;
        }
        crashes += 1;
        let told = told(&scene);
        let ids: BTreeSet<_> = told.keys().cloned().collect();
        assert_eq!(ids, want, "after effect {number}");
        assert!(told.values().all(|count| *count <= 2), "{number}: {told:?}");
        assert_eq!(stage(&scene).await?, stage(&calm).await?, "{number}");
        assert!(scene.queues.is_empty(), "after effect {number}");
    }
    assert!(crashes >= 15, "only {crashes} effects");
    Ok(())
}
