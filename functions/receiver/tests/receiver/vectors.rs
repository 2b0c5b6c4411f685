//! Deliveries as our sender makes them, and what a receiver must refuse: one list for all that verify.
//!
//! The list is `tests/golden/signatures/vectors.json`. Here the door and the Rust of the receivers' guide are held to it;
//! `infra/snippets-test.sh` holds the guide's Node and Python to it. The signatures of the vectors A, B and of the Standard
//! Webhooks example were made by others (see `shared/src/signature/`).

use std::path::PathBuf;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use receiver::event::{Secrets, verified};
use receiver::reply::Refusal;
use serde::{Deserialize, Serialize};
use shared::config::environment;
use shared::delivery::request::build;
use shared::delivery::{
    BreakerPolicy, Endpoint, EndpointState, LiveSecret, Policy, Request, Scheme,
};
use shared::event::{Event, EventType, Json, Role, Source};
use shared::ids::{EndpointId, EventId, TenantId};
use shared::secret::Secret;
use shared::signature::stellar::SignedHost;

#[path = "../../examples/verify.rs"]
#[expect(dead_code, reason = "its `main` is for running it alone")]
mod verify;

use crate::support::{RAFIKI, RAFIKI_OLD, WHSEC, WHSK};

const WHSEC_OLD: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const RAFIKI_AT: i64 = 1_787_000_000_123;
const STANDARD_AT: i64 = 1_767_225_600_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Vector {
    name: String,
    scheme: String,
    id: String,
    timestamp: String,
    signature: String,
    body: String,
    secrets: Vec<String>,
    now_ms: i64,
    genuine: bool,
}

/// What our sender posts.
fn sent(scheme: Scheme, id: &str, data: &str, event_type: &str, secrets: &[&str]) -> Vector {
    let (at, signature) = if scheme == Scheme::Rafiki {
        (RAFIKI_AT, "rafiki-signature")
    } else {
        (STANDARD_AT, "webhook-signature")
    };
    let now = Timestamp::from_millisecond(at).expect("a time in range");
    let event = Event {
        id: EventId::parse(id).expect("a valid id"),
        event_type: EventType::parse(event_type).expect("a valid type"),
        data: Json::parse(data.to_owned()).expect("valid JSON"),
        at: now,
        source: Source::new("rafiki"),
        resource: None,
    };
    let endpoint = Endpoint {
        tenant: TenantId::parse("acme").expect("a valid id"),
        id: EndpointId::parse("ase").expect("a valid id"),
        url: "https://ase.example/hook".to_owned(),
        signed_host: SignedHost::AsSent,
        breaker: BreakerPolicy::default(),
        decision_url: None,
        role: Role::Ase,
        scheme,
        secrets: secrets
            .iter()
            .map(|secret| LiveSecret {
                secret: Secret::new(*secret),
                until: None,
            })
            .collect(),
        locked: Vec::new(),
        filter: None,
        policy: Policy::default_for(scheme),
        deadline: scheme.deadline(),
        useful_for: None,
        state: EndpointState::Enabled,
    };
    let Request { headers, body, .. } = build(&event, &endpoint, now).expect("it has a secret");
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    Vector {
        name: String::new(),
        scheme: scheme.as_str().to_owned(),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header(signature),
        body: String::from_utf8(body.to_vec()).expect("JSON is UTF-8"),
        secrets: secrets.iter().map(|secret| (*secret).to_owned()).collect(),
        now_ms: at,
        genuine: true,
    }
}

fn rafiki(data: &str) -> Vector {
    sent(
        Scheme::Rafiki,
        "6d3f7a44-2a0e-4a6b-8b1f-7c1f4f0d2b02",
        data,
        "incoming_payment.completed",
        &[RAFIKI],
    )
}

fn standard(secrets: &[&str]) -> Vector {
    sent(
        Scheme::StandardWebhooks,
        "msg_01JZ8Q4T7N3X5V9B2C6D8E0F1G",
        r#"{"id":"pay_123","amount":"10.00"}"#,
        "payment.settled",
        secrets,
    )
}

