//! `recurly-signature: <unix ms>,<hex>[,<hex>]`: HMAC-SHA256 over `ms.body`, keyed with the endpoint's secret key (Recurly
//! documentation, "Webhooks", "Signature verification").
//!
//! Any signature of the list may match, since the old key signs too for a day after a new one was made.

use jiff::{SignedDuration, Timestamp};

use super::{Verified, VerifyError, any_hmac, decimal, fresh, hmac_key, hmac_sign, text_keys};
use crate::secret::Secret;

/// The header's name.
pub const HEADER: &str = "recurly-signature";

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
    let header = header.ok_or(VerifyError::Missing)?;
    let (timestamp, signatures) = header.split_once(',').ok_or(VerifyError::Malformed)?;
    let at =
        Timestamp::from_millisecond(decimal(timestamp)?).map_err(|_| VerifyError::Malformed)?;
    // One signature that is no hex must not spoil a valid one beside it.
    let tags: Vec<_> = signatures
        .split(',')
        .flat_map(|signature| data_encoding::HEXLOWER.decode(signature.trim().as_bytes()))
        .collect();
    let signed: [&[u8]; 3] = [timestamp.as_bytes(), b".", body];
    let verified = any_hmac(&text_keys(secrets), &signed, &tags)?;
    fresh(at, now, tolerance)?;
    Ok(verified)
}

