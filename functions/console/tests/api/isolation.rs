//! The wall between tenants: the key of one opens nothing of another, and its refusals tell nothing.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use shared::delivery::{End, State};
use shared::queue::Queue;

use crate::document::{documented, filled};
use crate::quarantine::set_aside;
use crate::support::{OPERATOR, World, delivery_key};

/// A world in which `rival` has one of everything; answers it with the key of `acme` and the name of a message of
/// `rival` set aside.
async fn furnished() -> (World, String, String) {
    let world = World::start().await;
    let acme = world.tenant("acme").await;
    world.tenant("rival").await;
    let puts = [
        (
            "endpoints/shop",
            json!({"url": "https://hush.example/", "role": "merchant", "scheme": "rafiki"}),
        ),
        (
            "billing-accounts/pro_1/mca_1",
            json!({"platform": "stripe", "webhook_secrets": ["0123456789abcdef"]}),
        ),
        (
            "publishers/rafiki",
            json!({"secrets": ["0123456789abcdef"]}),
        ),
        ("clients/lobby", json!({"domains": ["hush.example"]})),
        ("anchor", anchor()),
        ("anchor/signing-key", json!({})),
    ];
    for (path, body) in puts {
        assert_eq!(
            world
                .put(&format!("/v1/tenants/rival/{path}"), body)
                .await
                .status,
            201,
            "{path}"
        );
    }
    world.record("rival", "evt_1", &["shop"]).await;
    let given_up = State::GivenUp { reason: End::Gone };
    world
        .tried(delivery_key("rival", "evt_1", "shop", 1), &[410], given_up)
        .await;
    let message = set_aside(&world, Queue::Deliver, "m1", Some("rival"), "hush").await;
    (world, acme, message)
}

fn anchor() -> Value {
    json!({"business_server": {"base_url": "https://hush.example/", "auth": {"type": "none"}}})
}

/// A body that its route would take.
fn body(path: &str) -> Value {
    match path.rsplit('/').next() {
        Some("{endpoint}") => {
            json!({"url": "https://a.example/", "role": "merchant", "scheme": "rafiki"})
        }
        Some("{connector_account_id}") => {
            json!({"platform": "stripe", "webhook_secrets": ["0123456789abcdef"]})
        }
        Some("{client}") => json!({"domains": ["wallet.example.com"]}),
        Some("anchor") => anchor(),
        Some("rafiki") => json!({"secrets": ["0123456789abcdef"]}),
        _ => json!({}),
    }
}

/// What stands in the place of a `{name}`.
fn there(name: &str, message: &str) -> String {
    let value = match name {
        "tenant" => "rival",
        "endpoint" => "shop",
        "client" => "lobby",
        "profile_id" => "pro_1",
        "connector_account_id" => "mca_1",
        "event" => "evt_1",
        "message" => message,
        _ => "key_1",
    };
    value.to_owned()
}

#[tokio::test]
async fn the_key_of_one_tenant_opens_no_route_of_another_and_learns_nothing() {
    let (world, acme, message) = furnished().await;
    let before = world.dump().await;
    let mut tried = 0;
    for (method, path) in documented() {
        // The document and the catalogue are nobody's.
        if path == "/v1/openapi.json" || path.starts_with("/v1/event-types") {
            continue;
        }
        let there = filled(&path, |name| there(name, &message));
        let nowhere = filled(&path, |name| format!("no-{name}"));
        let (one, other) = (
            world.call(&acme, &method, &there, body(&path)).await,
            world.call(&acme, &method, &nowhere, body(&path)).await,
        );
        assert_eq!(one.problem().0, 403, "{method} {there}");
        assert_eq!(
            (other.status, &other.body),
            (403, &one.body),
            "{method} {nowhere}: what is there and what is not look the same"
        );
        assert!(!format!("{one:?}").contains("hush"), "{one:?}");
        tried += 1;
    }
    assert!(tried > 25, "{tried}");
    assert_eq!(world.dump().await, before, "nothing was written");
    assert!(world.queues.is_empty(), "nothing was sent");
}