fn vector_a() -> Vector {
    let data = r#"{"walletAddressUrl":"https://wallet.example.com/carla_garcia"}"#;
    let id = "0f8a9d2e-5b1c-4c3e-9a77-3f2d1c0b9a01";
    sent(
        Scheme::Rafiki,
        id,
        data,
        "wallet_address.not_found",
        &[RAFIKI],
    )
}

const B: &str = r#"{"id":"b1a7e6d0-6f0a-4d2c-9a51-0c3f6a1d4e11","walletAddressId":"c2b8f7e1-7a1b-4e3d-8b62-1d4a7b2e5f22","client":null,"createdAt":"2026-08-17T12:00:00.000Z","expiresAt":"2026-09-16T12:00:00.000Z","receivedAmount":{"value":"1000","assetCode":"USD","assetScale":2},"completed":true,"incomingAmount":{"value":"1000","assetCode":"USD","assetScale":2},"metadata":{"description":"Caf\u00e9 \u2013 \"table\" 4 \u20ac","rate":1.50,"big":1e21,"tiny":1e-7,"neg":-0,"list":[true,null,{"z":1,"a":2}],"\ud83d\ude00":"emoji","\ufb33":"dalet","line":"a\u2028b","ctl":"\u000b\u001f\t"}}"#;
const NUMBERS: &str = r#"{"n":[12345678901234567890,9007199254740993,-9007199254740993,1.0,-0,-0.0,0e9,1e20,1E21,123456789012345678901,1e-6,1.5e-6,1e-7,-1.5e-7,5e-324,1.7976931348623157e308,123456789.125,0.1,100,333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001,4.35,0.30000000000000004,2.5e-5,295147905179352830000,99999999999999999999999,9.999999999999999e22,1000000000000000128]}"#;
const TEXTS: &str = r#"{"\u20ac":"Euro","\r":"CR","\ufb33":"dalet","1":"One","10":"Ten","2":"Two","\ud83d\ude00":"emoji","\u0080":"control","\u00f6":"o","o\u0308":"two points","</script>":"html","__proto__":"mine","":"nobody","a":"\u0000\u0007\u001f\u007f\u2028\u2029\"\\\/\b\f\n\r\t\uffff","A":"Z"}"#;
const SHAPES: &str = r#"{ "b" : { } , "a" : [ ] , "c" : { "z" : { "y" : [ [ ] , [ { } ] ] } , "A" : null } , "f" : [ false , true , "" ] , "a" : [ 1 ] }"#;

