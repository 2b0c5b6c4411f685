//! Tenants: made, replaced, read, listed, removed.

use serde_json::{Value, json};

use crate::support::{START, World};

/// The policy on decisions of a tenant that names none.
fn usual() -> Value {
    json!({"on_failure": "reject", "deadline_ms": 1500})
}

#[tokio::test]
async fn a_tenant_is_made_once_replaced_after_that_and_keeps_when_it_was_made() {
    let world = World::start().await;
    let made = world.put("/v1/tenants/acme", json!({})).await;
    assert_eq!(
        (made.status, made.body),
        (
            201,
            json!({"id": "acme", "decisions": usual(), "created_at": START})
        )
    );

    world.pass(60);
    let replaced = world
        .put("/v1/tenants/acme", json!({"display_name": "Acme Ltd"}))
        .await;
    let want = json!({
        "id": "acme", "display_name": "Acme Ltd", "decisions": usual(), "created_at": START,
    });
    assert_eq!((replaced.status, &replaced.body), (200, &want));
    assert_eq!(world.get("/v1/tenants/acme").await.body, want);
}

#[tokio::test]
async fn every_tenant_is_listed_by_name() {
    let world = World::start().await;
    assert_eq!(
        world.get("/v1/tenants").await.body,
        json!({"data": [], "next_cursor": null})
    );
    for id in ["zeta", "acme"] {
        world.tenant(id).await;
    }
    let listed = world.get("/v1/tenants").await;
    assert_eq!(
        (listed.text("/data/0/id"), listed.text("/data/1/id")),
        ("acme".into(), "zeta".into())
    );
}

#[tokio::test]
async fn a_removed_tenant_is_gone_with_its_keys_and_all_it_had() {
    let world = World::start().await;
    let key = world.tenant("acme").await;
    let endpoint =
        json!({"url": "https://shop.example/hook", "role": "merchant", "scheme": "rafiki"});
    assert_eq!(
        world
            .put("/v1/tenants/acme/endpoints/shop", endpoint)
            .await
            .status,
        201
    );
    let business = json!({"base_url": "https://business.example/", "auth": {"type": "none"}});
    let of_anchors = [
        ("clients/lobby", json!({"domains": ["wallet.example.com"]})),
        ("anchor", json!({"business_server": business})),
        ("anchor/signing-key", json!({})),
    ];
    for (path, body) in &of_anchors {
        let made = world
            .put(&format!("/v1/tenants/acme/{path}"), body.clone())
            .await;
        assert_eq!(made.status, 201, "{path}");
    }

    assert_eq!(world.delete("/v1/tenants/acme").await.status, 204);
    let gone = (404, "There is no tenant `acme` here.".to_owned());
    assert_eq!(world.delete("/v1/tenants/acme").await.problem(), gone);
    assert_eq!(world.get("/v1/tenants/acme").await.problem(), gone);
    assert_eq!(
        world.get("/v1/tenants/acme/endpoints").await.problem(),
        gone
    );
    assert_eq!(
        world
            .call(&key, "GET", "/v1/tenants/acme", json!(null))
            .await
            .status,
        401
    );

    let anew = world.put("/v1/tenants/acme", json!({})).await;
    let detail = "A tenant `acme` was deleted, and what was recorded for it is kept until 2027-01-05T09:00:00.000Z; \
                  make it anew after that, or choose another name.";
    assert_eq!(anew.problem(), (409, detail.to_owned()));
    world.pass(44 * 24 * 3600);
    world.tenant("acme").await;
    let listed = world.get("/v1/tenants/acme/endpoints").await;
    assert_eq!(
        listed.body,
        json!({"data": [], "next_cursor": null}),
        "a new one begins with nothing"
    );
    for (path, _) in of_anchors {
        let read = world.get(&format!("/v1/tenants/acme/{path}")).await;
        assert_eq!(read.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_policy_on_decisions_is_kept_shown_and_replaced_with_the_tenant() {
    let world = World::start().await;
    let cases = [
        (
            json!({"on_failure": "accept"}),
            json!({"on_failure": "accept", "deadline_ms": 1500}),
        ),
        (
            json!({"deadline_ms": 10_000}),
            json!({"on_failure": "reject", "deadline_ms": 10_000}),
        ),
        (json!({}), usual()),
    ];
    for (given, want) in cases {
        let made = world
            .put("/v1/tenants/acme", json!({"decisions": given}))
            .await;
        assert_eq!(made.at("/decisions"), want, "{made:?}");
        assert_eq!(
            world.get("/v1/tenants/acme").await.at("/decisions"),
            want,
            "{given}"
        );
    }
    world
        .put(
            "/v1/tenants/acme",
            json!({"decisions": {"on_failure": "accept"}}),
        )
        .await;
    let replaced = world.put("/v1/tenants/acme", json!({})).await;
    assert_eq!(replaced.at("/decisions"), usual());
}

#[tokio::test]
async fn a_policy_on_decisions_that_is_none_is_refused_by_its_field() {
    let world = World::start().await;
    let too_long = "`decisions.deadline_ms`: must be 100 to 10000 milliseconds";
    let cases = [
        (json!({"deadline_ms": 99}), too_long),
        (json!({"deadline_ms": 10_001}), too_long),
        (
            json!({"on_failure": "maybe"}),
            "`decisions.on_failure`: must be `reject` or `accept`",
        ),
        (
            json!({"deadline": 100}),
            "`decisions.deadline`: is not known here; expected is `on_failure` or `deadline_ms`",
        ),
    ];
    for (given, want) in cases {
        let refused = world
            .put("/v1/tenants/acme", json!({"decisions": given}))
            .await;
        assert_eq!(refused.problem(), (422, want.to_owned()), "{given}");
    }
}

#[tokio::test]
async fn a_display_name_is_something_to_read() {
    let world = World::start().await;
    for name in [String::new(), "x".repeat(101), "a\nb".to_owned()] {
        let refused = world
            .put("/v1/tenants/acme", json!({"display_name": name}))
            .await;
        let rule = "`display_name`: must be 1 to 100 characters, none of them a control character";
        assert_eq!(refused.problem(), (422, rule.to_owned()), "{name:?}");
    }
    let refused = world.put("/v1/tenants/a.b", json!({})).await;
    let rule = "`tenant`: tenant must be 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`";
    assert_eq!(refused.problem(), (400, rule.to_owned()));
}
