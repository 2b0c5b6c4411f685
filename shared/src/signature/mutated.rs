//! A hundred thousand changes to what was genuinely signed, in every scheme, and none of them is accepted.
//!
//! A change counts if it changes what was said or who said it. What means the same is no change, and is left out: a valid
//! signature that still stands in its list, for the same text, under the same secret, at a time that is near enough. Each
//! scheme below says which spellings are the same (its `kept`), and each is one that its documentation allows:
//! - lists: other entries beside the valid one, white space around an entry, and for Rafiki another number after `v`;
//! - Rafiki's body: another spelling of the same JSON value, since it is the canonical form that is signed;
//! - HTTP Basic: the case of the scheme's name, and spaces around the credentials;
//! - keys of HMAC: zero bytes at the end, with which every key is filled up.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};

use super::jwt::{self, Sep10Rules};
use super::standard::{self, SigningKey};
use super::{TOLERANCE, basic, rafiki, recurly, stellar, stripe};
use crate::entropy::{Entropy, SeededEntropy};
use crate::secret::Secret;

/// So many changes are made in all, at least.
const MOST: usize = 100_000;
/// Ed25519 takes longer than HMAC.
const OF_ED25519: usize = 4_000;
const AT: i64 = 1_700_000_000;
const BODY: &str =
    r#"{"id":"evt_1","type":"invoice.paid","data":{"amount":2500,"to":["a","b"],"rate":0.5}}"#;
const ISSUER: &str = "https://anchor.example/auth";

/// What one side sends, and what the other side knows.
#[derive(Clone, PartialEq, Eq)]
struct Sent {
    /// The values of the headers, in the order of the scheme.
    headers: Vec<String>,
    body: Vec<u8>,
    secret: String,
    /// The receiver's clock, in unix seconds.
    now: i64,
}

struct Scheme {
    name: &'static str,
    changes: usize,
    genuine: Sent,
    accepts: fn(&Sent) -> bool,
    /// Whether the headers still say the same.
    kept: fn(&[String], &[String]) -> bool,
    same_body: fn(&[u8], &[u8]) -> bool,
    /// How far the clock may be from `AT` without a difference, back and ahead.
    in_time: (i64, i64),
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time in range")
}

fn exactly<T: PartialEq + ?Sized>(one: &T, other: &T) -> bool {
    one == other
}

fn entries(list: &str, separator: char) -> Vec<&str> {
    list.split(separator).map(str::trim).collect()
}

/// Whether every entry of the genuine list is in the other one, too.
fn all_in(one: &[String], other: &[String]) -> bool {
    let other = entries(&other[0], ',');
    entries(&one[0], ',')
        .iter()
        .all(|entry| other.contains(entry))
}

