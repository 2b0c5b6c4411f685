//! Ten thousand requests with the tenants, ids, keys, signatures and cursors of two tenants swapped, at every operation that
//! the OpenAPI document has, so that a new one is asked as well: none is let through.
//!
//! Both tenants have one of everything, under the same names wherever names are their own. One of them acts: its requests to
//! the other's paths, and those with nothing or a stranger's proof, are refused; its requests to its own paths may do what
//! they will to it. Either way no answer holds a mark of the other, nothing of the other changes in the table, and nobody is
//! told anything of it. Then they change sides.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Body;
use futures::future::join_all;
use http::Request;
use jiff::SignedDuration;
use local::embedded::TABLE;
use serde_json::{Value, json};
use shared::entropy::{Entropy, SeededEntropy};
use shared::secret::Secret;
use shared::signature::{jwt, rafiki, stripe};
use shared::time::Clock;
use tests::scene::{Answer, Scene};

use crate::{FAILED, list, text};

const TENANTS: [&str; 2] = ["ours", "theirs"];
/// So many requests are sent, at least.
const MOST: usize = 10_000;
/// So many requests are on their way at once.
const AT_ONCE: usize = 50;

/// What marks everything that is a tenant's, and that no other may see.
fn mark(tenant: &str) -> String {
    format!("hush-{tenant}")
}

/// The text that a tenant signs with, where both sides know one.
fn secret(tenant: &str) -> Secret {
    Secret::new(format!(
        "the secret of {tenant}, longer than 32 bytes: {}",
        mark(tenant)
    ))
}

/// What a tenant's SEP-10 server signs with, which must be another.
fn sep10_secret(tenant: &str) -> Secret {
    Secret::new(format!("of SEP-10: {}", secret(tenant).expose()))
}

/// What one of the tenants has, and what it may show.
struct Side {
    tenant: &'static str,
    key: String,
    /// The public name of the key, which it must not revoke: all else would be refused for that alone.
    own_key: String,
    /// Names of its things: those that both have, and those that only it has.
    ids: BTreeMap<&'static str, Vec<String>>,
    cursors: Vec<String>,
}

fn below(entropy: &dyn Entropy, most: usize) -> usize {
    let most = u64::try_from(most.max(1)).expect("a length");
    usize::try_from(u64::from_le_bytes(entropy.bytes()) % most).expect("it is below a length")
}

fn one_of<'a, T>(entropy: &dyn Entropy, of: &'a [T]) -> &'a T {
    of.get(below(entropy, of.len()))
        .expect("it is below the length, which is not 0")
}

