//! The endpoints, a wallet among them: they verify each signature by their own implementation of the published schemes, note
//! what they got, and fail some of it. The anchor's business server is here, too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::get;
use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER_PERMISSIVE};
use serde_json::Value;
use shared::time::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::chance::Chance;
use crate::ledger::{Ledger, Topic, mark, numbers};
use crate::pause;

/// Where the wallet hears of customers.
pub(super) const WALLET: &str = "/acme/wallet";
/// The secret of endpoints of the scheme `rafiki`.
pub(super) const RAFIKI_SECRET: &str = "what the ledger verifies by";
/// The key of endpoints of the scheme `standard-webhooks`.
const STANDARD_KEY: &[u8] = b"what the shop and books verify by";
/// How far the time of a signature may be from now, in seconds.
const TOLERANCE: i64 = 300;
/// Longer than the deadline that the endpoints are set up with.
const TOO_LONG: Duration = Duration::from_millis(2_500);

/// The secret of endpoints of the scheme `standard-webhooks`, as it is set up.
pub(super) fn standard_secret() -> String {
    format!("whsec_{}", BASE64.encode(STANDARD_KEY))
}

/// The endpoints on one loopback port, gone when dropped.
pub(super) struct Receiver {
    url: String,
    desk: Arc<Desk>,
    server: JoinHandle<()>,
}

/// What the business server says of each customer.
pub(super) type Customers = Arc<Mutex<BTreeMap<String, String>>>;

struct Desk {
    seed: u64,
    ledger: Arc<Ledger>,
    customers: Customers,
    /// The anchor's public key, once it is known.
    signer: OnceLock<Vec<u8>>,
}