fn hmac_schemes() -> [Scheme; 3] {
    let secret = "whsec_test_secret";
    let sent = |header: Option<String>| Sent {
        headers: vec![header.expect("a secret signs")],
        body: BODY.into(),
        secret: secret.to_owned(),
        now: AT,
    };
    let key = Secret::new(secret);
    let scheme = |name, header, accepts| Scheme {
        name,
        changes: 16_000,
        genuine: sent(header),
        accepts,
        kept: all_in,
        same_body: exactly,
        in_time: (300, 300),
    };
    let body = BODY.as_bytes();
    let stripe = scheme("stripe", stripe::sign(&key, at(AT), body), |sent| {
        let secrets = [Secret::new(sent.secret.as_str())];
        stripe::verify(
            Some(&sent.headers[0]),
            &sent.body,
            &secrets,
            at(sent.now),
            TOLERANCE,
        )
        .is_ok()
    });
    let recurly = scheme("recurly", recurly::sign(&key, at(AT), body), |sent| {
        let secrets = [Secret::new(sent.secret.as_str())];
        recurly::verify(
            Some(&sent.headers[0]),
            &sent.body,
            &secrets,
            at(sent.now),
            TOLERANCE,
        )
        .is_ok()
    });
    let rafiki = scheme("rafiki", rafiki::sign(&[&key], at(AT), body), |sent| {
        let secrets = [Secret::new(sent.secret.as_str())];
        rafiki::verify(
            Some(&sent.headers[0]),
            &sent.body,
            &secrets,
            at(sent.now),
            TOLERANCE,
        )
        .is_ok()
    });
    let rafiki = Scheme {
        kept: |one, other| {
            let other = entries(&other[0], ',');
            let version = |entry: &str| entry.strip_prefix("v1=").map(str::to_owned);
            entries(&one[0], ',')
                .into_iter()
                .all(|entry| match version(entry) {
                    // Rafiki's label is a number of the operator's choice.
                    Some(tag) => other.iter().any(|other| {
                        other.split_once('=').is_some_and(|(name, value)| {
                            value == tag
                                && name.len() > 1
                                && name.len() < 11
                                && name.starts_with('v')
                                && name.bytes().skip(1).all(|byte| byte.is_ascii_digit())
                        })
                    }),
                    None => other.contains(&entry),
                })
        },
        same_body: |one, other| rafiki::canonical(one) == rafiki::canonical(other),
        ..rafiki
    };
    let recurly = Scheme {
        // The timestamp is no entry of the list: it stands first and nothing may stand around it.
        kept: |one, other| {
            let time = |header: &str| header.split(',').next().map(str::to_owned);
            time(&one[0]) == time(&other[0]) && all_in(one, other)
        },
        ..recurly
    };
    [stripe, recurly, rafiki]
}

fn accepts_standard(sent: &Sent) -> bool {
    let headers = standard::Headers {
        id: Some(&sent.headers[1]),
        timestamp: Some(&sent.headers[2]),
        signature: Some(&sent.headers[0]),
    };
    let secrets = [Secret::new(sent.secret.as_str())];
    standard::verify(headers, &sent.body, &secrets, at(sent.now), TOLERANCE).is_ok()
}

fn standard_schemes() -> [Scheme; 2] {
    let scheme = |name, changes, secret: &str| {
        let key = SigningKey::parse(&Secret::new(secret)).expect("a secret of the scheme");
        let signature =
            standard::sign(std::slice::from_ref(&key), "msg_1", at(AT), BODY.as_bytes());
        Scheme {
            name,
            changes,
            genuine: Sent {
                headers: vec![signature, "msg_1".to_owned(), AT.to_string()],
                body: BODY.into(),
                secret: key.public().unwrap_or_else(|| secret.to_owned()),
                now: AT,
            },
            accepts: accepts_standard,
            kept: |one, other| {
                one[1..] == other[1..] && other[0].split(' ').any(|entry| entry == one[0])
            },
            same_body: exactly,
            in_time: (300, 300),
        }
    };
    [
        scheme(
            "standard, v1",
            16_000,
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ),
        scheme(
            "standard, v1a",
            OF_ED25519,
            "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==",
        ),
    ]
}

/// A wallet's side of the callbacks, written from SEP-12; it knows its own host, and the key that the anchor publishes.
fn stellar_scheme() -> Scheme {
    const SEED: &str = "SAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6NKI";
    let key = stellar::SigningKey::parse(&Secret::new(SEED)).expect("a seed");
    let host = "wallet.example.com";
    Scheme {
        name: "stellar",
        changes: OF_ED25519,
        genuine: Sent {
            headers: vec![
                stellar::sign(&key, at(AT), host, BODY.as_bytes()),
                host.to_owned(),
            ],
            body: BODY.into(),
            secret: key.public().as_str().to_owned(),
            now: AT,
        },
        accepts: |sent| {
            let Some((time, signature)) = sent.headers[0]
                .strip_prefix("t=")
                .and_then(|it| it.split_once(", s="))
            else {
                return false;
            };
            let Ok(public) = stellar_strkey::ed25519::PublicKey::from_string(&sent.secret) else {
                return false;
            };
            let (Ok(signature), Ok(second)) =
                (BASE64.decode(signature.as_bytes()), time.parse::<i64>())
            else {
                return false;
            };
            let message = [
                time.as_bytes(),
                b".",
                sent.headers[1].as_bytes(),
                b".",
                &sent.body,
            ]
            .concat();
            second.abs_diff(sent.now) <= 120
                && UnparsedPublicKey::new(&ED25519, &public.0)
                    .verify(&message, &signature)
                    .is_ok()
        },
        kept: |one, other| one == other,
        same_body: exactly,
        in_time: (120, 120),
    }
}