/// Makes a tenant with one of everything.
async fn furnish(scene: &Scene, tenant: &'static str) -> Result<Side> {
    let (path, hush) = (format!("/v1/tenants/{tenant}"), mark(tenant));
    scene
        .operator("PUT", &path, json!({ "display_name": hush }))
        .await?;
    let words = secret(tenant);
    let host = format!("https://{hush}.example");
    let business = json!({ "base_url": host, "auth": { "type": "none" } });
    let sep10 = json!({ "issuer": host, "secret": sep10_secret(tenant).expose() });
    let puts = [
        (
            "publishers/rafiki".to_owned(),
            json!({ "secrets": [words.expose()] }),
        ),
        (
            "endpoints/shop".to_owned(),
            json!({ "url": host, "role": "ase", "scheme": "rafiki", "event_types": ["*"], "decision_url": host }),
        ),
        (
            format!("endpoints/{tenant}-only"),
            json!({ "url": host, "role": "merchant", "scheme": "rafiki" }),
        ),
        (
            "clients/lobby".to_owned(),
            json!({ "domains": [format!("{hush}.example")] }),
        ),
        (
            "anchor".to_owned(),
            json!({ "business_server": business, "rpc_secret": words.expose(), "sep10": sep10 }),
        ),
        ("anchor/signing-key".to_owned(), json!({})),
    ];
    for (at, body) in puts {
        scene.operator("PUT", &format!("{path}/{at}"), body).await?;
    }
    bill(scene, tenant).await?;
    let made = scene
        .operator("POST", &format!("{path}/keys"), json!({ "label": hush }))
        .await?;
    let other = scene
        .operator("POST", &format!("{path}/keys"), json!({ "label": hush }))
        .await?;
    let key = text(&made, "/key");
    let mut events: Vec<String> = (0..6).map(|n| format!("e-{n}")).collect();
    events.push(format!("e-{tenant}"));
    for id in &events {
        let event = json!({ "id": id, "type": "x.happened", "data": { "owner": hush } });
        scene
            .operator("POST", &format!("{path}/events"), event)
            .await?;
    }
    let transactions = ["tx-1".to_owned(), format!("tx-{tenant}")];
    for id in &transactions {
        let body = json!({ "sep": "6", "kind": "deposit", "status": "incomplete", "client": "lobby", "message": hush });
        scene
            .operator("PUT", &format!("{path}/anchor/transactions/{id}"), body)
            .await?;
    }
    let mut invoices = vec!["in_1QfInv".to_owned()];
    for n in 0..4 {
        let invoice = format!("in_{tenant}_{n}");
        let body = FAILED
            .replace("in_1QfInv", &invoice)
            .replace("evt_", &format!("evt_{tenant}_{n}_"));
        let door = format!("/v2/webhooks/revenue_recovery/pro_{tenant}/mca_1");
        let signed =
            stripe::sign(&words, scene.clock.now(), body.as_bytes()).context("it signs")?;
        let request = Request::builder()
            .method("POST")
            .uri(door)
            .header(stripe::HEADER, signed);
        let answer = scene.send(request.body(Body::from(body))?).await?;
        ensure!(
            answer.status.is_success(),
            "{} {}",
            answer.status,
            answer.body
        );
        invoices.push(invoice);
    }
    scene.settle().await?;
    let mut cursors = Vec::new();
    for at in [
        "events?limit=1",
        "events?limit=3",
        "intents?limit=1",
        "endpoints/shop/deliveries?limit=1",
        "quarantine?limit=1",
    ] {
        let page = scene
            .operator("GET", &format!("{path}/{at}"), Value::Null)
            .await?;
        cursors.push(text(&page, "/next_cursor"));
    }
    cursors.retain(|cursor| !cursor.is_empty());
    ensure!(
        cursors.len() >= 3,
        "there is hardly a page to go on from: {cursors:?}"
    );
    let both = |of: &str| vec![of.to_owned(), format!("{tenant}-only")];
    let profiles = vec![format!("pro_{tenant}")];
    let ids = BTreeMap::from([
        ("tenant", vec![tenant.to_owned()]),
        ("merchant_id", vec![tenant.to_owned()]),
        ("endpoint", both("shop")),
        ("client", vec!["lobby".to_owned()]),
        ("profile_id", profiles),
        ("connector_account_id", vec!["mca_1".to_owned()]),
        ("connector_id", vec!["mca_1".to_owned()]),
        ("event", events),
        ("id", transactions.to_vec()),
        ("key", vec![text(&other, "/id")]),
        ("invoice", invoices),
    ]);
    Ok(Side {
        tenant,
        key,
        own_key: text(&made, "/id"),
        ids,
        cursors,
    })
}

/// Has a tenant bill at Stripe.
async fn bill(scene: &Scene, tenant: &str) -> Result<Value> {
    let path = format!("/v1/tenants/{tenant}/billing-accounts/pro_{tenant}/mca_1");
    let body = json!({ "platform": "stripe", "webhook_secrets": [secret(tenant).expose()] });
    scene.operator("PUT", &path, body).await
}

/// An operation of the document.
struct Operation {
    method: String,
    path: String,
    /// The names of its query's parameters.
    query: Vec<String>,
}

fn operations() -> Vec<Operation> {
    let document = console::openapi::document();
    let paths = document.get("paths").and_then(Value::as_object);
    let mut all = Vec::new();
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let parameters = list(operation, "/parameters").into_iter();
            let query = parameters
                .filter(|it| text(it, "/in") == "query")
                .map(|it| text(it, "/name"));
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                query: query.collect(),
            });
        }
    }
    // The document and the catalogue are nobody's.
    all.retain(|it| it.path != "/v1/openapi.json" && !it.path.starts_with("/v1/event-types"));
    all
}

/// What a request is, whether it crosses the wall, and whether it is one's own business, with the key for it.
struct Drawn {
    what: String,
    crosses: bool,
    own: bool,
}

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Key,
    ApiKeyHeader,
    Rafiki,
    Stripe,
    Rpc,
    Sep10,
    Stranger,
    Nothing,
}

struct Draw<'a> {
    actor: &'a Side,
    other: &'a Side,
    entropy: &'a dyn Entropy,
    scene: &'a Scene,
}

