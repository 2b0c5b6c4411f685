//! `Rafiki-Signature: t=<unix ms>, v1=<hex>`: HMAC-SHA256 over `t.` and the RFC 8785 canonical form of the body,
//! keyed with the secret's UTF-8 bytes (interledger/rafiki, `packages/backend/src/shared/utils.ts`).
//!
//! The code writes milliseconds and the documentation says seconds, so both are read; what we write is milliseconds.
//! Its `SIGNATURE_VERSION` is a label only, so any `v<number>` is read; what we write is `v1`.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    Verified, VerifyError, any_hmac, decimal, fresh, hmac_key, hmac_sign, text_keys,
    timestamp_and_tags,
};
use crate::secret::Secret;

/// The header's name.
pub const HEADER: &str = "rafiki-signature";

/// A timestamp from here on is in milliseconds (of 1973), a smaller one in seconds (until the year 5138).
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// The canonical form of a JSON document: keys by UTF-16 code units, numbers as doubles. `None` if it is no JSON.
#[must_use]
pub fn canonical(body: &[u8]) -> Option<Vec<u8>> {
    canonical_value(&serde_json::from_slice(body).ok()?)
}

fn canonical_value(value: &Value) -> Option<Vec<u8>> {
    serde_json_canonicalizer::to_vec(value).ok()
}

/// Checks `body` against the header with any of `secrets`.
///
/// The signature covers the parsed body, so what is no JSON is malformed.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify(
    header: Option<&str>,
    body: &[u8],
    secrets: &[Secret],
    now: Timestamp,
    tolerance: SignedDuration,
) -> Result<Verified, VerifyError> {
    let header = header.ok_or(VerifyError::Missing)?;
    let body = serde_json::from_slice(body).map_err(|_| VerifyError::Malformed)?;
    verify_value(header, &body, secrets, now, tolerance)
}

/// Checks a body that was parsed already, so that what is verified is what is interpreted.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify_value(
    header: &str,
    body: &Value,
    secrets: &[Secret],
    now: Timestamp,
    tolerance: SignedDuration,
) -> Result<Verified, VerifyError> {
    let (timestamp, tags) = timestamp_and_tags(header, is_version)?;
    let at = match decimal(timestamp)? {
        seconds @ ..MILLISECONDS_FROM => Timestamp::from_second(seconds),
        milliseconds => Timestamp::from_millisecond(milliseconds),
    }
    .map_err(|_| VerifyError::Malformed)?;
    let canonical = canonical_value(body).ok_or(VerifyError::Malformed)?;
    let verified = any_hmac(
        &text_keys(secrets),
        &[timestamp.as_bytes(), b".", &canonical],
        &tags,
    )?;
    fresh(at, now, tolerance)?;
    Ok(verified)
}

