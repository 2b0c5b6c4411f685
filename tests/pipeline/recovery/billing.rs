//! A Chargebee site that bills one invoice, and tells of each charge of it.

use anyhow::{Context, Result};
use axum::body::Body;
use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};
use tests::scene::{Answer, Scene};
use tests::stories::TENANT;

const FAILED: &str = include_str!("../../fixtures/chargebee/payment_failed.json");
/// `hook_user:hook_pass_of_the_scene`.
const AUTHORIZATION: &str = "Basic aG9va191c2VyOmhvb2tfcGFzc19vZl90aGVfc2NlbmU=";

/// One charge of the invoice.
pub(crate) struct Charge {
    /// Which one, from 1: its ids, and how many the site counts.
    pub(crate) number: u32,
    /// When it was made.
    pub(crate) at: Timestamp,
    /// The transaction's status (`failure`, `success`, `in_progress`).
    pub(crate) status: &'static str,
}

/// Registers the site as the account `cb_1`, with these settings beside its pair.
pub(crate) async fn put_account(scene: &Scene, settings: Value) -> Result<()> {
    let mut body = json!({
        "platform": "chargebee",
        "basic": [{ "user": "hook_user", "password": "hook_pass_of_the_scene" }],
    });
    if let (Some(body), Some(settings)) = (body.as_object_mut(), settings.as_object()) {
        body.extend(settings.clone());
    }
    let path = format!("/v1/tenants/{TENANT}/billing-accounts/pro_1/cb_1");
    scene.operator("PUT", &path, body).await?;
    Ok(())
}

/// What the site posts of a charge.
pub(crate) fn body(invoice: &str, charge: &Charge) -> Result<Value> {
    let mut body: Value = serde_json::from_str(FAILED)?;
    let second = charge.at.as_second();
    let version = charge.at.as_millisecond();
    let event = match charge.status {
        "success" => "payment_succeeded",
        "in_progress" => "payment_initiated",
        _ => "payment_failed",
    };
    // What an invoice is left with is what tells a success of all of it from one of a part.
    let (state, due) = match charge.status {
        "success" => ("paid", 0),
        _ => ("payment_due", 2500),
    };
    let linked: Vec<_> = (1..=charge.number)
        .map(|number| json!({ "txn_id": format!("txn_{invoice}_{number}") }))
        .collect();
    let set = [
        (
            "/id",
            json!(format!("ev_{invoice}_{}_{}", charge.number, charge.status)),
        ),
        ("/event_type", json!(event)),
        ("/occurred_at", json!(second)),
        (
            "/content/transaction/id",
            json!(format!("txn_{invoice}_{}", charge.number)),
        ),
        (
            "/content/transaction/id_at_gateway",
            json!(format!("ch_{invoice}_{}", charge.number)),
        ),
        ("/content/transaction/status", json!(charge.status)),
        ("/content/transaction/date", json!(second)),
        ("/content/transaction/resource_version", json!(version)),
        ("/content/invoice/id", json!(invoice)),
        ("/content/invoice/status", json!(state)),
        ("/content/invoice/amount_due", json!(due)),
        ("/content/invoice/resource_version", json!(version)),
        ("/content/invoice/next_retry_at", Value::Null),
        ("/content/invoice/linked_payments", json!(linked)),
    ];
    for (place, value) in set {
        *body.pointer_mut(place).context(place)? = value;
    }
    Ok(body)
}

/// Posts what the site tells of a charge of `invoice`.
pub(crate) async fn tell(scene: &Scene, invoice: &str, charge: &Charge) -> Result<Answer> {
    post(scene, &body(invoice, charge)?).await
}

/// Posts what the site tells.
pub(crate) async fn post(scene: &Scene, body: &Value) -> Result<Answer> {
    let request = Request::builder()
        .method("POST")
        .uri("/v2/webhooks/revenue_recovery/pro_1/cb_1")
        .header("content-type", "application/json")
        .header("authorization", AUTHORIZATION);
    scene
        .send(request.body(Body::from(body.to_string()))?)
        .await
}
