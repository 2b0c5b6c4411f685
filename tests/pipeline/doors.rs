//! What the door for billing platforms answers, and that it accepts nothing that it refuses.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use ingest::handler::{Ingest, router};
use jiff::SignedDuration;
use shared::access::Access;
use shared::aws::{Account, Clients};
use shared::entropy::SystemEntropy;
use shared::queue::Queue;
use shared::queue::sqs::SqsQueues;
use shared::secret::{Keyring, Secret};
use shared::signature::stripe;
use shared::store::dynamo::DynamoStore;
use shared::time::Clock;
use tests::scene::{DOOR, Scene};
use tests::stories::STRIPE_SECRET;
use tower::ServiceExt;

use crate::FAILED;

/// A request as Stripe would send it, with one thing after another made wrong.
struct Sent {
    method: &'static str,
    path: &'static str,
    content_type: Option<&'static str>,
    secret: &'static str,
    signed: bool,
    age_s: i64,
    body: String,
}

fn usual() -> Sent {
    Sent {
        method: "POST",
        path: DOOR,
        content_type: Some("application/json; charset=utf-8"),
        secret: STRIPE_SECRET,
        signed: true,
        age_s: 0,
        body: FAILED.to_owned(),
    }
}

fn access(store: &Arc<DynamoStore>) -> Access {
    Access {
        credentials: store.clone(),
        tenants: store.clone(),
        operator_key_hash: String::new(),
    }
}

impl Sent {
    fn request(&self, scene: &Scene) -> anyhow::Result<Request<Body>> {
        let at = scene
            .clock
            .now()
            .checked_sub(SignedDuration::from_secs(self.age_s))?;
        let signature =
            stripe::sign(&Secret::new(self.secret), at, self.body.as_bytes()).unwrap_or_default();
        let mut request = Request::builder().method(self.method).uri(self.path);
        if let Some(content_type) = self.content_type {
            request = request.header("content-type", content_type);
        }
        if self.signed {
            request = request.header(stripe::HEADER, signature);
        }
        Ok(request.body(Body::from(self.body.clone()))?)
    }
}

