//! Checks who sent a webhook, with nothing of Payrelay. The crates are aws-lc-rs, data-encoding, serde_json and
//! serde_json_canonicalizer.

use aws_lc_rs::hmac;
use data_encoding::{BASE64, HEXLOWER};

/// How far a signature's time may lie from yours, either way: what was captured is of no use for longer.
const TOLERANCE_MS: u64 = 300_000;

/// `Rafiki-Signature: t=<unix ms>, v1=<hex>`: HMAC-SHA256 of `t.` and the canonical form (RFC 8785) of the body.
pub(crate) fn rafiki(header: &str, body: &[u8], secrets: &[&str], now_ms: i64) -> bool {
    let parts: Vec<_> = header
        .split(',')
        .filter_map(|part| part.trim().split_once('='))
        .collect();
    let Some((_, t)) = parts.iter().find(|(name, _)| *name == "t") else {
        return false;
    };
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return false;
    };
    let Ok(canonical) = serde_json_canonicalizer::to_vec(&value) else {
        return false;
    };
    let tags = parts
        .iter()
        .filter(|(name, _)| is_version(name))
        .filter_map(|(_, hex)| HEXLOWER.decode(hex.as_bytes()).ok())
        .collect::<Vec<_>>();
    let keys = secrets.iter().map(|secret| secret.as_bytes().to_vec());
    let signed = [t.as_bytes(), b".", &canonical].concat();
    fresh(t.parse().ok(), now_ms) && any_matches(keys, &signed, &tags)
}

/// The number in `v1` is a label (`SIGNATURE_VERSION` of Rafiki); what is signed is the same whatever it says.
fn is_version(name: &str) -> bool {
    let number = name.strip_prefix('v').unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Standard Webhooks: `webhook-signature` is a list of `v1,<base64>`: HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.` and
/// the body as it arrived. Secrets are `whsec_<base64>`.
pub(crate) fn standard(
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    secrets: &[&str],
    now_ms: i64,
) -> bool {
    let tags = signatures
        .split(' ')
        .filter_map(|signature| {
            BASE64
                .decode(signature.strip_prefix("v1,")?.as_bytes())
                .ok()
        })
        .collect::<Vec<_>>();
    let keys = secrets.iter().filter_map(|secret| {
        BASE64
            .decode(secret.strip_prefix("whsec_")?.as_bytes())
            .ok()
    });
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let at_ms = timestamp
        .parse()
        .ok()
        .and_then(|s: i64| s.checked_mul(1000));
    fresh(at_ms, now_ms) && any_matches(keys, &signed, &tags)
}

fn fresh(at_ms: Option<i64>, now_ms: i64) -> bool {
    at_ms.is_some_and(|at_ms| at_ms.abs_diff(now_ms) <= TOLERANCE_MS)
}

/// Any of the signatures may be made with any of the secrets: there are two of each while a secret is rotated. An empty
/// secret is none. `hmac::verify` compares in constant time.
fn any_matches(keys: impl Iterator<Item = Vec<u8>>, signed: &[u8], tags: &[Vec<u8>]) -> bool {
    keys.filter(|key| !key.is_empty()).any(|key| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        tags.iter()
            .any(|tag| hmac::verify(&key, signed, tag).is_ok())
    })
}

fn main() {
    let body = br#"{"id":"0f8a9d2e-5b1c-4c3e-9a77-3f2d1c0b9a01","type":"wallet_address.not_found","data":{"walletAddressUrl":"https://wallet.example.com/carla_garcia"}}"#;
    let header =
        "t=1787000000123, v1=d7dae65616ae2fcad5dede1338deaabc243e3c2aa00e9bc4d679325c69378aeb";
    let genuine = rafiki(header, body, &["rafiki-test-secret"], 1_787_000_000_123);
    println!("Rafiki: {}", if genuine { "genuine" } else { "refused" });

    let body = br#"{"type":"payment.settled","timestamp":"2026-01-01T00:00:00Z","data":{"id":"pay_123","amount":"10.00"}}"#;
    let genuine = standard(
        "msg_01JZ8Q4T7N3X5V9B2C6D8E0F1G",
        "1767225600",
        "v1,ASdrzNBLYa3lCRkaxnW3e/M4khZTZ7H2Hwrx6Ro4Zn0=",
        body,
        &["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
        1_767_225_600_000,
    );
    println!(
        "Standard Webhooks: {}",
        if genuine { "genuine" } else { "refused" }
    );
}
