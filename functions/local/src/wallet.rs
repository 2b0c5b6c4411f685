//! A stand-in for a wallet: checks what its anchor tells it as SEP-12 asks a wallet to, with nothing of our signing code, and
//! says what it heard.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use data_encoding::{BASE32_NOPAD, BASE64};
use http::{HeaderMap, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::time::Clock;
use tracing::{info, warn};

/// A signature is fresh for so long: what SEP-12 lets a wallet allow at most.
const FRESH: SignedDuration = SignedDuration::from_mins(2);

/// More of what came is not kept.
const HEARD_MOST: usize = 1000;

/// A callback that came, and was genuine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// At which path.
    pub path: String,
    /// Its `webhook-id`.
    pub id: String,
    /// Its signature.
    pub signature: String,
    /// Its body.
    pub body: String,
    /// The status that it tells of, of a customer or of a transaction.
    pub status: String,
    /// What it was answered.
    pub answer: StatusCode,
}

/// The stand-in; clones are the same one.
#[derive(Clone)]
pub struct Wallet {
    key: Vec<u8>,
    host: String,
    clock: Arc<dyn Clock>,
    answer: StatusCode,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// What the next callbacks of a path are answered, before it answers as usual.
    script: HashMap<String, VecDeque<StatusCode>>,
    heard: VecDeque<Heard>,
}

impl Wallet {
    /// A wallet that is reached at `host`, reads `signing_key` (`G..`) in its anchor's `stellar.toml`, and answers genuine
    /// callbacks with `answer`.
    ///
    /// # Errors
    /// If that is no public key.
    pub fn new(
        signing_key: &str,
        host: String,
        answer: StatusCode,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        // A version, 32 bytes, a checksum.
        let bytes = BASE32_NOPAD.decode(signing_key.as_bytes())?;
        let key = bytes.get(1..33).context("no public key of Stellar")?;
        Ok(Self {
            key: key.to_vec(),
            host,
            clock,
            answer,
            inner: Arc::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it answer the next callbacks at `path` so.
    pub fn script(&self, path: &str, answers: impl IntoIterator<Item = StatusCode>) {
        let answers = answers.into_iter().collect();
        self.lock().script.insert(path.to_owned(), answers);
    }

    /// The genuine callbacks that came since it was last asked, in order.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.lock().heard).into()
    }

    /// Takes callbacks at any path.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/{*path}", post(hear))
            .with_state(self.clone())
    }

    /// The signature, if it is genuine and fresh.
    fn checked(&self, headers: &HeaderMap, body: &[u8]) -> Option<String> {
        let header = headers.get("signature")?.to_str().ok()?;
        let (at, signature) = header.strip_prefix("t=")?.split_once(", s=")?;
        let signed_at = Timestamp::from_second(at.parse().ok()?).ok()?;
        let age = self.clock.now().duration_since(signed_at).abs();
        let message = [at.as_bytes(), b".", self.host.as_bytes(), b".", body].concat();
        let signature = BASE64.decode(signature.as_bytes()).ok()?;
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        let genuine = key.verify(&message, &signature).is_ok();
        (genuine && age <= FRESH).then(|| header.to_owned())
    }
}

async fn hear(
    State(wallet): State<Wallet>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Some(signature) = wallet.checked(&headers, &body) else {
        warn!("callback refused: not signed by the anchor, or not for this host, or not just now");
        return StatusCode::BAD_REQUEST;
    };
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let status = told
        .get("status")
        .or_else(|| told.pointer("/transaction/status"));
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok());
    let mut inner = wallet.lock();
    let scripted = inner
        .script
        .get_mut(uri.path())
        .and_then(VecDeque::pop_front);
    let heard = Heard {
        path: uri.path().to_owned(),
        id: id.unwrap_or_default().to_owned(),
        signature,
        body: String::from_utf8_lossy(&body).into_owned(),
        status: status.and_then(Value::as_str).unwrap_or("?").to_owned(),
        answer: scripted.unwrap_or(wallet.answer),
    };
    let answer = heard.answer;
    info!(
        event.id = heard.id,
        path = heard.path,
        status = heard.status,
        answer = answer.as_u16(),
        "callback heard"
    );
    if inner.heard.len() >= HEARD_MOST {
        inner.heard.pop_front();
    }
    inner.heard.push_back(heard);
    answer
}
