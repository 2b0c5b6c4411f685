//! Decisions on incoming payments: what the ASE says, what holds when it says nothing, and that one question has one
//! decision.

mod door;
mod once;
mod wire;

use anyhow::{Context, Result};
use http::Request as HttpRequest;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::delivery::{Failure, Outcome};
use shared::secret::Secret;
use shared::signature::{TOLERANCE, rafiki};
use shared::time::Clock;
use tests::scene::{Answer, Scene};
use tests::stories::TENANT;

use crate::{list, text};

/// Where the ASE decides.
pub(super) const ASE_URL: &str = "https://ase.example/decide";
const ASE_SECRET: &str = "the-secret-of-the-ase";

fn path(tenant: &str) -> String {
    format!("/v1/tenants/{tenant}/incoming-payments/decisions")
}

fn amount(value: &str) -> Value {
    json!({ "value": value, "assetCode": "USD", "assetScale": 2 })
}

/// A payment that is about to be created.
pub(super) fn creation() -> Value {
    json!({
        "walletAddress": "https://wallet.example/alice",
        "client": null,
        "incomingAmount": amount("1000"),
        "expiresAt": "2025-02-01T12:00:00.000Z",
        "metadata": { "description": "Order 17" },
    })
}

fn partial() -> Value {
    json!({ "partial": {
        "incomingPaymentId": "6d3f7a44-2a0e-4a6b-8b1f-7c1f4f0d2b02",
        "partialIncomingPaymentId": "b1a7e6d0-6f0a-4d2c-9a51-0c3f6a1d4e11",
        "receivedAmount": amount("400"),
        "partialAmount": amount("250"),
        "dataFromSender": "opaque",
    }})
}

pub(super) fn says(status: u16, body: &Value) -> Outcome {
    Outcome::Answered {
        status,
        retry_after: None,
        excerpt: body.to_string(),
    }
}

/// Makes a tenant's key.
async fn key(scene: &Scene, tenant: &str) -> Result<String> {
    let made = scene
        .operator("POST", &format!("/v1/tenants/{tenant}/keys"), json!({}))
        .await?;
    Ok(text(&made, "/key"))
}

/// Makes an ASE of a tenant that decides at `url`.
pub(super) async fn put_ase(scene: &Scene, tenant: &str, id: &str, more: Value) -> Result<()> {
    let mut body = json!({
        "url": "https://ase.example/hook",
        "role": "ase",
        "scheme": "rafiki",
        "secrets": [ASE_SECRET],
        "decision_url": ASE_URL,
    });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    scene
        .operator("PUT", &format!("/v1/tenants/{tenant}/endpoints/{id}"), body)
        .await?;
    Ok(())
}

async fn put_policy(scene: &Scene, tenant: &str, decisions: Value) -> Result<()> {
    scene
        .operator(
            "PUT",
            &format!("/v1/tenants/{tenant}"),
            json!({ "decisions": decisions }),
        )
        .await?;
    Ok(())
}

/// A scene with an ASE, and the key of its tenant.
async fn stage(scene: Scene) -> Result<(Scene, String)> {
    put_ase(&scene, TENANT, "ase", json!({})).await?;
    let key = key(&scene, TENANT).await?;
    Ok((scene, key))
}

pub(super) async fn ask(scene: &Scene, key: &str, name: &str, body: &Value) -> Result<Answer> {
    let request = HttpRequest::post(path(TENANT))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("idempotency-key", name)
        .body(body.to_string().into())?;
    scene.send(request).await
}

/// What was decided, without the event's id.
async fn decision(scene: &Scene, key: &str, name: &str, body: &Value) -> Result<Value> {
    let answer = ask(scene, key, name, body).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut told = answer.json();
    let id = told.as_object_mut().and_then(|told| told.remove("eventId"));
    id.context("the event is named")?;
    Ok(told)
}

