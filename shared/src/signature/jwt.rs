//! JSON Web Tokens, signed with HS256 and a secret that both sides know: bearers of the anchor's doors, our own
//! bearer towards its business server, and the tokens of SEP-10 that wallets present.
//!
//! Nothing in a token's header is believed but `alg`, and that must be `HS256`. `exp` has to be there; `exp`, `nbf` and
//! `iat` are held against the clock that is given, with a tolerance of a minute either way. Times are whole seconds.

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use stellar_strkey::ed25519;

use super::Verified;
use super::stellar::PublicKey;
use crate::secret::Secret;
use crate::time::later;

/// The least length of a secret, in bytes: that of the tag (RFC 7518, section 3.2).
pub const SECRET_LEAST: usize = 32;

/// The longest life of a bearer.
pub const BEARER_LIFE_MOST: SignedDuration = SignedDuration::from_hours(1);

/// How far another's clock may be from ours.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// The longest token that is looked at, in bytes.
const TOKEN_MOST: usize = 8 * 1024;

/// Why a token is not taken. Its text is safe to show whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token, or a claim is not of its form.
    #[error("the token is malformed")]
    Malformed,
    /// It is not signed with HS256.
    #[error("the token must be signed with HS256")]
    Algorithm,
    /// It is not signed with the secret, or that is too short to use.
    #[error("the token's signature does not match")]
    Mismatch,
    /// `exp` is missing.
    #[error("the token has no `exp`")]
    NoExpiry,
    /// `exp` is over.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet")]
    Early,
    /// It lives for more than an hour.
    #[error("the token must expire within an hour of being issued")]
    TooLong,
    /// `iss` is not the issuer that was asked for.
    #[error("the token's issuer is not the expected one")]
    Issuer,
    /// `aud` does not name us.
    #[error("the token is for another audience")]
    Audience,
    /// It names somebody, as SEP-10's do: it is no bearer of a shared secret.
    #[error("the token must name nobody: it looks like one of SEP-10")]
    OfSomebody,
    /// `sub` names no account.
    #[error("the token's `sub` must be an account: `G..`, `G..:memo` or `M..`")]
    Subject,
}

/// A secret that is too short to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be at least 32 bytes long for HS256")]
pub struct ShortSecret;

/// The bytes of a secret that is long enough.
///
/// # Errors
/// [`ShortSecret`] for any other.
pub fn usable(secret: &Secret) -> Result<&[u8], ShortSecret> {
    let bytes = secret.expose().as_bytes();
    if bytes.len() < SECRET_LEAST {
        return Err(ShortSecret);
    }
    Ok(bytes)
}

/// What we look at of a token.
#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<i64>,
    nbf: Option<i64>,
    iat: Option<i64>,
    client_domain: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, whom: &str) -> bool {
        match self {
            Self::One(name) => name == whom,
            Self::Several(names) => names.iter().any(|name| name == whom),
        }
    }
}