impl Draw<'_> {
    fn side(&self, of_other: bool) -> &Side {
        if of_other { self.other } else { self.actor }
    }

    /// What stands in the place of a `{name}`: something of either, of neither, or with a spelling of its own.
    fn fill(&self, name: &str, of_other: bool) -> String {
        let side = self.side(of_other);
        let known: Vec<&String> = match side.ids.get(name) {
            Some(known) => known.iter().collect(),
            None => side.ids.values().flatten().collect(),
        };
        let id = *one_of(self.entropy, &known);
        match below(self.entropy, 12) {
            0 => format!("no-{name}"),
            1 => id.bytes().map(|byte| format!("%{byte:02X}")).collect(),
            2 => id.replacen('-', "%2d", 1),
            _ => id.clone(),
        }
    }

    /// The other's name, in the ways that a lenient reader might take for it.
    fn tenant(&self, of_other: bool) -> String {
        let name = self.side(of_other).tenant;
        if !of_other {
            return name.to_owned();
        }
        match below(self.entropy, 10) {
            0 => name.bytes().map(|byte| format!("%{byte:02x}")).collect(),
            1 => name.to_uppercase(),
            2 => format!("{name}%20"),
            3 => format!("{}%2F..%2F{name}", self.actor.tenant),
            4 => format!("{name}%00"),
            5 => format!("{}%23{name}", self.actor.tenant),
            _ => name.to_owned(),
        }
    }

    fn query(&self, names: &[String]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for name in names {
            if below(self.entropy, 3) == 0 {
                continue;
            }
            let other = self.other;
            let ids = |name: &str| {
                other
                    .ids
                    .get(name)
                    .and_then(|ids| ids.last())
                    .cloned()
                    .unwrap_or_default()
            };
            let value = match name.as_str() {
                "cursor" => one_of(self.entropy, &other.cursors).clone(),
                "limit" => "100".to_owned(),
                "tenant" => other.tenant.to_owned(),
                "profile" => ids("profile_id"),
                "account" => ids("connector_account_id"),
                "invoice" | "resource" => ids("invoice"),
                "recipients" => "ase".to_owned(),
                _ => continue,
            };
            query.append_pair(name, &value);
        }
        let query = query.finish();
        if query.is_empty() {
            query
        } else {
            format!("?{query}")
        }
    }

    /// Something that the route may take, with the other's ids in it.
    fn body(&self, path: &str) -> Value {
        let url = "https://a.example/";
        let other = |name: &str| self.fill(name, true);
        match path.rsplit('/').next().unwrap_or_default() {
            "{endpoint}" => {
                json!({ "url": url, "role": "ase", "scheme": "rafiki", "event_types": ["*"] })
            }
            "{connector_account_id}" => {
                json!({ "platform": "stripe", "webhook_secrets": ["0123456789abcdef"] })
            }
            "{client}" => json!({ "domains": ["wallet.example.com"] }),
            "anchor" => {
                json!({ "business_server": { "base_url": url, "auth": { "type": "none" } } })
            }
            "rafiki" => json!({ "secrets": ["0123456789abcdef"] }),
            "events" => {
                json!({ "id": other("event"), "type": "x.happened", "data": { "tenant": self.other.tenant } })
            }
            "decisions" => {
                json!({ "walletAddress": url, "expiresAt": "2030-01-01T00:00:00Z", "metadata": { "tenant": self.other.tenant } })
            }
            "attempts" => json!({
                "id": "r-1", "event": "payment_succeeded", "profile_id": other("profile_id"), "connector_account_id": "mca_1",
                "invoice_id": other("invoice"), "amount": 2500, "currency": "USD", "occurred_at": "2025-01-01T00:00:00Z",
                "charge": { "charge_id": "ch_1", "triggered_by": "internal" },
            }),
            "rpc" => json!([{
                "jsonrpc": "2.0", "id": 1, "method": "notify_customer_info_updated",
                "params": { "transaction_id": other("id"), "message": "swapped" },
            }]),
            "{id}" => {
                json!({ "sep": "6", "kind": "deposit", "status": "incomplete", "client": other("client") })
            }
            "callback" => json!({ "url": url }),
            _ => json!({}),
        }
    }

    fn proof(&self, path: &str) -> Proof {
        let drawn = below(self.entropy, 20);
        match (drawn, path) {
            (0, _) => Proof::Nothing,
            (1, _) => Proof::Stranger,
            (2, _) => Proof::ApiKeyHeader,
            (3, _) => Proof::Rpc,
            (4, _) => Proof::Sep10,
            (_, path) if path.ends_with("/callback") => Proof::Sep10,
            (5..=12, path) if path.contains("/anchor/") => Proof::Rpc,
            (5..=12, path) if path.ends_with("/events") => Proof::Rafiki,
            (_, path) if path.starts_with("/v2/") => Proof::Stripe,
            _ => Proof::Key,
        }
    }

    fn token(&self, extra: Value) -> Result<String> {
        let now = self.scene.clock.now().as_second();
        let mut claims = json!({ "iat": now, "exp": now + 60 });
        if let (Some(claims), Value::Object(extra)) = (claims.as_object_mut(), extra) {
            claims.extend(extra);
        }
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        let words = sep10_secret(self.actor.tenant);
        let key = jsonwebtoken::EncodingKey::from_secret(words.expose().as_bytes());
        Ok(jsonwebtoken::encode(&header, &claims, &key)?)
    }

    fn request(&self, operation: &Operation) -> Result<(Drawn, Request<Body>)> {
        let of_other = below(self.entropy, 10) < 7;
        let parts = operation.path.split('/').map(|part| {
            match part
                .strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'))
            {
                Some("tenant" | "merchant_id") => self.tenant(of_other),
                // At the doors of webhooks the pair of ids says whose they are.
                Some("profile_id") if operation.path.starts_with("/v2/") => {
                    format!("pro_{}", self.side(of_other).tenant)
                }
                Some("connector_account_id" | "connector_id")
                    if operation.path.starts_with("/v2/") =>
                {
                    "mca_1".to_owned()
                }
                Some(name) => self.fill(name, below(self.entropy, 2) == 0),
                None => part.to_owned(),
            }
        });
        let path = parts.collect::<Vec<_>>().join("/");
        let path = format!("{path}{}", self.query(&operation.query));
        // It would lock itself out, and everything after that would be refused for another reason.
        let path = path.replace(&self.actor.own_key, "key_1");
        let proof = self.proof(&operation.path);
        let body = match (
            operation.method.as_str(),
            operation.path.starts_with("/v2/"),
        ) {
            ("GET" | "DELETE", _) => String::new(),
            (_, true) => FAILED.replace("in_1QfInv", &self.fill("invoice", true)),
            _ => self.body(&operation.path).to_string(),
        };
        let words = secret(self.actor.tenant);
        let now = self.scene.clock.now();
        let bearer = |token: String| ("authorization", format!("Bearer {token}"));
        let account = "GAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZ6Q";
        let shown = match proof {
            Proof::Key => Some(bearer(self.actor.key.clone())),
            Proof::ApiKeyHeader => Some(("x-api-key", self.actor.key.clone())),
            Proof::Rafiki => {
                rafiki::sign(&[&words], now, body.as_bytes()).map(|it| (rafiki::HEADER, it))
            }
            Proof::Stripe => {
                stripe::sign(&words, now, body.as_bytes()).map(|it| (stripe::HEADER, it))
            }
            Proof::Rpc => Some(bearer(
                jwt::make(&words, now, SignedDuration::from_secs(60))?
                    .expose()
                    .to_owned(),
            )),
            Proof::Sep10 => {
                // To the other's wallet, as its own server would say it.
                let host = format!("https://hush-{}.example", self.side(of_other).tenant);
                Some(bearer(self.token(
                    json!({ "iss": host, "sub": account, "client_domain": "wallet.example.com" }),
                )?))
            }
            Proof::Stranger => Some(bearer("prk_nobody".to_owned())),
            Proof::Nothing => None,
        };
        let mut request = Request::builder()
            .method(operation.method.as_str())
            .uri(&path)
            .header("content-type", "application/json")
            .header("idempotency-key", format!("q-{}", below(self.entropy, 20)));
        if let Some((name, value)) = shown {
            request = request.header(name, value);
        }
        let nobody = matches!(proof, Proof::Nothing | Proof::Stranger);
        let drawn = Drawn {
            what: format!(
                "{} {path} with {proof:?} of {}: {body}",
                operation.method, self.actor.tenant
            ),
            crosses: of_other || nobody || !operation.path.contains('{'),
            own: !of_other && proof == Proof::Key,
        };
        Ok((drawn, request.body(Body::from(body))?))
    }
}

