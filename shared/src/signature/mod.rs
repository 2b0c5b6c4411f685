//! Signatures, inbound and outbound: one file per scheme, each a pure function of bytes, secrets and time.
//!
//! A verifier answers with a [`Verified`], which nothing else can make: code that needs an authentic body asks
//! for the proof. Comparison is constant in time, empty secrets are never used, and every scheme with a
//! timestamp is held to a tolerance in both directions.

pub mod basic;
pub mod jwt;
#[cfg(test)]
mod mutated;
pub mod rafiki;
pub mod recurly;
#[cfg(test)]
mod second;
pub mod standard;
pub mod stellar;
pub mod stripe;

use aws_lc_rs::hmac;
use jiff::{SignedDuration, Timestamp};

use crate::secret::Secret;

/// How far a signature's timestamp may lie from our clock, either way, unless a source says otherwise.
pub const TOLERANCE: SignedDuration = SignedDuration::from_secs(300);

/// So many signatures of one header are looked at; genuine senders use two while they rotate.
const MOST_SIGNATURES: usize = 16;

/// Proof that a body is authentic.
#[derive(Debug)]
#[must_use]
pub struct Verified(());

/// Why a body is not taken as authentic. Its text is safe to show the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The request has no signature header.
    #[error("the signature is missing")]
    Missing,
    /// The header is not of the scheme's form.
    #[error("the signature header is malformed")]
    Malformed,
    /// The timestamp is outside the tolerance, in the past or in the future.
    #[error("the signature's timestamp is outside the tolerance")]
    Stale,
    /// No signature matches any live secret.
    #[error("no signature matches")]
    Mismatch,
    /// The request has no user and password of HTTP Basic.
    #[error("the user and password of HTTP Basic are missing or malformed")]
    NoPair,
    /// The user and password are no live pair.
    #[error("the user and password are not those of the account")]
    WrongPair,
    /// There is no secret to verify with.
    #[error("no secret is configured")]
    NoSecret,
}

/// A timestamp within the tolerance of `now`, both ways.
fn fresh(at: Timestamp, now: Timestamp, tolerance: SignedDuration) -> Result<(), VerifyError> {
    if at.duration_since(now).abs() <= tolerance {
        Ok(())
    } else {
        Err(VerifyError::Stale)
    }
}

fn hmac_key(secret: &[u8]) -> Option<hmac::Key> {
    (!secret.is_empty()).then(|| hmac::Key::new(hmac::HMAC_SHA256, secret))
}

fn hmac_sign(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    context.sign()
}

/// Whether any of `tags` is the HMAC of `parts` under any of `keys`; the time taken tells only how many there are.
fn any_hmac(
    keys: &[hmac::Key],
    parts: &[&[u8]],
    tags: &[Vec<u8>],
) -> Result<Verified, VerifyError> {
    if keys.is_empty() {
        return Err(VerifyError::NoSecret);
    }
    let mut matched = false;
    for key in keys {
        let expected = hmac_sign(key, parts);
        for tag in tags.iter().take(MOST_SIGNATURES) {
            matched |=
                aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_ref(), tag).is_ok();
        }
    }
    if matched {
        Ok(Verified(()))
    } else {
        Err(VerifyError::Mismatch)
    }
}

fn text_keys(secrets: &[Secret]) -> Vec<hmac::Key> {
    secrets
        .iter()
        .filter_map(|secret| hmac_key(secret.expose().as_bytes()))
        .collect()
}

/// Decimal digits only: no sign, no space, nothing a lenient parser would let through unsigned.
fn decimal(text: &str) -> Result<i64, VerifyError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VerifyError::Malformed);
    }
    text.parse().map_err(|_| VerifyError::Malformed)
}

/// The parts `t=..` and `v1=..` of a header in Stripe's or Rafiki's form: the timestamp as it was written, and every
/// tag whose name `is_version` takes.
fn timestamp_and_tags(
    header: &str,
    is_version: impl Fn(&str) -> bool,
) -> Result<(&str, Vec<Vec<u8>>), VerifyError> {
    let mut timestamp = None;
    let mut tags = Vec::new();
    for part in header.split(',') {
        let (name, value) = part.trim().split_once('=').ok_or(VerifyError::Malformed)?;
        match name {
            "t" if timestamp.is_some() => return Err(VerifyError::Malformed),
            "t" => timestamp = Some(value),
            // One tag that is no hex must not spoil a valid one beside it.
            version if is_version(version) => {
                tags.extend(data_encoding::HEXLOWER.decode(value.as_bytes()))
            }
            _ => {}
        }
    }
    Ok((timestamp.ok_or(VerifyError::Malformed)?, tags))
}

#[cfg(test)]
pub(crate) mod cases {
    //! What every scheme has to refuse, whatever its header looks like.

    use super::VerifyError;

    /// Flips each bit of `signature` in turn and expects `verify` to refuse it.
    pub(crate) fn every_flipped_bit_is_refused(
        signature: &str,
        verify: impl Fn(&[u8]) -> Result<(), VerifyError>,
    ) {
        assert_eq!(
            verify(signature.as_bytes()),
            Ok(()),
            "the untouched signature is valid"
        );
        for index in 0..signature.len() {
            for bit in 0..8 {
                let mut bytes = signature.as_bytes().to_vec();
                if let Some(byte) = bytes.get_mut(index) {
                    *byte ^= 1 << bit;
                }
                assert!(verify(&bytes).is_err(), "bit {bit} of byte {index} flipped");
            }
        }
    }
}