/// A token whose signature holds and whose times include `now`; and when it expires.
fn authentic(
    token: &str,
    secret: &Secret,
    now: Timestamp,
) -> Result<(Claims, Timestamp), TokenError> {
    if token.len() > TOKEN_MOST {
        return Err(TokenError::Malformed);
    }
    let key = DecodingKey::from_secret(usable(secret).map_err(|_| TokenError::Mismatch)?);
    // Its own checks go by the machine's clock and pass over claims that are not there, so they are all made below.
    let mut rules = Validation::new(Algorithm::HS256);
    rules.required_spec_claims.clear();
    (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
    let decoded =
        jsonwebtoken::decode::<Claims>(token, &key, &rules).map_err(|error| {
            match error.kind() {
                ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => {
                    TokenError::Algorithm
                }
                ErrorKind::InvalidSignature => TokenError::Mismatch,
                _ => TokenError::Malformed,
            }
        })?;
    // What a header calls critical has to be understood, and we understand no extension (RFC 7515, section 4.1.11).
    if decoded.header.crit.is_some() {
        return Err(TokenError::Malformed);
    }
    let claims = decoded.claims;
    let time = |second| Timestamp::from_second(second).map_err(|_| TokenError::Malformed);
    let expires = time(claims.exp.ok_or(TokenError::NoExpiry)?)?;
    if now >= later(expires, TOLERANCE) {
        return Err(TokenError::Expired);
    }
    for from in [claims.nbf, claims.iat].into_iter().flatten() {
        if time(from)? > later(now, TOLERANCE) {
            return Err(TokenError::Early);
        }
    }
    Ok((claims, expires))
}

/// Checks a bearer of a door that is opened by a shared secret: it says nothing but that its sender knows the secret,
/// and lives for an hour at most.
///
/// # Errors
/// See [`TokenError`].
pub fn bearer(token: &str, secret: &Secret, now: Timestamp) -> Result<Verified, TokenError> {
    let (claims, expires) = authentic(token, secret, now)?;
    if claims.sub.is_some() || claims.client_domain.is_some() {
        return Err(TokenError::OfSomebody);
    }
    let issued = claims.iat.and_then(|at| Timestamp::from_second(at).ok());
    if expires > later(issued.unwrap_or(now), BEARER_LIFE_MOST) {
        return Err(TokenError::TooLong);
    }
    Ok(Verified(()))
}

/// A bearer of ours, issued at `now` for `life`, rounded down to whole seconds.
///
/// # Errors
/// [`ShortSecret`] if the secret can't be used.
pub fn make(secret: &Secret, now: Timestamp, life: SignedDuration) -> Result<Secret, ShortSecret> {
    #[derive(Serialize)]
    struct Ours {
        iat: i64,
        exp: i64,
    }
    let key = EncodingKey::from_secret(usable(secret)?);
    let claims = Ours {
        iat: now.as_second(),
        exp: later(now, life).as_second(),
    };
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
    Ok(Secret::new(token.expect(
        "two numbers have a JSON form, and HMAC takes any key",
    )))
}

/// Whose tokens of SEP-10 are taken.
#[derive(Debug, Clone, Copy)]
pub struct Sep10Rules<'a> {
    /// What `iss` must be: the URL of the anchor's web authentication, to the letter.
    pub issuer: &'a str,
    /// What `aud` must name, if the anchor's tokens have it.
    pub audience: Option<&'a str>,
    /// What they are signed with.
    pub secret: &'a Secret,
}

/// An account of Stellar that has proved itself, and which of its users it speaks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// The account as the token names it: `G..`, or `M..` for a muxed one.
    pub address: String,
    /// The key behind it: the same for every user of a shared account.
    pub key: PublicKey,
    /// The user of a shared account: a memo of the type `id`, or the id of a muxed account, in decimal.
    pub user: Option<String>,
}

impl Account {
    /// Reads the `sub` of a token: `G..`, `G..:memo` or `M..`.
    ///
    /// # Errors
    /// [`TokenError::Subject`] for anything else. A memo has one form only, so that a user has one name.
    pub fn parse(subject: &str) -> Result<Self, TokenError> {
        let (address, memo) = match subject.split_once(':') {
            Some((address, memo)) => (address, Some(memo)),
            None => (subject, None),
        };
        let wrong = TokenError::Subject;
        if let Ok(muxed) = ed25519::MuxedAccount::from_string(address) {
            if memo.is_some() {
                return Err(wrong);
            }
            return Ok(Self {
                address: address.to_owned(),
                key: PublicKey::of(muxed.ed25519),
                user: Some(muxed.id.to_string()),
            });
        }
        let is_id = |memo: &str| memo.parse::<u64>().is_ok_and(|id| id.to_string() == memo);
        if memo.is_some_and(|memo| !is_id(memo)) {
            return Err(wrong);
        }
        Ok(Self {
            address: address.to_owned(),
            key: PublicKey::parse(address).map_err(|_| wrong)?,
            user: memo.map(str::to_owned),
        })
    }
}

/// What a token of SEP-10 proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sep10 {
    /// Who signed in.
    pub account: Account,
    /// The domain of the wallet, where that has proved itself too.
    pub client_domain: Option<String>,
}

