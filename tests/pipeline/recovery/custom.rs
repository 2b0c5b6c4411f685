//! What merchants report themselves: whom the door lets in, what it refuses, and what comes of it.

use axum::body::Body;
use http::Request;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::queue::Queue;
use tests::scene::{Answer, Scene};

use crate::{FAILED, list, text};

const DOOR: &str = "/v1/tenants/acme/recovery/attempts";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/custom/", $name, ".json"))
    };
}

/// A scene with a custom account `mca_own` beside Stripe's `mca_1`, and a key of each of two tenants.
async fn scene() -> anyhow::Result<(Scene, String, String)> {
    let scene = Scene::start().await?;
    let path = "/v1/tenants/acme/billing-accounts/pro_1/mca_own";
    let account = json!({ "platform": "custom" });
    scene.operator("PUT", path, account).await?;
    scene
        .operator("PUT", "/v1/tenants/other", json!({}))
        .await?;
    let key = async |tenant: &str| {
        let path = format!("/v1/tenants/{tenant}/keys");
        let made = scene.operator("POST", &path, json!({})).await?;
        anyhow::Ok(text(&made, "/key"))
    };
    let (ours, theirs) = (key("acme").await?, key("other").await?);
    // Later than anything that is reported.
    scene.clock.advance(SignedDuration::from_hours(4));
    Ok((scene, ours, theirs))
}

/// A report about an account.
fn to(account: &str, report: &str) -> String {
    report.replace("mca_1", account)
}

async fn post(scene: &Scene, path: &str, key: &str, body: &str) -> anyhow::Result<Answer> {
    let request = Request::builder()
        .method("POST")
        .uri(path)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {key}"));
    scene.send(request.body(Body::from(body.to_owned()))?).await
}

#[tokio::test]
async fn a_report_needs_a_key_of_the_tenant_and_the_normalised_form() -> anyhow::Result<()> {
    let (scene, ours, theirs) = scene().await?;
    let failed = to("mca_own", fixture!("payment_failed"));
    let retried = to("mca_1", fixture!("payment_succeeded.retry"));
    let card = failed.replace("pm_1Qbb", "4242424242424242");
    let long = " ".repeat(64 * 1024 + 1);
    let cases: [(&str, &str, &str, &str, u16, &str); 12] = [
        (
            "as usual",
            DOOR,
            &ours,
            &failed,
            200,
            r#"{"signal":"report:rep_1001"}"#,
        ),
        (
            "a retry at Stripe's account",
            DOOR,
            &ours,
            &retried,
            200,
            "report:rep_1002",
        ),
        (
            "what Stripe tells itself",
            DOOR,
            &ours,
            fixture!("payment_failed"),
            422,
            "`charge.triggered_by` must be `internal`",
        ),
        (
            "no key that is known",
            DOOR,
            "prk_nobody",
            &failed,
            401,
            "not known",
        ),
        (
            "another tenant's key",
            DOOR,
            &theirs,
            &failed,
            403,
            "does not reach",
        ),
        (
            "another tenant's account",
            "/v1/tenants/other/recovery/attempts",
            &theirs,
            &failed,
            404,
            "No billing account",
        ),
        (
            "an unknown account",
            DOOR,
            &ours,
            &to("mca_2", &failed.replace("mca_own", "mca_1")),
            404,
            "No billing account",
        ),
        (
            "a field too many",
            DOOR,
            &ours,
            &failed.replace("\"tries\"", "\"trys\""),
            400,
            "`trys` is not a field",
        ),
        (
            "a card number",
            DOOR,
            &ours,
            &card,
            400,
            "`charge.instrument.token` must not hold a card number",
        ),
        ("no JSON", DOOR, &ours, "x", 400, "`body` is not JSON"),
        ("too long", DOOR, &ours, &long, 413, "65536"),
        (
            "a webhook for an account without webhooks",
            "/v2/webhooks/revenue_recovery/pro_1/mca_own",
            &ours,
            FAILED,
            404,
            "has no webhooks; report through",
        ),
    ];
    for (name, path, key, body, status, part) in cases {
        let before = scene.queues.len(Queue::Recover);
        let answer = post(&scene, path, key, body).await?;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
        assert!(answer.body.contains(part), "{name}: {}", answer.body);
        assert!(!answer.body.contains("4242424242424242"), "{name}");
        let accepted = scene.queues.len(Queue::Recover) - before;
        assert_eq!(accepted, usize::from(status == 200), "{name}");
        let challenged = answer.headers.contains_key("www-authenticate");
        assert_eq!(challenged, status == 401, "{name}");
    }
    let form = Request::builder()
        .method("POST")
        .uri(DOOR)
        .header("content-type", "text/plain")
        .header("authorization", format!("Bearer {ours}"));
    let answer = scene.send(form.body(Body::from(failed.clone()))?).await?;
    assert_eq!(answer.status, 415);
    let read = scene.call("GET", DOOR, Value::Null).await?;
    assert_eq!(read.status, 405);
    Ok(())
}

#[tokio::test]
async fn reports_of_a_merchant_that_bills_itself_make_an_intent_and_end_it() -> anyhow::Result<()> {
    let (scene, key, _) = scene().await?;
    let path = "/v1/tenants/acme/intents?profile=pro_1&account=mca_own&invoice=B-2025-17";
    let steps = [
        (fixture!("payment_failed"), "open", 1),
        (fixture!("payment_failed"), "open", 1),
        (fixture!("payment_succeeded.retry"), "recovered", 2),
    ];
    for (report, state, attempts) in steps {
        let answer = post(&scene, DOOR, &key, &to("mca_own", report)).await?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        scene.settle().await?;
        let intent = scene.operator("GET", path, Value::Null).await?;
        assert_eq!(text(&intent, "/state"), state, "{intent}");
        assert_eq!(list(&intent, "/attempts").len(), attempts, "{intent}");
    }
    Ok(())
}