impl Receiver {
    /// Starts listening on a free port.
    pub(super) async fn start(seed: u64, ledger: Arc<Ledger>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let desk = Arc::new(Desk {
            seed,
            ledger,
            customers: Customers::default(),
            signer: OnceLock::new(),
        });
        let routes = Router::new()
            .route("/business/customer", get(customer))
            .fallback(take)
            .with_state(desk.clone());
        let server = tokio::spawn(async move {
            // Ends only by being aborted.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { url, desk, server })
    }

    /// Its URL, without a path.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What the business server says, to be changed.
    pub(super) fn customers(&self) -> Customers {
        self.desk.customers.clone()
    }

    /// Tells the wallet the anchor's account, which is its public key: a version, 32 bytes and a checksum.
    pub(super) fn trusts(&self, account: &str) -> Result<()> {
        let bytes = BASE32_NOPAD.decode(account.as_bytes())?;
        let key = bytes.get(1..33).context("an account has 35 bytes")?;
        let again = self.desk.signer.set(key.to_vec());
        again.map_err(|_| anyhow!("the wallet knows the anchor already"))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What an endpoint makes of its first tries of an event; what comes after them it takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Takes it.
    Well,
    /// Answers 500 to so many.
    Fails(u64),
    /// Answers 200 when nobody waits any more, once.
    Hangs,
}

fn mood(seed: u64, endpoint: &str, id: &str) -> Mood {
    let chance = Chance::new(seed, &format!("{endpoint} {id}"));
    match chance.below(1_000) {
        // Its second retry comes after half a minute, and others wait behind it.
        0..40 if endpoint == WALLET => Mood::Fails(1),
        _ if endpoint == WALLET => Mood::Well,
        0..40 => Mood::Fails(1 + chance.below(3)),
        40..42 => Mood::Hangs,
        _ => Mood::Well,
    }
}

async fn take(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let (endpoint, text) = (uri.path(), String::from_utf8_lossy(&body));
    let signer = desk.signer.get().map(Vec::as_slice);
    let Some(id) = verified(&headers, &body, signer) else {
        let broken = format!("{endpoint} got what is not signed for it: {text}");
        desk.ledger.books().broken.push(broken);
        return StatusCode::UNAUTHORIZED;
    };
    let tries = {
        let mut books = desk.ledger.books();
        let tries = books.tries.entry((endpoint.to_owned(), id.clone()));
        *tries.and_modify(|tries| *tries += 1).or_insert(1)
    };
    desk.ledger
        .count(Topic::Endpoints, &format!("requests to {endpoint}"), 1);
    match mood(desk.seed, endpoint, &id) {
        Mood::Fails(most) if tries <= most => {
            desk.ledger.arrived(endpoint, &id, &text, false);
            desk.ledger.count(Topic::Endpoints, "answered 500", 1);
            StatusCode::INTERNAL_SERVER_ERROR
        }
        Mood::Hangs if tries == 1 => {
            desk.ledger.arrived(endpoint, &id, &text, false);
            desk.ledger.count(Topic::Endpoints, "answered too late", 1);
            pause(TOO_LONG).await;
            StatusCode::OK
        }
        Mood::Well | Mood::Fails(_) | Mood::Hangs => {
            desk.ledger.arrived(endpoint, &id, &text, true);
            StatusCode::OK
        }
    }
}

/// The business server: `GET /customer?id=..`.
async fn customer(State(desk): State<Arc<Desk>>, uri: Uri) -> Result<String, StatusCode> {
    let asked = uri.query().unwrap_or_default().split('&');
    let id = asked.into_iter().find_map(|pair| pair.strip_prefix("id="));
    let customers = desk
        .customers
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let said = id.and_then(|id| customers.get(id));
    said.cloned().ok_or(StatusCode::NOT_FOUND)
}

/// The id of a delivery, if its signature is valid and fresh. A callback has none, and is known by the event's mark.
fn verified(headers: &HeaderMap, body: &[u8], signer: Option<&[u8]>) -> Option<String> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    if let Some(signature) = header("signature") {
        let (at, tag) = signature.strip_prefix("t=")?.split_once(", s=")?;
        let host = header("host")?;
        let signed = [at.as_bytes(), b".", host.as_bytes(), b".", body].concat();
        let tag = BASE64.decode(tag.as_bytes()).ok()?;
        let key = UnparsedPublicKey::new(&ED25519, signer?);
        key.verify(&signed, &tag).ok()?;
        fresh(at.parse().ok()?)?;
        let number = numbers(&String::from_utf8_lossy(body)).pop_first()?;
        return Some(mark(number));
    }
    if let Some(signature) = header("rafiki-signature") {
        let (at, tag) = signature.strip_prefix("t=")?.split_once(", v1=")?;
        let mut value: Value = serde_json::from_slice(body).ok()?;
        // Enough for what is sent: keys in ASCII, whole numbers, and a map that keeps its keys in order.
        value.sort_all_objects();
        let signed = format!("{at}.{value}");
        let tag = HEXLOWER_PERMISSIVE.decode(tag.as_bytes()).ok()?;
        valid(RAFIKI_SECRET.as_bytes(), signed.as_bytes(), &tag)?;
        fresh(at.parse::<i64>().ok()? / 1_000)?;
        return Some(value.get("id")?.as_str()?.to_owned());
    }
    let (id, at) = (header("webhook-id")?, header("webhook-timestamp")?);
    let tag = header("webhook-signature")?.strip_prefix("v1,")?;
    let signed = [id.as_bytes(), b".", at.as_bytes(), b".", body].concat();
    valid(STANDARD_KEY, &signed, &BASE64.decode(tag.as_bytes()).ok()?)?;
    fresh(at.parse().ok()?)?;
    Some(id.to_owned())
}

fn valid(key: &[u8], signed: &[u8], tag: &[u8]) -> Option<()> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&key, signed, tag).ok()
}

fn fresh(second: i64) -> Option<()> {
    let apart = SystemClock.now().as_second().abs_diff(second);
    (apart <= TOLERANCE.unsigned_abs()).then_some(())
}