/// The header as Recurly makes it; `None` for an empty secret.
#[must_use]
pub fn sign(secret: &Secret, at: Timestamp, body: &[u8]) -> Option<String> {
    let timestamp = at.as_millisecond().to_string();
    let key = hmac_key(secret.expose().as_bytes())?;
    let tag = hmac_sign(&key, &[timestamp.as_bytes(), b".", body]);
    let signature = data_encoding::HEXLOWER.encode(tag.as_ref());
    Some(format!("{timestamp},{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{TOLERANCE, cases};

    // Agreed by openssl and Python's hmac.
    const BODY: &[u8] = include_bytes!("../../../tests/fixtures/recurly/payment.failed.json");
    const SIGNATURE: &str = "c07cf9ba6dc4b70a4a64cc2502d695107c334190a22507e9ae123751b22f9c53";
    const AT: i64 = 1_700_000_000_123;

    fn secret() -> Secret {
        Secret::new("recurly_test_secret")
    }

    fn check(header: &str, body: &[u8], secrets: &[Secret], now: i64) -> Result<(), VerifyError> {
        let now = Timestamp::from_millisecond(now).expect("a time in range");
        verify(Some(header), body, secrets, now, TOLERANCE).map(|_| ())
    }

    #[test]
    fn the_published_vector_verifies_and_is_what_we_sign() {
        let header = format!("{AT},{SIGNATURE}");
        assert_eq!(check(&header, BODY, &[secret()], AT), Ok(()));
        let at = Timestamp::from_millisecond(AT).expect("a time in range");
        assert_eq!(sign(&secret(), at, BODY), Some(header));
        assert_eq!(sign(&Secret::new(""), at, BODY), None);
    }

    #[test]
    fn headers_are_judged_by_any_signature_and_by_the_tolerance_both_ways() {
        struct Case {
            name: &'static str,
            header: String,
            secrets: Vec<Secret>,
            now: i64,
            want: Result<(), VerifyError>,
        }
        let wrong = "0".repeat(64);
        let plain = format!("{AT},{SIGNATURE}");
        let ours = || vec![secret()];
        let case = |name, header: &str, now, want| Case {
            name,
            header: header.to_owned(),
            secrets: ours(),
            now,
            want,
        };
        let with = |name, secrets, want| Case {
            name,
            header: plain.clone(),
            secrets,
            now: AT,
            want,
        };
        let mismatch = Err(VerifyError::Mismatch);
        let malformed = Err(VerifyError::Malformed);
        let stale = Err(VerifyError::Stale);
        let cases = [
            case(
                "the second is right",
                &format!("{AT},{wrong},{SIGNATURE}"),
                AT,
                Ok(()),
            ),
            case(
                "the first is right",
                &format!("{AT},{SIGNATURE},{wrong}"),
                AT,
                Ok(()),
            ),
            case(
                "one beside it is no hex",
                &format!("{AT},zz,{SIGNATURE}"),
                AT,
                Ok(()),
            ),
            case(
                "a space after the comma",
                &format!("{AT}, {SIGNATURE}"),
                AT,
                Ok(()),
            ),
            case("all wrong", &format!("{AT},{wrong},{wrong}"), AT, mismatch),
            case(
                "one digit short",
                &format!("{AT},{}", &"c".repeat(63)),
                AT,
                mismatch,
            ),
            case(
                "cut to half",
                &format!("{AT},{}", SIGNATURE.split_at(32).0),
                AT,
                mismatch,
            ),
            case(
                "upper-case hex",
                &format!("{AT},{}", SIGNATURE.to_uppercase()),
                AT,
                mismatch,
            ),
            case(
                "no signature behind the comma",
                &format!("{AT},"),
                AT,
                mismatch,
            ),
            case("no signature", &AT.to_string(), AT, malformed),
            case("no timestamp", SIGNATURE, AT, malformed),
            case("nothing", "", AT, malformed),
            case(
                "a timestamp with a sign",
                &format!("+{plain}"),
                AT,
                malformed,
            ),
            case(
                "a timestamp out of range",
                &format!("{},{SIGNATURE}", i64::MAX),
                AT,
                malformed,
            ),
            case(
                "another timestamp",
                &format!("{},{SIGNATURE}", AT + 1),
                AT,
                mismatch,
            ),
            case(
                "the same in seconds",
                &format!("{},{SIGNATURE}", AT / 1000),
                AT,
                mismatch,
            ),
            case("300 s late", &plain, AT + 300_000, Ok(())),
            case("300.001 s late", &plain, AT + 300_001, stale),
            case("300 s early", &plain, AT - 300_000, Ok(())),
            case("300.001 s early", &plain, AT - 300_001, stale),
            with(
                "an empty secret",
                vec![Secret::new("")],
                Err(VerifyError::NoSecret),
            ),
            with("no secret", vec![], Err(VerifyError::NoSecret)),
            with(
                "a secret by default",
                vec![Secret::new("default_secret")],
                mismatch,
            ),
            with(
                "the old of two secrets",
                vec![Secret::new("new"), secret()],
                Ok(()),
            ),
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
        let now = Timestamp::from_millisecond(AT).expect("a time in range");
        assert_eq!(
            verify(None, BODY, &ours(), now, TOLERANCE).err(),
            Some(VerifyError::Missing)
        );
    }

    #[test]
    fn every_flipped_bit_of_signature_and_body_is_refused() {
        cases::every_flipped_bit_is_refused(SIGNATURE, |signature| {
            let header = format!("{AT},{}", String::from_utf8_lossy(signature));
            check(&header, BODY, &[secret()], AT)
        });
        let mut body = BODY.to_vec();
        body.push(b' ');
        assert_eq!(
            check(&format!("{AT},{SIGNATURE}"), &body, &[secret()], AT),
            Err(VerifyError::Mismatch)
        );
    }

    #[test]
    fn a_body_that_is_no_text_verifies_on_its_raw_bytes() {
        let body = [0xff, 0x00, 0xfe];
        let at = Timestamp::from_millisecond(AT).expect("a time in range");
        let header = sign(&secret(), at, &body).expect("the secret is not empty");
        assert_eq!(check(&header, &body, &[secret()], AT), Ok(()));
        assert_eq!(
            check(&header, &[0xff, 0x00, 0xff], &[secret()], AT),
            Err(VerifyError::Mismatch)
        );
    }
}
