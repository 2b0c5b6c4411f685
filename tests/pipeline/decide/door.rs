//! What the door answers to whom, and that nobody is asked for what it refuses.

use std::sync::Arc;

use anyhow::Result;
use axum::body::Body;
use decide::handler::{Decide, router};
use http::Request as HttpRequest;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::access::Access;
use shared::aws::{Account, Clients};
use shared::entropy::SystemEntropy;
use shared::secret::Keyring;
use shared::store::dynamo::DynamoStore;
use tests::scene::Scene;
use tests::stories::TENANT;
use tower::ServiceExt;

use super::{ASE_URL, creation, path, says, stage};
use crate::text;

/// A question as a backend would ask it, with one thing after another made wrong.
struct Sent {
    method: &'static str,
    path: String,
    key: Option<String>,
    content_type: Option<&'static str>,
    names: Vec<String>,
    body: Vec<u8>,
}

impl Sent {
    fn request(self) -> Result<HttpRequest<Body>> {
        let mut request = HttpRequest::builder().method(self.method).uri(self.path);
        if let Some(key) = self.key {
            request = request.header("authorization", key);
        }
        if let Some(content_type) = self.content_type {
            request = request.header("content-type", content_type);
        }
        for name in self.names {
            request = request.header("idempotency-key", name);
        }
        Ok(request.body(Body::from(self.body))?)
    }
}

fn usual(key: &str) -> Sent {
    Sent {
        method: "POST",
        path: path(TENANT),
        key: Some(format!("Bearer {key}")),
        content_type: Some("application/json; charset=utf-8"),
        names: vec!["order-17".to_owned()],
        body: creation().to_string().into_bytes(),
    }
}

