//! JSON Web Tokens: a bearer that is taken is signed with the secret by HS256, lives now, for an hour at most, and names nobody;
//! one of SEP-10 names an account that has one reading.
//!
//! An input is the token's header, its signature (`{v}` is the right one), and its claims; or, after a first line `raw`, the
//! token itself; or after `sub` the subject of a token.

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::secret::Secret;
use shared::signature::jwt::{self, Account, Sep10Rules};

use crate::{NOW, mac, now, text_line};

const SECRET: &str = "a secret of some thirty-two bytes or more";
const OTHER: &str = "another secret, as long as it has to be!!";
const ISSUER: &str = "https://anchor.example/auth";

/// Holds the laws.
///
/// # Panics
/// Where one is broken.
pub fn hold(input: &[u8]) {
    let Some((first, rest)) = text_line(input) else {
        return;
    };
    match first {
        "raw" => judge(&String::from_utf8_lossy(rest)),
        "sub" => subject(&String::from_utf8_lossy(rest)),
        header => {
            let Some((signature, claims)) = text_line(rest) else {
                return;
            };
            let signed = format!(
                "{}.{}",
                BASE64URL_NOPAD.encode(header.as_bytes()),
                BASE64URL_NOPAD.encode(claims)
            );
            let right = signature_of(&signed);
            judge(&format!("{signed}.{}", signature.replace("{v}", &right)));
        }
    }
}

fn signature_of(signed: &str) -> String {
    BASE64URL_NOPAD.encode(mac(SECRET.as_bytes(), &[signed.as_bytes()]).as_ref())
}

/// A part of a token: its members, whatever those hold that nobody looks at.
type Members = BTreeMap<String, Box<RawValue>>;

/// The parts of a token, if it is signed as it has to be.
fn signed(token: &str) -> Option<(Members, Members)> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    if signature != signature_of(signed) {
        return None;
    }
    let part = |part: &str| {
        let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).ok()?;
        // Bytes of what nobody looks at may be no text.
        serde_json::from_str(&String::from_utf8_lossy(&bytes)).ok()
    };
    Some((part(header)?, part(claims)?))
}

fn judge(token: &str) {
    let secret = Secret::new(SECRET);
    let bearer = jwt::bearer(token, &secret, now());
    let rules = Sep10Rules {
        issuer: ISSUER,
        audience: Some("anchor.example"),
        secret: &secret,
    };
    let sep10 = jwt::sep10(token, rules, now());
    if bearer.is_err() && sep10.is_err() {
        return;
    }
    let (header, claims) = signed(token).expect("what is taken is signed with the secret");
    let of = |members: &Members, name: &str| -> Value {
        let value = members.get(name).map(|it| serde_json::from_str(it.get()));
        value.map_or(Value::Null, |it| it.expect("what is looked at can be read"))
    };
    assert_eq!(of(&header, "alg"), "HS256");
    assert!(
        of(&header, "crit").is_null(),
        "nothing critical is understood"
    );
    let time = |name: &str| of(&claims, name).as_i64();
    let expires = time("exp").expect("what is taken expires");
    assert!(expires > NOW - 60, "it has not expired");
    for name in ["nbf", "iat"] {
        assert!(
            time(name).is_none_or(|from| from <= NOW + 60),
            "it is valid already"
        );
    }
    let named = |name: &str| Some(of(&claims, name)).filter(|it| !it.is_null());
    if bearer.is_ok() {
        assert!(
            expires <= time("iat").unwrap_or(NOW) + 3600,
            "it lives for an hour at most"
        );
        assert!(
            named("sub").is_none() && named("client_domain").is_none(),
            "it names nobody"
        );
    }
    if let Ok(sep10) = &sep10 {
        assert_eq!(named("iss"), Some(Value::from(ISSUER)));
        let whom = named("aud").expect("it has an audience");
        let ours = |it: &Value| it.as_str() == Some("anchor.example");
        assert!(ours(&whom) || whom.as_array().is_some_and(|it| it.iter().any(ours)));
        let subject = named("sub").expect("it names somebody");
        let account = subject.as_str().map(Account::parse);
        assert_eq!(account, Some(Ok(sep10.account.clone())));
    }
    let other = Secret::new(OTHER);
    assert!(
        jwt::bearer(token, &other, now()).is_err(),
        "taken with another secret"
    );
    assert!(
        jwt::bearer(token, &Secret::new("short"), now()).is_err(),
        "taken with a short secret"
    );
}

/// A subject reads one way: what it was read as is written as it was.
fn subject(text: &str) {
    let Ok(account) = Account::parse(text) else {
        return;
    };
    let muxed = account.address != account.key.as_str();
    match (&account.user, muxed) {
        (Some(user), false) => assert_eq!(format!("{}:{user}", account.address), text),
        _ => assert_eq!(account.address, text),
    }
    assert_eq!(muxed, text.starts_with('M'));
    assert!(account.user.is_none_or(|user| user.parse::<u64>().is_ok()));
}
