//! Settings of endpoints under the names that Rafiki's operators know.

use serde_json::{Value, json};

use crate::support::World;

const ASE: &str = "/v1/tenants/acme/endpoints/ase";

fn ase(more: &Value) -> Value {
    let mut body =
        json!({"url": "https://ase.example/webhooks", "role": "ase", "scheme": "rafiki"});
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    body
}

#[tokio::test]
async fn they_map_onto_deadline_and_policy_and_are_shown() {
    let linear = |max_retry| json!({"policy": "linear", "step_s": 10, "max_retry": max_retry});
    let capped = json!({"policy": "linear", "step_s": 10, "max_retry": 9, "cap_s": 60});
    let cases = [
        (json!({}), 2000, linear(10), 10),
        (json!({"WEBHOOK_TIMEOUT": 5000}), 5000, linear(10), 10),
        (json!({"WEBHOOK_MAX_RETRY": 0}), 2000, linear(0), 0),
        (
            json!({"WEBHOOK_TIMEOUT": 100, "WEBHOOK_MAX_RETRY": 50, "timeout_ms": 100}),
            100,
            linear(50),
            50,
        ),
        (
            json!({"WEBHOOK_MAX_RETRY": 9, "retry": capped}),
            2000,
            capped.clone(),
            9,
        ),
        (
            json!({"retry": {"policy": "ladder", "waits_s": [1, 2, 3]}}),
            2000,
            json!({"policy": "ladder", "waits_s": [1, 2, 3]}),
            3,
        ),
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    for (more, timeout, retry, max_retry) in cases {
        let put = world.put(ASE, ase(&more)).await;
        assert!(put.status < 300, "{more}: {put:?}");
        for answer in [put, world.get(ASE).await] {
            assert_eq!(answer.at("/timeout_ms"), timeout, "{more}");
            assert_eq!(answer.at("/WEBHOOK_TIMEOUT"), timeout, "{more}");
            assert_eq!(answer.at("/retry"), retry, "{more}");
            assert_eq!(answer.at("/WEBHOOK_MAX_RETRY"), max_retry, "{more}");
        }
    }
    let other = world
        .put(ASE, ase(&json!({"scheme": "standard-webhooks", "secrets": ["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]})))
        .await;
    assert_eq!(other.at("/WEBHOOK_TIMEOUT"), Value::Null);
}

#[tokio::test]
async fn what_contradicts_or_does_not_fit_is_refused_by_name() {
    let cases = [
        (
            json!({"WEBHOOK_TIMEOUT": 5000, "timeout_ms": 2000}),
            "`WEBHOOK_TIMEOUT`: must be the same as `timeout_ms`; send one of them",
        ),
        (
            json!({"WEBHOOK_TIMEOUT": 20_001}),
            "`WEBHOOK_TIMEOUT`: must be 100 to 20000 milliseconds",
        ),
        (
            json!({"WEBHOOK_TIMEOUT": "2000"}),
            "`WEBHOOK_TIMEOUT`: must be a whole number that is not negative",
        ),
        (
            json!({"WEBHOOK_MAX_RETRY": 51}),
            "`WEBHOOK_MAX_RETRY`: must be 0 to 50",
        ),
        (
            json!({"WEBHOOK_MAX_RETRY": 5, "retry": {"policy": "linear"}}),
            "`WEBHOOK_MAX_RETRY`: must be the number of retries that `retry` has; send one of them",
        ),
        (
            json!({"WEBHOOK_MAX_RETRY": 5, "retry": {"policy": "ladder", "waits_s": [1]}}),
            "`WEBHOOK_MAX_RETRY`: must be the number of retries that `retry` has; send one of them",
        ),
        (
            json!({"scheme": "standard-webhooks", "WEBHOOK_TIMEOUT": 2000}),
            "`WEBHOOK_TIMEOUT`: is for the scheme `rafiki`; send `timeout_ms` and `retry` for others",
        ),
        (
            json!({"scheme": "standard-webhooks", "WEBHOOK_MAX_RETRY": 3}),
            "`WEBHOOK_MAX_RETRY`: is for the scheme `rafiki`; send `timeout_ms` and `retry` for others",
        ),
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    for (more, detail) in cases {
        let answer = world.put(ASE, ase(&more)).await;
        assert_eq!(answer.problem(), (422, detail.to_owned()), "{more}");
    }
}