#[tokio::test]
async fn the_ase_decides_and_its_decision_is_an_event_like_any_other() -> Result<()> {
    struct Case {
        name: &'static str,
        asked: Value,
        outcome: Outcome,
        want: Value,
        state: &'static str,
    }
    let mut open = creation();
    if let Some(open) = open.as_object_mut() {
        open.remove("incomingAmount");
    }
    let cases = [
        Case {
            name: "accepted",
            asked: creation(),
            outcome: says(200, &json!({ "decision": "accepted" })),
            want: json!({ "decision": "accepted", "incomingAmount": amount("1000"), "by": "ase" }),
            state: "delivered",
        },
        Case {
            name: "rejected",
            asked: creation(),
            outcome: says(200, &json!({ "decision": "rejected", "reason": "limit" })),
            want: json!({ "decision": "rejected", "reason": "limit", "by": "ase" }),
            state: "delivered",
        },
        Case {
            name: "lowered",
            asked: creation(),
            outcome: says(
                200,
                &json!({ "decision": "accepted", "incomingAmount": amount("1") }),
            ),
            want: json!({ "decision": "accepted", "incomingAmount": amount("1"), "by": "ase" }),
            state: "delivered",
        },
        Case {
            name: "set",
            asked: open,
            outcome: says(
                200,
                &json!({ "decision": "accepted", "incomingAmount": amount("9") }),
            ),
            want: json!({ "decision": "accepted", "incomingAmount": amount("9"), "by": "ase" }),
            state: "delivered",
        },
        Case {
            name: "raised",
            asked: creation(),
            outcome: says(
                200,
                &json!({ "decision": "accepted", "incomingAmount": amount("1001") }),
            ),
            want: json!({
                "decision": "rejected", "by": "policy", "because": "invalid_answer",
                "problem": "`incomingAmount` must not be above what was asked for",
            }),
            state: "failed",
        },
        Case {
            name: "an answer longer than what is shown of it",
            asked: creation(),
            outcome: says(
                200,
                &json!({ "decision": "accepted", "reason": "x".repeat(2000) }),
            ),
            want: json!({
                "decision": "accepted", "incomingAmount": amount("1000"), "reason": "x".repeat(500), "by": "ase",
            }),
            state: "delivered",
        },
        Case {
            name: "refused",
            asked: creation(),
            outcome: says(500, &json!({ "decision": "accepted" })),
            want: json!({ "decision": "rejected", "by": "policy", "because": "refused" }),
            state: "failed",
        },
        Case {
            name: "too slow",
            asked: creation(),
            outcome: Outcome::Failed(Failure::Timeout),
            want: json!({ "decision": "rejected", "by": "policy", "because": "timeout" }),
            state: "failed",
        },
        Case {
            name: "a partial payment, accepted",
            asked: partial(),
            outcome: says(200, &json!({ "decision": "accepted" })),
            want: json!({ "decision": "accepted", "by": "ase" }),
            state: "delivered",
        },
        Case {
            name: "a partial payment, rejected",
            asked: partial(),
            outcome: says(200, &json!({ "decision": "rejected", "reason": "limit" })),
            want: json!({ "decision": "rejected", "reason": "limit", "by": "ase" }),
            state: "delivered",
        },
    ];
    let (scene, key) = stage(Scene::start().await?).await?;
    for (
        n,
        Case {
            name,
            asked,
            outcome,
            want,
            state,
        },
    ) in cases.into_iter().enumerate()
    {
        scene.clock.advance(SignedDuration::from_secs(1));
        scene.far.script(ASE_URL, [outcome.clone()]);
        let got = decision(&scene, &key, &format!("case-{n}"), &asked).await?;
        assert_eq!(got, want, "{name}");

        let event = scene.events().await?.pop().context("it is listed")?;
        let question = asked.get("partial").unwrap_or(&asked);
        let type_wanted = if asked.get("partial").is_some() {
            "incoming_payment.partial_decision_requested"
        } else {
            "incoming_payment.decision_requested"
        };
        let resource = question
            .get("walletAddress")
            .or(question.get("incomingPaymentId"));
        assert_eq!(text(&event, "/type"), type_wanted, "{name}");
        assert_eq!(event.get("resource"), resource, "{name}");
        assert_eq!(text(&event, "/source"), "decide", "{name}");
        assert_eq!(text(&event, "/state"), state, "{name}");
        let mut data = event.get("data").cloned().unwrap_or_default();
        let kept = data
            .as_object_mut()
            .and_then(|data| data.remove("decision"));
        assert_eq!((kept, &data), (Some(want), question), "{name}");
        let tries = list(&event, "/deliveries/0/tries");
        let [tried] = tries.as_slice() else {
            panic!("{name}: {tries:?}");
        };
        let (status, failure) = match outcome {
            Outcome::Answered { status, .. } => (status.to_string(), String::new()),
            Outcome::Failed(failure) => (String::new(), failure.as_str().to_owned()),
        };
        assert_eq!(
            (text(tried, "/status"), text(tried, "/failure")),
            (status, failure),
            "{name}"
        );
        assert!(text(tried, "/excerpt").len() <= 1024, "{name}");

        let request = scene.far.requests().pop().context("the ASE was asked")?;
        assert_eq!(request.url, ASE_URL, "{name}");
        let sent: Value = serde_json::from_slice(&request.body)?;
        let sent_wanted = json!({ "id": event["id"], "type": type_wanted, "data": question });
        assert_eq!(sent, sent_wanted, "{name}");
        let signature = request.headers.get(rafiki::HEADER);
        let signature = signature.context("it is signed")?.to_str()?;
        let secrets = [Secret::new(ASE_SECRET)];
        let verified = rafiki::verify(
            Some(signature),
            &request.body,
            &secrets,
            scene.clock.now(),
            TOLERANCE,
        );
        assert!(verified.is_ok(), "{name}: {verified:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_ase_made_a_moment_ago_is_asked() -> Result<()> {
    let scene = Scene::start().await?;
    let key = key(&scene, TENANT).await?;
    let got = decision(&scene, &key, "before", &creation()).await?;
    assert_eq!(text(&got, "/because"), "no_endpoint");
    // That there was none is known for some seconds more.
    put_ase(&scene, TENANT, "ase", json!({})).await?;
    let accepted = says(200, &json!({ "decision": "accepted" }));
    scene.far.script(ASE_URL, [accepted]);
    let got = decision(&scene, &key, "after", &creation()).await?;
    assert_eq!(text(&got, "/by"), "ase");
    Ok(())
}

#[tokio::test]
async fn the_policy_of_the_tenant_holds_where_the_ase_does_not_decide() -> Result<()> {
    let (scene, key) = stage(Scene::start().await?).await?;
    let nonsense = says(200, &json!("yes"));
    let outcomes = [
        (Outcome::Failed(Failure::Timeout), "timeout"),
        (Outcome::Failed(Failure::Refused), "refused"),
        (says(404, &json!({})), "refused"),
        (nonsense, "invalid_answer"),
    ];
    for policy in ["reject", "accept"] {
        put_policy(&scene, TENANT, json!({ "on_failure": policy })).await?;
        for (outcome, because) in &outcomes {
            scene.far.script(ASE_URL, [outcome.clone()]);
            let name = format!("{policy}-{because}");
            let got = decision(&scene, &key, &name, &creation()).await?;
            let (want, granted) = match policy {
                "accept" => ("accepted", amount("1000").to_string()),
                _ => ("rejected", String::new()),
            };
            assert_eq!(
                (text(&got, "/decision"), text(&got, "/incomingAmount")),
                (want.to_owned(), granted),
                "{policy} {because}"
            );
            assert_eq!(text(&got, "/by"), "policy");
            assert_eq!(text(&got, "/because"), *because, "{policy}");
        }
        // A rejection is one, whatever the policy.
        let rejected = json!({ "decision": "rejected", "limit": 5 });
        scene.far.script(ASE_URL, [says(200, &rejected)]);
        let got = decision(&scene, &key, &format!("{policy}-rejected"), &creation()).await?;
        assert_eq!(got, json!({ "decision": "rejected", "by": "ase" }));
    }
    Ok(())
}

#[tokio::test]
async fn without_anybody_to_ask_the_policy_holds_and_the_event_says_so() -> Result<()> {
    let scene = Scene::start().await?;
    let key = key(&scene, TENANT).await?;
    put_ase(&scene, TENANT, "quiet", json!({ "decision_url": null })).await?;
    let got = decision(&scene, &key, "nobody", &creation()).await?;
    let want = json!({ "decision": "rejected", "by": "policy", "because": "no_endpoint" });
    assert_eq!(got, want);

    scene.clock.advance(SignedDuration::from_secs(11));
    put_ase(&scene, TENANT, "off", json!({ "state": "disabled" })).await?;
    let got = decision(&scene, &key, "off", &creation()).await?;
    let want = json!({ "decision": "rejected", "by": "policy", "because": "endpoint_disabled" });
    assert_eq!(got, want);
    let events = scene.events().await?;
    let reasons: Vec<_> = events
        .iter()
        .map(|event| (text(event, "/state"), text(event, "/reason")))
        .collect();
    let skipped = |reason: &str| ("skipped".to_owned(), reason.to_owned());
    assert_eq!(
        reasons,
        [skipped("no_endpoint"), skipped("endpoint_disabled")]
    );

    // Of several that are on, the first by name.
    scene.clock.advance(SignedDuration::from_secs(11));
    for (id, url) in [
        ("pine", "https://pine.example/"),
        ("oak", "https://oak.example/"),
    ] {
        put_ase(&scene, TENANT, id, json!({ "decision_url": url })).await?;
    }
    scene.far.script(
        "https://oak.example/",
        [says(200, &json!({ "decision": "rejected" }))],
    );
    let got = decision(&scene, &key, "several", &creation()).await?;
    assert_eq!(got, json!({ "decision": "rejected", "by": "ase" }));
    assert_eq!(scene.far.requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_tenant_asks_only_its_own_ase_and_sees_only_its_own_decisions() -> Result<()> {
    let (scene, key_of_acme) = stage(Scene::start().await?).await?;
    scene
        .operator("PUT", "/v1/tenants/other", json!({}))
        .await?;
    put_policy(&scene, "other", json!({ "on_failure": "accept" })).await?;
    let url = "https://other.example/decide";
    put_ase(&scene, "other", "ase", json!({ "decision_url": url })).await?;
    let key_of_other = key(&scene, "other").await?;
    scene
        .far
        .script(ASE_URL, [says(200, &json!({ "decision": "rejected" }))]);
    scene
        .far
        .script(url, [says(200, &json!({ "decision": "accepted" }))]);

    let mut ids = Vec::new();
    for (tenant, own, others, want) in [
        (TENANT, &key_of_acme, &key_of_other, "rejected"),
        ("other", &key_of_other, &key_of_acme, "accepted"),
    ] {
        let ask = async |key: &str| -> Result<Answer> {
            let request = HttpRequest::post(path(tenant))
                .header("authorization", format!("Bearer {key}"))
                .header("idempotency-key", "order-17")
                .body(creation().to_string().into())?;
            scene.send(request).await
        };
        let before = scene.far.requests().len();
        let refused = ask(others).await?;
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert_eq!(scene.far.requests().len(), before, "nobody was asked");
        let told = ask(own).await?.json();
        assert_eq!(text(&told, "/decision"), want, "{tenant}");
        ids.push(text(&told, "/eventId"));
    }
    assert_ne!(ids.first(), ids.last());
    for (tenant, id) in [(TENANT, ids.last()), ("other", ids.first())] {
        let id = id.context("both decided")?;
        let path = format!("/v1/tenants/{tenant}/events/{id}");
        assert_eq!(scene.call("GET", &path, Value::Null).await?.status, 404);
    }
    Ok(())
}