fn vectors() -> Vec<Vector> {
    let named = |name: &str, vector: Vector| Vector {
        name: name.to_owned(),
        ..vector
    };
    let refused = |name: &str, vector: Vector| Vector {
        name: name.to_owned(),
        genuine: false,
        ..vector
    };
    let seconds = |vector: Vector, seconds: i64| Vector {
        now_ms: vector.now_ms + seconds * 1000,
        ..vector
    };
    let by = |vector: Vector, secrets: &[&str]| Vector {
        secrets: secrets.iter().map(|secret| (*secret).to_owned()).collect(),
        ..vector
    };
    let signed = |vector: Vector, signature: String| Vector {
        signature,
        ..vector
    };
    let body = |vector: Vector, from: &str, to: &str| Vector {
        body: vector.body.replace(from, to),
        ..vector
    };
    let a = vector_a;
    let b = || rafiki(B);
    let rotating = || sent(Scheme::Rafiki, "evt_1", "{}", "a.b", &[RAFIKI, RAFIKI_OLD]);
    let s = || standard(&[WHSEC]);
    let both = || standard(&[WHSEC, WHSEC_OLD]);
    let empty_key = {
        let canonical = shared::signature::rafiki::canonical(a().body.as_bytes());
        let text = [
            RAFIKI_AT.to_string().as_bytes(),
            b".",
            &canonical.unwrap_or_default(),
        ]
        .concat();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"");
        let tag = HEXLOWER.encode(hmac::sign(&key, &text).as_ref());
        format!("t={RAFIKI_AT}, v1={tag}")
    };
    vec![
        named("rafiki: A", a()),
        named("rafiki: B, canonical form", b()),
        named("rafiki: numbers", rafiki(NUMBERS)),
        named("rafiki: texts and the order of keys", rafiki(TEXTS)),
        named("rafiki: white space and a repeated key", rafiki(SHAPES)),
        named(
            "rafiki: the order of keys on the wire does not matter",
            body(
                a(),
                r#"{"id":"0f8a9d2e-5b1c-4c3e-9a77-3f2d1c0b9a01","type":"wallet_address.not_found","#,
                r#"{"type":"wallet_address.not_found","id":"0f8a9d2e-5b1c-4c3e-9a77-3f2d1c0b9a01","#,
            ),
        ),
        named("rafiki: two signatures, both secrets known", rotating()),
        named(
            "rafiki: two signatures, only the old secret known",
            by(rotating(), &[RAFIKI_OLD]),
        ),
        named(
            "rafiki: two signatures, only the new secret known",
            by(rotating(), &[RAFIKI]),
        ),
        named(
            "rafiki: one of two known secrets",
            by(a(), &[RAFIKI_OLD, RAFIKI]),
        ),
        named(
            "rafiki: no space after the comma",
            signed(a(), a().signature.replace(", ", ",")),
        ),
        named(
            "rafiki: another version, which is a label",
            signed(a(), a().signature.replace("v1=", "v2=")),
        ),
        named("rafiki: 300 s old", seconds(a(), 300)),
        named("rafiki: 300 s early", seconds(a(), -300)),
        refused("rafiki: 301 s old", seconds(a(), 301)),
        refused("rafiki: 301 s early", seconds(a(), -301)),
        refused("rafiki: another secret", by(a(), &[RAFIKI_OLD])),
        refused("rafiki: no secret", by(a(), &[])),
        refused("rafiki: an empty secret", by(signed(a(), empty_key), &[""])),
        refused("rafiki: a changed value", body(a(), "carla", "clara")),
        refused(
            "rafiki: a field more",
            body(a(), r#""data":{"#, r#""data":{"x":1,"#),
        ),
        refused("rafiki: no JSON", body(a(), "{", "")),
        refused(
            "rafiki: a signature without a version",
            signed(a(), a().signature.replace("v1=", "v=")),
        ),
        refused(
            "rafiki: what is no version",
            signed(a(), a().signature.replace("v1=", "w1=")),
        ),
        refused("rafiki: upper-case hex", {
            let upper = a().signature.to_uppercase().replace("T=", "t=");
            signed(a(), upper.replace("V1=", "v1="))
        }),
        refused(
            "rafiki: no time",
            signed(a(), a().signature.replace("t=", "u=")),
        ),
        refused(
            "rafiki: another time",
            signed(a(), a().signature.replace("123,", "124,")),
        ),
        refused("rafiki: nothing", signed(a(), String::new())),
        named("standard: the published example", s()),
        named("standard: two signatures, both secrets known", both()),
        named(
            "standard: two signatures, only the old secret known",
            by(both(), &[WHSEC_OLD]),
        ),
        named(
            "standard: two signatures, only the new secret known",
            by(both(), &[WHSEC]),
        ),
        named(
            "standard: one of two known secrets",
            by(s(), &[WHSEC_OLD, WHSEC]),
        ),
        named(
            "standard: an Ed25519 signature beside it",
            by(standard(&[WHSK, WHSEC]), &[WHSEC]),
        ),
        named(
            "standard: another version beside it",
            signed(s(), format!("v2,AAAA {}", s().signature)),
        ),
        named("standard: 300 s old", seconds(s(), 300)),
        named("standard: 300 s early", seconds(s(), -300)),
        refused("standard: 301 s old", seconds(s(), 301)),
        refused("standard: 301 s early", seconds(s(), -301)),
        refused("standard: another secret", by(s(), &[WHSEC_OLD])),
        refused("standard: no secret", by(s(), &[])),
        refused("standard: an empty secret", by(s(), &["whsec_"])),
        refused("standard: a byte more", body(s(), "}}", "}} ")),
        refused(
            "standard: another id",
            Vector {
                id: "msg_2".to_owned(),
                ..s()
            },
        ),
        refused(
            "standard: another time",
            Vector {
                timestamp: "1767225601".to_owned(),
                ..s()
            },
        ),
        refused(
            "standard: no time",
            Vector {
                timestamp: String::new(),
                ..s()
            },
        ),
        refused(
            "standard: only another version",
            signed(s(), s().signature.replace("v1,", "v2,")),
        ),
        refused("standard: nothing", signed(s(), String::new())),
    ]
}

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/signatures/vectors.json")
}