#[tokio::test]
async fn each_request_gets_its_answer_and_refused_ones_ask_nobody() -> Result<()> {
    struct Case {
        name: &'static str,
        sent: Sent,
        want: (u16, &'static str),
    }
    let (scene, key) = stage(Scene::start().await?).await?;
    let accepted = says(200, &json!({ "decision": "accepted" }));
    scene.far.script(ASE_URL, [accepted]);
    let usual = || usual(&key);
    let with = |body: Value| Sent {
        body: body.to_string().into_bytes(),
        ..usual()
    };
    let named = |name: &str| Sent {
        names: vec![name.to_owned()],
        ..usual()
    };
    let mut misspelt = creation();
    misspelt["incommingAmount"] = json!("5");
    let mut number = creation();
    number["incomingAmount"]["value"] = json!(5);
    let header = "`Idempotency-Key`";
    let cases = [
        Case {
            name: "without a content type",
            sent: Sent {
                content_type: None,
                ..usual()
            },
            want: (200, "accepted"),
        },
        Case {
            name: "the longest name",
            sent: named(&"x".repeat(255)),
            want: (200, "accepted"),
        },
        Case {
            name: "without a name",
            sent: Sent {
                names: vec![],
                ..usual()
            },
            want: (400, header),
        },
        Case {
            name: "two names",
            sent: Sent {
                names: vec!["a".to_owned(), "b".to_owned()],
                ..usual()
            },
            want: (400, header),
        },
        Case {
            name: "an empty name",
            sent: named(""),
            want: (400, header),
        },
        Case {
            name: "a name too long",
            sent: named(&"x".repeat(256)),
            want: (400, header),
        },
        Case {
            name: "a name with a space",
            sent: named("order 17"),
            want: (400, header),
        },
        Case {
            name: "no JSON",
            sent: Sent {
                body: b"{".to_vec(),
                ..usual()
            },
            want: (400, "`body` is not JSON"),
        },
        Case {
            name: "no UTF-8",
            sent: Sent {
                body: vec![0xff],
                ..usual()
            },
            want: (400, "`body` is not UTF-8"),
        },
        Case {
            name: "a list",
            sent: with(json!([creation()])),
            want: (400, "`body` must be a JSON object"),
        },
        Case {
            name: "nothing",
            sent: with(json!({})),
            want: (400, "`walletAddress` is missing"),
        },
        Case {
            name: "a misspelt amount",
            sent: with(misspelt),
            want: (400, "`incommingAmount` is not a field"),
        },
        Case {
            name: "a number for an amount",
            sent: with(number),
            want: (400, "`incomingAmount.value` must be a string"),
        },
        Case {
            name: "a partial payment of nothing known",
            sent: with(json!({ "partial": {} })),
            want: (400, "`partial.incomingPaymentId` is missing"),
        },
        Case {
            name: "without a key",
            sent: Sent {
                key: None,
                ..usual()
            },
            want: (401, "Bearer"),
        },
        Case {
            name: "with another scheme",
            sent: Sent {
                key: Some(format!("Basic {key}")),
                ..usual()
            },
            want: (401, "Bearer"),
        },
        Case {
            name: "with an unknown key, before anything is read",
            sent: Sent {
                key: Some("Bearer prk_unknown".to_owned()),
                body: b"nonsense".to_vec(),
                ..usual()
            },
            want: (401, "not known"),
        },
        Case {
            name: "for another tenant, whether it is there or not",
            sent: Sent {
                path: path("other"),
                ..usual()
            },
            want: (403, "not allowed"),
        },
        Case {
            name: "for what can be no tenant",
            sent: Sent {
                path: path("%ff"),
                ..usual()
            },
            want: (403, "not allowed"),
        },
        Case {
            name: "an unknown path",
            sent: Sent {
                path: format!("{}/1", path(TENANT)),
                ..usual()
            },
            want: (404, "no route"),
        },
        Case {
            name: "another method",
            sent: Sent {
                method: "GET",
                ..usual()
            },
            want: (405, "allow"),
        },
        Case {
            name: "too long",
            sent: Sent {
                body: vec![b' '; 64 * 1024 + 1],
                ..usual()
            },
            want: (413, "65536"),
        },
        Case {
            name: "another content type",
            sent: Sent {
                content_type: Some("text/plain"),
                ..usual()
            },
            want: (415, "application/json"),
        },
        Case {
            name: "another question under a name that was used",
            sent: Sent {
                body: json!({ "walletAddress": "https://wallet.example/bob", "expiresAt": "2025-02-01T12:00:00Z" })
                    .to_string()
                    .into_bytes(),
                ..usual()
            },
            want: (422, header),
        },
    ];
    for Case {
        name,
        sent,
        want: (status, part),
    } in cases
    {
        let before = (scene.far.requests().len(), scene.events().await?.len());
        let answer = scene.send(sent.request()?).await?;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
        let header = |name: &str| {
            let value = answer.headers.get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let after = (scene.far.requests().len(), scene.events().await?.len());
        if status == 200 {
            assert_eq!(header("content-type"), "application/json", "{name}");
            assert_eq!(text(&answer.json(), "/decision"), part, "{name}");
            assert_eq!(after, (before.0 + 1, before.1 + 1), "{name}");
        } else {
            assert_eq!(header("content-type"), "application/problem+json", "{name}");
            let shown = answer.body.to_lowercase();
            assert!(shown.contains(&part.to_lowercase()), "{name}: {shown}");
            assert!(!answer.body.contains(&key), "{name}: no key is shown");
            assert_eq!(after, before, "{name}: nobody was asked, nothing was kept");
        }
        if status == 401 {
            assert!(header("www-authenticate").starts_with("Bearer"), "{name}");
        }
        if status == 405 {
            assert_eq!(header("allow"), "POST", "{name}");
        }
    }
    // The operator's key opens the door of every tenant that is there.
    let unnamed = scene.call("POST", &path(TENANT), creation()).await?;
    assert_eq!(unnamed.status, 400, "{}", unnamed.body);
    let nobody = scene.call("POST", &path("nobody"), creation()).await?;
    assert_eq!(nobody.status, 404, "{}", nobody.body);
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_read_or_kept_is_not_decided_and_the_backend_is_told_when_to_come_back()
-> Result<()> {
    let (scene, key) = stage(Scene::start().await?).await?;
    let accepted = says(200, &json!({ "decision": "accepted" }));
    scene.far.script(ASE_URL, [accepted]);
    // Nothing listens on the discard port.
    let nowhere = Clients::new(Account::local("http://127.0.0.1:9"));
    let dead = Arc::new(DynamoStore::new(
        nowhere.dynamodb(),
        "none",
        Arc::new(Keyring::parse(tests::table::SEAL_KEYS)?),
        Arc::new(SystemEntropy),
        SignedDuration::ZERO,
    ));
    let access = |store: Arc<DynamoStore>| Access {
        credentials: store.clone(),
        tenants: store,
        operator_key_hash: String::new(),
    };
    let alive = || Decide {
        access: access(scene.store().clone()),
        tenants: scene.store().clone(),
        endpoints: scene.store().clone(),
        endpoints_now: scene.store().clone(),
        events: scene.store().clone(),
        decisions: scene.store().clone(),
        transport: scene.far.clone(),
        clock: scene.clock.clone(),
    };
    let doors = [
        (
            "keys",
            0,
            Decide {
                access: access(dead.clone()),
                ..alive()
            },
        ),
        (
            "events",
            0,
            Decide {
                events: dead.clone(),
                ..alive()
            },
        ),
        (
            "decisions",
            1,
            Decide {
                decisions: dead,
                ..alive()
            },
        ),
    ];
    for (without, asked, door) in doors {
        let before = scene.far.requests().len();
        let response = router(door).oneshot(usual(&key).request()?).await?;
        assert_eq!(response.status(), 503, "without {without}");
        let wait = response.headers().get("retry-after");
        assert_eq!(wait.map(|value| value.as_bytes()), Some(&b"5"[..]));
        assert_eq!(
            scene.far.requests().len() - before,
            asked,
            "without {without}"
        );
    }
    assert!(scene.events().await?.is_empty());
    let response = router(alive()).oneshot(usual(&key).request()?).await?;
    assert_eq!(response.status(), 200, "and then it is decided");
    Ok(())
}
