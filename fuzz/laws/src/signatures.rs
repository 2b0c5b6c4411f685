//! Signature headers: what is accepted was made with the secret, over these very bytes, at about this time.
//!
//! An input is `scheme`, the text that is signed before the body, the header, and the body; in the header `{v}` stands for
//! the right signature and `{w}` for one with another secret, so that a fuzzer can bend everything around it:
//! ```text
//! stripe
//! 1700000000
//! t=1700000000,v1={v}
//! {"id":"evt_1"}
//! ```
//! `key` judges a secret instead, in any of the forms that secrets have.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use shared::secret::Secret;
use shared::signature::standard::{self, SigningKey};
use shared::signature::{TOLERANCE, VerifyError, basic, rafiki, recurly, stellar, stripe};

use crate::{NOW, mac, now, text_line};

const TEXT: &str = "whsec_test_secret";
const OTHER_TEXT: &str = "whsec_default_secret";
const BYTES: [u8; 32] = [7; 32];
const OTHER_BYTES: [u8; 32] = [8; 32];
const PAIR: &str = "hook_user:hook:pass";

/// How a scheme counts time.
#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    Milliseconds,
    Either,
}

/// Holds the laws.
///
/// # Panics
/// Where one is broken.
pub fn hold(input: &[u8]) {
    let Some((scheme, rest)) = text_line(input) else {
        return;
    };
    let Some((signed, rest)) = text_line(rest) else {
        return;
    };
    if scheme == "key" {
        return key(signed);
    }
    let Some((header, body)) = text_line(rest) else {
        return;
    };
    match scheme {
        "recurly" => of_text(
            Unit::Milliseconds,
            signed,
            header,
            body,
            body,
            |header, body, secrets| {
                recurly::verify(Some(header), body, secrets, now(), TOLERANCE).map(drop)
            },
        ),
        "rafiki" => match rafiki::canonical(body) {
            Some(canonical) => of_text(
                Unit::Either,
                signed,
                header,
                body,
                &canonical,
                |header, body, secrets| {
                    rafiki::verify(Some(header), body, secrets, now(), TOLERANCE).map(drop)
                },
            ),
            None => {
                let secrets = [Secret::new(TEXT)];
                let got = rafiki::verify(Some(header), body, &secrets, now(), TOLERANCE);
                assert_eq!(
                    got.map(drop),
                    Err(VerifyError::Malformed),
                    "what is no JSON has no signature"
                );
            }
        },
        "standard" => of_headers(signed, header, body),
        "basic" => of_pair(header),
        _ => of_text(
            Unit::Seconds,
            signed,
            header,
            body,
            body,
            |header, body, secrets| {
                stripe::verify(Some(header), body, secrets, now(), TOLERANCE).map(drop)
            },
        ),
    }
}

/// The schemes with a timestamp and hex in one header. `covered` is what the signature is over, beside the timestamp.
fn of_text(
    unit: Unit,
    signed: &str,
    header: &str,
    body: &[u8],
    covered: &[u8],
    verify: impl Fn(&str, &[u8], &[Secret]) -> Result<(), VerifyError>,
) {
    let tag = |secret: &str, at: &str| {
        HEXLOWER.encode(mac(secret.as_bytes(), &[at.as_bytes(), b".", covered]).as_ref())
    };
    let header = header
        .replace("{v}", &tag(TEXT, signed))
        .replace("{w}", &tag(OTHER_TEXT, signed));
    let ours = [Secret::new(""), Secret::new(TEXT)];
    assert_eq!(
        verify(&header, body, &[Secret::new("")])
            .err()
            .map(|error| error == VerifyError::NoSecret || error == VerifyError::Malformed),
        Some(true),
        "an empty secret verifies nothing"
    );
    if verify(&header, body, &ours).is_err() {
        return;
    }
    let words = || header.split(|it: char| !it.is_ascii_alphanumeric());
    let made = words()
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()) && in_time(unit, word))
        .any(|at| {
            let right = tag(TEXT, at);
            words().any(|word| word == right)
        });
    assert!(made, "accepted, and nobody signed it: {header:?}");
    assert!(
        verify(&header, body, &[Secret::new(OTHER_TEXT)]).is_err()
            || header.contains(&tag(OTHER_TEXT, signed)),
        "accepted with another secret"
    );
    let mut longer = body.to_vec();
    longer.push(b'}');
    assert!(
        verify(&header, &longer, &ours).is_err(),
        "accepted with a byte more"
    );
}

/// Whether a timestamp is within five minutes of the clock.
fn in_time(unit: Unit, at: &str) -> bool {
    let Ok(at) = at.parse::<i64>() else {
        return false;
    };
    let seconds = at.abs_diff(NOW) <= 300;
    let milliseconds = at.abs_diff(NOW * 1000) <= 300_000;
    match unit {
        Unit::Seconds => seconds,
        Unit::Milliseconds => milliseconds,
        Unit::Either => seconds || milliseconds,
    }
}

