//! Two tenants side by side: requests with each other's names, ids, keys and signatures, drawn by a seeded chance and sent
//! many at once, and nothing of one reaches the other.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use futures::future::join_all;
use http::Request;
use serde_json::{Value, json};
use shared::entropy::{Entropy, SeededEntropy};
use shared::secret::Secret;
use shared::signature::rafiki;
use shared::time::Clock;
use tests::scene::{Answer, Scene};

use crate::{list, text};

const TENANTS: [&str; 2] = ["ours", "theirs"];
/// So many times requests are drawn and sent at once.
const GROUPS: usize = 35;
/// So many requests are sent at once.
const AT_ONCE: usize = 20;
/// Both tenants use the same ids, which Rafiki draws by itself.
const IDS: usize = 12;

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Signature(&'static str),
    Key(&'static str),
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Publish,
    PublishArray,
    List,
    Read,
    Replay,
    Decide,
}

#[derive(Debug, Clone, Copy)]
struct Drawn {
    /// Whose path it is; somebody that is not there, too.
    tenant: &'static str,
    proof: Proof,
    asked: Asked,
    id: usize,
}

fn draw(entropy: &dyn Entropy) -> Drawn {
    let mut bytes = entropy.bytes::<4>().map(usize::from).into_iter();
    let mut below = |most: usize| bytes.next().unwrap_or_default() % most;
    let [ours, theirs] = TENANTS;
    let tenants = [ours, theirs, ours, theirs, "nobody"];
    let proofs = [
        Proof::Signature(ours),
        Proof::Signature(theirs),
        Proof::Key(ours),
        Proof::Key(theirs),
        Proof::Nothing,
    ];
    let asked = [
        Asked::Publish,
        Asked::PublishArray,
        Asked::List,
        Asked::Read,
        Asked::Replay,
        Asked::Decide,
    ];
    Drawn {
        tenant: tenants.get(below(5)).copied().unwrap_or(ours),
        proof: proofs.get(below(5)).copied().unwrap_or(Proof::Nothing),
        asked: asked.get(below(6)).copied().unwrap_or(Asked::List),
        id: below(IDS),
    }
}

fn secret(tenant: &str) -> String {
    format!("what-the-rafiki-of-{tenant}-signs-with")
}

impl Drawn {
    /// Whether it may be done.
    fn allowed(self) -> bool {
        let publishes = matches!(self.asked, Asked::Publish);
        match self.proof {
            Proof::Signature(of) => publishes && of == self.tenant,
            Proof::Key(of) => of == self.tenant,
            Proof::Nothing => false,
        }
    }

    /// Whoever proves to be the sender. What is sent names it, so that what goes astray is seen.
    fn owner(self) -> &'static str {
        match self.proof {
            Proof::Signature(of) | Proof::Key(of) => of,
            Proof::Nothing => "a stranger",
        }
    }

    fn question(self) -> String {
        json!({
            "walletAddress": "https://wallet.example/alice",
            "client": null,
            "incomingAmount": { "value": "1000", "assetCode": "USD", "assetScale": 2 },
            "expiresAt": "2025-02-01T12:00:00.000Z",
            "metadata": { "owner": self.owner() },
        })
        .to_string()
    }

    fn event(self) -> String {
        let (id, owner) = (self.id, self.owner());
        format!(r#"{{"id":"e-{id}","type":"x.happened","data":{{"owner":"{owner}"}}}}"#)
    }

    fn request(
        self,
        scene: &Scene,
        keys: &BTreeMap<&str, String>,
    ) -> anyhow::Result<Request<Body>> {
        let events = format!("/v1/tenants/{}/events", self.tenant);
        let (id, event) = (self.id, self.event());
        let (method, path, body) = match self.asked {
            Asked::Publish => ("POST", events, event),
            Asked::PublishArray => ("POST", events, format!("[{event}]")),
            Asked::List => ("GET", format!("{events}?limit=100"), String::new()),
            Asked::Read => ("GET", format!("{events}/e-{id}"), String::new()),
            Asked::Replay => (
                "POST",
                format!("{events}/e-{id}/deliveries/ase/replay"),
                String::new(),
            ),
            Asked::Decide => (
                "POST",
                format!("/v1/tenants/{}/incoming-payments/decisions", self.tenant),
                self.question(),
            ),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("idempotency-key", format!("q-{id}"))
            .header("content-type", "application/json");
        let request = match self.proof {
            Proof::Signature(of) => {
                let secret = Secret::new(secret(of));
                let signed = rafiki::sign(&[&secret], scene.clock.now(), body.as_bytes());
                request.header(rafiki::HEADER, signed.unwrap_or_default())
            }
            Proof::Key(of) => {
                let key = keys.get(of).cloned().unwrap_or_default();
                request.header("authorization", format!("Bearer {key}"))
            }
            Proof::Nothing => request,
        };
        Ok(request.body(Body::from(body))?)
    }
}

async fn tenant(scene: &Scene, tenant: &str) -> anyhow::Result<String> {
    let path = format!("/v1/tenants/{tenant}");
    scene.operator("PUT", &path, json!({})).await?;
    let publisher = json!({ "secrets": [secret(tenant)] });
    let publishers = format!("{path}/publishers/rafiki");
    scene.operator("PUT", &publishers, publisher).await?;
    let url = format!("https://{tenant}.example/hook");
    let decides = format!("https://{tenant}.example/decide");
    let endpoint = json!({
        "url": url, "role": "ase", "scheme": "rafiki", "event_types": ["*"], "decision_url": decides,
    });
    let endpoints = format!("{path}/endpoints/ase");
    scene.operator("PUT", &endpoints, endpoint).await?;
    let keys = format!("{path}/keys");
    let made = scene.operator("POST", &keys, json!({})).await?;
    Ok(text(&made, "/key"))
}

/// What became of the requests so far.
#[derive(Default)]
struct Seen {
    published: BTreeSet<(&'static str, usize)>,
    /// The event of each question.
    decided: BTreeMap<(&'static str, usize), String>,
    replays: BTreeMap<&'static str, usize>,
    refused: usize,
}

impl Seen {
    /// Looks at the answers to requests that were sent at once. What was published among them is not recorded yet; what
    /// was decided is, or is about to be.
    fn look(&mut self, group: &[Drawn], answers: &[Answer]) {
        let before = self.published.clone();
        let known_of = |tenant: &str| -> BTreeSet<String> {
            let own = before.iter().filter(|(of, _)| *of == tenant);
            own.map(|(_, id)| format!("e-{id}")).collect()
        };
        for (drawn, answer) in group.iter().zip(answers) {
            let (status, body) = (answer.status.as_u16(), answer.json());
            if !drawn.allowed() {
                let own_array = drawn.asked == Asked::PublishArray
                    && drawn.proof == Proof::Signature(drawn.tenant);
                let want: &[u16] = if own_array { &[400] } else { &[401, 403] };
                assert!(want.contains(&status), "{drawn:?}: {status} {body}");
                assert!(!answer.body.contains("owner"), "{drawn:?}: {body}");
                self.refused += 1;
                continue;
            }
            let known = before.contains(&(drawn.tenant, drawn.id));
            match drawn.asked {
                Asked::Publish | Asked::PublishArray => {
                    assert_eq!(status, 200, "{drawn:?}: {body}");
                    self.published.insert((drawn.tenant, drawn.id));
                }
                Asked::Decide => {
                    assert_eq!(status, 200, "{drawn:?}: {body}");
                    let event = text(&body, "/eventId");
                    let question = (drawn.tenant, drawn.id);
                    let first = self.decided.entry(question).or_insert(event.clone());
                    assert_eq!(*first, event, "{drawn:?}: one question, one decision");
                }
                Asked::Read if known => {
                    let owner = text(&body, "/data/owner");
                    assert_eq!(owner, drawn.tenant, "{drawn:?}: {body}");
                }
                Asked::Replay if known => {
                    assert_eq!(status, 202, "{drawn:?}: {body}");
                    *self.replays.entry(drawn.tenant).or_insert(0) += 1;
                }
                Asked::Read | Asked::Replay => assert_eq!(status, 404, "{drawn:?}: {body}"),
                Asked::List => {}
            }
        }
        for (drawn, answer) in group.iter().zip(answers) {
            if drawn.asked != Asked::List || !drawn.allowed() {
                continue;
            }
            let body = answer.json();
            let listed = list(&body, "/data").into_iter();
            let ids: BTreeSet<String> = listed.map(|event| text(event, "/id")).collect();
            let decided = self.decided.iter();
            let decided: BTreeSet<String> = decided
                .filter(|((tenant, _), _)| *tenant == drawn.tenant)
                .map(|(_, event)| event.clone())
                .collect();
            let rest: BTreeSet<String> = ids.difference(&decided).cloned().collect();
            assert_eq!(rest, known_of(drawn.tenant), "{drawn:?}");
        }
    }
}

#[tokio::test]
async fn nothing_of_one_tenant_is_seen_or_set_off_by_the_other() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut keys = BTreeMap::new();
    for name in TENANTS {
        keys.insert(name, tenant(&scene, name).await?);
    }
    let entropy = SeededEntropy::new(3);
    let mut seen = Seen::default();
    for _ in 0..GROUPS {
        let mut group: Vec<_> = (0..AT_ONCE).map(|_| draw(&entropy)).collect();
        // Of two replays at once one may be refused, which is not what is looked at here.
        let mut replays = BTreeSet::new();
        group.retain(|drawn| {
            drawn.asked != Asked::Replay || replays.insert((drawn.tenant, drawn.id))
        });
        let requests = group.iter().map(|drawn| drawn.request(&scene, &keys));
        let requests = requests.collect::<anyhow::Result<Vec<_>>>()?;
        let sent = requests.into_iter().map(|request| scene.send(request));
        let answers = join_all(sent).await.into_iter();
        let answers = answers.collect::<anyhow::Result<Vec<_>>>()?;
        seen.look(&group, &answers);
        scene.settle().await?;
        // What was said again is looked at after the winner's time.
        scene.pass(jiff::SignedDuration::from_secs(91)).await?;
    }
    let Seen {
        published,
        decided,
        replays,
        refused,
    } = seen;
    assert!(
        refused > GROUPS * AT_ONCE / 3 && published.len() > IDS && decided.len() > IDS,
        "{refused} {published:?} {decided:?}"
    );
    let requests = scene.far.requests();
    for name in TENANTS {
        let host = format!("https://{name}.example/hook");
        let own: Vec<_> = requests
            .iter()
            .filter(|request| request.url == host)
            .collect();
        for request in &own {
            let body: Value = serde_json::from_slice(&request.body)?;
            assert_eq!(text(&body, "/data/owner"), name);
        }
        let events = published
            .iter()
            .filter(|(tenant, _)| *tenant == name)
            .count();
        let want = events + replays.get(name).copied().unwrap_or(0);
        assert_eq!(own.len(), want, "{name}: each event once, and each replay");

        let host = format!("https://{name}.example/decide");
        let mut asked = BTreeSet::new();
        for request in requests.iter().filter(|request| request.url == host) {
            let body: Value = serde_json::from_slice(&request.body)?;
            assert_eq!(text(&body, "/data/metadata/owner"), name, "{body}");
            asked.insert(text(&body, "/id"));
        }
        let decided = decided.iter().filter(|((tenant, _), _)| *tenant == name);
        let want: BTreeSet<String> = decided.map(|(_, event)| event.clone()).collect();
        assert_eq!(asked, want, "{name}: asked what its own key asked");
    }
    Ok(())
}