fn basic_scheme() -> Scheme {
    let pair = "hook_user:hook_pass";
    Scheme {
        name: "basic",
        changes: 16_000,
        genuine: Sent {
            headers: vec![basic::header(&Secret::new(pair)).expect("it protects something")],
            // It says nothing of the body.
            body: Vec::new(),
            secret: pair.to_owned(),
            now: AT,
        },
        accepts: |sent| {
            basic::verify(Some(&sent.headers[0]), &[Secret::new(sent.secret.as_str())]).is_ok()
        },
        kept: |one, other| {
            let read = |header: &str| {
                let (scheme, credentials) = header.split_once(' ')?;
                Some((scheme.to_ascii_lowercase(), credentials.trim().to_owned()))
            };
            read(&one[0]) == read(&other[0])
        },
        same_body: |_, _| true,
        in_time: (i64::MAX, i64::MAX),
    }
}

fn token_schemes() -> [Scheme; 2] {
    const SECRET: &str = "a secret of some thirty-two bytes or more";
    let token = |claims: &str| {
        let part = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
        let signed = format!(
            "{}.{}",
            part(r#"{"typ":"JWT","alg":"HS256"}"#),
            part(claims)
        );
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        format!(
            "{signed}.{}",
            data_encoding::BASE64URL_NOPAD.encode(tag.as_ref())
        )
    };
    let bearer = jwt::make(&Secret::new(SECRET), at(AT), SignedDuration::from_secs(30))
        .expect("a long secret");
    let sep10 = token(&format!(
        r#"{{"iss":"{ISSUER}","sub":"{}","iat":{AT},"exp":{},"client_domain":"wallet.example"}}"#,
        public(),
        AT + 30
    ));
    let scheme = |name, token: String, accepts| Scheme {
        name,
        changes: 14_000,
        genuine: Sent {
            headers: vec![token],
            body: Vec::new(),
            secret: SECRET.to_owned(),
            now: AT,
        },
        accepts,
        kept: |one, other| one == other,
        same_body: |_, _| true,
        // A minute for the clocks, and before the end of its life.
        in_time: (60, 89),
    };
    [
        scheme("bearer", bearer.expose().to_owned(), |sent| {
            jwt::bearer(
                &sent.headers[0],
                &Secret::new(sent.secret.as_str()),
                at(sent.now),
            )
            .is_ok()
        }),
        scheme("sep-10", sep10, |sent| {
            let secret = Secret::new(sent.secret.as_str());
            let rules = Sep10Rules {
                issuer: ISSUER,
                audience: None,
                secret: &secret,
            };
            jwt::sep10(&sent.headers[0], rules, at(sent.now)).is_ok()
        }),
    ]
}

fn public() -> String {
    let seed = stellar::generate(&SeededEntropy::new(1));
    let key = stellar::SigningKey::parse(&seed).expect("a seed");
    key.public().as_str().to_owned()
}

/// The bytes of a secret that count: HMAC fills every key up with zeros.
fn key_bytes(secret: &str) -> Vec<u8> {
    let decoded = secret
        .strip_prefix("whsec_")
        .and_then(|it| BASE64.decode(it.as_bytes()).ok());
    let mut bytes = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

impl Scheme {
    fn means_the_same(&self, changed: &Sent) -> bool {
        let (back, ahead) = self.in_time;
        let late = changed.now - AT;
        (self.kept)(&self.genuine.headers, &changed.headers)
            && (self.same_body)(&self.genuine.body, &changed.body)
            && key_bytes(&self.genuine.secret) == key_bytes(&changed.secret)
            && late >= back.saturating_neg()
            && late <= ahead
    }
}

/// Draws below `most`, evenly enough.
fn below(entropy: &dyn Entropy, most: usize) -> usize {
    let most = u64::try_from(most.max(1)).expect("a length");
    usize::try_from(u64::from_le_bytes(entropy.bytes()) % most).expect("it is below a length")
}

/// A byte of those that parsers care about, or any.
fn byte(entropy: &dyn Entropy) -> u8 {
    const TELLING: &[u8] = b",= .:;\t\"'{}[]0159afAFvtsSgG+-_/%\0\n\\";
    match below(entropy, 3) {
        0 => entropy.bytes::<1>()[0],
        1 => TELLING[below(entropy, TELLING.len())],
        _ => b'0' + u8::try_from(below(entropy, 75)).expect("it is below 75"),
    }
}

/// One change to some bytes.
fn bent(bytes: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
    let mut bent = bytes.to_vec();
    let place = below(entropy, bytes.len());
    let end = place + below(entropy, (bytes.len() - place).min(24) + 1);
    match below(entropy, 12) {
        0 | 1 if !bytes.is_empty() => bent[place] ^= 1 << below(entropy, 8),
        2 if !bytes.is_empty() => bent[place] = byte(entropy),
        3 if !bytes.is_empty() => bent.swap(place, below(entropy, bytes.len())),
        4 => {
            bent.drain(place..end);
        }
        5 => bent.truncate(place),
        6 => {
            let copied = bytes[place..end].to_vec();
            bent.splice(place..place, copied);
        }
        7 => bent[place..end].make_ascii_uppercase(),
        8 => bent[place..end].make_ascii_lowercase(),
        9 => bent[place..end].reverse(),
        10 => bent
            .splice(place..end, (0..below(entropy, 4)).map(|_| byte(entropy)))
            .for_each(drop),
        _ => bent.insert(place, byte(entropy)),
    }
    bent
}

fn bent_text(text: &str, entropy: &dyn Entropy) -> String {
    String::from_utf8_lossy(&bent(text.as_bytes(), entropy)).into_owned()
}

/// A time written another way, or another time.
fn retimed(header: &str, entropy: &dyn Entropy) -> String {
    let milliseconds = (AT * 1000).to_string();
    let seconds = AT.to_string();
    let old = if header.contains(&milliseconds) {
        milliseconds
    } else {
        seconds
    };
    let number: i64 = old.parse().expect("a number");
    let near = i64::try_from(below(entropy, 600)).expect("it is below 600") - 300;
    let new = match below(entropy, 8) {
        0 => format!("+{old}"),
        1 => format!("0{old}"),
        2 => format!(" {old}"),
        3 => format!("{old}.0"),
        4 => format!("{old}000"),
        5 => old.get(..old.len() - 3).unwrap_or_default().to_owned(),
        6 => format!("{number}e0"),
        _ => (number + near).to_string(),
    };
    header.replacen(&old, &new, 1)
}

/// What was sent, with one to three changes somewhere in it.
fn changed(genuine: &Sent, others: &[Sent], entropy: &dyn Entropy) -> Sent {
    let mut sent = genuine.clone();
    for _ in 0..=below(entropy, 3) {
        let which = below(entropy, sent.headers.len());
        match below(entropy, 12) {
            0..=3 => sent.headers[which] = bent_text(&sent.headers[which], entropy),
            4 | 5 => sent.body = bent(&sent.body, entropy),
            6 => sent.secret = bent_text(&sent.secret, entropy),
            7 => sent.headers[which] = retimed(&sent.headers[which], entropy),
            8 => {
                let far = i64::try_from(below(entropy, 100_000)).expect("it is below 100,000");
                sent.now += if below(entropy, 2) == 0 { far } else { -far };
            }
            9 => {
                sent.secret =
                    ["", "whsec_", "default_secret", ":", "0"][below(entropy, 5)].to_owned()
            }
            // What another scheme signed, or this one for something else.
            10 => sent.headers[which].clone_from(&others[below(entropy, others.len())].headers[0]),
            _ => sent.headers.swap(0, which),
        }
    }
    sent
}

fn schemes() -> Vec<Scheme> {
    let mut schemes = Vec::from(hmac_schemes());
    schemes.extend(standard_schemes());
    schemes.extend([stellar_scheme(), basic_scheme()]);
    schemes.extend(token_schemes());
    schemes
}

#[test]
fn of_a_hundred_thousand_changes_none_is_accepted() {
    let schemes = schemes();
    let entropy = SeededEntropy::new(7);
    let entropy: &dyn Entropy = &entropy;
    let others: Vec<Sent> = schemes
        .iter()
        .map(|scheme| scheme.genuine.clone())
        .collect();
    let mut made = BTreeMap::new();
    for scheme in &schemes {
        assert!(
            (scheme.accepts)(&scheme.genuine),
            "{}: what is genuine is accepted",
            scheme.name
        );
        assert!(scheme.means_the_same(&scheme.genuine), "{}", scheme.name);
        let (mut count, mut same) = (0, 0);
        while count < scheme.changes {
            let sent = changed(&scheme.genuine, &others, entropy);
            if scheme.means_the_same(&sent) {
                same += 1;
                assert!(
                    same < scheme.changes,
                    "{}: hardly anything changes",
                    scheme.name
                );
                continue;
            }
            count += 1;
            assert!(
                !(scheme.accepts)(&sent),
                "{}: accepted {:?} over {:?} with {:?} at {}",
                scheme.name,
                sent.headers,
                String::from_utf8_lossy(&sent.body),
                sent.secret,
                sent.now,
            );
        }
        made.insert(scheme.name, count);
    }
    let all: usize = made.values().sum();
    assert!(made.len() == 9 && all >= MOST, "{all} changes: {made:?}");
}

#[test]
fn what_means_the_same_is_still_accepted() {
    let schemes = schemes();
    let of = |name: &str| {
        schemes
            .iter()
            .find(|scheme| scheme.name == name)
            .expect(name)
    };
    type Case = (&'static str, fn(&mut Sent));
    let cases: [Case; 9] = [
        ("stripe", |sent| sent.headers[0].push_str(",v1=00,v0=zz")),
        ("stripe", |sent| {
            sent.headers[0] = sent.headers[0].replace(",v1", " , v1")
        }),
        ("stripe", |sent| sent.now += 300),
        ("recurly", |sent| {
            sent.headers[0] = sent.headers[0].replace(',', ",00, ")
        }),
        ("rafiki", |sent| {
            sent.headers[0] = sent.headers[0].replace("v1=", "v2=")
        }),
        ("rafiki", |sent| {
            sent.body = BODY.replace("0.5", "5e-1").replace(',', " , ").into()
        }),
        ("standard, v1", |sent| {
            sent.headers[0].insert_str(0, "v2,AAAA ")
        }),
        ("basic", |sent| {
            sent.headers[0] = sent.headers[0].replace("Basic ", "bASIC   ")
        }),
        ("bearer", |sent| sent.now += 89),
    ];
    for (name, change) in cases {
        let mut sent = of(name).genuine.clone();
        change(&mut sent);
        assert!(of(name).means_the_same(&sent), "{name}: {:?}", sent.headers);
        assert!((of(name).accepts)(&sent), "{name}: {:?}", sent.headers);
    }
}
