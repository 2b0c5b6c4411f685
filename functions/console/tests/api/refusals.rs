//! What any route says no to.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::delivery::{End, State};
use shared::ids::TenantId;
use shared::queue::{Enqueue, Message, Queue, QueueError};
use shared::store::{Made, StoreError, TenantRecord, Tenants};

use crate::quarantine::set_aside;
use crate::support::{OPERATOR, World, delivery_key};

fn request(method: &str, path: &str, content_type: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {OPERATOR}"));
    let request = if content_type.is_empty() {
        request
    } else {
        request.header("content-type", content_type)
    };
    request.body(body.into()).expect("a valid request")
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_problems() {
    let world = World::start().await;
    for path in [
        "/",
        "/v1",
        "/v1/tenant",
        "/v1/tenants/",
        "/v1/tenants/acme/endpoints/shop/secret",
        "/v2/webhooks",
    ] {
        let answer = world.get(path).await;
        assert_eq!(
            (answer.problem().0, answer.text("/type")),
            (404, "/problems/no-such-path".to_owned()),
            "{path}"
        );
    }
    let answer = world.post("/v1/tenants/acme", json!({})).await;
    assert_eq!(answer.problem().0, 405);
    assert_eq!(answer.header("allow"), "GET,HEAD,PUT,DELETE");
    assert_eq!(
        world
            .call("prk_wrong", "PATCH", "/v1/tenants", json!({}))
            .await
            .status,
        405
    );
    // Its path is console's as well, so behind function URLs it may come here by mistake.
    world.tenant("acme").await;
    let answer = world.post("/v1/tenants/acme/events", json!({})).await;
    let (status, detail) = answer.problem();
    assert_eq!(status, 421);
    assert!(detail.contains("function URL of `publish`"), "{detail}");
}

#[tokio::test]
async fn a_body_is_json_of_at_most_64_kib() {
    struct Case {
        name: &'static str,
        content_type: &'static str,
        body: String,
        want: (u16, &'static str),
    }
    let body = |body: &str| body.to_owned();
    let not_json = "/problems/not-json";
    let cases = [
        Case {
            name: "declared",
            content_type: "application/json",
            body: body("{}"),
            want: (201, ""),
        },
        Case {
            name: "with a charset",
            content_type: "Application/JSON; charset=utf-8",
            body: body("{}"),
            want: (200, ""),
        },
        Case {
            name: "not declared",
            content_type: "",
            body: body("{}"),
            want: (415, "/problems/not-json-type"),
        },
        Case {
            name: "a form",
            content_type: "application/x-www-form-urlencoded",
            body: body("a=1"),
            want: (415, "/problems/not-json-type"),
        },
        Case {
            name: "empty",
            content_type: "application/json",
            body: body(""),
            want: (400, not_json),
        },
        Case {
            name: "no object",
            content_type: "application/json",
            body: body("[]"),
            want: (400, not_json),
        },
        Case {
            name: "cut off",
            content_type: "application/json",
            body: body(r#"{"display_name":"#),
            want: (400, not_json),
        },
        Case {
            name: "two of them",
            content_type: "application/json",
            body: body("{}{}"),
            want: (400, not_json),
        },
        Case {
            name: "nested too deeply",
            content_type: "application/json",
            body: format!("{{\"x\":{}", "[".repeat(60_000)),
            want: (422, "/problems/invalid-field"),
        },
        Case {
            name: "just 64 KiB",
            content_type: "application/json",
            body: format!("{{{}}}", " ".repeat(65_534)),
            want: (200, ""),
        },
        Case {
            name: "a byte more",
            content_type: "application/json",
            body: format!("{{{}}}", " ".repeat(65_535)),
            want: (413, "/problems/too-large"),
        },
    ];
    let world = World::start().await;
    for Case {
        name,
        content_type,
        body,
        want,
    } in cases
    {
        let answer = world
            .send(request("PUT", "/v1/tenants/acme", content_type, body))
            .await;
        assert_eq!(
            (answer.status, answer.text("/type").as_str()),
            want,
            "{name}: {answer:?}"
        );
    }
}

/// A table and a queue that can't be reached.
struct Away;

fn away() -> StoreError {
    StoreError::Unavailable("hush: connection refused".into())
}

#[async_trait]
impl Tenants for Away {
    async fn put_tenant(&self, _: &TenantRecord) -> Result<Made, StoreError> {
        Err(away())
    }

    async fn tenant(&self, _: &TenantId) -> Result<Option<TenantRecord>, StoreError> {
        Err(away())
    }

    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError> {
        Err(StoreError::Corrupt {
            item: "TENANT#hush".to_owned(),
            problem: "hush".to_owned(),
        })
    }

    async fn delete_tenant(&self, _: &TenantId, _: Timestamp) -> Result<bool, StoreError> {
        Err(StoreError::TooLarge {
            item: "TENANT#hush".to_owned(),
        })
    }
}

#[async_trait]
impl Enqueue for Away {
    async fn send(&self, _: Queue, _: Vec<Message>) -> Result<(), QueueError> {
        Err(QueueError::Unavailable("hush: connection refused".into()))
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_reached_is_503_and_what_it_cannot_hold_is_told_apart() {
    let world = World::with(|console| console::handler::Console {
        tenants: Arc::new(Away),
        ..console
    })
    .await;
    let cases = [
        ("PUT", "/v1/tenants/acme", 503, "5"),
        ("POST", "/v1/tenants/acme/keys", 503, "5"),
        ("GET", "/v1/tenants", 500, ""),
        ("DELETE", "/v1/tenants/acme", 413, ""),
    ];
    for (method, path, status, retry_after) in cases {
        let answer = world.call(OPERATOR, method, path, json!({})).await;
        assert_eq!(
            (answer.problem().0, answer.header("retry-after").as_str()),
            (status, retry_after),
            "{method} {path}"
        );
        assert!(
            !answer.body.to_string().contains("hush"),
            "no internal cause is told: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_queue_that_cannot_be_reached_is_503_and_nothing_is_forgotten() {
    let world = World::with(|console| console::handler::Console {
        queues: Arc::new(Away),
        ..console
    })
    .await;
    world.tenant("acme").await;
    world.record("acme", "evt_1", &["shop"]).await;
    world
        .tried(
            delivery_key("acme", "evt_1", "shop", 1),
            &[410],
            State::GivenUp { reason: End::Gone },
        )
        .await;
    let id = set_aside(&world, Queue::Deliver, "m1", None, "x").await;
    for path in [
        "/v1/tenants/acme/events/evt_1/deliveries/shop/replay",
        &format!("/v1/quarantine/{id}/redrive"),
    ] {
        let answer = world.post(path, Value::Null).await;
        assert_eq!(
            (answer.problem().0, answer.header("retry-after")),
            (503, "5".to_owned()),
            "{path}"
        );
        assert!(!answer.body.to_string().contains("hush"), "{answer:?}");
    }
    assert_eq!(world.get(&format!("/v1/quarantine/{id}")).await.status, 200);
}
