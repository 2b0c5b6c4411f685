//! Behind Rafiki: events come in signed, and reach account servicing entities, point-of-sale and card services signed.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use http::Request as HttpRequest;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use shared::delivery::{Failure, Outcome, Request};
use shared::event::{Kind, Maker};
use shared::secret::Secret;
use shared::signature::{TOLERANCE, rafiki};
use shared::time::{Clock, ManualClock};
use shared::transport::Transport;
use tests::scene::{Answer, Scene};
use tests::stories::TENANT;

use crate::{list, text};

const IN_SECRET: &str = "what-rafiki-signs-with";
const OUT_SECRET: &str = "what-we-sign-with-for-the-ase";

async fn furnish(scene: &Scene) -> anyhow::Result<()> {
    let path = format!("/v1/tenants/{TENANT}/publishers/rafiki");
    let publisher = json!({ "secrets": [IN_SECRET] });
    scene.operator("PUT", &path, publisher).await?;
    for role in ["ase", "pos", "card"] {
        let url = format!("https://{role}.example/hook");
        let endpoint = json!({ "url": url, "role": role, "scheme": "rafiki", "secrets": [OUT_SECRET], "event_types": ["*"] });
        scene.put_endpoint(role, endpoint).await?;
    }
    Ok(())
}

/// A scene with a publisher, and an endpoint of the `rafiki` scheme for each of three roles.
async fn scene() -> anyhow::Result<Scene> {
    let scene = Scene::start().await?;
    furnish(&scene).await?;
    Ok(scene)
}

/// Posts a body as Rafiki does, signed now.
async fn post(scene: &Scene, query: &str, body: &str) -> anyhow::Result<Answer> {
    let secret = Secret::new(IN_SECRET);
    let signature = rafiki::sign(&[&secret], scene.clock.now(), body.as_bytes());
    let request = HttpRequest::builder()
        .method("POST")
        .uri(format!("/v1/tenants/{TENANT}/events{query}"))
        .header("content-type", "application/json")
        .header(rafiki::HEADER, signature.unwrap_or_default());
    scene.send(request.body(Body::from(body.to_owned()))?).await
}

fn sample(kind: Kind, id: &str) -> anyhow::Result<String> {
    let mut event: Value = serde_json::from_str(kind.sample())?;
    if let Some(place) = event.get_mut("id") {
        *place = id.into();
    }
    Ok(event.to_string())
}

fn hosts(scene: &Scene) -> Vec<String> {
    let host = |request: &Request| {
        let host = request.url.split('/').nth(2).unwrap_or_default();
        host.trim_end_matches(".example").to_owned()
    };
    scene.far.requests().iter().map(host).collect()
}

/// The state of each delivery of an event, by endpoint.
fn deliveries(event: &Value) -> Vec<String> {
    list(event, "/deliveries")
        .into_iter()
        .map(|delivery| {
            let tries = list(delivery, "/tries").len();
            let [endpoint, state] = ["/endpoint", "/state"].map(|part| text(delivery, part));
            format!("{endpoint} {state} {tries}")
        })
        .collect()
}

/// What a receiver makes of a request: whether the signature holds at `now`, and the parsed body.
fn received(request: &Request, now: Timestamp) -> (bool, Value) {
    let header = request.headers.get(rafiki::HEADER);
    let header = header.and_then(|value| value.to_str().ok());
    let secrets = [Secret::new(OUT_SECRET)];
    let verified = rafiki::verify(header, &request.body, &secrets, now, TOLERANCE);
    let body = serde_json::from_slice(&request.body).unwrap_or_default();
    (verified.is_ok(), body)
}

/// Events, and what Rafiki's own code signs them with at 1787000000123 under `rafiki-test-secret`: cross-checked with two
/// canonicalisers and three HMAC implementations.
const VECTORS: [(&str, &str); 2] = [
    (
        "t=1787000000123, v1=d7dae65616ae2fcad5dede1338deaabc243e3c2aa00e9bc4d679325c69378aeb",
        r#"{"id":"0f8a9d2e-5b1c-4c3e-9a77-3f2d1c0b9a01","type":"wallet_address.not_found","data":{"walletAddressUrl":"https://wallet.example.com/carla_garcia"}}"#,
    ),
    (
        "t=1787000000123, v1=f863c983cee53fa0b8f29c08cc663cac874d6e719609b51807d929b45f6890b1",
        r#"{"id":"6d3f7a44-2a0e-4a6b-8b1f-7c1f4f0d2b02","type":"incoming_payment.completed","data":{"id":"b1a7e6d0-6f0a-4d2c-9a51-0c3f6a1d4e11","walletAddressId":"c2b8f7e1-7a1b-4e3d-8b62-1d4a7b2e5f22","client":null,"createdAt":"2026-08-17T12:00:00.000Z","expiresAt":"2026-09-16T12:00:00.000Z","receivedAmount":{"value":"1000","assetCode":"USD","assetScale":2},"completed":true,"incomingAmount":{"value":"1000","assetCode":"USD","assetScale":2},"metadata":{"description":"Caf\u00e9 \u2013 \"table\" 4 \u20ac","rate":1.50,"big":1e21,"tiny":1e-7,"neg":-0,"list":[true,null,{"z":1,"a":2}],"\ud83d\ude00":"emoji","\ufb33":"dalet","line":"a\u2028b","ctl":"\u000b\u001f\t"}}}"#,
    ),
];

