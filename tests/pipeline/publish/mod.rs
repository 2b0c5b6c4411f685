//! The door for payment backends: what it answers, and that it accepts nothing that it refuses.

mod arrays;
mod ours;

use axum::body::Body;
use http::Request;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::queue::{Lease, Queue, Task};
use shared::secret::Secret;
use shared::signature::rafiki;
use shared::time::Clock;
use tests::scene::{Answer, Scene};
use tests::stories::TENANT;

use crate::text;

/// The vectors' secret, and one that came later.
const SECRET: &str = "rafiki-test-secret";
const NEWER: &str = "rafiki-newer-secret";
pub(super) const OPERATOR: &str = "prk_the_operator_of_the_scene";
const PATH: &str = "/v1/tenants/acme/events";
const A: &str = r#"{"id":"0f8a9d2e-5b1c-4c3e-9a77-3f2d1c0b9a01","type":"wallet_address.not_found","data":{"walletAddressUrl":"https://wallet.example.com/carla_garcia"}}"#;

/// A scene whose tenant has a publisher, and another tenant that has none.
async fn scene() -> anyhow::Result<Scene> {
    let scene = Scene::start().await?;
    let publisher = json!({ "secrets": [SECRET, NEWER] });
    let path = format!("/v1/tenants/{TENANT}/publishers/rafiki");
    scene.operator("PUT", &path, publisher).await?;
    scene.operator("PUT", "/v1/tenants/bare", json!({})).await?;
    Ok(scene)
}

/// A new key of a tenant.
async fn key(scene: &Scene, tenant: &str) -> anyhow::Result<String> {
    let path = format!("/v1/tenants/{tenant}/keys");
    Ok(text(
        &scene.operator("POST", &path, json!({})).await?,
        "/key",
    ))
}

