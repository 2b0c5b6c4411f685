//! One question has one decision: asked again, at once, after a crash; and nothing delivers it again.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::delivery::{Failure, Outcome};
use tests::scene::Scene;
use tests::stories::TENANT;

use super::{ASE_URL, amount, ask, creation, decision, partial, put_policy, says, stage};
use crate::{list, text};

#[tokio::test]
async fn the_same_key_has_the_same_decision_and_another_question_under_it_is_refused() -> Result<()>
{
    let (mut scene, key) = stage(Scene::start().await?).await?;
    let answers = [
        says(200, &json!({ "decision": "accepted" })),
        says(200, &json!({ "decision": "rejected" })),
    ];
    scene.far.script(ASE_URL, answers);
    let first = ask(&scene, &key, "order-17", &creation()).await?;
    scene.restart()?;
    scene.clock.advance(SignedDuration::from_hours(24));
    put_policy(&scene, TENANT, json!({ "on_failure": "accept" })).await?;
    let again = ask(&scene, &key, "order-17", &creation()).await?;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(text(&first.json(), "/decision"), "accepted");
    assert_eq!(scene.far.requests().len(), 1, "the ASE was asked once");

    let mut other = creation();
    other["incomingAmount"] = amount("999");
    for body in [other, partial()] {
        let refused = ask(&scene, &key, "order-17", &body).await?;
        assert_eq!(refused.status, 422, "{}", refused.body);
        let detail = text(&refused.json(), "/detail");
        assert!(detail.starts_with("`Idempotency-Key`: "), "{detail}");
    }
    assert_eq!(scene.far.requests().len(), 1);
    assert_eq!(scene.events().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn questions_that_come_at_once_under_one_key_have_one_decision() -> Result<()> {
    let (scene, key) = stage(Scene::start().await?).await?;
    let both = ["accepted", "rejected"].map(|word| says(200, &json!({ "decision": word })));
    scene.far.script(
        ASE_URL,
        both.into_iter().cycle().take(40).collect::<Vec<_>>(),
    );
    for n in 0..5 {
        let name = format!("race-{n}");
        let body = creation();
        let asking = (0..8).map(|_| ask(&scene, &key, &name, &body));
        let answers = try_join_all(asking).await?;
        let first = answers.first().context("there are some")?;
        assert_eq!(first.status, 200, "{}", first.body);
        for answer in &answers {
            assert_eq!(answer.body, first.body, "everybody is told the same");
        }
    }
    let events = scene.events().await?;
    assert_eq!(events.len(), 5);
    for event in &events {
        let [delivery] = list(event, "/deliveries")[..] else {
            panic!("{event}");
        };
        let said: Value =
            serde_json::from_str(&text(delivery, "/tries/0/excerpt")).unwrap_or_default();
        assert_eq!(
            said.get("decision"),
            event.pointer("/data/decision/decision"),
            "the request that is shown is the one that decided"
        );
    }
    let ids: BTreeSet<_> = scene
        .far
        .requests()
        .iter()
        .filter_map(|request| serde_json::from_slice::<Value>(&request.body).ok())
        .map(|sent| text(&sent, "/id"))
        .collect();
    assert_eq!(ids.len(), 5, "the ASE knows a question by its id");
    Ok(())
}

#[tokio::test]
async fn nothing_delivers_a_decision_again() -> Result<()> {
    let (scene, key) = stage(Scene::start().await?).await?;
    scene
        .far
        .script(ASE_URL, [Outcome::Failed(Failure::Timeout)]);
    decision(&scene, &key, "late", &creation()).await?;
    scene.pass(SignedDuration::from_hours(2)).await?;
    assert_eq!(scene.far.requests().len(), 1);
    let id = text(&scene.events().await?.pop().unwrap_or_default(), "/id");
    let replay = format!("/v1/tenants/{TENANT}/events/{id}/deliveries/ase/replay");
    let refused = scene.call("POST", &replay, Value::Null).await?;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert_eq!(text(&refused.json(), "/type"), "/problems/decided");
    scene.pass(SignedDuration::from_mins(5)).await?;
    assert_eq!(scene.far.requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_crash_between_asking_and_keeping_asks_again_with_the_same_id() -> Result<()> {
    let (mut scene, key) = stage(Scene::start().await?).await?;
    let answers = ["accepted", "rejected"].map(|word| says(200, &json!({ "decision": word })));
    scene.far.script(ASE_URL, answers);
    let payment = creation();
    scene.effects.die_after(1);
    let died = tokio::select! {
        biased;
        () = scene.effects.death() => true,
        answered = ask(&scene, &key, "order-17", &payment) => { answered?; false }
    };
    assert!(died, "the request to the ASE is the first effect");
    scene.restart()?;
    assert!(scene.events().await?.is_empty());
    let got = decision(&scene, &key, "order-17", &creation()).await?;
    assert_eq!(text(&got, "/decision"), "rejected");
    let bodies: Vec<_> = scene.far.requests().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies.first(), bodies.last());

    // After it was kept, nothing is asked any more.
    scene.effects.die_after(2);
    let died = tokio::select! {
        biased;
        () = scene.effects.death() => true,
        answered = ask(&scene, &key, "order-18", &payment) => { answered?; false }
    };
    assert!(died, "keeping the decision is the second effect");
    scene.restart()?;
    let asked = scene.far.requests().len();
    decision(&scene, &key, "order-18", &creation()).await?;
    assert_eq!(scene.far.requests().len(), asked);
    assert_eq!(scene.events().await?.len(), 2);
    Ok(())
}
