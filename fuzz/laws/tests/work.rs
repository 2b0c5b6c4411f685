//! No parser that an outsider reaches takes more than about four times the work for four times the input.
//!
//! Work is the time that the processor spent on this thread, which nothing else on the machine adds to. Linear work comes out
//! at 4, quadratic at 16; what lies between is left to caches and allocators. Where the system does not tell the time of a
//! thread, nothing is compared, and the inputs are parsed all the same.

use std::collections::BTreeSet;
use std::fs;
use std::hint::black_box;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use laws::recipients;
use laws::rpc::{Envelope, Sent};
use shared::customer::Customer;
use shared::decision::{Policy, Question, conclude};
use shared::delivery::{Outcome, Vetting, parse_retry_after};
use shared::event::{Json, resource};
use shared::ids::{CustomerId, TenantId};
use shared::money::{Currency, Money};
use shared::platform::account::{Locked, Settings};
use shared::platform::custom::Report;
use shared::platform::{BillingAccount, Interpretation, Platform};
use shared::queue::Task;
use shared::secret::Secret;
use shared::signature::{TOLERANCE, basic, jwt, rafiki, recurly, standard, stripe};

/// Four times the work may come out so many times dearer.
const MOST: u128 = 9;
/// The shorter input, in bytes; the longer one is the longest that any door takes.
const SHORT: usize = 64 * 1024;
/// Less than so much is too little to compare, in nanoseconds.
const LEAST: u128 = 12_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a time in range")
}

/// The time that the processor spent on this thread, in nanoseconds.
fn spent() -> Option<u128> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok()
}

/// The work that `times` rounds take; `None` where nobody says.
fn work(times: u32, round: impl Fn()) -> Option<u128> {
    let began = spent()?;
    for _ in 0..times {
        round();
    }
    Some(spent()?.saturating_sub(began).max(1))
}

/// A text of about `length` bytes: a beginning, a part again and again, and an end.
fn filled(begin: &str, part: &str, end: &str, length: usize) -> String {
    format!("{begin}{}{end}", part.repeat(length / part.len()))
}

struct Case {
    name: &'static str,
    begin: &'static str,
    part: &'static str,
    end: &'static str,
    parse: fn(&str),
}

fn account(platform: Platform) -> BillingAccount {
    BillingAccount {
        tenant: TenantId::parse("acme").expect("a valid id"),
        profile_id: shared::ids::ProfileId::parse("pro_1").expect("a valid id"),
        connector_account_id: shared::ids::ConnectorAccountId::parse("mca_1").expect("a valid id"),
        platform,
        webhook_secrets: vec![Secret::new("user:hook_pass")],
        api_key: None,
        locked: Locked::default(),
        settings: Settings::default(),
    }
}

/// Reads a notification, genuine for the purpose: a proof is a proof.
fn notification(platform: Platform, text: &str) {
    let pair = Secret::new("user:hook_pass");
    let header = basic::header(&pair);
    let proof = basic::verify(header.as_deref(), &[pair]).expect("the pair is the pair");
    let adapter = platform.adapter().expect("it has webhooks");
    let read = adapter.interpret(text.as_bytes(), &account(platform), &proof);
    black_box(read.is_ok());
}

/// Reads `text` as the answer to the question about a payment of Stripe.
fn answer(text: &str) {
    const NOTIFICATION: &str =
        include_str!("../../../tests/fixtures/stripe/invoice.payment_failed.basil.json");
    let pair = Secret::new("user:hook_pass");
    let proof =
        basic::verify(basic::header(&pair).as_deref(), &[pair]).expect("the pair is the pair");
    let adapter = Platform::Stripe.adapter().expect("it has webhooks");
    let read = adapter.interpret(NOTIFICATION.as_bytes(), &account(Platform::Stripe), &proof);
    let Ok(Interpretation::Thin(thin)) = read else {
        panic!("the fixture is thin");
    };
    let api = thin.platform.api().expect("it can be asked");
    let answers = [Bytes::copy_from_slice(text.as_bytes())];
    black_box(api.enrich(&thin, &answers).is_ok());
}

fn signed(header: &str) {
    let secrets = [Secret::new(
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    )];
    let (at, tolerance) = (now(), TOLERANCE);
    let standard = standard::Headers {
        id: Some("e"),
        timestamp: Some("1700000000"),
        signature: Some(header),
    };
    black_box([
        stripe::verify(Some(header), b"{}", &secrets, at, tolerance).is_ok(),
        recurly::verify(Some(header), b"{}", &secrets, at, tolerance).is_ok(),
        rafiki::verify(Some(header), b"{}", &secrets, at, tolerance).is_ok(),
        standard::verify(standard, b"{}", &secrets, at, tolerance).is_ok(),
        basic::verify(Some(header), &secrets).is_ok(),
        jwt::bearer(header, &secrets[0], at).is_ok(),
    ]);
}