/// How a request shows who sent it.
#[derive(Clone)]
enum Proof {
    None,
    Signed { secret: &'static str, age_ms: i64 },
    Header(&'static str),
    Key(String),
    Both(String),
}

const NOW: Proof = Proof::Signed {
    secret: SECRET,
    age_ms: 0,
};

/// A request as Rafiki would send it, with one thing after another made wrong.
#[derive(Clone)]
struct Sent {
    method: &'static str,
    path: &'static str,
    content_type: Option<&'static str>,
    recipients: Option<&'static str>,
    proof: Proof,
    body: String,
}

fn usual() -> Sent {
    Sent {
        method: "POST",
        path: PATH,
        content_type: Some("application/json"),
        recipients: None,
        proof: NOW,
        body: A.to_owned(),
    }
}

impl Sent {
    fn request(&self, clock: &dyn Clock) -> anyhow::Result<Request<Body>> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        let signed = |secret: &str, age_ms| {
            let at = clock
                .now()
                .checked_sub(SignedDuration::from_millis(age_ms))?;
            let secret = Secret::new(secret);
            anyhow::Ok(rafiki::sign(&[&secret], at, self.body.as_bytes()).unwrap_or_default())
        };
        request = match &self.proof {
            Proof::None => request,
            Proof::Signed { secret, age_ms } => {
                request.header(rafiki::HEADER, signed(secret, *age_ms)?)
            }
            Proof::Header(header) => request.header(rafiki::HEADER, *header),
            Proof::Key(key) => request.header("authorization", format!("Bearer {key}")),
            Proof::Both(key) => request
                .header("authorization", format!("Bearer {key}"))
                .header(rafiki::HEADER, signed("somebody-else's", 0)?),
        };
        for (name, value) in [
            ("content-type", self.content_type),
            ("payrelay-recipients", self.recipients),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        Ok(request.body(Body::from(self.body.clone()))?)
    }
}

fn header(answer: &Answer, name: &str) -> String {
    let value = answer
        .headers
        .get(name)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn each_request_gets_its_answer_and_only_accepted_ones_reach_the_queue() -> anyhow::Result<()>
{
    type Case = (&'static str, Sent, (u16, &'static str));
    let scene = scene().await?;
    let (own, other) = (key(&scene, TENANT).await?, key(&scene, "bare").await?);
    let with = |key: &str| Sent {
        proof: Proof::Key(key.to_owned()),
        ..usual()
    };
    let proof = |proof| Sent { proof, ..usual() };
    let signed = |secret, age_ms| proof(Proof::Signed { secret, age_ms });
    let path = |path, sent| Sent { path, ..sent };
    let body = |body: &str, sent| Sent {
        body: body.to_owned(),
        ..sent
    };
    let mismatch = "no signature matches";
    let stale = "outside the tolerance";
    let with_tenant = A.replacen('{', r#"{"tenantId":"t","#, 1);
    let long = A.replace("carla", &"x".repeat(256 * 1024));
    let cases: Vec<Case> = vec![
        ("as usual", usual(), (200, "")),
        ("the newer secret", signed(NEWER, 0), (200, "")),
        (
            "without a content type",
            Sent {
                content_type: None,
                ..usual()
            },
            (200, ""),
        ),
        (
            "another order and spaces",
            body(&A.replace(':', " : "), usual()),
            (200, ""),
        ),
        ("300 s old", signed(SECRET, 300_000), (200, "")),
        ("300.001 s old", signed(SECRET, 300_001), (401, stale)),
        ("300.001 s early", signed(SECRET, -300_001), (401, stale)),
        ("a key", with(&own), (200, "")),
        ("the operator's key", with(OPERATOR), (200, "")),
        (
            "recipients",
            path("/v1/tenants/acme/events?recipients=ase,pos", usual()),
            (200, ""),
        ),
        (
            "recipients in the header",
            Sent {
                recipients: Some("ase"),
                ..usual()
            },
            (200, ""),
        ),
        (
            "neither signed nor with a key",
            proof(Proof::None),
            (401, "Rafiki-Signature"),
        ),
        (
            "a wrong secret",
            signed("somebody-else's", 0),
            (401, mismatch),
        ),
        (
            "a header of another form",
            proof(Proof::Header("v1=00")),
            (401, "malformed"),
        ),
        (
            "a wrong signature beside a good key",
            proof(Proof::Both(own.clone())),
            (401, mismatch),
        ),
        (
            "an unknown tenant",
            path("/v1/tenants/nobody/events", usual()),
            (401, mismatch),
        ),
        (
            "a tenant without a publisher",
            path("/v1/tenants/bare/events", usual()),
            (401, mismatch),
        ),
        (
            "a tenant that can be none",
            path("/v1/tenants/a%20b/events", usual()),
            (401, mismatch),
        ),
        (
            "a tenant that is no text",
            path("/v1/tenants/%ff/events", usual()),
            (401, mismatch),
        ),
        (
            "an unknown key",
            with("prk_wrong"),
            (401, "not known, or was revoked"),
        ),
        (
            "another tenant's key",
            with(&other),
            (403, "does not reach"),
        ),
        (
            "a key and an unknown tenant",
            path("/v1/tenants/nobody/events", with(&own)),
            (403, "does not reach"),
        ),
        (
            "the operator and an unknown tenant",
            path("/v1/tenants/nobody/events", with(OPERATOR)),
            (404, "no tenant"),
        ),
        (
            "the operator and no tenant",
            path("/v1/tenants/a%20b/events", with(OPERATOR)),
            (400, "`tenant`"),
        ),
        (
            "an unknown path",
            path("/v1/tenants/acme/event", usual()),
            (404, "No route has this path"),
        ),
        (
            "another method",
            Sent {
                method: "PUT",
                ..with(&own)
            },
            (405, ""),
        ),
        (
            "a form",
            Sent {
                content_type: Some("application/x-www-form-urlencoded"),
                ..usual()
            },
            (415, "application/json"),
        ),
        ("too long", body(&long, usual()), (413, "262144")),
        (
            "too long with a key",
            body(&long, with(&own)),
            (413, "262144"),
        ),
        (
            "longer than anything",
            body(&" ".repeat(700 * 1024 + 1), with(&own)),
            (413, "716800"),
        ),
        (
            "no JSON",
            body("hush", with(&own)),
            (400, "`body` is not JSON at line 1, column 1"),
        ),
        (
            "no JSON, signed",
            body("hush", proof(Proof::Header("t=1, v1=00"))),
            (400, "`body` is not JSON"),
        ),
        (
            "an empty body",
            body("", with(&own)),
            (400, "`body` is not JSON"),
        ),
        (
            "a member of an unknown payload twice",
            body(
                r#"{"id":"1","type":"a.b","data":{"to":[{"n":1,"n":2}]}}"#,
                with(&own),
            ),
            (400, "`data.to[0].n` stands there twice"),
        ),
        (
            "a member of a known payload twice, signed",
            body(
                &A.replacen(r#""data":{"#, r#""data":{"more":1,"more":2,"#, 1),
                usual(),
            ),
            (400, "`data.more` stands there twice"),
        ),
        (
            "one field more",
            body(&with_tenant, usual()),
            (400, "`tenantId` is not a field that may stand here"),
        ),
        (
            "a field less",
            body(r#"{"id":"1","type":"a.b"}"#, usual()),
            (400, "`data` is missing"),
        ),
        (
            "a bad id",
            body(&A.replace("0f8a9d2e", "0f8a.d2e"), usual()),
            (400, "`id` must be a string of 1 to 64"),
        ),
        (
            "a signed array",
            body(&format!("[{A}]"), usual()),
            (400, "an array is taken with a bearer key only"),
        ),
        (
            "an unknown role",
            path("/v1/tenants/acme/events?recipients=ase,bank", usual()),
            (400, "`recipients` must be roles"),
        ),
        (
            "contradicting roles",
            Sent {
                path: "/v1/tenants/acme/events?recipients=ase",
                recipients: Some("pos"),
                ..usual()
            },
            (400, "`recipients` differs"),
        ),
        (
            "an unknown parameter",
            path("/v1/tenants/acme/events?to=ase", usual()),
            (400, "`to` is no parameter"),
        ),
    ];
    for (name, sent, (status, part)) in cases {
        let before = scene.queues.len(Queue::Fanout);
        let answer = scene.send(sent.request(&*scene.clock)?).await?;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
        let accepted = scene.queues.len(Queue::Fanout) - before;
        assert_eq!(
            accepted,
            usize::from(status == 200),
            "{name}: what is accepted is on the queue"
        );
        if status == 200 {
            assert_eq!(answer.body, "", "{name}");
            continue;
        }
        assert_eq!(
            header(&answer, "content-type"),
            "application/problem+json",
            "{name}"
        );
        assert!(answer.body.contains(part), "{name}: {}", answer.body);
        for secret in [SECRET, NEWER, own.as_str(), "hush"] {
            assert!(
                !answer.body.contains(secret),
                "{name}: no secret and no payload is shown"
            );
        }
        let challenge = header(&answer, "www-authenticate");
        assert_eq!(
            challenge.starts_with("Bearer realm="),
            status == 401,
            "{name}: {challenge}"
        );
        if status == 405 {
            assert_eq!(header(&answer, "allow"), "GET,HEAD,POST", "{name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_stranger_does_not_learn_which_tenants_there_are() -> anyhow::Result<()> {
    let scene = scene().await?;
    let proofs = [
        Proof::None,
        Proof::Header("t=1, v1=00"),
        Proof::Header("nonsense"),
        Proof::Key("prk_wrong".to_owned()),
        Proof::Signed {
            secret: "somebody-else's",
            age_ms: 0,
        },
    ];
    for proof in proofs {
        let mut told = Vec::new();
        for path in [PATH, "/v1/tenants/bare/events", "/v1/tenants/nobody/events"] {
            let sent = Sent {
                path,
                proof: proof.clone(),
                ..usual()
            };
            let answer = scene.send(sent.request(&*scene.clock)?).await?;
            assert_eq!(answer.status, 401);
            told.push((answer.body, format!("{:?}", answer.headers)));
        }
        assert!(
            told.windows(2).all(|pair| pair.first() == pair.last()),
            "{told:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_tolerance_of_a_publisher_is_its_own() -> anyhow::Result<()> {
    let scene = scene().await?;
    let path = format!("/v1/tenants/{TENANT}/publishers/rafiki");
    let publisher = json!({ "secrets": [SECRET], "tolerance_seconds": 5 });
    scene.operator("PUT", &path, publisher).await?;
    for (age_ms, status) in [(0, 200), (5_000, 200), (5_001, 401), (-5_001, 401)] {
        let proof = Proof::Signed {
            secret: SECRET,
            age_ms,
        };
        let sent = Sent { proof, ..usual() };
        let answer = scene.send(sent.request(&*scene.clock)?).await?;
        assert_eq!(answer.status.as_u16(), status, "{age_ms} ms");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_configured_holds_at_once_and_what_is_taken_away_ends_within_10_s()
-> anyhow::Result<()> {
    let scene = scene().await?;
    let path = "/v1/tenants/bare/events";
    let signed = Sent { path, ..usual() };
    let ask = async |sent: &Sent| {
        let answer = scene.send(sent.request(&*scene.clock)?).await?;
        anyhow::Ok(answer.status.as_u16())
    };
    assert_eq!(ask(&signed).await?, 401);
    let publisher = "/v1/tenants/bare/publishers/rafiki";
    let secrets = json!({ "secrets": [SECRET] });
    scene.operator("PUT", publisher, secrets).await?;
    assert_eq!(
        ask(&signed).await?,
        200,
        "what was not there is not remembered"
    );

    let made = scene
        .operator("POST", "/v1/tenants/bare/keys", json!({}))
        .await?;
    let by_key = Sent {
        proof: Proof::Key(text(&made, "/key")),
        ..signed.clone()
    };
    assert_eq!(ask(&by_key).await?, 200);
    scene.call("DELETE", publisher, Value::Null).await?;
    let key = format!("/v1/tenants/bare/keys/{}", text(&made, "/id"));
    let revoked = scene.call("DELETE", &key, Value::Null).await?;
    assert_eq!(revoked.status, 204);
    scene.clock.advance(SignedDuration::from_secs(10));
    assert_eq!(ask(&signed).await?, 401);
    assert_eq!(ask(&by_key).await?, 401);
    Ok(())
}

#[tokio::test]
async fn what_is_queued_is_what_was_sent_with_who_sent_it_and_for_whom() -> anyhow::Result<()> {
    let scene = scene().await?;
    let own = key(&scene, TENANT).await?;
    let sent = Sent {
        path: "/v1/tenants/acme/events?recipients=pos,ase",
        body: A.replace("\"data\":{", "\"data\": { "),
        ..usual()
    };
    let by_key = Sent {
        proof: Proof::Key(own),
        ..usual()
    };
    for (sent, source, roles, data) in [
        (sent, "rafiki", Some("ase,pos"), "{ \"walletAddressUrl\""),
        (by_key, "api", None, "{\"walletAddressUrl\""),
    ] {
        assert_eq!(scene.send(sent.request(&*scene.clock)?).await?.status, 200);
        let received = scene
            .queues
            .receive(Queue::Fanout, 1, SignedDuration::ZERO)
            .await?;
        let body = received
            .first()
            .map(|message| message.body.clone())
            .unwrap_or_default();
        let Task::Publish(task) = Task::decode(&body)? else {
            anyhow::bail!("{body}")
        };
        assert_eq!(task.tenant.as_str(), TENANT);
        assert_eq!(task.event.source.as_str(), source);
        assert_eq!(task.event.at, scene.clock.now());
        assert!(
            task.event.data.as_str().starts_with(data),
            "the text is as it came"
        );
        let got = task.roles.map(|roles| {
            let names: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
            names.join(",")
        });
        assert_eq!(got.as_deref(), roles);
    }
    Ok(())
}
