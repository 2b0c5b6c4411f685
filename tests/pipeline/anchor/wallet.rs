//! A wallet that is called back: it checks signatures with a library of its own, and answers as it is told to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use async_trait::async_trait;
use data_encoding::{BASE32_NOPAD, BASE64};
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::Timestamp;
use shared::delivery::{Outcome, Request};
use shared::transport::Transport;

/// The seed that the anchor's callbacks are signed with; bytes 00 to 1f.
pub(crate) const SEED: &str = "SAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6NKI";
/// What its `stellar.toml` shows.
const PUBLIC: &str = "GAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZ6Q";

/// What the wallet got: the body, when it was signed, and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) body: String,
    pub(crate) signed_at: Timestamp,
    pub(crate) signature: String,
}

/// A wallet. It answers 200 but where a script for the body says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Wallet {
    scripts: Mutex<HashMap<String, VecDeque<u16>>>,
    heard: Mutex<Vec<Heard>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wallet {
    /// What is answered to a body, one after the other, before it is 200 again.
    pub(crate) fn answers(&self, body: &str, statuses: impl IntoIterator<Item = u16>) {
        lock(&self.scripts).insert(body.to_owned(), statuses.into_iter().collect());
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        lock(&self.heard).clone()
    }

    /// The bodies in the order that they came.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| heard.body).collect()
    }

    fn take(&self, request: &Request) -> Result<u16> {
        let body = String::from_utf8(request.body.to_vec())?;
        let header = |name: &str| {
            let value = request.headers.get(name).map(|value| value.to_str());
            value.context("a header of the signature")
        };
        let signature = header("signature")??.to_owned();
        assert_eq!(header("x-stellar-signature")??, signature);
        let parts = signature.strip_prefix("t=");
        let (signed_at, proof) = parts
            .and_then(|rest| rest.split_once(", s="))
            .context("the header's literal form")?;
        // The wallet knows its own host.
        let message = format!("{signed_at}.wallet.example.{body}");
        let raw = BASE32_NOPAD.decode(PUBLIC.as_bytes())?;
        let raw = raw.get(1..33).context("32 bytes")?;
        let proof = Signature::from_slice(&BASE64.decode(proof.as_bytes())?)?;
        VerifyingKey::from_bytes(raw.try_into()?)?.verify_strict(message.as_bytes(), &proof)?;
        lock(&self.heard).push(Heard {
            body: body.clone(),
            signed_at: Timestamp::from_second(signed_at.parse()?)?,
            signature,
        });
        let mut scripts = lock(&self.scripts);
        let answer = scripts.get_mut(&body).and_then(VecDeque::pop_front);
        Ok(answer.unwrap_or(200))
    }
}

/// The way to a wallet.
pub(crate) struct To(pub(crate) Arc<Wallet>);

#[async_trait]
impl Transport for To {
    async fn post(&self, request: Request) -> Outcome {
        let status = self
            .0
            .take(&request)
            .expect("a callback that a wallet takes");
        Outcome::answered(status)
    }
}
