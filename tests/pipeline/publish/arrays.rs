//! Arrays of events, the door at a URL of its own, and what it says when it can accept nothing.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::body::Body;
use http::Request;
use jiff::SignedDuration;
use publish::handler::{Publish, router};
use serde_json::{Value, json};
use shared::access::Access;
use shared::aws::{Account, Clients};
use shared::entropy::SystemEntropy;
use shared::queue::memory::MemoryQueues;
use shared::queue::sqs::SqsQueues;
use shared::queue::{Enqueue, Message, Queue, QueueError};
use shared::secret::{Keyring, Secret};
use shared::store::dynamo::DynamoStore;
use tests::scene::Scene;
use tower::ServiceExt;

use super::{A, NOW, OPERATOR, Proof, Sent, scene, usual};
use crate::text;

/// A queue that refuses the messages at some places of what it is sent.
struct Picky {
    inner: MemoryQueues,
    refused: Mutex<Vec<usize>>,
}

#[async_trait]
impl Enqueue for Picky {
    async fn send(&self, queue: Queue, messages: Vec<Message>) -> Result<(), QueueError> {
        let refused = self
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let sent = messages.len();
        let taken = messages.into_iter().enumerate();
        let taken = taken.filter(|(place, _)| !refused.contains(place));
        self.inner
            .send(queue, taken.map(|(_, message)| message).collect())
            .await?;
        match refused.is_empty() {
            true => Ok(()),
            false => Err(QueueError::Partly { sent, refused }),
        }
    }
}

/// A door on the scene's table and the given queue and table.
fn door(scene: &Scene, queues: Arc<dyn Enqueue>, store: Arc<DynamoStore>) -> axum::Router {
    router(Publish {
        access: Access {
            credentials: store.clone(),
            tenants: store.clone(),
            operator_key_hash: shared::secret::key_hash(&Secret::new(OPERATOR)),
        },
        backends: store,
        queues,
        clock: scene.clock.clone(),
    })
}

async fn ask(door: &axum::Router, request: Request<Body>) -> anyhow::Result<(u16, String, Value)> {
    let (parts, body) = door.clone().oneshot(request).await?.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await?;
    let later = parts
        .headers
        .get("retry-after")
        .and_then(|value| value.to_str().ok());
    let later = later.unwrap_or_default().to_owned();
    Ok((
        parts.status.as_u16(),
        later,
        serde_json::from_slice(&body).unwrap_or_default(),
    ))
}