#[test]
fn the_list_is_what_our_sender_makes() {
    let made = vectors();
    let text = serde_json::to_string_pretty(&made).expect("texts have a JSON form") + "\n";
    if environment("PAYRELAY_GOLDEN").as_deref() == Some("adopt") {
        std::fs::write(golden(), &text).expect("it can be written");
    }
    let kept = std::fs::read_to_string(golden()).unwrap_or_default();
    assert!(
        kept == text,
        "adopt it with `PAYRELAY_GOLDEN=adopt cargo test -p receiver --test receiver vectors`"
    );
    let signature = |name: &str| {
        let found = made.iter().find(|vector| vector.name == name);
        found.map(|vector| vector.signature.as_str())
    };
    let by_others = [
        (
            "rafiki: A",
            "t=1787000000123, v1=d7dae65616ae2fcad5dede1338deaabc243e3c2aa00e9bc4d679325c69378aeb",
        ),
        (
            "rafiki: B, canonical form",
            "t=1787000000123, v1=f863c983cee53fa0b8f29c08cc663cac874d6e719609b51807d929b45f6890b1",
        ),
        (
            "standard: the published example",
            "v1,ASdrzNBLYa3lCRkaxnW3e/M4khZTZ7H2Hwrx6Ro4Zn0=",
        ),
    ];
    for (name, want) in by_others {
        assert_eq!(signature(name), Some(want), "{name}");
    }
}

#[test]
fn the_rust_of_the_guide_judges_every_vector_rightly() {
    for vector in vectors() {
        let secrets: Vec<_> = vector.secrets.iter().map(String::as_str).collect();
        let body = vector.body.as_bytes();
        let genuine = match vector.scheme.as_str() {
            "rafiki" => verify::rafiki(&vector.signature, body, &secrets, vector.now_ms),
            _ => verify::standard(
                &vector.id,
                &vector.timestamp,
                &vector.signature,
                body,
                &secrets,
                vector.now_ms,
            ),
        };
        assert_eq!(genuine, vector.genuine, "{}", vector.name);
    }
}

#[test]
fn the_door_judges_every_vector_rightly() {
    for vector in vectors() {
        let mut headers = HeaderMap::new();
        let live: Vec<_> = vector
            .secrets
            .iter()
            .map(|secret| Secret::new(secret.as_str()))
            .collect();
        let mut secrets = Secrets::default();
        let mut add = |name: &'static str, value: &str| {
            if !value.is_empty() {
                headers.insert(name, value.parse().expect("printable"));
            }
        };
        if vector.scheme == "rafiki" {
            secrets.rafiki = live;
            add("rafiki-signature", &vector.signature);
        } else {
            secrets.standard = live;
            add("webhook-id", &vector.id);
            add("webhook-timestamp", &vector.timestamp);
            add("webhook-signature", &vector.signature);
        }
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(vector.now_ms);
        let outcome = verified(&headers, vector.body.as_bytes(), &secrets, now);
        let unauthentic = matches!(outcome, Err(Refusal::Unauthentic(_)));
        assert_eq!(!unauthentic, vector.genuine, "{}", vector.name);
    }
}