/// `v` and a number of up to nine digits: Rafiki signs alike whatever `SIGNATURE_VERSION` says.
fn is_version(name: &str) -> bool {
    name.strip_prefix('v').is_some_and(|number| {
        (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The header as Rafiki makes it, with one `v1` per secret in the order given.
///
/// During a rotation the old secret comes first: a receiver that reads only the first `v1` goes on working until
/// it has the new one. `None` without a usable secret or for what is no JSON.
#[must_use]
pub fn sign(secrets: &[&Secret], at: Timestamp, body: &[u8]) -> Option<String> {
    let timestamp = at.as_millisecond().to_string();
    let canonical = canonical(body)?;
    let mut header = format!("t={timestamp}");
    let keys: Vec<_> = secrets
        .iter()
        .filter_map(|secret| hmac_key(secret.expose().as_bytes()))
        .collect();
    for key in &keys {
        let tag = hmac_sign(key, &[timestamp.as_bytes(), b".", &canonical]);
        header.push_str(", v1=");
        header.push_str(&data_encoding::HEXLOWER.encode(tag.as_ref()));
    }
    (!keys.is_empty()).then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{TOLERANCE, cases};

    // Cross-checked with two canonicalisers and three HMAC implementations.
    const AT: i64 = 1_787_000_000_123;
    const A: &str = r#"{"id":"0f8a9d2e-5b1c-4c3e-9a77-3f2d1c0b9a01","type":"wallet_address.not_found","data":{"walletAddressUrl":"https://wallet.example.com/carla_garcia"}}"#;
    const A_V1: &str = "d7dae65616ae2fcad5dede1338deaabc243e3c2aa00e9bc4d679325c69378aeb";
    const B: &str = r#"{"id":"6d3f7a44-2a0e-4a6b-8b1f-7c1f4f0d2b02","type":"incoming_payment.completed","data":{"id":"b1a7e6d0-6f0a-4d2c-9a51-0c3f6a1d4e11","walletAddressId":"c2b8f7e1-7a1b-4e3d-8b62-1d4a7b2e5f22","client":null,"createdAt":"2026-08-17T12:00:00.000Z","expiresAt":"2026-09-16T12:00:00.000Z","receivedAmount":{"value":"1000","assetCode":"USD","assetScale":2},"completed":true,"incomingAmount":{"value":"1000","assetCode":"USD","assetScale":2},"metadata":{"description":"Caf\u00e9 \u2013 \"table\" 4 \u20ac","rate":1.50,"big":1e21,"tiny":1e-7,"neg":-0,"list":[true,null,{"z":1,"a":2}],"\ud83d\ude00":"emoji","\ufb33":"dalet","line":"a\u2028b","ctl":"\u000b\u001f\t"}}}"#;
    const B_V1: &str = "f863c983cee53fa0b8f29c08cc663cac874d6e719609b51807d929b45f6890b1";

    fn secret() -> Secret {
        Secret::new("rafiki-test-secret")
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("a time in range")
    }

    fn check(header: &str, body: &str, secrets: &[Secret], now: i64) -> Result<(), VerifyError> {
        verify(Some(header), body.as_bytes(), secrets, at(now), TOLERANCE).map(|_| ())
    }

    #[test]
    fn both_vectors_verify_and_are_what_we_sign() {
        for (name, body, v1, canonical_bytes) in [("A", A, A_V1, 149), ("B", B, B_V1, 632)] {
            let header = format!("t={AT}, v1={v1}");
            assert_eq!(check(&header, body, &[secret()], AT), Ok(()), "{name}");
            assert_eq!(
                sign(&[&secret()], at(AT), body.as_bytes()),
                Some(header),
                "{name}"
            );
            assert_eq!(
                canonical(body.as_bytes()).map(|bytes| bytes.len()),
                Some(canonical_bytes),
                "{name}"
            );
        }
    }

    #[test]
    fn the_version_is_a_label_and_may_be_any_number() {
        let cases = [
            ("v1", Ok(())),
            ("v0", Ok(())),
            ("v2", Ok(())),
            ("v10", Ok(())),
            ("v123456789", Ok(())),
            ("v1234567890", Err(VerifyError::Mismatch)),
            ("v", Err(VerifyError::Mismatch)),
            ("v1a", Err(VerifyError::Mismatch)),
            ("v-1", Err(VerifyError::Mismatch)),
            ("V1", Err(VerifyError::Mismatch)),
            ("x1", Err(VerifyError::Mismatch)),
        ];
        for (version, want) in cases {
            let header = format!("t={AT}, {version}={A_V1}");
            assert_eq!(check(&header, A, &[secret()], AT), want, "{version}");
        }
    }

    #[test]
    fn numbers_are_doubles_as_in_the_signer() {
        for (given, want) in [
            ("12345678901234567890", "12345678901234567000"),
            ("9007199254740993", "9007199254740992"),
            ("1.0", "1"),
            ("-0", "0"),
            ("1e21", "1e+21"),
        ] {
            let got = canonical(given.as_bytes())
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            assert_eq!(got.as_deref(), Some(want), "{given}");
        }
    }

    #[test]
    fn headers_are_judged_like_the_other_timestamped_scheme() {
        let wrong = "0".repeat(64);
        let header = format!("t={AT}, v1={A_V1}");
        let cases = [
            (
                "only the last of several",
                format!("t={AT}, v1={wrong}, v1={A_V1}"),
                AT,
                Ok(()),
            ),
            (
                "no space after the comma",
                format!("t={AT},v1={A_V1}"),
                AT,
                Ok(()),
            ),
            ("300 s late", header.clone(), AT + 300_000, Ok(())),
            (
                "300.001 s late",
                header.clone(),
                AT + 300_001,
                Err(VerifyError::Stale),
            ),
            (
                "300.001 s early",
                header.clone(),
                AT - 300_001,
                Err(VerifyError::Stale),
            ),
            (
                "a timestamp that was not signed",
                format!("t={}, v1={A_V1}", AT / 1000),
                AT,
                Err(VerifyError::Mismatch),
            ),
        ];
        for (name, header, now, want) in cases {
            assert_eq!(check(&header, A, &[secret()], now), want, "{name}");
        }
        assert_eq!(
            check(&header, A, &[Secret::new("")], AT),
            Err(VerifyError::NoSecret)
        );
        assert_eq!(
            check(&header, "not json", &[secret()], AT),
            Err(VerifyError::Malformed)
        );
        assert_eq!(
            verify(None, A.as_bytes(), &[secret()], at(AT), TOLERANCE).err(),
            Some(VerifyError::Missing)
        );
        assert_eq!(sign(&[&Secret::new("")], at(AT), A.as_bytes()), None);
    }

    #[test]
    fn a_timestamp_in_seconds_is_read_as_the_documentation_has_it() {
        let key = hmac_key(b"rafiki-test-secret").expect("it is not empty");
        let seconds = (AT / 1000).to_string();
        let body = canonical(A.as_bytes()).expect("it is JSON");
        let tag = hmac_sign(&key, &[seconds.as_bytes(), b".", &body]);
        let header = format!(
            "t={seconds}, v1={}",
            data_encoding::HEXLOWER.encode(tag.as_ref())
        );
        let cases = [
            ("at once", 0, Ok(())),
            ("300 s late", 300_000 - AT % 1000, Ok(())),
            ("301 s late", 301_000, Err(VerifyError::Stale)),
            ("301 s early", -301_000, Err(VerifyError::Stale)),
        ];
        for (name, later, want) in cases {
            assert_eq!(check(&header, A, &[secret()], AT + later), want, "{name}");
        }
    }

    #[test]
    fn whitespace_and_key_order_of_the_body_do_not_matter_but_values_do() {
        let header = format!("t={AT}, v1={A_V1}");
        let reordered = r#"{ "type":"wallet_address.not_found", "id":"0f8a9d2e-5b1c-4c3e-9a77-3f2d1c0b9a01",
            "data":{"walletAddressUrl":"https://wallet.example.com/carla_garcia"} }"#;
        assert_eq!(check(&header, reordered, &[secret()], AT), Ok(()));
        assert_eq!(
            check(&header, &A.replace("carla", "clara"), &[secret()], AT),
            Err(VerifyError::Mismatch)
        );
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        cases::every_flipped_bit_is_refused(A_V1, |v1| {
            check(
                &format!("t={AT}, v1={}", String::from_utf8_lossy(v1)),
                A,
                &[secret()],
                AT,
            )
        });
    }
}
