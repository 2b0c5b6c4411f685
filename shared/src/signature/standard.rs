//! Standard Webhooks 1.0.0: `webhook-id`, `webhook-timestamp` (unix s), and `webhook-signature`, a list of
//! `v1,<base64 HMAC-SHA256>` and `v1a,<base64 Ed25519>` over `id.timestamp.body`.
//!
//! Secrets are `whsec_` with 24 to 64 bytes in base64, Ed25519 keys `whsk_` (private) and `whpk_` (public).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};

use super::{MOST_SIGNATURES, Verified, VerifyError, decimal, fresh, hmac_key, hmac_sign};
use crate::entropy::Entropy;
use crate::secret::Secret;

/// The header with the event's id, the same on every try.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the time of this try, in unix seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures, separated by spaces.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// Why a secret is not one of this scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It has none of the prefixes.
    #[error("must start with `whsec_` (HMAC) or `whsk_` (Ed25519)")]
    Prefix,
    /// What follows the prefix is no base64.
    #[error("must be base64 with padding after its prefix")]
    Encoding,
    /// The key has the wrong size.
    #[error("must hold 24 to 64 bytes (`whsec_`) or a 32-byte seed with its public key (`whsk_`)")]
    Size,
}

/// What signs: one of an endpoint's live secrets.
pub enum SigningKey {
    /// `whsec_`: makes `v1` signatures.
    Hmac(Box<hmac::Key>),
    /// `whsk_`: makes `v1a` signatures.
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// Reads a secret in the scheme's form.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn parse(secret: &Secret) -> Result<Self, KeyError> {
        let text = secret.expose();
        if let Some(text) = text.strip_prefix("whsec_") {
            return hmac_secret(text).map(Self::Hmac);
        }
        let text = text.strip_prefix("whsk_").ok_or(KeyError::Prefix)?;
        let bytes = BASE64
            .decode(text.as_bytes())
            .map_err(|_| KeyError::Encoding)?;
        let pair = match bytes.split_first_chunk::<32>() {
            Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
            Some((seed, public)) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
            None => return Err(KeyError::Size),
        };
        pair.map(Box::new)
            .map(Self::Ed25519)
            .map_err(|_| KeyError::Size)
    }

    fn sign(&self, parts: &[&[u8]]) -> String {
        match self {
            Self::Hmac(key) => format!("v1,{}", BASE64.encode(hmac_sign(key, parts).as_ref())),
            Self::Ed25519(pair) => {
                format!("v1a,{}", BASE64.encode(pair.sign(&parts.concat()).as_ref()))
            }
        }
    }

    /// The key a receiver verifies with (`whpk_..`), where it is not the secret itself.
    #[must_use]
    pub fn public(&self) -> Option<String> {
        match self {
            Self::Hmac(_) => None,
            Self::Ed25519(pair) => Some(format!(
                "whpk_{}",
                BASE64.encode(pair.public_key().as_ref())
            )),
        }
    }
}

fn hmac_secret(text: &str) -> Result<Box<hmac::Key>, KeyError> {
    let bytes = BASE64
        .decode(text.as_bytes())
        .map_err(|_| KeyError::Encoding)?;
    if !(24..=64).contains(&bytes.len()) {
        return Err(KeyError::Size);
    }
    hmac_key(&bytes).map(Box::new).ok_or(KeyError::Size)
}

/// A new `whsec_` secret of 32 bytes.
#[must_use]
pub fn generate(entropy: &dyn Entropy) -> Secret {
    Secret::new(format!("whsec_{}", BASE64.encode(&entropy.bytes::<32>())))
}

/// The value of the signature header: one signature per key, in the order given.
#[must_use]
pub fn sign(keys: &[SigningKey], id: &str, at: Timestamp, body: &[u8]) -> String {
    let timestamp = at.as_second().to_string();
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(&parts)).collect();
    signatures.join(" ")
}