fn event(id: &str, data: &str) -> String {
    format!(r#"{{"id":"{id}","type":"a.b","data":{data}}}"#)
}

#[tokio::test]
async fn each_event_of_an_array_is_told_what_became_of_it() -> anyhow::Result<()> {
    struct Case {
        name: &'static str,
        items: Vec<String>,
        refused: Vec<usize>,
        want: (u16, &'static str),
        told: Vec<(Value, u16)>,
        queued: usize,
    }
    let ok = |id: &str| (json!(id), 200);
    let ids = |count: usize| (0..count).map(|n| event(&format!("e{n}"), "{}"));
    let long = event("long", &format!(r#"{{"x":"{}"}}"#, "x".repeat(256 * 1024)));
    let cases = [
        Case {
            name: "one",
            items: ids(1).collect(),
            refused: vec![],
            want: (200, ""),
            told: vec![ok("e0")],
            queued: 1,
        },
        Case {
            name: "ten",
            items: ids(10).collect(),
            refused: vec![],
            want: (200, ""),
            told: (0..10).map(|n| ok(&format!("e{n}"))).collect(),
            queued: 10,
        },
        Case {
            name: "lists instead of objects",
            items: vec![
                r#"["e0","a.b",{}]"#.into(),
                r#"{"id":"e1","type":"wallet_address.not_found","data":["https://w.example/a"]}"#
                    .into(),
            ],
            refused: vec![],
            want: (207, ""),
            told: vec![(json!(null), 400), (json!(null), 400)],
            queued: 0,
        },
        Case {
            name: "some that are wrong",
            items: vec![
                event("e0", "{}"),
                "7".into(),
                event("e 2", "{}"),
                event("e3", "[]"),
                long,
            ],
            refused: vec![],
            want: (207, ""),
            told: vec![
                ok("e0"),
                (json!(null), 400),
                (json!(null), 400),
                (json!(null), 400),
                (json!(null), 413),
            ],
            queued: 1,
        },
        Case {
            name: "one twice, and another content under its id",
            items: vec![
                event("e0", "{}"),
                event("e0", "{}"),
                event("e0", r#"{"forged":true}"#),
                event("e1", "{}"),
            ],
            refused: vec![],
            want: (207, ""),
            told: vec![ok("e0"), ok("e0"), (json!("e0"), 409), ok("e1")],
            queued: 2,
        },
        Case {
            name: "the queue takes a part, and the repetition fares as the first",
            items: vec![
                "{}".into(),
                event("e0", "{}"),
                event("e1", "{}"),
                event("e1", "{}"),
                event("e2", "{}"),
            ],
            refused: vec![1],
            want: (207, "5"),
            told: vec![
                (json!(null), 400),
                ok("e0"),
                (json!("e1"), 503),
                (json!("e1"), 503),
                ok("e2"),
            ],
            queued: 2,
        },
    ];
    let scene = scene().await?;
    for Case {
        name,
        items,
        refused,
        want,
        told,
        queued,
    } in cases
    {
        let inner = MemoryQueues::new(scene.clock.clone());
        let picky = Picky {
            inner: inner.clone(),
            refused: Mutex::new(refused),
        };
        let door = door(&scene, Arc::new(picky), scene.store().clone());
        let body = format!(" [{}]", items.join(","));
        let sent = Sent {
            proof: Proof::Key(OPERATOR.to_owned()),
            body,
            ..usual()
        };
        let (status, later, answer) = ask(&door, sent.request(&*scene.clock)?).await?;
        assert_eq!((status, later.as_str()), want, "{name}: {answer}");
        let got: Vec<(Value, u16)> = crate::list(&answer, "/results")
            .into_iter()
            .map(|item| {
                let status = text(item, "/status").parse().unwrap_or_default();
                let problem = item.pointer("/problem/status").and_then(Value::as_u64);
                assert_eq!(problem.unwrap_or(200), u64::from(status), "{name}: {item}");
                (item.get("id").cloned().unwrap_or_default(), status)
            })
            .collect();
        assert_eq!(got, told, "{name}");
        assert_eq!(inner.len(Queue::Fanout), queued, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn an_array_that_is_none_or_too_long_is_refused_whole() -> anyhow::Result<()> {
    let scene = scene().await?;
    let eleven = vec![event("e", "{}"); 11].join(",");
    let near = format!(r#"{{"x":"{}"}}"#, "x".repeat(230 * 1024));
    let near = |count: usize| {
        (0..count)
            .map(|n| event(&format!("n{n}"), &near))
            .collect::<Vec<_>>()
            .join(",")
    };
    for (name, items, status) in [
        ("none", String::new(), 400),
        ("eleven", eleven, 400),
        ("cut off", "{".to_owned(), 400),
        ("three near the limit of one", near(3), 200),
        ("four of them", near(4), 413),
    ] {
        let sent = Sent {
            proof: Proof::Key(OPERATOR.to_owned()),
            body: format!("[{items}]"),
            ..usual()
        };
        let answer = scene.send(sent.request(&*scene.clock)?).await?;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
    }
    assert_eq!(scene.queues.len(Queue::Fanout), 3);
    Ok(())
}

#[tokio::test]
async fn at_a_url_of_its_own_the_door_answers_other_requests_itself() -> anyhow::Result<()> {
    let scene = scene().await?;
    let door = door(
        &scene,
        Arc::new(scene.queues.clone()),
        scene.store().clone(),
    );
    let cases = [
        ("GET", "/v1/tenants/acme/events", 405, "POST"),
        ("DELETE", "/v1/tenants/acme/events", 405, "POST"),
        ("POST", "/v1/tenants/acme/events/e-1", 404, ""),
        ("GET", "/v1/openapi.json", 404, ""),
    ];
    for (method, path, status, allow) in cases {
        let request = Request::builder().method(method).uri(path);
        let answer = door.clone().oneshot(request.body(Body::empty())?).await?;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        let got = answer.headers().get("allow");
        let got = got
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        assert_eq!(got, allow, "{method} {path}");
    }
    Ok(())
}

#[tokio::test]
async fn when_the_queue_or_the_table_can_not_be_reached_nothing_is_accepted_and_the_sender_is_told_when_to_come_back()
-> anyhow::Result<()> {
    let scene = scene().await?;
    // Nothing listens on the discard port.
    let nowhere = Clients::new(Account::local("http://127.0.0.1:9"));
    let dead_queue = Arc::new(SqsQueues::new(
        nowhere.sqs(),
        [(Queue::Fanout, "http://127.0.0.1:9/q".to_owned())],
    ));
    let dead_store = Arc::new(DynamoStore::new(
        nowhere.dynamodb(),
        "none",
        Arc::new(Keyring::parse(tests::table::SEAL_KEYS)?),
        Arc::new(SystemEntropy),
        SignedDuration::ZERO,
    ));
    let by_key = |key: &str| Proof::Key(key.to_owned());
    let array = format!("[{},7]", event("e0", "{}"));
    let doors = [
        (
            "queue",
            door(&scene, dead_queue.clone(), scene.store().clone()),
        ),
        (
            "table",
            door(&scene, Arc::new(scene.queues.clone()), dead_store),
        ),
    ];
    for (name, door) in doors {
        for (proof, body) in [
            (NOW, A),
            (by_key(OPERATOR), A),
            (by_key(OPERATOR), array.as_str()),
        ] {
            let sent = Sent {
                proof,
                body: body.to_owned(),
                ..usual()
            };
            let (status, later, _) = ask(&door, sent.request(&*scene.clock)?).await?;
            assert_eq!(
                (status, later.as_str()),
                (503, "5"),
                "without the {name}: {body}"
            );
        }
    }
    assert!(scene.queues.is_empty());
    Ok(())
}
