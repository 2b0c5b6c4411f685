//! What a wallet makes of the callbacks that reach it: checked as SEP-12 asks, by a library of its own.

use anyhow::{Context, Result, ensure};
use data_encoding::{BASE32_NOPAD, BASE64};
use ed25519_dalek::{Signature, VerifyingKey};
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;
use shared::delivery::Request;
use tests::scene::BEGIN;

use super::PUBLIC;
use crate::text;

/// One callback, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// Where it came.
    pub(super) url: String,
    /// What it is known by if it comes again.
    pub(super) id: String,
    /// Its body, to the byte.
    pub(super) body: String,
    /// The status in it: the customer's or the transaction's.
    pub(super) status: String,
    /// When it was signed, in seconds.
    pub(super) signed: i64,
}

/// What wallets were told by `requests` up to `now`, in their order.
///
/// # Errors
/// If a wallet would not take one of them.
pub(super) fn told(requests: &[Request], now: Timestamp) -> Result<Vec<Told>> {
    let checked = |request| taken(request, now).with_context(|| format!("{request:?}"));
    requests.iter().map(checked).collect()
}

/// The status in a callback's body: the customer's or the transaction's.
pub(super) fn status_in(body: &Value) -> String {
    match body.get("transaction") {
        Some(transaction) => text(transaction, "/status"),
        None => text(body, "/status"),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().with_context(|| format!("no {name}"))?;
    ensure!(values.next().is_none(), "more than one {name}");
    Ok(value.to_str()?)
}

fn taken(request: &Request, now: Timestamp) -> Result<Told> {
    let headers = &request.headers;
    let signature = header(headers, "signature")?;
    ensure!(signature == header(headers, "x-stellar-signature")?);
    ensure!(header(headers, "content-type")? == "application/json; charset=utf-8");
    let (signed, base64) = signature
        .strip_prefix("t=")
        .and_then(|rest| rest.split_once(", s="))
        .context("the header's literal form")?;
    // What the wallet knows of itself; no URL of these tests has a port.
    let host = request.url.strip_prefix("https://");
    let host = host.and_then(|rest| rest.split('/').next());
    let body = std::str::from_utf8(&request.body)?;
    let message = format!("{signed}.{}.{body}", host.context("a URL of https")?);
    let raw = BASE32_NOPAD.decode(PUBLIC.as_bytes())?;
    let raw: [u8; 32] = raw.get(1..33).context("a key")?.try_into()?;
    let signature = Signature::from_slice(&BASE64.decode(base64.as_bytes())?)?;
    VerifyingKey::from_bytes(&raw)?.verify_strict(message.as_bytes(), &signature)?;
    let signed = signed.parse()?;
    ensure!((BEGIN..=now.as_second()).contains(&signed), "{signed}");
    let json: Value = serde_json::from_str(body)?;
    Ok(Told {
        url: request.url.clone(),
        id: header(headers, "webhook-id")?.to_owned(),
        body: body.to_owned(),
        status: status_in(&json),
        signed,
    })
}
