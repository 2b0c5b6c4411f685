//! `Stripe-Signature: t=<unix s>,v1=<hex>[,v1=<hex>]`: HMAC-SHA256 over `t.body`, keyed with the whole secret
//! including its `whsec_` (Stripe documentation, "Verify webhook signatures manually").
//!
//! Any `v1` may match, since two are sent while a secret is rolled; `v0` is ignored.

use jiff::{SignedDuration, Timestamp};

use super::{
    Verified, VerifyError, any_hmac, decimal, fresh, hmac_key, hmac_sign, text_keys,
    timestamp_and_tags,
};
use crate::secret::Secret;

/// The header's name.
pub const HEADER: &str = "stripe-signature";

/// Checks `body` against the header with any of `secrets`.
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
    let (timestamp, tags) = timestamp_and_tags(header.ok_or(VerifyError::Missing)?, is_version)?;
    let at = Timestamp::from_second(decimal(timestamp)?).map_err(|_| VerifyError::Malformed)?;
    let verified = any_hmac(
        &text_keys(secrets),
        &[timestamp.as_bytes(), b".", body],
        &tags,
    )?;
    fresh(at, now, tolerance)?;
    Ok(verified)
}

/// `v0` is Stripe's scheme for tests, which proves nothing; there is no other yet.
fn is_version(name: &str) -> bool {
    name == "v1"
}