#[tokio::test]
async fn the_published_vectors_are_taken_and_are_what_is_sent() -> anyhow::Result<()> {
    let scene = scene().await?;
    let secrets = json!({ "secrets": ["rafiki-test-secret"] });
    let path = format!("/v1/tenants/{TENANT}/publishers/rafiki");
    scene.operator("PUT", &path, secrets.clone()).await?;
    scene
        .clock
        .advance_to(Timestamp::from_millisecond(1_787_000_000_123)?);
    for (header, body) in VECTORS {
        let request = HttpRequest::builder()
            .method("POST")
            .uri(format!("/v1/tenants/{TENANT}/events"))
            .header(rafiki::HEADER, header);
        let answer = scene.send(request.body(Body::from(body))?).await?;
        assert_eq!(answer.status.as_u16(), 200, "{body}: {}", answer.body);
    }
    // The vectors have one secret, which a publisher and an endpoint of a tenant never share.
    let removed = scene.call("DELETE", &path, json!(null)).await?;
    assert_eq!(removed.status.as_u16(), 204, "{}", removed.body);
    let mut endpoint = secrets;
    for (name, value) in [
        ("url", "https://ase.example/hook"),
        ("role", "ase"),
        ("scheme", "rafiki"),
    ] {
        if let Some(endpoint) = endpoint.as_object_mut() {
            endpoint.insert(name.to_owned(), value.into());
        }
    }
    scene.put_endpoint("ase", endpoint).await?;
    scene.settle().await?;
    let requests = scene.far.requests();
    let sent = requests
        .iter()
        .map(|sent| sent.headers.get(rafiki::HEADER)?.to_str().ok());
    let sent: BTreeSet<Option<&str>> = sent.collect();
    let want = VECTORS.map(|(header, _)| Some(header));
    assert_eq!(sent, BTreeSet::from(want));
    Ok(())
}

#[tokio::test]
async fn every_type_arrives_as_it_was_sent_and_verifies_at_the_far_end() -> anyhow::Result<()> {
    let of_rafiki = |kind: &&Kind| Maker::of(&kind.event_type()) == Maker::PaymentBackend;
    for kind in Kind::ALL.iter().filter(of_rafiki) {
        let scene = scene().await?;
        let body = sample(*kind, "e-1")?;
        let answer = post(&scene, "", &body).await?;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, ""),
            "{kind:?}"
        );
        scene.settle().await?;
        let requests = scene.far.requests();
        assert_eq!(requests.len(), 1, "{kind:?}: {:?}", hosts(&scene));
        for request in requests {
            let (verified, got) = received(&request, scene.clock.now());
            assert!(verified, "{kind:?}");
            assert_eq!(got, serde_json::from_str::<Value>(&body)?, "{kind:?}");
            let text = String::from_utf8(request.body.to_vec())?;
            let data = body.split_once("\"data\":").map(|(_, data)| data);
            let data = data
                .and_then(|data| data.split_once(",\"id\""))
                .map(|(data, _)| data);
            assert!(
                text.contains(data.unwrap_or("no data")),
                "{kind:?}: the text is as it came"
            );
        }
    }
    Ok(())
}

/// Any JSON that Rafiki may carry in `metadata`.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