#[tokio::test]
async fn without_a_key_that_is_known_nothing_opens() {
    let (world, acme, message) = furnished().await;
    let before = world.dump().await;
    let wrong = [
        None,
        Some("Bearer".to_owned()),
        Some("Bearer prk_wrong".to_owned()),
        Some(format!("Basic {OPERATOR}")),
        Some(format!("Bearer {OPERATOR}x")),
        Some(format!("Bearer {} ", &acme[..acme.len() - 1])),
    ];
    for (method, path) in documented() {
        if path == "/v1/openapi.json" {
            continue;
        }
        let there = filled(&path, |name| there(name, &message));
        for authorization in &wrong {
            let mut request = Request::builder()
                .method(method.as_str())
                .uri(&there)
                .header("content-type", "application/json");
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let answer = world
                .send(
                    request
                        .body(Body::from(body(&path).to_string()))
                        .expect("a valid request"),
                )
                .await;
            assert_eq!(
                answer.problem().0,
                401,
                "{method} {there} {authorization:?}"
            );
            assert!(
                answer
                    .header("www-authenticate")
                    .starts_with("Bearer realm=\"payrelay\""),
                "{answer:?}"
            );
        }
    }
    assert_eq!(world.dump().await, before, "nothing was written");
}

#[tokio::test]
async fn a_tenant_reaches_its_own_and_only_reads_itself() {
    let world = World::start().await;
    let acme = world.tenant("acme").await;
    let call = async |method: &str, path: &str, body: Value| {
        world.call(&acme, method, path, body).await.status
    };
    assert_eq!(call("GET", "/v1/tenants/acme", Value::Null).await, 200);
    assert_eq!(call("PUT", "/v1/tenants/acme", json!({})).await, 403);
    assert_eq!(call("DELETE", "/v1/tenants/acme", Value::Null).await, 403);
    assert_eq!(call("GET", "/v1/tenants", Value::Null).await, 403);
    assert_eq!(call("GET", "/v1/quarantine", Value::Null).await, 403);
    assert_eq!(
        call("GET", "/v1/quarantine?tenant=acme", Value::Null).await,
        403
    );
    assert_eq!(
        call("GET", "/v1/tenants/acme/quarantine", Value::Null).await,
        200
    );
    assert_eq!(
        call("GET", "/v1/tenants/acme/events", Value::Null).await,
        200
    );
    let endpoint = json!({"url": "https://a.example/", "role": "merchant", "scheme": "rafiki"});
    assert_eq!(
        call("PUT", "/v1/tenants/acme/endpoints/shop", endpoint).await,
        201
    );
    assert_eq!(call("POST", "/v1/tenants/acme/keys", json!({})).await, 201);
    assert_eq!(
        call("GET", "/v1/tenants/%61cme", Value::Null).await,
        200,
        "an encoded name is the same name"
    );
    assert_eq!(call("GET", "/v1/tenants/acm%65%2e", Value::Null).await, 403);
    assert_eq!(call("GET", "/v1/tenants/%ff", Value::Null).await, 400);
}

#[tokio::test]
async fn a_message_of_its_own_is_read_and_not_redriven_by_a_tenant() {
    let world = World::start().await;
    let acme = world.tenant("acme").await;
    let id = set_aside(&world, Queue::Deliver, "m1", Some("acme"), "x").await;
    let call =
        async |method: &str, path: &str| world.call(&acme, method, path, Value::Null).await.status;
    assert_eq!(call("GET", &format!("/v1/quarantine/{id}")).await, 200);
    assert_eq!(call("DELETE", &format!("/v1/quarantine/{id}")).await, 403);
    assert_eq!(
        call("POST", &format!("/v1/quarantine/{id}/redrive")).await,
        403
    );
    assert!(world.queues.is_empty());
}