/// Standard Webhooks; what is signed before the body is `id timestamp`. `{a}` is the right signature of Ed25519.
fn of_headers(signed: &str, header: &str, body: &[u8]) {
    let (id, at) = signed.split_once(' ').unwrap_or((signed, ""));
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", at.as_bytes(), b".", body];
    let right = BASE64.encode(mac(&BYTES, &parts).as_ref());
    let other = BASE64.encode(mac(&OTHER_BYTES, &parts).as_ref());
    let mut signatures = header.replace("{v}", &right).replace("{w}", &other);
    let secret =
        |prefix: &str, bytes: &[u8]| Secret::new(format!("{prefix}{}", BASE64.encode(bytes)));
    let seed = secret("whsk_", &BYTES);
    let mut secrets = vec![secret("whsec_", &BYTES)];
    let mut right_one = right;
    // Ed25519 takes its time, so it is there only where it is asked for.
    if signatures.contains("{a}") {
        let key = SigningKey::parse(&seed).expect("32 bytes are a seed");
        let at = at
            .parse()
            .ok()
            .and_then(|at| jiff::Timestamp::from_second(at).ok());
        let Some(made) = at.map(|at| standard::sign(std::slice::from_ref(&key), id, at, body))
        else {
            return;
        };
        made.trim_start_matches("v1a,").clone_into(&mut right_one);
        signatures = signatures.replace("{a}", &right_one);
        secrets = vec![Secret::new(
            key.public().expect("a key of Ed25519 has a public one"),
        )];
    }
    let headers = standard::Headers {
        id: Some(id),
        timestamp: Some(at),
        signature: Some(&signatures),
    };
    let verify = |body: &[u8], secrets: &[Secret]| {
        standard::verify(headers, body, secrets, now(), TOLERANCE).map(drop)
    };
    if verify(body, &secrets).is_err() {
        return;
    }
    assert!(in_time(Unit::Seconds, at), "accepted out of time");
    assert!(
        signatures.split([' ', ',']).any(|word| word == right_one),
        "accepted, and nobody signed it: {signatures:?}"
    );
    let mut longer = body.to_vec();
    longer.push(b'}');
    assert!(
        verify(&longer, &secrets).is_err(),
        "accepted with a byte more"
    );
}

/// HTTP Basic, with `{v}` for the right pair.
fn of_pair(header: &str) {
    let right = BASE64.encode(PAIR.as_bytes());
    let header = header.replace("{v}", &right);
    let accepted = |pair: &str| basic::verify(Some(&header), &[Secret::new(pair)]).is_ok();
    if accepted(PAIR) {
        let given = header.split_once(' ').map(|(_, given)| given.trim());
        assert_eq!(
            given,
            Some(right.as_str()),
            "accepted, and it is not the pair"
        );
        assert!(!accepted("hook_user:other"), "accepted with another pair");
    }
    for none in [
        "",
        ":",
        "hook_user",
        ":hook_pass",
        "hook_user:",
        "admin:Password",
    ] {
        assert!(!accepted(none), "{none:?} protects nothing");
    }
}

/// What is taken for a secret signs, and what it signed is verified with it, or with its public key, and with no other.
fn key(text: &str) {
    let secret = Secret::new(text);
    if let Ok(key) = SigningKey::parse(&secret) {
        let made = standard::sign(std::slice::from_ref(&key), "msg_1", now(), b"{}");
        let at = NOW.to_string();
        let headers = standard::Headers {
            id: Some("msg_1"),
            timestamp: Some(&at),
            signature: Some(&made),
        };
        let public = key.public();
        assert_eq!(
            public.is_some(),
            text.starts_with("whsk_"),
            "only Ed25519 has a public key"
        );
        let verifies = public.map_or(secret, Secret::new);
        let verify = |secret: Secret| {
            standard::verify(headers, b"{}", &[secret], now(), TOLERANCE).map(drop)
        };
        assert_eq!(verify(verifies), Ok(()), "what is signed verifies");
        let other = Secret::new(format!("whsec_{}", BASE64.encode(&OTHER_BYTES)));
        assert!(
            verify(other).is_err() || text.ends_with(&BASE64.encode(&OTHER_BYTES)),
            "another key does not"
        );
    }
    let seed = Secret::new(text);
    if let Ok(key) = stellar::SigningKey::parse(&seed) {
        assert!(
            text.len() == 56 && text.starts_with('S'),
            "a seed has one form"
        );
        let public = key.public();
        assert_eq!(
            stellar::PublicKey::parse(public.as_str()),
            Ok(public),
            "a public key reads back"
        );
        let header = stellar::sign(&key, now(), "wallet.example", b"{}");
        let signature = header
            .split_once(" s=")
            .map(|(_, it)| BASE64.decode(it.as_bytes()));
        let signature = signature.and_then(Result::ok).unwrap_or_default();
        assert_eq!(signature.len(), 64, "a header has a signature: {header}");
    }
    if let Ok(public) = stellar::PublicKey::parse(text) {
        assert!(
            text.len() == 56 && text.starts_with('G'),
            "a public key has one form"
        );
        let written = serde_json::to_string(&public).expect("a text has a JSON form");
        assert_eq!(serde_json::from_str(&written).ok(), Some(public));
    }
    // A public key of any bytes verifies nothing that was not made with it.
    if let Some(bytes) = text
        .strip_prefix("whpk_")
        .and_then(|it| BASE64.decode(it.as_bytes()).ok())
    {
        let zero =
            UnparsedPublicKey::new(&ED25519, &bytes).verify(b"msg_1.1700000000.{}", &[0; 64]);
        let headers = standard::Headers {
            id: Some("msg_1"),
            timestamp: Some("1700000000"),
            signature: Some(
                "v1a,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
            ),
        };
        let got = standard::verify(headers, b"{}", &[Secret::new(text)], now(), TOLERANCE);
        assert_eq!(
            got.is_ok(),
            zero.is_ok() && bytes.len() == 32,
            "as the crypto library says"
        );
    }
}
