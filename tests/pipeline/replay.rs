//! A settled delivery can be sent again: a new round, with the old tries still there.

use serde_json::{Value, json};
use shared::delivery::Outcome;
use tests::scene::{SHOP_SECRET, SHOP_URL, Scene};

use crate::{FAILED, list, text};

async fn given_up() -> anyhow::Result<(Scene, String)> {
    let scene = Scene::start().await?;
    let retry = json!({ "policy": "ladder", "waits_s": [] });
    scene
        .put_endpoint(
            "shop",
            json!({ "url": SHOP_URL, "secrets": [SHOP_SECRET], "retry": retry }),
        )
        .await?;
    scene.far.script(SHOP_URL, [Outcome::answered(500)]);
    scene.webhook(FAILED).await?;
    scene.settle().await?;
    let id = scene
        .events()
        .await?
        .first()
        .map(|event| text(event, "/id"))
        .unwrap_or_default();
    Ok((scene, id))
}

#[tokio::test]
async fn a_replay_starts_a_new_round_and_keeps_the_old_tries_visible() -> anyhow::Result<()> {
    let (scene, id) = given_up().await?;
    scene.far.script(SHOP_URL, [Outcome::answered(200)]);
    let path = format!("/v1/tenants/acme/events/{id}/deliveries/shop/replay");
    let answers = [
        scene.call("POST", &path, Value::Null).await?,
        scene.call("POST", &path, Value::Null).await?,
    ];
    assert!(
        answers.iter().all(|answer| answer.status == 202),
        "{answers:?}"
    );
    scene.settle().await?;
    assert_eq!(
        scene.far.requests().len(),
        2,
        "asked twice before it ran, replayed once"
    );

    let event = scene.events().await?.pop().unwrap_or_default();
    let rounds: Vec<_> = list(&event, "/deliveries")
        .into_iter()
        .map(|delivery| {
            let tries = list(delivery, "/tries").len();
            format!(
                "{} {} {tries}",
                text(delivery, "/round"),
                text(delivery, "/state")
            )
        })
        .collect();
    assert_eq!(rounds, ["1 given_up 1", "2 delivered 1"]);
    assert_eq!(text(&event, "/state"), "delivered");
    let ids: Vec<_> = scene
        .far
        .requests()
        .iter()
        .map(|r| r.headers.get("webhook-id").cloned())
        .collect();
    assert_eq!(ids.first(), ids.last(), "the receiver sees the same id");
    Ok(())
}

#[tokio::test]
async fn only_a_settled_delivery_of_the_event_can_be_replayed() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    scene.far.script(SHOP_URL, [Outcome::answered(500)]);
    scene.webhook(FAILED).await?;
    scene.settle().await?;
    let id = scene
        .events()
        .await?
        .first()
        .map(|event| text(event, "/id"))
        .unwrap_or_default();
    let cases = [
        (
            format!("/v1/tenants/acme/events/{id}/deliveries/shop/replay"),
            409,
        ),
        (
            format!("/v1/tenants/acme/events/{id}/deliveries/other/replay"),
            404,
        ),
        (
            "/v1/tenants/acme/events/evt_none/deliveries/shop/replay".to_owned(),
            404,
        ),
    ];
    for (path, want) in cases {
        assert_eq!(
            scene.call("POST", &path, Value::Null).await?.status,
            want,
            "{path}"
        );
    }
    Ok(())
}
