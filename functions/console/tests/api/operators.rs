//! Endpoints of role `operator`: they are a tenant's to see, and the operator's to set.

use serde_json::{Value, json};

use crate::support::World;

const OPS: &str = "/v1/tenants/acme/endpoints/ops";
const OPS_SECRETS: &str = "/v1/tenants/acme/endpoints/ops/secrets";
const SHOP: &str = "/v1/tenants/acme/endpoints/shop";

fn endpoint(role: &str) -> Value {
    json!({"url": format!("https://{role}.example/hook"), "role": role, "scheme": "rafiki"})
}

#[tokio::test]
async fn an_endpoint_of_role_operator_is_made_changed_and_deleted_with_an_operators_key_only() {
    let world = World::start().await;
    let key = world.tenant("acme").await;
    let refused = (
        403,
        "Endpoints of role `operator` are made, changed and deleted with an operator's key."
            .to_owned(),
    );
    let made = world.call(&key, "PUT", OPS, endpoint("operator")).await;
    assert_eq!(made.problem(), refused, "made");
    assert_eq!(world.get(OPS).await.status, 404, "nothing was made");

    assert_eq!(world.put(OPS, endpoint("operator")).await.status, 201);
    let before = world.dump().await;
    let tries = [
        ("PUT", OPS, endpoint("operator"), "changed"),
        (
            "PUT",
            OPS,
            endpoint("merchant"),
            "turned into one of its own",
        ),
        ("POST", OPS_SECRETS, json!({}), "given another secret"),
        ("DELETE", OPS, Value::Null, "deleted"),
    ];
    for (method, path, body, what) in tries {
        let answer = world.call(&key, method, path, body).await;
        assert_eq!(answer.problem(), refused, "{what}");
    }
    assert_eq!(world.dump().await, before, "nothing was written");

    assert_eq!(
        world
            .call(&key, "PUT", SHOP, endpoint("merchant"))
            .await
            .status,
        201
    );
    let turned = world.call(&key, "PUT", SHOP, endpoint("operator")).await;
    assert_eq!(
        turned.problem(),
        refused,
        "its own turned into the operator's"
    );

    assert_eq!(world.post(OPS_SECRETS, json!({})).await.status, 200);
    assert_eq!(world.put(OPS, endpoint("operator")).await.status, 200);
    assert_eq!(world.delete(OPS).await.status, 204);
}

#[tokio::test]
async fn the_url_of_the_operators_endpoint_is_shown_to_operators_only() {
    let world = World::start().await;
    let key = world.tenant("acme").await;
    assert_eq!(world.put(OPS, endpoint("operator")).await.status, 201);
    assert_eq!(world.put(SHOP, endpoint("merchant")).await.status, 201);

    let url = "https://operator.example/hook";
    assert_eq!(world.get(OPS).await.text("/url"), url);
    assert_eq!(
        world
            .get("/v1/tenants/acme/endpoints")
            .await
            .text("/data/0/url"),
        url
    );

    let list = "/v1/tenants/acme/endpoints";
    for path in [OPS, list] {
        let seen = world.call(&key, "GET", path, Value::Null).await;
        assert_eq!(seen.status, 200);
        assert!(!seen.raw.contains("operator.example"), "{path}: {seen:?}");
    }
    let seen = world.call(&key, "GET", list, Value::Null).await;
    assert_eq!(seen.at("/data/0/url"), Value::Null);
    assert_eq!(seen.text("/data/0/role"), "operator");
    assert_eq!(seen.text("/data/1/url"), "https://merchant.example/hook");
}