#[tokio::test]
async fn any_signed_body_survives_in_meaning_and_verifies_at_the_far_end() -> anyhow::Result<()> {
    // Vector B of the signature's tests, and what chance makes.
    let hard = r#"{"id":"e-b","type":"x.hard","data":{"metadata":{"description":"Caf\u00e9 \u2013 \"table\" 4 \u20ac","rate":1.50,"big":1e21,"tiny":1e-7,"neg":-0,"list":[true,null,{"z":1,"a":2}],"\ud83d\ude00":"emoji","\ufb33":"dalet","line":"a\u2028b","ctl":"\u000b\u001f\t","no":"\uffff\ufffe"}}}"#;
    let mut bodies = vec![hard.to_owned()];
    let mut runner = TestRunner::deterministic();
    for number in 0..200 {
        let metadata = any_json()
            .new_tree(&mut runner)
            .map_err(|reason| anyhow::anyhow!("{reason}"))?
            .current();
        let event = json!({ "id": format!("e-{number}"), "type": "x.any", "data": { "metadata": metadata } });
        // Either spelling is Rafiki's to choose.
        bodies.push(if number % 2 == 0 {
            event.to_string()
        } else {
            format!("{event:#}")
        });
    }
    let scene = scene().await?;
    for body in &bodies {
        let answer = post(&scene, "?recipients=ase", body).await?;
        assert_eq!(answer.status.as_u16(), 200, "{}: {body}", answer.body);
    }
    scene.settle().await?;
    let requests = scene.far.requests();
    assert_eq!(requests.len(), bodies.len());
    let got: Vec<(bool, Value)> = requests
        .iter()
        .map(|request| received(request, scene.clock.now()))
        .collect();
    for body in &bodies {
        let want: Value = serde_json::from_str(body)?;
        let found = got
            .iter()
            .find(|(_, value)| value.get("id") == want.get("id"));
        assert_eq!(found, Some(&(true, want)), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn a_dead_ase_does_not_keep_the_event_from_the_pos() -> anyhow::Result<()> {
    let scene = scene().await?;
    scene.far.script(
        "https://ase.example/hook",
        [Outcome::Failed(Failure::Timeout)],
    );
    let body = sample(Kind::IncomingPaymentCompleted, "e-1")?;
    post(&scene, "?recipients=ase,pos", &body).await?;
    scene.settle().await?;
    let event = scene.events().await?.pop().unwrap_or_default();
    assert_eq!(deliveries(&event), ["ase retrying 1", "pos delivered 1"]);

    scene.pass(SignedDuration::from_mins(20)).await?;
    let event = scene.events().await?.pop().unwrap_or_default();
    assert_eq!(deliveries(&event), ["ase given_up 11", "pos delivered 1"]);
    for request in scene.far.requests() {
        let (_, body) = received(&request, scene.clock.now());
        assert_eq!(text(&body, "/id"), "e-1", "{}", request.url);
    }
    Ok(())
}

#[tokio::test]
async fn one_event_posted_for_the_ase_and_for_the_pos_reaches_both_once() -> anyhow::Result<()> {
    let scene = scene().await?;
    let body = sample(Kind::IncomingPaymentExpired, "e-1")?;
    for query in [
        "?recipients=ase",
        "?recipients=pos",
        "?recipients=ase",
        "?recipients=pos",
    ] {
        // Rafiki's own retries come with a fresh signature.
        scene.clock.advance(SignedDuration::from_secs(10));
        assert_eq!(post(&scene, query, &body).await?.status, 200, "{query}");
        scene.pass(SignedDuration::from_mins(3)).await?;
    }
    assert_eq!(hosts(&scene), ["ase", "pos"]);
    let events = scene.events().await?;
    assert_eq!(events.len(), 1, "it is one event");
    for request in scene.far.requests() {
        assert_eq!(text(&received(&request, scene.clock.now()).1, "/id"), "e-1");
    }
    Ok(())
}

#[tokio::test]
async fn retries_come_as_documented_or_with_the_ceiling_as_rafiki_itself_makes_them()
-> anyhow::Result<()> {
    // Attempts of Rafiki's worker (`packages/backend/src/webhook/service.ts`): min(attempts, 6) * 10 s after each, ten in all.
    let rafikis: [i64; 10] = [0, 10, 30, 60, 100, 150, 210, 270, 330, 390];
    let documented: Vec<i64> = (0..=10).map(|n| (1..=n).map(|k| 10 * k).sum()).collect();
    let cases = [
        ("as documented", json!({}), documented.clone()),
        (
            "in Rafiki's words",
            json!({ "WEBHOOK_MAX_RETRY": 10 }),
            documented.clone(),
        ),
        (
            "with the ceiling",
            json!({ "retry": { "policy": "linear", "step_s": 10, "max_retry": 9, "cap_s": 60 } }),
            rafikis.to_vec(),
        ),
        ("fewer", json!({ "WEBHOOK_MAX_RETRY": 2 }), vec![0, 10, 30]),
        ("none", json!({ "WEBHOOK_MAX_RETRY": 0 }), vec![0]),
    ];
    for (name, settings, want) in cases {
        let scene = scene().await?;
        let url = "https://ase.example/hook";
        let mut endpoint = json!({ "url": url, "role": "ase", "scheme": "rafiki" });
        if let (Some(endpoint), Some(settings)) = (endpoint.as_object_mut(), settings.as_object()) {
            endpoint.extend(settings.clone());
        }
        scene.put_endpoint("ase", endpoint).await?;
        scene.far.script(url, [Outcome::answered(500)]);
        post(&scene, "", &sample(Kind::OutgoingPaymentCompleted, "e-1")?).await?;
        scene.pass(SignedDuration::from_mins(20)).await?;
        let event = scene.events().await?.pop().unwrap_or_default();
        let times: Result<Vec<Timestamp>, _> = list(&event, "/deliveries/0/tries")
            .into_iter()
            .map(|tried| text(tried, "/at").parse())
            .collect();
        let times = times?;
        let first = times.first().copied().unwrap_or_default();
        let offsets: Vec<i64> = times
            .iter()
            .map(|at| at.duration_since(first).as_secs())
            .collect();
        assert_eq!(offsets, want, "{name}");
        assert_eq!(text(&event, "/deliveries/0/state"), "given_up", "{name}");
    }
    Ok(())
}

/// A receiver that answers 200 after so long, to whoever still waits; time is the scene's.
struct Late {
    after: SignedDuration,
    clock: std::sync::OnceLock<Arc<ManualClock>>,
}

#[async_trait]
impl Transport for Late {
    async fn post(&self, request: Request) -> Outcome {
        let waited = self.after.min(request.deadline);
        if let Some(clock) = self.clock.get() {
            clock.advance(waited);
        }
        match self.after <= request.deadline {
            true => Outcome::answered(200),
            false => Outcome::Failed(Failure::Timeout),
        }
    }
}

#[tokio::test]
async fn a_receiver_has_two_seconds() -> anyhow::Result<()> {
    let cases = [
        (1_900, json!({}), "ase delivered 1", ""),
        (2_100, json!({}), "ase retrying 1", "timeout"),
        (
            2_100,
            json!({ "WEBHOOK_TIMEOUT": 2_200 }),
            "ase delivered 1",
            "",
        ),
    ];
    for (after_ms, settings, want, failure) in cases {
        let late = Arc::new(Late {
            after: SignedDuration::from_millis(after_ms),
            clock: std::sync::OnceLock::new(),
        });
        let scene = Scene::with_transport(late.clone()).await?;
        furnish(&scene).await?;
        let mut endpoint =
            json!({ "url": "https://ase.example/hook", "role": "ase", "scheme": "rafiki" });
        if let (Some(endpoint), Some(settings)) = (endpoint.as_object_mut(), settings.as_object()) {
            endpoint.extend(settings.clone());
        }
        scene.put_endpoint("ase", endpoint).await?;
        let _first = late.clock.set(scene.clock.clone());
        post(&scene, "", &sample(Kind::OutgoingPaymentCompleted, "e-1")?).await?;
        scene.settle().await?;
        let event = scene.events().await?.pop().unwrap_or_default();
        assert_eq!(deliveries(&event), [want], "{after_ms} ms, {settings}");
        let got = text(&event, "/deliveries/0/tries/0/failure");
        assert_eq!(got, failure, "{after_ms} ms, {settings}");
    }
    Ok(())
}

#[tokio::test]
async fn what_somebody_waits_for_comes_at_once_and_never_uselessly_late() -> anyhow::Result<()> {
    let cases = [
        // The wallet waits 1.5 s, so that the first retry, after 10 s, is of no use.
        (Kind::WalletAddressNotFound, "ase expired 1"),
        // The quote holds 5 min: tries up to 280 s after the first.
        (Kind::OutgoingPaymentCreated, "ase expired 8"),
        (Kind::OutgoingPaymentCompleted, "ase given_up 11"),
    ];
    for (kind, want) in cases {
        let healthy = scene().await?;
        let began = healthy.clock.now();
        post(&healthy, "?recipients=ase", &sample(kind, "e-1")?).await?;
        healthy.settle().await?;
        assert_eq!(hosts(&healthy), ["ase"], "{kind:?}");
        assert_eq!(
            healthy.clock.now(),
            began,
            "{kind:?}: nothing waits on the way"
        );

        let dead = scene().await?;
        dead.far
            .script("https://ase.example/hook", [Outcome::answered(503)]);
        post(&dead, "?recipients=ase", &sample(kind, "e-1")?).await?;
        dead.pass(SignedDuration::from_mins(20)).await?;
        let event = dead.events().await?.pop().unwrap_or_default();
        assert_eq!(deliveries(&event), [want], "{kind:?}");
    }
    Ok(())
}