/// Items by their keys.
type Kept = BTreeMap<[String; 2], HashMap<String, AttributeValue>>;

/// Everything in the table that is of `tenant`: it says so in its keys, in a field, or bears the mark.
async fn kept(scene: &Scene, tenant: &str) -> Result<Kept> {
    let mut items = Kept::new();
    let mut start = None;
    loop {
        let page = scene
            .table()
            .scan()
            .table_name(TABLE)
            .set_exclusive_start_key(start)
            .send()
            .await?;
        for item in page.items() {
            let shown = format!("{item:?}");
            let named = [
                format!("\"T#{tenant}\""),
                format!("\"T#{tenant}#"),
                format!("S(\"{tenant}\")"),
                mark(tenant),
            ];
            if named.iter().any(|name| shown.contains(name)) {
                let key = |name| item.get(name).and_then(|it| it.as_s().ok()).cloned();
                let keys = ["pk", "sk"].map(|name| key(name).unwrap_or_default());
                items.insert(keys, item.clone());
            }
        }
        start = page.last_evaluated_key().cloned();
        if start.is_none() {
            return Ok(items);
        }
    }
}

fn look(drawn: &Drawn, answer: &Answer, other: &Side, seen: &mut Seen) {
    let (status, what) = (answer.status.as_u16(), &drawn.what);
    let hush = mark(other.tenant);
    let shown = format!("{:?} {}", answer.headers, answer.body);
    assert!(!shown.contains(&hush), "{status} {what}: {shown}");
    if drawn.crosses {
        assert!(
            (400..500).contains(&status),
            "{status} {what}: {}",
            answer.body
        );
        seen.crossed += 1;
    } else if drawn.own && status < 300 {
        seen.own += 1;
    }
    seen.sent += 1;
}