/// The three headers of a request; a missing one is `None`.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// `webhook-id`.
    pub id: Option<&'a str>,
    /// `webhook-timestamp`.
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`.
    pub signature: Option<&'a str>,
}

/// What verifies: a receiver's secret (`whsec_`) or public key (`whpk_`).
enum VerifyingKey {
    Hmac(Box<hmac::Key>),
    Ed25519(Vec<u8>),
}

impl VerifyingKey {
    fn parse(secret: &Secret) -> Option<Self> {
        let text = secret.expose();
        if let Some(text) = text.strip_prefix("whsec_") {
            return hmac_secret(text).ok().map(Self::Hmac);
        }
        let bytes = BASE64.decode(text.strip_prefix("whpk_")?.as_bytes()).ok()?;
        (bytes.len() == 32).then_some(Self::Ed25519(bytes))
    }

    fn matches(&self, version: &str, signature: &[u8], parts: &[&[u8]]) -> bool {
        match self {
            Self::Hmac(key) if version == "v1" => {
                aws_lc_rs::constant_time::verify_slices_are_equal(
                    hmac_sign(key, parts).as_ref(),
                    signature,
                )
                .is_ok()
            }
            Self::Ed25519(key) if version == "v1a" => UnparsedPublicKey::new(&ED25519, key)
                .verify(&parts.concat(), signature)
                .is_ok(),
            Self::Hmac(_) | Self::Ed25519(_) => false,
        }
    }
}

/// Checks `body` against its headers with any of `secrets`, as a receiver does. Signatures of other versions are
/// passed over.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify(
    headers: Headers<'_>,
    body: &[u8],
    secrets: &[Secret],
    now: Timestamp,
    tolerance: SignedDuration,
) -> Result<Verified, VerifyError> {
    let (Some(id), Some(timestamp), Some(signatures)) =
        (headers.id, headers.timestamp, headers.signature)
    else {
        return Err(VerifyError::Missing);
    };
    let at = Timestamp::from_second(decimal(timestamp)?).map_err(|_| VerifyError::Malformed)?;
    let keys: Vec<_> = secrets.iter().filter_map(VerifyingKey::parse).collect();
    if keys.is_empty() {
        return Err(VerifyError::NoSecret);
    }
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let mut matched = false;
    for entry in signatures.split(' ').take(MOST_SIGNATURES) {
        let Some((version, signature)) = entry.split_once(',') else {
            continue;
        };
        let Ok(signature) = BASE64.decode(signature.as_bytes()) else {
            continue;
        };
        for key in &keys {
            matched |= key.matches(version, &signature, &parts);
        }
    }
    if !matched {
        return Err(VerifyError::Mismatch);
    }
    fresh(at, now, tolerance)?;
    Ok(Verified(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{TOLERANCE, cases};

    // v1 agreed by Python's hmac, openssl and the reference Python library; v1a by Python's `cryptography`.
    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OLD: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
    const ID: &str = "msg_01JZ8Q4T7N3X5V9B2C6D8E0F1G";
    const AT: i64 = 1_767_225_600;
    const BODY: &str = r#"{"type":"payment.settled","timestamp":"2026-01-01T00:00:00Z","data":{"id":"pay_123","amount":"10.00"}}"#;
    const V1: &str = "v1,ASdrzNBLYa3lCRkaxnW3e/M4khZTZ7H2Hwrx6Ro4Zn0=";
    const OLD_V1: &str = "v1,kkakO9tBm+zoAzzdj4vuHHPBSHbBJeaVJtzRxRe/ZUQ=";
    const PRIVATE: &str = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";
    const PUBLIC: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    const V1A: &str = "v1a,ubM/KBWRe8OMKbtfxjDR1VymzuvSYeAQ6bCPPUjjL7KRmOd91kxrdSvCYt9mG20GjdaqlF0khTu3DC+onuTKAw==";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time in range")
    }

    fn key(secret: &str) -> SigningKey {
        SigningKey::parse(&Secret::new(secret)).expect("a valid secret")
    }

    fn check(
        id: &str,
        signature: &str,
        body: &str,
        secret: &str,
        now: i64,
    ) -> Result<(), VerifyError> {
        let timestamp = AT.to_string();
        let headers = Headers {
            id: Some(id),
            timestamp: Some(&timestamp),
            signature: Some(signature),
        };
        verify(
            headers,
            body.as_bytes(),
            &[Secret::new(secret)],
            at(now),
            TOLERANCE,
        )
        .map(|_| ())
    }

    #[test]
    fn the_vectors_are_what_we_sign_and_verify() {
        struct Case {
            name: &'static str,
            keys: Vec<&'static str>,
            want: String,
        }
        let cases = [
            Case {
                name: "v1",
                keys: vec![SECRET],
                want: V1.into(),
            },
            Case {
                name: "v1a",
                keys: vec![PRIVATE],
                want: V1A.into(),
            },
            Case {
                name: "while rotating",
                keys: vec![SECRET, OLD],
                want: format!("{V1} {OLD_V1}"),
            },
            Case {
                name: "both versions",
                keys: vec![SECRET, PRIVATE],
                want: format!("{V1} {V1A}"),
            },
        ];
        for Case { name, keys, want } in cases {
            let keys: Vec<_> = keys.into_iter().map(key).collect();
            assert_eq!(sign(&keys, ID, at(AT), BODY.as_bytes()), want, "{name}");
        }
        assert_eq!(check(ID, V1, BODY, SECRET, AT), Ok(()));
        assert_eq!(check(ID, V1A, BODY, PUBLIC, AT), Ok(()));
        assert_eq!(key(PRIVATE).public().as_deref(), Some(PUBLIC));
    }

    #[test]
    fn signatures_are_judged_one_by_one() {
        let rotating = format!("{OLD_V1} {V1}");
        let cases = [
            (
                "only the last of several",
                ID,
                rotating.as_str(),
                BODY,
                AT,
                Ok(()),
            ),
            (
                "an unknown version beside it",
                ID,
                &format!("v2,AAAA {V1}"),
                BODY,
                AT,
                Ok(()),
            ),
            (
                "two spaces between entries",
                ID,
                &format!("{OLD_V1}  {V1}"),
                BODY,
                AT,
                Ok(()),
            ),
            (
                "only an unknown version",
                ID,
                &V1.replace("v1,", "v2,"),
                BODY,
                AT,
                Err(VerifyError::Mismatch),
            ),
            (
                "the wrong version for the key",
                ID,
                &V1.replace("v1,", "v1a,"),
                BODY,
                AT,
                Err(VerifyError::Mismatch),
            ),
            (
                "base64 without padding",
                ID,
                V1.trim_end_matches('='),
                BODY,
                AT,
                Err(VerifyError::Mismatch),
            ),
            (
                "a byte more",
                ID,
                V1,
                &format!("{BODY} "),
                AT,
                Err(VerifyError::Mismatch),
            ),
            (
                "another id",
                "msg_2",
                V1,
                BODY,
                AT,
                Err(VerifyError::Mismatch),
            ),
            ("300 s late", ID, V1, BODY, AT + 300, Ok(())),
            (
                "301 s late",
                ID,
                V1,
                BODY,
                AT + 301,
                Err(VerifyError::Stale),
            ),
            (
                "301 s early",
                ID,
                V1,
                BODY,
                AT - 301,
                Err(VerifyError::Stale),
            ),
        ];
        for (name, id, signature, body, now, want) in cases {
            assert_eq!(check(id, signature, body, SECRET, now), want, "{name}");
        }
        let mislabelled = V1A.replace("v1a,", "v1,");
        let got = check(ID, &mislabelled, BODY, PUBLIC, AT);
        assert_eq!(got, Err(VerifyError::Mismatch), "the version is part of it");
        assert_eq!(
            check(ID, V1, BODY, "whsec_", AT),
            Err(VerifyError::NoSecret)
        );
        assert_eq!(check(ID, V1, BODY, "", AT), Err(VerifyError::NoSecret));
        let missing = Headers {
            id: Some(ID),
            timestamp: None,
            signature: Some(V1),
        };
        let got = verify(
            missing,
            BODY.as_bytes(),
            &[Secret::new(SECRET)],
            at(AT),
            TOLERANCE,
        );
        assert_eq!(got.err(), Some(VerifyError::Missing));
    }

    #[test]
    fn secrets_of_another_form_are_refused_with_the_reason() {
        let parse = |text: &str| SigningKey::parse(&Secret::new(text)).err();
        assert_eq!(parse(""), Some(KeyError::Prefix));
        assert_eq!(parse("hunter2"), Some(KeyError::Prefix));
        assert_eq!(parse("whsec_"), Some(KeyError::Size));
        assert_eq!(parse("whsec_AAAA"), Some(KeyError::Size));
        assert_eq!(parse("whsec_!!"), Some(KeyError::Encoding));
        assert_eq!(parse("whsk_AAAA"), Some(KeyError::Size));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let strip = |text: &'static str| {
            text.split_once(',')
                .map(|(_, signature)| signature)
                .unwrap_or_default()
        };
        cases::every_flipped_bit_is_refused(strip(V1), |bytes| {
            check(
                ID,
                &format!("v1,{}", String::from_utf8_lossy(bytes)),
                BODY,
                SECRET,
                AT,
            )
        });
        cases::every_flipped_bit_is_refused(strip(V1A), |bytes| {
            check(
                ID,
                &format!("v1a,{}", String::from_utf8_lossy(bytes)),
                BODY,
                PUBLIC,
                AT,
            )
        });
    }
}