fn event(text: &str) {
    if let Some((document, event)) = laws::events::read(text) {
        black_box(resource(&event.event_type, &event.data));
        black_box(rafiki::verify_value("t=1,v1=00", &document, &[], now(), TOLERANCE).is_ok());
    }
}

fn calls(text: &str) {
    if let Ok(Sent::Several(calls)) = Sent::read(text.as_bytes()) {
        for call in &calls {
            black_box(
                Envelope::read(call)
                    .map(|envelope| envelope.call().is_ok())
                    .is_ok(),
            );
        }
    }
}

fn customer(text: &str) {
    let asked = CustomerId::parse("c-1").expect("a valid id");
    black_box(Customer::read(text.as_bytes(), &asked).is_ok());
}

fn question(text: &str) {
    black_box(Question::read(text.as_bytes()).is_ok());
}

fn decision(text: &str) {
    let asked = r#"{"walletAddress":"https://w.example/a","expiresAt":"2030-01-01T00:00:00Z"}"#;
    let asked = Question::read(asked.as_bytes()).expect("a valid question");
    let outcome = Outcome::Answered {
        status: 200,
        retry_after: None,
        excerpt: text.to_owned(),
    };
    black_box(conclude(&asked, &outcome, Policy::default()));
}

fn money(text: &str) {
    let euro = Currency::parse("EUR").expect("a currency");
    black_box(Money::from_decimal(text, euro).is_ok());
}

fn target(text: &str) {
    black_box(Vetting::default().url(text).is_ok());
}

fn named(text: &str) {
    black_box(recipients::named(text, &HeaderMap::new()).is_ok());
}