#[tokio::test]
async fn each_request_gets_its_answer_and_only_accepted_ones_reach_the_queue() -> anyhow::Result<()>
{
    struct Case {
        name: &'static str,
        sent: Sent,
        want: (u16, &'static str),
    }
    let long = "/v2/webhooks/recovery/acme/pro_1/mca_1";
    let cases = [
        Case {
            name: "as usual",
            sent: usual(),
            want: (200, ""),
        },
        Case {
            name: "the long form",
            sent: Sent {
                path: long,
                ..usual()
            },
            want: (200, ""),
        },
        Case {
            name: "without a content type",
            sent: Sent {
                content_type: None,
                ..usual()
            },
            want: (200, ""),
        },
        Case {
            name: "300 s old",
            sent: Sent {
                age_s: 300,
                ..usual()
            },
            want: (200, ""),
        },
        Case {
            name: "301 s old",
            sent: Sent {
                age_s: 301,
                ..usual()
            },
            want: (401, "the signature's timestamp is outside the tolerance"),
        },
        Case {
            name: "301 s early",
            sent: Sent {
                age_s: -301,
                ..usual()
            },
            want: (401, "the signature's timestamp is outside the tolerance"),
        },
        Case {
            name: "unsigned",
            sent: Sent {
                signed: false,
                ..usual()
            },
            want: (401, "the signature is missing"),
        },
        Case {
            name: "signed with another secret",
            sent: Sent {
                secret: "default_secret",
                ..usual()
            },
            want: (401, "no signature matches"),
        },
        Case {
            name: "unsigned and no JSON: the signature is judged first",
            sent: Sent {
                signed: false,
                body: "not json".into(),
                ..usual()
            },
            want: (401, "the signature is missing"),
        },
        Case {
            name: "another merchant in the long form",
            sent: Sent {
                path: "/v2/webhooks/recovery/other/pro_1/mca_1",
                ..usual()
            },
            want: (404, "No billing account"),
        },
        Case {
            name: "an unknown account",
            sent: Sent {
                path: "/v2/webhooks/revenue_recovery/pro_1/mca_2",
                ..usual()
            },
            want: (404, "No billing account"),
        },
        Case {
            name: "an id that can be none",
            sent: Sent {
                path: "/v2/webhooks/revenue_recovery/pro%201/mca_1",
                ..usual()
            },
            want: (404, "No billing account"),
        },
        Case {
            name: "an unknown path",
            sent: Sent {
                path: "/v2/webhooks/other",
                ..usual()
            },
            want: (404, "No route has this path"),
        },
        Case {
            name: "another method",
            sent: Sent {
                method: "GET",
                ..usual()
            },
            want: (405, "Allow"),
        },
        Case {
            name: "another content type",
            sent: Sent {
                content_type: Some("application/x-www-form-urlencoded"),
                ..usual()
            },
            want: (415, "application/json"),
        },
        Case {
            name: "too long",
            sent: Sent {
                body: " ".repeat(256 * 1024 + 1),
                ..usual()
            },
            want: (413, "262144"),
        },
        Case {
            name: "no JSON",
            sent: Sent {
                body: "not json".into(),
                ..usual()
            },
            want: (400, "`body` is not JSON"),
        },
        Case {
            name: "no event",
            sent: Sent {
                body: "{}".into(),
                ..usual()
            },
            want: (400, "`id` is missing"),
        },
        Case {
            name: "an event that lacks a field",
            sent: Sent {
                body: FAILED.replace("\"currency\"", "\"x\""),
                ..usual()
            },
            want: (400, "`data.object.currency` is missing"),
        },
        Case {
            name: "no text",
            sent: Sent {
                body: "\u{0}".into(),
                ..usual()
            },
            want: (400, "`body` is not JSON"),
        },
    ];
    let scene = Scene::start().await?;
    for Case {
        name,
        sent,
        want: (status, part),
    } in cases
    {
        let before = scene.queues.len(Queue::Recover);
        let answer = scene.send(sent.request(&scene)?).await?;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
        let accepted = scene.queues.len(Queue::Recover) - before;
        assert_eq!(
            accepted,
            usize::from(status == 200),
            "{name}: what is accepted is on the queue"
        );
        let header = |name: &str| {
            answer
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        if status == 200 {
            assert_eq!(answer.body, "", "{name}");
        } else {
            assert_eq!(header("content-type"), "application/problem+json", "{name}");
            let shown = format!(
                "{} {}",
                answer.body,
                if status == 405 { "Allow" } else { "" }
            );
            assert!(shown.contains(part), "{name}: {shown}");
            assert!(
                !answer.body.contains(STRIPE_SECRET),
                "{name}: no secret is shown"
            );
        }
        if status == 405 {
            assert!(
                header("allow").contains("POST"),
                "{name}: {:?}",
                answer.headers
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn when_the_queue_or_the_table_can_not_be_reached_nothing_is_accepted_and_the_sender_is_told_when_to_come_back()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    // Nothing listens on the discard port.
    let nowhere = Clients::new(Account::local("http://127.0.0.1:9"));
    let dead_queue = Arc::new(SqsQueues::new(
        nowhere.sqs(),
        [(Queue::Recover, "http://127.0.0.1:9/q".to_owned())],
    ));
    let dead_store = Arc::new(DynamoStore::new(
        nowhere.dynamodb(),
        "none",
        Arc::new(Keyring::parse(tests::table::SEAL_KEYS)?),
        Arc::new(SystemEntropy),
        SignedDuration::ZERO,
    ));
    let doors = [
        (
            "queue",
            Ingest {
                access: access(scene.store()),
                accounts: scene.store().clone(),
                queues: dead_queue,
                clock: scene.clock.clone(),
            },
        ),
        (
            "table",
            Ingest {
                access: access(&dead_store),
                accounts: dead_store,
                queues: Arc::new(scene.queues.clone()),
                clock: scene.clock.clone(),
            },
        ),
    ];
    for (name, door) in doors {
        let response = router(door).oneshot(usual().request(&scene)?).await?;
        assert_eq!(response.status(), 503, "without the {name}");
        assert_eq!(
            response
                .headers()
                .get("retry-after")
                .map(|value| value.as_bytes()),
            Some(&b"5"[..])
        );
    }
    assert!(scene.queues.is_empty());
    Ok(())
}