#[derive(Default)]
struct Seen {
    sent: usize,
    crossed: usize,
    own: usize,
}

#[tokio::test]
async fn of_ten_thousand_requests_with_something_swapped_none_is_let_through() -> Result<()> {
    let scene = Scene::start().await?;
    let [ours, theirs] = TENANTS;
    let mut sides = [furnish(&scene, ours).await?, furnish(&scene, theirs).await?];
    let operations = operations();
    assert!(operations.len() > 45, "{}", operations.len());
    let entropy = SeededEntropy::new(11);
    let mut seen = Seen::default();
    for _ in 0..2 {
        let [actor, other] = &sides;
        // What the other gave up when it acted is anybody's; it is to be its own again.
        bill(&scene, other.tenant).await?;
        let draw = Draw {
            actor,
            other,
            entropy: &entropy,
            scene: &scene,
        };
        let before = kept(&scene, other.tenant).await?;
        assert!(before.len() > 20, "{} has hardly anything", other.tenant);
        let told = scene.far.requests().len();
        // Every operation in turn, so often that half of all requests are made.
        let mut in_turn = operations.iter().cycle();
        for _ in 0..MOST.div_ceil(2 * AT_ONCE) {
            let group = in_turn.by_ref().take(AT_ONCE).map(|it| draw.request(it));
            let (group, requests): (Vec<_>, Vec<_>) =
                group.collect::<Result<Vec<_>>>()?.into_iter().unzip();
            let answers = join_all(requests.into_iter().map(|request| scene.send(request))).await;
            for (drawn, answer) in group.iter().zip(answers) {
                look(drawn, &answer?, other, &mut seen);
            }
        }
        scene.settle().await?;
        let after = kept(&scene, other.tenant).await?;
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let changed = keys
            .into_iter()
            .filter(|key| before.get(*key) != after.get(*key));
        let changed: Vec<_> = changed.collect();
        assert!(changed.is_empty(), "{} changed: {changed:?}", other.tenant);
        let host = mark(other.tenant);
        let requests = scene.far.requests();
        let told: Vec<_> = requests
            .iter()
            .skip(told)
            .filter(|it| it.url.contains(&host))
            .collect();
        assert!(told.is_empty(), "{} was told {told:?}", other.tenant);
        sides.reverse();
    }
    let Seen { sent, crossed, own } = seen;
    assert!(
        sent >= MOST && crossed > sent / 2,
        "{sent} were sent, {crossed} crossed"
    );
    assert!(
        own > 500,
        "only {own} did something to the one who asked: the wall would stand with the doors shut"
    );
    Ok(())
}
