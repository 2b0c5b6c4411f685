//! What the door answers, and what it puts on the queue.

use http::header::{ALLOW, RETRY_AFTER};
use jiff::SignedDuration;
use receiver::inprocess::LINE;
use receiver::ports::{Queue, Unavailable};
use shared::ids::EventId;
use shared::queue::{MESSAGE_MOST, Receipt};

use crate::support::{Delivery, RAFIKI, RAFIKI_OLD, Receiver, Told, WHPK, WHSEC, WHSK, not_found};

const STANDARD_BODY: &str =
    r#"{"type":"recovery.recovered","timestamp":"2026-08-17T12:00:00Z","data":{"a":1.50}}"#;

#[test]
fn each_delivery_has_its_answer_and_only_what_is_accepted_is_queued() {
    let receiver = Receiver::new(Told::default());
    let now = receiver.now();
    let body = not_found("evt_1");
    let after = |seconds| now - SignedDuration::from_secs(seconds);
    let rafiki = |body: &str| Delivery::rafiki(body, RAFIKI, now);
    let standard = |id, body| Delivery::standard(id, body, WHSEC, now);
    let padding = "x".repeat(MESSAGE_MOST);
    let cases = [
        ("rafiki", rafiki(&body), 200, ""),
        (
            "rafiki, the older secret",
            Delivery::rafiki(&body, RAFIKI_OLD, now),
            200,
            "",
        ),
        ("standard", standard("evt_2", STANDARD_BODY), 200, ""),
        (
            "standard, by public key",
            Delivery::standard("evt_3", STANDARD_BODY, WHSK, now),
            200,
            "",
        ),
        (
            "300 s old",
            Delivery::rafiki(&body, RAFIKI, after(300)),
            200,
            "",
        ),
        (
            "301 s old",
            Delivery::rafiki(&body, RAFIKI, after(301)),
            401,
            "outside the tolerance",
        ),
        (
            "another secret",
            Delivery::rafiki(&body, "nobody-knows-it", now),
            401,
            "no signature matches",
        ),
        (
            "the public key as if it were a secret",
            Delivery::rafiki(&body, WHPK, now),
            401,
            "no signature matches",
        ),
        (
            "no signature",
            Delivery::unsigned(body.as_str()),
            401,
            "the signature is missing",
        ),
        (
            "a changed body",
            Delivery {
                body: not_found("evt_9").into(),
                ..rafiki(&body)
            },
            401,
            "no signature matches",
        ),
        ("no JSON", standard("evt_4", "hello"), 400, "`body` must"),
        (
            "no id",
            rafiki(r#"{"type":"a.b","data":{}}"#),
            400,
            "`id` must be there",
        ),
        (
            "an id that is none",
            rafiki(r#"{"id":"a b","type":"a.b","data":{}}"#),
            400,
            "`id` must be 1 to 64",
        ),
        (
            "no type",
            rafiki(r#"{"id":"evt_5","data":{}}"#),
            400,
            "`type` must be there",
        ),
        (
            "a type that is none",
            rafiki(r#"{"id":"evt_5","type":"a b","data":{}}"#),
            400,
            "`type` must be 1 to 128",
        ),
        (
            "no data",
            rafiki(r#"{"id":"evt_5","type":"a.b"}"#),
            400,
            "`data` must be there",
        ),
        (
            "too long",
            Delivery::unsigned(padding.clone() + "x"),
            413,
            "At most 1048576 bytes",
        ),
        (
            "as long as a queue takes, before the envelope",
            standard(
                "evt_6",
                Box::leak(
                    format!(
                        r#"{{"type":"a.b","data":"{}"}}"#,
                        padding.get(..MESSAGE_MOST - 30).expect("it is longer")
                    )
                    .into_boxed_str(),
                ),
            ),
            413,
            "At most 1048576 bytes",
        ),
        (
            "another method",
            Delivery {
                method: "GET",
                ..rafiki(&body)
            },
            405,
            "Allow header",
        ),
    ];
    for (name, delivery, status, says) in cases {
        let before = receiver.queues.len(LINE);
        let answer = receiver.post(&delivery).expect("it lives");
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
        if status == 200 {
            assert_eq!(answer.body, "", "{name}");
        } else {
            assert!(answer.body.contains(says), "{name}: {}", answer.body);
            assert_eq!(receiver.queues.len(LINE), before, "{name}");
        }
        let allowed = answer.headers.get(ALLOW).map(|allow| allow.as_bytes());
        assert_eq!(
            allowed,
            (status == 405).then_some(b"POST".as_slice()),
            "{name}"
        );
    }
    assert_eq!(
        receiver.queues.len(LINE),
        3,
        "evt_1 once for all its deliveries, evt_2, evt_3"
    );
}

#[test]
fn the_id_is_the_one_that_was_signed() {
    let receiver = Receiver::new(Told::default());
    let signed = Delivery::rafiki(&not_found("evt_1"), RAFIKI, receiver.now());
    for beside in ["evt_2", "evt_3"] {
        let replayed = signed.clone().with("webhook-id", beside);
        let answer = receiver.post(&replayed).expect("it lives");
        assert_eq!(answer.status, 200);
    }
    receiver.work();
    let want = vec![("wallet_address_not_found".to_owned(), "evt_1".to_owned())];
    assert_eq!(receiver.told.calls(), want);
}

#[test]
fn characters_that_sqs_refuses_are_escaped_and_mean_the_same() {
    let receiver = Receiver::new(Told::default());
    let body = not_found("evt_1").replace("carla", "\u{fffe}\u{ffff}");
    let delivery = Delivery::rafiki(&body, RAFIKI, receiver.now());
    let answer = receiver.post(&delivery).expect("it lives");
    assert_eq!(answer.status, 200);
    let queued = receiver.queued();
    assert!(!queued.contains(['\u{fffe}', '\u{ffff}']), "{queued}");
    assert!(queued.contains("\\ufffe\\uffff"), "{queued}");
}

struct Down;

#[async_trait::async_trait]
impl Queue for Down {
    async fn send(&self, _: &EventId, _: String) -> Result<(), Unavailable> {
        Err(Unavailable {
            part: "queue",
            source: "the wire is cut".into(),
        })
    }

    async fn put_off(&self, _: &Receipt, _: SignedDuration) -> Result<(), Unavailable> {
        Ok(())
    }
}

#[test]
fn what_the_queue_does_not_take_is_answered_503_so_that_it_is_sent_again() {
    let receiver = Receiver::over(Told::default(), |_, memory, account| {
        (std::sync::Arc::new(Down), memory, account)
    });
    let delivery = Delivery::rafiki(&not_found("evt_1"), RAFIKI, receiver.now());
    let answer = receiver.post(&delivery).expect("it lives");
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key(RETRY_AFTER));
    assert!(!answer.body.contains("wire"), "{}", answer.body);
}