/// Checks a token of SEP-10 and reads who signed in.
///
/// # Errors
/// See [`TokenError`].
pub fn sep10(token: &str, rules: Sep10Rules<'_>, now: Timestamp) -> Result<Sep10, TokenError> {
    let (claims, _) = authentic(token, rules.secret, now)?;
    if claims.iss.as_deref() != Some(rules.issuer) {
        return Err(TokenError::Issuer);
    }
    if let Some(audience) = rules.audience
        && !claims.aud.is_some_and(|aud| aud.names(audience))
    {
        return Err(TokenError::Audience);
    }
    Ok(Sep10 {
        account: Account::parse(&claims.sub.ok_or(TokenError::Subject)?)?,
        client_domain: claims.client_domain,
    })
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;

    use super::*;
    use crate::signature::{hmac_key, hmac_sign};

    // Made with `openssl dgst -sha256 -mac HMAC` over base64url texts, as RFC 7515 has it.
    const SECRET: &str = "a-secret-of-thirty-two-bytes-or+";
    const SIGNED_IN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2FuY2hvci5leGFtcGxlL2F1dGgiLCJzdWIiOiJHQUIyQ0I1NzZQSEJCUFE1T0RPUlJaMkxZQ01XUFpHV0dDTjJLREs3RFhPSU1aQVNLVVkzUVo2UTo0MiIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDg2NDAwLCJqdGkiOiJlM2IwYzQ0Mjk4ZmMxYzE0IiwiY2xpZW50X2RvbWFpbiI6IndhbGxldC5leGFtcGxlLmNvbSJ9.3dwTc_OlSKDkq3OHUEJa4iAscZBDw3Fq_-L15hlnP6s";
    const BEARER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDAzMH0.ox-VW5niMZ9sMG4uheNmoygpne1HSEv3fO-IRl_R8hs";
    const AT: i64 = 1_700_000_000;
    const ISSUER: &str = "https://anchor.example/auth";
    const KEY: &str = "GAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZ6Q";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time in range")
    }

    /// A token put together by hand, so that it can be wrong in any way.
    fn token(header: &str, claims: &str, secret: &str) -> String {
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let message = format!("{}.{}", encode(header), encode(claims));
        let key = hmac_key(secret.as_bytes()).expect("it is not empty");
        let tag = hmac_sign(&key, &[message.as_bytes()]);
        format!("{message}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
    }

    fn of(claims: &str) -> String {
        token(r#"{"alg":"HS256","typ":"JWT"}"#, claims, SECRET)
    }

    fn judged(token: &str, now: i64) -> Result<(), TokenError> {
        bearer(token, &Secret::new(SECRET), at(now)).map(|_| ())
    }

    fn signed_in(token: &str, audience: Option<&str>) -> Result<Sep10, TokenError> {
        let secret = Secret::new(SECRET);
        let rules = Sep10Rules {
            issuer: ISSUER,
            audience,
            secret: &secret,
        };
        sep10(token, rules, at(AT))
    }

    #[test]
    fn a_bearer_is_what_openssl_makes_of_the_same_claims() {
        let ours = make(&Secret::new(SECRET), at(AT), SignedDuration::from_secs(30));
        assert_eq!(ours.expect("the secret is long enough").expose(), BEARER);
        assert_eq!(judged(BEARER, AT), Ok(()));
        for short in ["", "a-secret-of-thirty-one-bytes-or"] {
            let short = Secret::new(short);
            let made = make(&short, at(AT), SignedDuration::from_secs(30));
            assert_eq!(made, Err(ShortSecret));
        }
    }

    #[test]
    fn a_bearer_is_taken_only_with_its_signature_and_within_its_times() {
        use TokenError::*;
        let hs256 = r#"{"alg":"HS256"}"#;
        let life = |iat: i64, exp: i64| of(&format!(r#"{{"iat":{iat},"exp":{exp}}}"#));
        let good = format!(r#"{{"iat":{AT},"exp":{}}}"#, AT + 30);
        let unsigned = of(&good);
        let unsigned = unsigned.rsplit_once('.').expect("three parts").0;
        let none = token(r#"{"alg":"none"}"#, &good, SECRET);
        let none = none.rsplit_once('.').expect("three parts").0;
        let cases = [
            ("whole", of(&good), AT, Ok(())),
            ("without `typ`", token(hs256, &good, SECRET), AT, Ok(())),
            ("in its last second", of(&good), AT + 89, Ok(())),
            ("a minute late", of(&good), AT + 90, Err(Expired)),
            ("a clock a minute slow", life(AT + 60, AT + 90), AT, Ok(())),
            ("issued later", life(AT + 61, AT + 90), AT, Err(Early)),
            (
                "valid later",
                of(&format!(r#"{{"nbf":{},"exp":{}}}"#, AT + 61, AT + 90)),
                AT,
                Err(Early),
            ),
            ("an hour", life(AT, AT + 3600), AT, Ok(())),
            ("a second more", life(AT, AT + 3601), AT, Err(TooLong)),
            (
                "nobody knows how old",
                of(&format!(r#"{{"exp":{}}}"#, AT + 3601)),
                AT,
                Err(TooLong),
            ),
            (
                "no `exp`",
                of(&format!(r#"{{"iat":{AT}}}"#)),
                AT,
                Err(NoExpiry),
            ),
            ("`exp` is null", of(r#"{"exp":null}"#), AT, Err(NoExpiry)),
            (
                "`exp` is a text",
                of(r#"{"exp":"soon"}"#),
                AT,
                Err(Malformed),
            ),
            (
                "`exp` is out of range",
                of(r#"{"exp":9223372036854775807}"#),
                AT,
                Err(Malformed),
            ),
            (
                "another secret",
                token(hs256, &good, "another-secret-of-thirty-two-byte"),
                AT,
                Err(Mismatch),
            ),
            ("no signature", format!("{unsigned}."), AT, Err(Mismatch)),
            ("alg none", format!("{none}."), AT, Err(Malformed)),
            (
                "another hash",
                token(r#"{"alg":"HS512"}"#, &good, SECRET),
                AT,
                Err(Algorithm),
            ),
            (
                "a public key's algorithm",
                token(r#"{"alg":"RS256"}"#, &good, SECRET),
                AT,
                Err(Algorithm),
            ),
            ("no alg", token("{}", &good, SECRET), AT, Err(Malformed)),
            (
                "another spelling",
                token(r#"{"alg":"hs256"}"#, &good, SECRET),
                AT,
                Err(Malformed),
            ),
            (
                "a critical extension",
                token(
                    r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
                    &good,
                    SECRET,
                ),
                AT,
                Err(Malformed),
            ),
            ("two parts", unsigned.to_owned(), AT, Err(Malformed)),
            ("four parts", format!("a.{}", of(&good)), AT, Err(Malformed)),
            ("nothing", String::new(), AT, Err(Malformed)),
            (
                "huge",
                of(&format!(r#"{{"exp":{},"x":"{}"}}"#, AT, "x".repeat(7000))),
                AT,
                Err(Malformed),
            ),
        ];
        for (name, token, now, want) in cases {
            assert_eq!(judged(&token, now), want, "{name}");
        }
    }

    #[test]
    fn a_token_of_8192_bytes_is_looked_at_and_a_longer_one_is_not() {
        // Of any four lengths in a row, one is that of no base64 text: a header that is a byte longer reaches it.
        let headers = [r#"{"alg":"HS256"}"#, r#"{"alg": "HS256"}"#];
        let sized = |length: usize| {
            let tokens = headers.iter().flat_map(|header| {
                (5900..6100).map(move |fill| {
                    let fill = "x".repeat(fill);
                    token(header, &format!(r#"{{"exp":{AT},"x":"{fill}"}}"#), SECRET)
                })
            });
            let mut tokens = tokens.filter(|token| token.len() == length);
            tokens.next().expect("a length between those")
        };
        for (length, want) in [
            (8191, Ok(())),
            (8192, Ok(())),
            (8193, Err(TokenError::Malformed)),
        ] {
            assert_eq!(judged(&sized(length), AT), want, "{length}");
        }
    }

    #[test]
    fn a_bearer_is_of_nobody() {
        for of_somebody in [r#""sub":"G""#, r#""client_domain":"a.example""#] {
            let token = of(&format!(r#"{{{of_somebody},"exp":{AT}}}"#));
            let got = judged(&token, AT);
            assert_eq!(got, Err(TokenError::OfSomebody), "{of_somebody}");
        }
    }

    #[test]
    fn a_short_secret_opens_nothing() {
        let short = "a-secret-of-thirty-one-bytes-or";
        let token = token(r#"{"alg":"HS256"}"#, &format!(r#"{{"exp":{AT}}}"#), short);
        let got = bearer(&token, &Secret::new(short), at(AT)).err();
        assert_eq!(got, Some(TokenError::Mismatch));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let tag = BEARER.rsplit_once('.').expect("three parts");
        crate::signature::cases::every_flipped_bit_is_refused(tag.1, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            judged(&format!("{}.{text}", tag.0), AT)
                .map_err(|_| crate::signature::VerifyError::Mismatch)
        });
    }

    #[test]
    fn a_wallet_that_signed_in_is_known_by_account_and_domain() {
        let want = Sep10 {
            account: Account {
                address: KEY.to_owned(),
                key: PublicKey::parse(KEY).expect("a public key"),
                user: Some("42".to_owned()),
            },
            client_domain: Some("wallet.example.com".to_owned()),
        };
        assert_eq!(signed_in(SIGNED_IN, None), Ok(want));
    }

    #[test]
    fn a_token_of_sep_10_is_taken_from_its_issuer_for_its_audience_and_an_account() {
        use TokenError::*;
        let claims = |more: &str| {
            of(&format!(
                r#"{{"iss":"{ISSUER}","sub":"{KEY}","iat":{AT},"exp":{}{more}}}"#,
                AT + 86_400
            ))
        };
        let other = |iss: &str| of(&format!(r#"{{{iss}"sub":"{KEY}","exp":{}}}"#, AT + 60));
        let us = Some("callbacks.anchor.example");
        let cases = [
            ("a day long", claims(""), None, Ok(())),
            ("no issuer", other(""), None, Err(Issuer)),
            (
                "another issuer",
                other(r#""iss":"https://anchor.example/auth/","#),
                None,
                Err(Issuer),
            ),
            ("no audience", claims(""), us, Err(Audience)),
            (
                "us",
                claims(r#","aud":"callbacks.anchor.example""#),
                us,
                Ok(()),
            ),
            (
                "us among others",
                claims(r#","aud":["a","callbacks.anchor.example"]"#),
                us,
                Ok(()),
            ),
            ("others", claims(r#","aud":["a","b"]"#), us, Err(Audience)),
            (
                "an audience nobody asked for",
                claims(r#","aud":"a""#),
                None,
                Ok(()),
            ),
            (
                "no account",
                of(&format!(r#"{{"iss":"{ISSUER}","exp":{}}}"#, AT + 60)),
                None,
                Err(Subject),
            ),
            (
                "two accounts",
                claims(r#","sub":"hush""#),
                None,
                Err(Malformed),
            ),
        ];
        for (name, token, audience, want) in cases {
            assert_eq!(signed_in(&token, audience).map(|_| ()), want, "{name}");
        }
    }

    #[test]
    fn an_account_is_a_key_a_key_with_a_memo_or_a_muxed_account() {
        // SEP-23's example: the key below, with the id 9223372036854775808.
        let base = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ";
        let muxed = "MA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVAAAAAAAAAAAAAJLK";
        let told = |subject: &str| {
            Account::parse(subject)
                .map(|account| (account.address, String::from(account.key), account.user))
        };
        let ok = |address: &str, key: &str, user: Option<&str>| {
            Ok((address.to_owned(), key.to_owned(), user.map(str::to_owned)))
        };
        assert_eq!(told(KEY), ok(KEY, KEY, None));
        assert_eq!(told(&format!("{KEY}:0")), ok(KEY, KEY, Some("0")));
        let most = "18446744073709551615";
        assert_eq!(told(&format!("{KEY}:{most}")), ok(KEY, KEY, Some(most)));
        let id = Some("9223372036854775808");
        assert_eq!(told(muxed), ok(muxed, base, id));
        let seed = "SAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6NKI";
        let wrong = [
            String::new(),
            seed.to_owned(),
            format!("{KEY}:"),
            format!("{KEY}:hello"),
            format!("{KEY}:-1"),
            format!("{KEY}:+1"),
            format!("{KEY}:007"),
            format!("{KEY}:18446744073709551616"),
            format!("{KEY}:1:2"),
            format!("{muxed}:1"),
            format!(" {KEY}"),
            KEY.to_lowercase(),
            format!("{}A", &KEY[..55]),
        ];
        for subject in wrong {
            assert_eq!(told(&subject), Err(TokenError::Subject), "{subject:?}");
        }
    }
}
