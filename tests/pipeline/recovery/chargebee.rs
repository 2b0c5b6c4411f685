//! Chargebee's webhooks through the whole path: who is let in, and what the merchant hears.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use shared::queue::Queue;
use shared::secret::Secret;
use shared::signature::basic;
use tests::scene::{Answer, Scene};

use crate::{list, text};

const OLD: &str = "hook_user:4dR7uGmAZq0vXw2cPb9s";
const NEW: &str = "hook_user:9sTn5yKf8hJe1L4dR7uG";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/chargebee/", $name, ".json"))
    };
}

async fn scene() -> anyhow::Result<Scene> {
    let scene = Scene::start().await?;
    let pair = |pair: &str| {
        let (user, password) = pair.split_once(':').unwrap_or_default();
        json!({ "user": user, "password": password })
    };
    let account = json!({ "platform": "chargebee", "basic": [pair(OLD), pair(NEW)] });
    let path = "/v1/tenants/acme/billing-accounts/pro_1/mca_cb";
    scene.operator("PUT", path, account).await?;
    Ok(scene)
}

async fn post(scene: &Scene, pair: Option<&str>, body: &str) -> anyhow::Result<Answer> {
    let mut request = Request::builder()
        .method("POST")
        .uri("/v2/webhooks/revenue_recovery/pro_1/mca_cb")
        .header("content-type", "application/json");
    if let Some(header) = pair.and_then(|pair| basic::header(&Secret::new(pair))) {
        request = request.header("authorization", header);
    }
    scene.send(request.body(Body::from(body.to_owned()))?).await
}

#[tokio::test]
async fn either_live_pair_opens_the_door_and_nothing_else_does() -> anyhow::Result<()> {
    let scene = scene().await?;
    let failed = fixture!("payment_failed");
    let wrong = "hook_user:4dR7uGmAZq0vXw2cPb9S";
    let cases = [
        ("the old pair", Some(OLD), failed, 200, ""),
        ("the new pair", Some(NEW), failed, 200, ""),
        (
            "of no interest",
            Some(OLD),
            fixture!("invoice_generated"),
            200,
            "",
        ),
        (
            "another password",
            Some(wrong),
            failed,
            401,
            "not those of the account",
        ),
        ("no pair", None, failed, 401, "missing or malformed"),
        (
            "no pair and no JSON: the pair is judged first",
            None,
            "x",
            401,
            "missing or malformed",
        ),
        ("no JSON", Some(OLD), "x", 400, "`body` is not JSON"),
        ("no event", Some(OLD), "{}", 400, "`id` is missing"),
    ];
    for (name, pair, body, status, part) in cases {
        let before = scene.queues.len(Queue::Recover);
        let answer = post(&scene, pair, body).await?;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
        assert!(answer.body.contains(part), "{name}: {}", answer.body);
        let accepted = scene.queues.len(Queue::Recover) - before;
        assert_eq!(accepted, usize::from(status == 200), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_payment_reaches_the_merchant_and_a_payment_that_fails_late_opens_the_invoice_again()
-> anyhow::Result<()> {
    let scene = scene().await?;
    let steps = [
        (fixture!("payment_failed"), "open"),
        (fixture!("payment_succeeded"), "recovered"),
        (fixture!("payment_failed.late_failure"), "open"),
        (fixture!("invoice_updated.voided"), "cancelled"),
    ];
    let path = "/v1/tenants/acme/intents?profile=pro_1&account=mca_cb&invoice=INV-1001";
    for (body, state) in steps {
        assert_eq!(post(&scene, Some(OLD), body).await?.status, 200);
        scene.settle().await?;
        let intent = scene.operator("GET", path, Value::Null).await?;
        assert_eq!(text(&intent, "/state"), state, "{intent}");
    }
    let intent = scene.operator("GET", path, Value::Null).await?;
    assert_eq!(list(&intent, "/attempts").len(), 2, "{intent}");
    let first = scene.far.requests().into_iter().next();
    let told: Value = serde_json::from_slice(&first.unwrap_or_else(|| panic!("it is told")).body)?;
    assert_eq!(text(&told, "/type"), "recovery.payment_failed");
    assert_eq!(text(&told, "/data/charge"), "ch_3QfA1");
    assert_eq!(text(&told, "/data/error_code"), "card_declined");
    Ok(())
}
