//! What a number of events uses, counted on the way through the whole path.

use anyhow::{Result, ensure};
use axum::body::Body;
use http::Request;
use serde_json::json;
use shared::secret::Secret;
use shared::signature::rafiki;
use shared::time::Clock;

use crate::bill::Usage;
use crate::scene::Scene;
use crate::stories::{TENANT, event};

const FAILED: &str = include_str!("../fixtures/stripe/invoice.payment_failed.json");

const DECLINED: &str = include_str!("../fixtures/chargebee/payment_failed.json");

/// The usage of `count` billing webhooks of as many invoices, from the door to the merchant.
///
/// # Errors
/// If not every one of them is delivered.
pub async fn webhooks(count: usize) -> Result<Usage> {
    let scene = Scene::start().await?;
    let _set_up = scene.usage();
    for number in 0..count {
        let body = FAILED.replace("evt_1QfF1", &format!("evt_1Qf{number:05}"));
        let body = body.replace("in_1QfInv", &format!("in_1Qf{number:05}"));
        let answer = scene.webhook(&body).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        scene.till.door();
    }
    finish(&scene, count).await
}

/// The usage of `count` failed payments of as many invoices and tokens, each of which is planned to be charged again: a
/// merchant is told of both.
///
/// # Errors
/// If not every one of them is delivered.
pub async fn retried(count: usize) -> Result<Usage> {
    let scene = Scene::start().await?;
    scene.put_chargebee(json!({ "mode": "cascading" })).await?;
    let _set_up = scene.usage();
    for number in 0..count {
        let body = DECLINED
            .replace("ev_AzyCbe1001", &format!("ev_AzyCbe{number:04}"))
            .replace("INV-1001", &format!("INV-{number:04}"))
            .replace("txn_Azy2001", &format!("txn_Azy{number:04}"))
            .replace("ch_3QfA1", &format!("ch_3QfA{number:04}"))
            .replace("pm_1Qbb", &format!("pm_1Qbb{number:04}"));
        let answer = scene.chargebee(&body).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        scene.till.door();
    }
    finish(&scene, 2 * count).await
}

/// What the tenant's Rafiki signs with.
const RAFIKI_SECRET: &str = "the-secret-of-the-tenants-rafiki";

/// The usage of `count` events of about 700 bytes, posted one by one and signed, as Rafiki does, to their receiver.
///
/// # Errors
/// If not every one of them is delivered.
pub async fn published(count: usize) -> Result<Usage> {
    let scene = behind_rafiki().await?;
    let secret = Secret::new(RAFIKI_SECRET);
    for number in 0..count {
        let body = envelope(&scene, number)?;
        let signature = rafiki::sign(&[&secret], scene.clock.now(), body.as_bytes());
        let request = request().header(rafiki::HEADER, signature.unwrap_or_default());
        post(&scene, request, body).await?;
    }
    finish(&scene, count).await
}

/// The same, posted in tens with a key.
///
/// # Errors
/// If not every one of them is delivered.
pub async fn published_in_tens(count: usize) -> Result<Usage> {
    let scene = behind_rafiki().await?;
    let path = format!("/v1/tenants/{TENANT}/keys");
    let key = scene.operator("POST", &path, json!({})).await?;
    let key = key
        .get("key")
        .and_then(|key| key.as_str())
        .unwrap_or_default()
        .to_owned();
    let _set_up = scene.usage();
    for first in (0..count).step_by(10) {
        let events: Result<Vec<_>> = (first..count.min(first + 10))
            .map(|number| envelope(&scene, number))
            .collect();
        let request = request().header("authorization", format!("Bearer {key}"));
        post(&scene, request, format!("[{}]", events?.join(","))).await?;
    }
    finish(&scene, count).await
}

/// A scene whose tenant has a Rafiki and one account servicing entity.
async fn behind_rafiki() -> Result<Scene> {
    let scene = Scene::start().await?;
    let publisher = json!({ "secrets": [RAFIKI_SECRET] });
    let path = format!("/v1/tenants/{TENANT}/publishers/rafiki");
    scene.operator("PUT", &path, publisher).await?;
    let ase = json!({ "url": "https://ase.example/hook", "role": "ase", "scheme": "rafiki" });
    scene.put_endpoint("ase", ase).await?;
    let _set_up = scene.usage();
    Ok(scene)
}

fn request() -> http::request::Builder {
    Request::builder()
        .method("POST")
        .uri(format!("/v1/tenants/{TENANT}/events"))
        .header("content-type", "application/json")
}

fn envelope(scene: &Scene, number: usize) -> Result<String> {
    let event = event(number, scene.clock.now())?;
    let (id, event_type, data) = (event.id, event.event_type, event.data.as_str());
    Ok(format!(
        r#"{{"id":"{id}","type":"{event_type}","data":{data}}}"#
    ))
}

async fn post(scene: &Scene, request: http::request::Builder, body: String) -> Result<()> {
    let answer = scene.send(request.body(Body::from(body))?).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    scene.till.door();
    Ok(())
}

async fn finish(scene: &Scene, count: usize) -> Result<Usage> {
    scene.settle().await?;
    let usage = scene.usage();
    let delivered = scene.far.requests().len();
    ensure!(delivered == count, "{delivered} of {count} were delivered");
    Ok(usage)
}
