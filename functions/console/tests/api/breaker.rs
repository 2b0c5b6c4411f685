//! The breaker of an endpoint: shown, opened and closed by hand, and closed by what makes its failures a thing of the past.

use serde_json::{Value, json};
use shared::delivery::breaker::Came;
use shared::delivery::{Breaker, BreakerPolicy};
use shared::store::{Breakers, Saved};

use crate::support::{OPERATOR, World, endpoint_id, tenant_id};

const SHOP: &str = "/v1/tenants/acme/endpoints/shop";
const BREAKER: &str = "/v1/tenants/acme/endpoints/shop/breaker";

fn shop(more: Value) -> Value {
    let mut body = json!({
        "url": "https://shop.example/hook", "role": "merchant", "scheme": "standard-webhooks",
    });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

async fn world() -> World {
    let world = World::start().await;
    world.tenant("acme").await;
    assert_eq!(world.put(SHOP, shop(json!({}))).await.status, 201);
    world
}

/// The endpoint fails ten times.
async fn fail(world: &World) {
    let mut breaker = Breaker::default();
    breaker.note(&BreakerPolicy::default(), &[Came::Failed; 10], world.now());
    let (tenant, id) = (tenant_id("acme"), endpoint_id("shop"));
    let saved = world
        .store
        .save_breaker(&tenant, &id, &breaker, None, world.now())
        .await;
    assert_eq!(saved.expect("the table takes it"), Saved::Stored);
}

async fn state(world: &World) -> String {
    world.get(SHOP).await.text("/breaker_state/state")
}

#[tokio::test]
async fn an_endpoint_that_fails_on_shows_since_when_and_until_when_it_is_left_alone() {
    let world = world().await;
    fail(&world).await;
    let want = json!({
        "state": "open",
        "since": "2026-11-22T09:00:00.000Z",
        "opened_by": "failures",
        "failures": 10,
        "next_probe_at": "2026-11-22T09:01:00.000Z",
    });
    assert_eq!(world.get(SHOP).await.at("/breaker_state"), want);
    let listed = world.get("/v1/tenants/acme/endpoints").await;
    assert_eq!(listed.at("/data/0/breaker_state"), want);
}

#[tokio::test]
async fn the_operator_opens_and_closes_it() {
    let world = world().await;
    let opened = world.post(BREAKER, json!({"state": "open"})).await;
    let want = json!({
        "state": "open",
        "since": "2026-11-22T09:00:00.000Z",
        "opened_by": "operator",
        "failures": 0,
        "next_probe_at": null,
    });
    assert_eq!((opened.status, &opened.body), (200, &want));
    world.pass(60);
    let again = world.post(BREAKER, json!({"state": "open"})).await;
    assert_eq!((again.status, &again.body), (200, &want), "it is open");
    let closed = world.post(BREAKER, json!({"state": "closed"})).await;
    assert_eq!(
        (closed.status, closed.text("/state")),
        (200, "releasing".into())
    );
    let again = world.post(BREAKER, json!({"state": "closed"})).await;
    assert_eq!(again.body, closed.body);
}

#[tokio::test]
async fn one_that_never_failed_is_closed_already() {
    let world = world().await;
    let closed = world.post(BREAKER, json!({"state": "closed"})).await;
    assert_eq!(
        (closed.status, closed.text("/state")),
        (200, "closed".into())
    );
    assert!(!world.dump().await.contains("BR#"), "nothing was written");
}

#[tokio::test]
async fn what_is_no_state_and_what_is_no_endpoint_is_refused() {
    let world = world().await;
    let refused = world.post(BREAKER, json!({"state": "ajar"})).await;
    let rule = "`state`: must be `open` or `closed`";
    assert_eq!(refused.problem(), (422, rule.to_owned()));
    let refused = world.post(BREAKER, json!({})).await;
    assert_eq!(refused.problem(), (422, "`state`: is missing".to_owned()));
    let elsewhere = BREAKER.replace("shop", "shed");
    let refused = world.post(&elsewhere, json!({"state": "open"})).await;
    assert_eq!(refused.status, 404);
}

#[tokio::test]
async fn only_an_operator_turns_the_breaker_of_the_operators_endpoint() {
    let world = World::start().await;
    let key = world.tenant("acme").await;
    let made = world.put(SHOP, shop(json!({"role": "operator"}))).await;
    assert_eq!(made.status, 201);
    let open = json!({"state": "open"});
    let refused = world.call(&key, "POST", BREAKER, open.clone()).await;
    assert_eq!(refused.problem().0, 403, "{refused:?}");
    let opened = world.call(OPERATOR, "POST", BREAKER, open).await;
    assert_eq!(opened.status, 200);
}

#[tokio::test]
async fn a_change_that_makes_its_failures_a_thing_of_the_past_closes_it() {
    let moved = json!({"url": "https://new.example/hook"});
    let cases = [
        ("nothing of it", json!({}), "open", "open"),
        ("the deadline", json!({"timeout_ms": 500}), "open", "open"),
        ("no breaker", json!({"breaker": "off"}), "releasing", "open"),
        ("the URL", moved, "releasing", "open"),
        (
            "off",
            json!({"state": "disabled"}),
            "releasing",
            "releasing",
        ),
    ];
    for (what, change, failed, by_hand) in cases {
        let failing = world().await;
        fail(&failing).await;
        let changed = failing.put(SHOP, shop(change.clone())).await;
        assert_eq!(changed.text("/breaker_state/state"), failed, "{what}");
        assert_eq!(state(&failing).await, failed, "{what}");

        let opened = world().await;
        opened.post(BREAKER, json!({"state": "open"})).await;
        opened.put(SHOP, shop(change)).await;
        assert_eq!(state(&opened).await, by_hand, "{what}, opened by hand");
    }
}

#[tokio::test]
async fn what_is_held_for_an_endpoint_that_is_removed_is_let_go() {
    let world = world().await;
    fail(&world).await;
    assert_eq!(world.delete(SHOP).await.status, 204);
    let (tenant, id) = (tenant_id("acme"), endpoint_id("shop"));
    let read = world.store.breaker(&tenant, &id).await;
    let breaker = read.expect("the table answers").expect("it is there").value;
    assert_eq!(breaker.as_str(), "releasing");
}
