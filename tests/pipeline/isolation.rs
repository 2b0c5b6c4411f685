//! Two tenants side by side: requests with each other's names, ids, keys and signatures, drawn by a seeded chance, and
//! nothing of one reaches the other.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use shared::entropy::{Entropy, SeededEntropy};
use shared::secret::Secret;
use shared::signature::rafiki;
use shared::time::Clock;
use tests::scene::Scene;

use crate::{list, text};

const TENANTS: [&str; 2] = ["ours", "theirs"];
/// So many requests are drawn.
const REQUESTS: usize = 600;
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
    ];
    Drawn {
        tenant: tenants.get(below(5)).copied().unwrap_or(ours),
        proof: proofs.get(below(5)).copied().unwrap_or(Proof::Nothing),
        asked: asked.get(below(5)).copied().unwrap_or(Asked::List),
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

    /// What it says names whoever proves to be the sender, so that what goes astray is seen.
    fn event(self) -> String {
        let owner = match self.proof {
            Proof::Signature(of) | Proof::Key(of) => of,
            Proof::Nothing => "a stranger",
        };
        let id = self.id;
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
            Asked::List => ("GET", events, String::new()),
            Asked::Read => ("GET", format!("{events}/e-{id}"), String::new()),
            Asked::Replay => (
                "POST",
                format!("{events}/e-{id}/deliveries/ase/replay"),
                String::new(),
            ),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
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
    let endpoint = json!({ "url": url, "role": "ase", "scheme": "rafiki", "event_types": ["*"] });
    let endpoints = format!("{path}/endpoints/ase");
    scene.operator("PUT", &endpoints, endpoint).await?;
    let keys = format!("{path}/keys");
    let made = scene.operator("POST", &keys, json!({})).await?;
    Ok(text(&made, "/key"))
}

#[tokio::test]
async fn nothing_of_one_tenant_is_seen_or_set_off_by_the_other() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut keys = BTreeMap::new();
    for name in TENANTS {
        keys.insert(name, tenant(&scene, name).await?);
    }
    let entropy = SeededEntropy::new(3);
    let (mut published, mut replays) = (BTreeSet::new(), BTreeMap::new());
    let mut refused = 0;
    for _ in 0..REQUESTS {
        let drawn = draw(&entropy);
        let answer = scene.send(drawn.request(&scene, &keys)?).await?;
        let status = answer.status.as_u16();
        let body = answer.json();
        if !drawn.allowed() {
            let own_array =
                drawn.asked == Asked::PublishArray && drawn.proof == Proof::Signature(drawn.tenant);
            let want: &[u16] = if own_array { &[400] } else { &[401, 403] };
            assert!(want.contains(&status), "{drawn:?}: {status} {body}");
            assert!(!answer.body.contains("owner"), "{drawn:?}: {body}");
            assert!(scene.queues.is_empty(), "{drawn:?} sets nothing off");
            refused += 1;
            continue;
        }
        let known = published.contains(&(drawn.tenant, drawn.id));
        match drawn.asked {
            Asked::Publish | Asked::PublishArray => {
                assert_eq!(status, 200, "{drawn:?}: {body}");
                published.insert((drawn.tenant, drawn.id));
            }
            Asked::List => {
                let ids: BTreeSet<String> = list(&body, "/data")
                    .into_iter()
                    .map(|event| text(event, "/id"))
                    .collect();
                let own = published
                    .iter()
                    .filter(|(tenant, _)| *tenant == drawn.tenant);
                let want: BTreeSet<String> = own.map(|(_, id)| format!("e-{id}")).collect();
                assert_eq!(ids, want, "{drawn:?}");
            }
            Asked::Read if known => {
                assert_eq!(
                    text(&body, "/data/owner"),
                    drawn.tenant,
                    "{drawn:?}: {body}"
                );
            }
            Asked::Replay if known => {
                assert_eq!(status, 202, "{drawn:?}: {body}");
                *replays.entry(drawn.tenant).or_insert(0) += 1;
            }
            Asked::Read | Asked::Replay => assert_eq!(status, 404, "{drawn:?}: {body}"),
        }
        scene.settle().await?;
        // What was said again is looked at after the winner's time.
        if status == 200 && known {
            scene.pass(jiff::SignedDuration::from_secs(91)).await?;
        }
    }
    assert!(
        refused > REQUESTS / 3 && published.len() > IDS,
        "{refused} {published:?}"
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
    }
    Ok(())
}