/// The header as Stripe makes it; `None` for an empty secret.
#[must_use]
pub fn sign(secret: &Secret, at: Timestamp, body: &[u8]) -> Option<String> {
    let timestamp = at.as_second().to_string();
    let tag = hmac_sign(
        &hmac_key(secret.expose().as_bytes())?,
        &[timestamp.as_bytes(), b".", body],
    );
    Some(format!(
        "t={timestamp},v1={}",
        data_encoding::HEXLOWER.encode(tag.as_ref())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{TOLERANCE, cases};

    // Agreed by openssl and Python's hmac.
    const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid"}"#;
    const V1: &str = "46dc069361a7691082640523fa33fe5d6c8c88d5f5e257cdf8cf11539d166595";
    const AT: i64 = 1_700_000_000;

    fn secret() -> Secret {
        Secret::new("whsec_test_secret")
    }

    fn check(header: &str, body: &[u8], secrets: &[Secret], now: i64) -> Result<(), VerifyError> {
        let now = Timestamp::from_second(now).expect("a time in range");
        verify(Some(header), body, secrets, now, TOLERANCE).map(|_| ())
    }

    #[test]
    fn the_published_vector_verifies_and_is_what_we_sign() {
        let header = format!("t={AT},v1={V1}");
        assert_eq!(check(&header, BODY, &[secret()], AT), Ok(()));
        let at = Timestamp::from_second(AT).expect("a time in range");
        assert_eq!(sign(&secret(), at, BODY), Some(header));
        assert_eq!(sign(&Secret::new(""), at, BODY), None);
    }

    #[test]
    fn headers_are_judged_by_any_valid_v1_and_by_the_tolerance_both_ways() {
        struct Case {
            name: &'static str,
            header: String,
            secrets: Vec<Secret>,
            now: i64,
            want: Result<(), VerifyError>,
        }
        let wrong = "0".repeat(64);
        let ours = || vec![secret()];
        let plain = format!("t={AT},v1={V1}");
        let cases = [
            Case {
                name: "only the last of several is right",
                header: format!("t={AT},v1={wrong},v1=zz,v1={V1}"),
                secrets: ours(),
                now: AT,
                want: Ok(()),
            },
            Case {
                name: "v0 is ignored beside it",
                header: format!("t={AT},v0={wrong},v1={V1}"),
                secrets: ours(),
                now: AT,
                want: Ok(()),
            },
            Case {
                name: "a space after the comma",
                header: format!("t={AT}, v1={V1}"),
                secrets: ours(),
                now: AT,
                want: Ok(()),
            },
            Case {
                name: "the second live secret",
                header: plain.clone(),
                secrets: vec![Secret::new("whsec_new"), secret()],
                now: AT,
                want: Ok(()),
            },
            Case {
                name: "only v0",
                header: format!("t={AT},v0={V1}"),
                secrets: ours(),
                now: AT,
                want: Err(VerifyError::Mismatch),
            },
            Case {
                name: "only v2",
                header: format!("t={AT},v2={V1}"),
                secrets: ours(),
                now: AT,
                want: Err(VerifyError::Mismatch),
            },
            Case {
                name: "no timestamp",
                header: format!("v1={V1}"),
                secrets: ours(),
                now: AT,
                want: Err(VerifyError::Malformed),
            },
            Case {
                name: "two timestamps",
                header: format!("t={AT},t={AT},v1={V1}"),
                secrets: ours(),
                now: AT,
                want: Err(VerifyError::Malformed),
            },
            Case {
                name: "a signed timestamp",
                header: format!("t=+{AT},v1={V1}"),
                secrets: ours(),
                now: AT,
                want: Err(VerifyError::Malformed),
            },
            Case {
                name: "not a header at all",
                header: "garbage".into(),
                secrets: ours(),
                now: AT,
                want: Err(VerifyError::Malformed),
            },
            Case {
                name: "a truncated signature",
                header: format!("t={AT},v1={}", V1.get(..62).unwrap_or_default()),
                secrets: ours(),
                now: AT,
                want: Err(VerifyError::Mismatch),
            },
            Case {
                name: "upper-case hex",
                header: format!("t={AT},v1={}", V1.to_uppercase()),
                secrets: ours(),
                now: AT,
                want: Err(VerifyError::Mismatch),
            },
            Case {
                name: "another timestamp under the same signature",
                header: format!("t={},v1={V1}", AT + 1),
                secrets: ours(),
                now: AT,
                want: Err(VerifyError::Mismatch),
            },
            Case {
                name: "300 s late",
                header: plain.clone(),
                secrets: ours(),
                now: AT + 300,
                want: Ok(()),
            },
            Case {
                name: "301 s late",
                header: plain.clone(),
                secrets: ours(),
                now: AT + 301,
                want: Err(VerifyError::Stale),
            },
            Case {
                name: "300 s early",
                header: plain.clone(),
                secrets: ours(),
                now: AT - 300,
                want: Ok(()),
            },
            Case {
                name: "301 s early",
                header: plain.clone(),
                secrets: ours(),
                now: AT - 301,
                want: Err(VerifyError::Stale),
            },
            Case {
                name: "an empty secret",
                header: plain.clone(),
                secrets: vec![Secret::new("")],
                now: AT,
                want: Err(VerifyError::NoSecret),
            },
            Case {
                name: "no secret",
                header: plain.clone(),
                secrets: vec![],
                now: AT,
                want: Err(VerifyError::NoSecret),
            },
            Case {
                name: "another secret",
                header: plain,
                secrets: vec![Secret::new("default_secret")],
                now: AT,
                want: Err(VerifyError::Mismatch),
            },
        ];
        for Case {
            name,
            header,
            secrets,
            now,
            want,
        } in cases
        {
            assert_eq!(check(&header, BODY, &secrets, now), want, "{name}");
        }
        let now = Timestamp::from_second(AT).expect("a time in range");
        assert_eq!(
            verify(None, BODY, &ours(), now, TOLERANCE).err(),
            Some(VerifyError::Missing)
        );
    }

    #[test]
    fn every_flipped_bit_of_signature_and_body_is_refused() {
        cases::every_flipped_bit_is_refused(V1, |v1| {
            check(
                &format!("t={AT},v1={}", String::from_utf8_lossy(v1)),
                BODY,
                &[secret()],
                AT,
            )
        });
        let mut body = BODY.to_vec();
        body.push(b' ');
        assert_eq!(
            check(&format!("t={AT},v1={V1}"), &body, &[secret()], AT),
            Err(VerifyError::Mismatch)
        );
    }

    #[test]
    fn a_body_that_is_no_text_verifies_on_its_raw_bytes() {
        let body = [0xff, 0x00, 0xfe];
        let at = Timestamp::from_second(AT).expect("a time in range");
        let header = sign(&secret(), at, &body).expect("the secret is not empty");
        assert_eq!(check(&header, &body, &[secret()], AT), Ok(()));
        assert_eq!(
            check(&header, &[0xff, 0x00, 0xff], &[secret()], AT),
            Err(VerifyError::Mismatch)
        );
    }
}