fn cases() -> Vec<Case> {
    let case = |name, begin, part, end, parse| Case {
        name,
        begin,
        part,
        end,
        parse,
    };
    const EVENT: &str = r#"{"id":"e-1","type":"a.b","data":{"#;
    let canonical: fn(&str) = |text| {
        black_box(rafiki::canonical(text.as_bytes()));
    };
    vec![
        case(
            "signatures",
            "t=1700000000",
            ",v1=0000000000000000",
            "",
            signed,
        ),
        case("signatures of nothing", "1700000000", ",", "", signed),
        case("signatures apart", "v1,AAAA", " v1,AAAA", "", signed),
        case("a signature without end", "t=1,v1=", "00", "", signed),
        case("a timestamp without end", "t=", "1", ",v1=00", signed),
        case("credentials", "Basic ", "AAAA", "", signed),
        case("dots of a token", "a", ".a", "", signed),
        case(
            "members of the same name",
            EVENT,
            r#""a":1,"#,
            r#""a":1}}"#,
            event,
        ),
        case("a list", EVENT, "1,", "1]}}", |text| {
            event(&text.replace(r#""data":{"#, r#""data":{"a":["#))
        }),
        case("nested lists", EVENT, "[[[[]]]],", "1]}}", |text| {
            event(&text.replace(r#""data":{"#, r#""data":{"a":["#))
        }),
        case("a long text", EVENT, "\\u0041", r#"":1}}"#, |text| {
            event(&text.replace(r#""data":{"#, r#""data":{""#))
        }),
        case("white space", EVENT, " ", "}}", event),
        case("a name nobody knows", r#"{""#, "x", r#"":1}"#, event),
        case("unclosed lists", "", "[", "", event),
        case("unclosed objects", "", r#"{"a":"#, "", event),
        case("canonical numbers", "[", "1.5e300,", "0]", canonical),
        case("canonical texts", "[", r#""\u20ac\n","#, "0]", canonical),
        case(
            "canonical objects",
            "[",
            r#"{"b":1,"a":{"d":2,"c":3}},"#,
            "0]",
            canonical,
        ),
        case("digits", "0.", "1", "", money),
        case("an exponent", "1e", "9", "", money),
        case("zeros", "1", "0", "e-3", money),
        case("labels", "https://", "a.", "example/", target),
        case("a label", "https://", "a", ".example/", target),
        case(
            "a label of other letters",
            "https://",
            "\u{fc}",
            ".example/",
            target,
        ),
        case("an encoded label", "https://xn--", "a", ".example/", target),
        case("steps up", "https://shop.example/", "../", "", target),
        case(
            "steps down and up",
            "https://shop.example/",
            "a/../",
            "",
            target,
        ),
        case("slashes", "https:", "/", "shop.example", target),
        case("users", "https://", "a@", "shop.example/", target),
        case("tabs", "https://", "\t", "shop.example/", target),
        case("colons", "https://[", ":", "]/", target),
        case(
            "digits of a port",
            "https://shop.example:",
            "0",
            "443/",
            target,
        ),
        case("roles", "recipients=ase", ",ase", "", named),
        case("escapes", "recipients=", "%41", "", named),
        case(
            "calls",
            "[",
            r#"{"jsonrpc":"2.0","id":1,"method":"x"},"#,
            "1]",
            calls,
        ),
        case(
            "parameters",
            r#"[{"jsonrpc":"2.0","id":1,"method":"x","params":{"#,
            r#""a":1,"#,
            r#""b":1}}]"#,
            calls,
        ),
        case(
            "fields of a customer",
            r#"{"id":"c-1","status":"ACCEPTED","fields":["#,
            "{},",
            "1]}",
            customer,
        ),
        case(
            "metadata",
            r#"{"walletAddress":"https://w.example/a","expiresAt":"2030-01-01T00:00:00Z","metadata":{"#,
            r#""a":1,"#,
            r#""b":1}}"#,
            question,
        ),
        case(
            "what nobody asked",
            r#"{"partial":{"#,
            r#""a":1,"#,
            r#""b":1}}"#,
            question,
        ),
        case(
            "a reason",
            r#"{"decision":"rejected","reason":""#,
            "x",
            r#""}"#,
            decision,
        ),
        case("white space around", " ", " ", "{}", decision),
        case(
            "lines of an invoice",
            r#"{"id":"evt_1","type":"invoice.paid","created":1,"data":{"object":{"lines":["#,
            "{},",
            "1]}}}",
            |text| notification(Platform::Stripe, text),
        ),
        case(
            "payments of an invoice",
            r#"{"id":"evt_1","event_type":"invoice_updated","occurred_at":1,"content":{"invoice":{"linked_payments":["#,
            "{},",
            "{}]}}}",
            |text| notification(Platform::Chargebee, text),
        ),
        case(
            "members of a notification",
            r#"{"id":"evt_1","object_type":"payment","event_type":"failed","#,
            r#""a":1,"#,
            r#""event_time":"2024-01-01T00:00:00Z"}"#,
            |text| notification(Platform::Recurly, text),
        ),
        case(
            "payments",
            r#"{"data":["#,
            r#"{"created":1,"status":"paid","payment":{"payment_intent":{"id":"a"}}},"#,
            r#"{"created":1,"status":"paid","payment":{}}]}"#,
            answer,
        ),
        case(
            "payments that don't fit",
            r#"{"data":["#,
            r#"{"created":1,"status":"paid","payment":{"payment_intent":[[]]}},"#,
            "1]}",
            answer,
        ),
        case(
            "a report",
            r#"{"id":"r","error":""#,
            "4242 ",
            r#""}"#,
            |text| {
                black_box(Report::read(text).is_ok());
            },
        ),
        case(
            "a task",
            r#"{"v":1,"task":{"publish":{"tenant":"acme","event":{"id":"e","type":"a.b","at":"2024-01-01T00:00:00Z","source":"s","data":["#,
            "{},",
            "1]}}}}",
            |text| {
                black_box(
                    Task::decode(text)
                        .map(|task| task.encode().body.len())
                        .is_ok(),
                );
            },
        ),
        case("a wait", "", "9", "", |text| {
            black_box(parse_retry_after(text, now()));
        }),
        case("a date", "Sun, 06 Nov 1994 ", "0", " GMT", |text| {
            black_box(parse_retry_after(text, now()));
        }),
        case("two payloads", "[", "{},", "1]", |text| {
            let json = |text: &str| Json::parse(text.to_owned()).expect("it is JSON");
            black_box(json(text).says_the_same(&json(&text.replacen('{', " {", 1))));
        }),
    ]
}

#[test]
fn four_times_the_input_takes_four_times_the_work() {
    let mut dear = Vec::new();
    let mut names = BTreeSet::new();
    for Case {
        name,
        begin,
        part,
        end,
        parse,
    } in cases()
    {
        assert!(names.insert(name), "{name} stands there twice");
        let (short, long) = (
            filled(begin, part, end, SHORT),
            filled(begin, part, end, 4 * SHORT),
        );
        let mut times = 1;
        let mut took = work(times, || parse(&short));
        while took.is_some_and(|took| took < LEAST) && times < 4096 {
            times *= 4;
            took = work(times, || parse(&short));
        }
        // Once more where it looks dear: a page fault is not the parser's.
        let ratio = || {
            let (one, four) = (
                work(times, || parse(&short))?,
                work(times, || parse(&long))?,
            );
            Some(four / one)
        };
        let is_dear = || ratio().is_some_and(|ratio| ratio > MOST);
        if (0..3).all(|_| is_dear()) {
            dear.push(format!("{name}: {:?} times", ratio()));
        }
    }
    assert!(names.len() > 45, "{}", names.len());
    assert!(dear.is_empty(), "more than linear:\n{}", dear.join("\n"));
}
