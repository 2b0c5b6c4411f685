//! Keys: shown once, kept as a hash, revoked at once.

use serde_json::json;

use crate::support::{START, World};

#[tokio::test]
async fn a_key_is_shown_once_and_opens_its_tenant_until_it_is_revoked() {
    let world = World::start().await;
    world.put("/v1/tenants/acme", json!({})).await;
    let made = world
        .post("/v1/tenants/acme/keys", json!({"label": "backend"}))
        .await;
    let (id, key) = (made.text("/id"), made.text("/key"));
    assert_eq!(made.status, 201);
    assert_eq!(
        made.body,
        json!({"id": id, "key": key, "label": "backend", "personal_data": false, "created_at": START})
    );
    assert!(
        id.starts_with("key_") && key.starts_with("prk_") && key.len() == 47,
        "{id} {key}"
    );
    assert_eq!(made.header("cache-control"), "no-store");

    let mine = world
        .call(&key, "GET", "/v1/tenants/acme/keys", json!(null))
        .await;
    assert_eq!(
        mine.body,
        json!({"data": [{"id": id, "label": "backend", "personal_data": false, "created_at": START}], "next_cursor": null})
    );
    assert!(
        !world.dump().await.contains(&key),
        "the key itself is kept nowhere"
    );

    let path = format!("/v1/tenants/acme/keys/{id}");
    assert_eq!(
        world.call(&key, "DELETE", &path, json!(null)).await.status,
        204
    );
    assert_eq!(
        world
            .call(&key, "GET", "/v1/tenants/acme", json!(null))
            .await
            .status,
        401
    );
    assert_eq!(
        world.delete(&path).await.problem(),
        (404, format!("There is no key `{id}` here."))
    );
    assert_eq!(
        world.get("/v1/tenants/acme/keys").await.at("/data"),
        json!([])
    );
}

#[tokio::test]
async fn two_keys_are_never_the_same() {
    let world = World::start().await;
    let first = world.tenant("acme").await;
    let second = world
        .post("/v1/tenants/acme/keys", json!({}))
        .await
        .text("/key");
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_key_needs_a_tenant_and_a_label_that_can_be_read() {
    let world = World::start().await;
    let missing = world.post("/v1/tenants/acme/keys", json!({})).await;
    assert_eq!(
        missing.problem(),
        (404, "There is no tenant `acme` here.".to_owned())
    );
    world.tenant("acme").await;
    let refused = world
        .post("/v1/tenants/acme/keys", json!({"label": ""}))
        .await;
    let rule = "`label`: must be 1 to 100 characters, none of them a control character";
    assert_eq!(refused.problem(), (422, rule.to_owned()));
}

#[tokio::test]
async fn the_right_to_personal_data_is_given_by_the_operator_and_by_who_has_it() {
    const KEYS: &str = "/v1/tenants/acme/keys";
    let world = World::start().await;
    let plain = world.tenant("acme").await;
    let asked = || json!({"personal_data": true});
    let refused = world.call(&plain, "POST", KEYS, asked()).await;
    let detail = "A key with `personal_data` is made with an operator's key, or with one that has the right itself.";
    assert_eq!(refused.problem(), (403, detail.to_owned()));
    assert_eq!(
        world.get(KEYS).await.at("/data/1"),
        json!(null),
        "none was made"
    );

    let first = world.post(KEYS, asked()).await;
    assert_eq!(
        (first.status, first.at("/personal_data")),
        (201, json!(true))
    );
    let second = world.call(&first.text("/key"), "POST", KEYS, asked()).await;
    assert_eq!(
        (second.status, second.at("/personal_data")),
        (201, json!(true))
    );
    let left_out = world
        .call(&second.text("/key"), "POST", KEYS, json!({}))
        .await;
    assert_eq!(left_out.at("/personal_data"), false, "it is not inherited");
}
