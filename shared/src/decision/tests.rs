//! What is asked, what is answered, and what that comes to.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::question::same_asset;
use super::*;
use crate::delivery::{Failure, Outcome};
use crate::event::Maker;
use crate::event::amount::Units;
use crate::ids::TenantId;

fn amount(value: &str) -> Value {
    json!({"value": value, "assetCode": "USD", "assetScale": 2})
}

/// A payment to be created, with `more` put over its members; `null` at `"-"` takes none away.
fn creation(more: Value) -> Value {
    let mut body = json!({
        "walletAddress": "https://wallet.example/alice",
        "client": "https://shop.example/op",
        "incomingAmount": amount("1000"),
        "expiresAt": "2026-09-16T12:00:00.000Z",
        "metadata": {"description": "Order 17"},
    });
    over(&mut body, more);
    body
}

fn partial(more: Value) -> Value {
    let mut body = json!({
        "incomingPaymentId": "6d3f7a44-2a0e-4a6b-8b1f-7c1f4f0d2b02",
        "partialIncomingPaymentId": "b1a7e6d0-6f0a-4d2c-9a51-0c3f6a1d4e11",
        "receivedAmount": amount("0"),
        "partialAmount": amount("250"),
        "dataFromSender": "opaque",
    });
    over(&mut body, more);
    json!({ "partial": body })
}

/// Sets members; those that are `"-"` are taken away.
fn over(body: &mut Value, more: Value) {
    let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) else {
        return;
    };
    for (name, value) in more {
        if value == "-" {
            body.remove(&name);
        } else {
            body.insert(name, value);
        }
    }
}

fn question(body: &Value) -> Question {
    Question::read(body.to_string().as_bytes()).expect("a valid question")
}

fn answered(status: u16, body: &str) -> Outcome {
    Outcome::Answered {
        status,
        retry_after: None,
        excerpt: body.to_owned(),
    }
}

fn shown(decision: &Decision) -> Value {
    serde_json::to_value(decision).expect("it has a JSON form")
}

#[test]
fn a_question_is_read_strictly_and_what_is_wrong_is_named() {
    let over_most = "9".repeat(21);
    let cases = [
        (
            creation(json!({"walletAddress": "-"})),
            "`walletAddress` is missing",
        ),
        (
            creation(json!({"walletAddress": "wallet.example/alice"})),
            "`walletAddress` must be an https or http URL of at most 2048 bytes",
        ),
        (
            creation(json!({"client": 7})),
            "`client` must be an https or http URL of at most 2048 bytes",
        ),
        (
            creation(json!({"expiresAt": "-"})),
            "`expiresAt` is missing",
        ),
        (
            creation(json!({"expiresAt": "tomorrow"})),
            "`expiresAt` must be a date and time such as `2026-08-17T12:00:00.000Z`",
        ),
        (
            creation(json!({"incommingAmount": amount("1")})),
            "`incommingAmount` is not a field that may stand here",
        ),
        (
            creation(
                json!({"incomingAmount": {"value": 1000, "assetCode": "USD", "assetScale": 2}}),
            ),
            "`incomingAmount.value` must be a string of an integer from 0 to 18446744073709551615, without sign or leading zeros",
        ),
        (
            creation(json!({"incomingAmount": amount(&over_most)})),
            "`incomingAmount.value` must be a string of an integer from 0 to 18446744073709551615, without sign or leading zeros",
        ),
        (
            creation(json!({"incomingAmount": amount("+5")})),
            "`incomingAmount.value` must be a string of an integer from 0 to 18446744073709551615, without sign or leading zeros",
        ),
        (
            creation(json!({"incomingAmount": amount("0")})),
            "`incomingAmount.value` must be more than 0",
        ),
        (
            creation(
                json!({"incomingAmount": {"value": "1", "assetCode": "USD", "assetScale": 256}}),
            ),
            "`incomingAmount.assetScale` must be a whole number from 0 to 255",
        ),
        (
            creation(json!({"incomingAmount": {"value": "1", "assetCode": "", "assetScale": 2}})),
            "`incomingAmount.assetCode` must be a string of 1 to 2048 characters",
        ),
        (
            creation(json!({"incomingAmount": ["1", "USD", 2]})),
            "`incomingAmount` must be an object of `value`, `assetCode` and `assetScale`",
        ),
        (
            creation(json!({"metadata": "Order 17"})),
            "`metadata` must be an object",
        ),
        (
            creation(json!({"decision": {}})),
            "`decision` is not a field that may stand here",
        ),
        (
            partial(json!({"partialAmount": "-"})),
            "`partial.partialAmount` is missing",
        ),
        (
            partial(json!({"partialAmount": amount("0")})),
            "`partial.partialAmount.value` must be more than 0",
        ),
        (
            partial(json!({"receivedAmount": {"value": "5", "assetCode": "EUR", "assetScale": 2}})),
            "`partial.partialAmount` must be of the asset and scale of `partial.receivedAmount`",
        ),
        (
            partial(json!({"incomingPaymentId": "a b"})),
            "`partial.incomingPaymentId` must be a string of 1 to 255 bytes without white space or control characters",
        ),
        (
            partial(json!({"dataFromSender": "x".repeat(16_385)})),
            "`partial.dataFromSender` must be a string of at most 16384 bytes",
        ),
        (
            json!({"partial": {}, "walletAddress": "https://wallet.example/alice"}),
            "`partial.incomingPaymentId` is missing",
        ),
        (
            json!({"partial": partial(json!({}))["partial"], "expiresAt": "2026-09-16T12:00:00Z"}),
            "`expiresAt` is not a field that may stand here",
        ),
    ];
    for (body, want) in cases {
        let refused = Question::read(body.to_string().as_bytes()).map_err(|it| it.to_string());
        let refused = refused.map(|question| question.kind());
        assert_eq!(refused, Err(want.to_owned()), "{body}");
    }
    for (body, want) in [
        (&b"[]"[..], "`body` must be a JSON object"),
        (b"", "`body` must be a JSON object"),
        (b"{", "`body` is not JSON"),
        (b"{\xff}", "`body` is not UTF-8"),
        (
            br#"{"walletAddress":"https://w.example/a","expiresAt":"2026-09-16T12:00:00Z","metadata":{"n":1,"n":2}}"#,
            "`metadata.n` stands there twice",
        ),
    ] {
        let refused = Question::read(body).map_err(|it| it.to_string());
        assert_eq!(refused.map(|it| it.kind()), Err(want.to_owned()));
    }
}

#[test]
fn what_may_be_left_out_may_be_left_out() {
    let least = creation(json!({"client": "-", "incomingAmount": "-", "metadata": "-"}));
    let nulls = creation(json!({"client": null, "incomingAmount": null, "metadata": null}));
    for body in [least, nulls] {
        let question = question(&body);
        assert_eq!(question.kind(), QuestionKind::Creation);
        assert_eq!(question.incoming_amount(), None);
    }
    let question = question(&partial(json!({"dataFromSender": "-"})));
    assert_eq!(question.kind(), QuestionKind::Partial);
}

#[test]
fn the_ase_is_asked_with_the_text_that_came_and_the_event_is_about_the_payment() {
    let tenant = TenantId::parse("acme").expect("a valid id");
    let text = r#" { "walletAddress" : "https://wallet.example/alice", "expiresAt":"2026-09-16T12:00:00.000Z", "metadata":{"rate":1.50} } "#;
    let asked = Question::read(text.as_bytes()).expect("a valid question");
    let event = asked.event(event_id(&tenant, "key-1"), Timestamp::UNIX_EPOCH, source());
    assert_eq!(event.data.as_str(), text.trim());
    assert_eq!(
        event.event_type.as_str(),
        "incoming_payment.decision_requested"
    );
    assert_eq!(
        event.resource.as_deref(),
        Some("https://wallet.example/alice")
    );
    assert!(is_decision(&event));

    let asked = question(&partial(json!({})));
    let event = asked.event(event_id(&tenant, "key-1"), Timestamp::UNIX_EPOCH, source());
    assert_eq!(
        event.data.as_str(),
        partial(json!({}))["partial"].to_string()
    );
    assert_eq!(
        event.event_type.as_str(),
        "incoming_payment.partial_decision_requested"
    );
    assert_eq!(
        event.resource.as_deref(),
        Some("6d3f7a44-2a0e-4a6b-8b1f-7c1f4f0d2b02")
    );
}

#[test]
fn each_answer_comes_to_its_decision() {
    struct Case {
        name: &'static str,
        asked: Value,
        answer: Value,
        want: Value,
    }
    let by_ase = |mut want: Value| {
        over(&mut want, json!({"by": "ase"}));
        want
    };
    let invalid = |problem: &str| json!({"decision": "rejected", "by": "policy", "because": "invalid_answer", "problem": problem});
    let open = || creation(json!({"incomingAmount": "-"}));
    let euros = json!({"value": "900", "assetCode": "EUR", "assetScale": 2});
    let finer = json!({"value": "900", "assetCode": "USD", "assetScale": 3});
    let cases = [
        Case {
            name: "accepted as asked",
            asked: creation(json!({})),
            answer: json!({"decision": "accepted"}),
            want: by_ase(json!({"decision": "accepted", "incomingAmount": amount("1000")})),
        },
        Case {
            name: "accepted, open as asked",
            asked: open(),
            answer: json!({"decision": "accepted", "incomingAmount": null}),
            want: by_ase(json!({"decision": "accepted"})),
        },
        Case {
            name: "rejected with a reason",
            asked: creation(json!({})),
            answer: json!({"decision": "rejected", "reason": "over the limit"}),
            want: by_ase(json!({"decision": "rejected", "reason": "over the limit"})),
        },
        Case {
            name: "rejected, whatever else is said",
            asked: creation(json!({})),
            answer: json!({"decision": "rejected", "reason": 7, "incomingAmount": "?", "more": true}),
            want: by_ase(json!({"decision": "rejected"})),
        },
        Case {
            name: "the same amount",
            asked: creation(json!({})),
            answer: json!({"decision": "accepted", "incomingAmount": amount("1000")}),
            want: by_ase(json!({"decision": "accepted", "incomingAmount": amount("1000")})),
        },
        Case {
            name: "a lower amount",
            asked: creation(json!({})),
            answer: json!({"decision": "accepted", "incomingAmount": amount("999"), "reason": "daily limit"}),
            want: by_ase(
                json!({"decision": "accepted", "incomingAmount": amount("999"), "reason": "daily limit"}),
            ),
        },
        Case {
            name: "an amount where there was none",
            asked: open(),
            answer: json!({"decision": "accepted", "incomingAmount": amount("5000")}),
            want: by_ase(json!({"decision": "accepted", "incomingAmount": amount("5000")})),
        },
        Case {
            name: "a higher amount",
            asked: creation(json!({})),
            answer: json!({"decision": "accepted", "incomingAmount": amount("1001")}),
            want: invalid("`incomingAmount` must not be above what was asked for"),
        },
        Case {
            name: "no amount any more",
            asked: creation(json!({})),
            answer: json!({"decision": "accepted", "incomingAmount": null}),
            want: invalid("`incomingAmount` must not be removed"),
        },
        Case {
            name: "another asset",
            asked: creation(json!({})),
            answer: json!({"decision": "accepted", "incomingAmount": euros}),
            want: invalid("`incomingAmount` must be of the asset and scale that was asked for"),
        },
        Case {
            name: "another scale",
            asked: creation(json!({})),
            answer: json!({"decision": "accepted", "incomingAmount": finer}),
            want: invalid("`incomingAmount` must be of the asset and scale that was asked for"),
        },
        Case {
            name: "nothing at all",
            asked: open(),
            answer: json!({"decision": "accepted", "incomingAmount": amount("0")}),
            want: invalid("`incomingAmount` must be more than 0"),
        },
        Case {
            name: "an acceptance with something that nobody reads",
            asked: creation(json!({})),
            answer: json!({"decision": "accepted", "incommingAmount": amount("5")}),
            want: invalid("`incommingAmount` is not a field that may stand here"),
        },
        Case {
            name: "no decision",
            asked: creation(json!({})),
            answer: json!({}),
            want: invalid("`decision` is missing"),
        },
        Case {
            name: "another word",
            asked: creation(json!({})),
            answer: json!({"decision": "ok"}),
            want: invalid("`decision` must be `accepted` or `rejected`"),
        },
        Case {
            name: "no object",
            asked: creation(json!({})),
            answer: json!(["accepted"]),
            want: invalid("`body` must be a JSON object"),
        },
        Case {
            name: "a partial payment is accepted",
            asked: partial(json!({})),
            answer: json!({"decision": "accepted"}),
            want: by_ase(json!({"decision": "accepted"})),
        },
        Case {
            name: "a partial payment is rejected",
            asked: partial(json!({})),
            answer: json!({"decision": "rejected", "reason": "limit"}),
            want: by_ase(json!({"decision": "rejected", "reason": "limit"})),
        },
        Case {
            name: "a partial payment has no amount to set",
            asked: partial(json!({})),
            answer: json!({"decision": "accepted", "incomingAmount": amount("100")}),
            want: invalid(
                "`incomingAmount` must be left out: a partial payment is accepted or rejected as it is",
            ),
        },
    ];
    for Case {
        name,
        asked,
        answer,
        want,
    } in cases
    {
        let outcome = answered(200, &answer.to_string());
        let got = conclude(&question(&asked), &outcome, Policy::default());
        assert_eq!(shown(&got), want, "{name}");
    }
}

#[test]
fn without_an_answer_the_policy_decides_and_says_why() {
    let outcomes = [
        (answered(201, r#"{"decision":"accepted"}"#), "refused"),
        (answered(302, ""), "refused"),
        (answered(500, r#"{"decision":"rejected"}"#), "refused"),
        (Outcome::Failed(Failure::Timeout), "timeout"),
        (Outcome::Failed(Failure::Refused), "refused"),
        (Outcome::Failed(Failure::Dns), "refused"),
        (Outcome::Failed(Failure::Tls), "refused"),
        (Outcome::Failed(Failure::Closed), "refused"),
        (Outcome::Failed(Failure::Protocol), "invalid_answer"),
        (Outcome::Failed(Failure::Blocked), "refused"),
        (Outcome::Failed(Failure::Unsigned), "refused"),
    ];
    let accept = Policy {
        on_failure: OnFailure::Accept,
        ..Policy::default()
    };
    for (outcome, because) in outcomes {
        let asked = question(&creation(json!({})));
        let got = conclude(&asked, &outcome, Policy::default());
        let want = json!({"decision": "rejected", "by": "policy", "because": because});
        assert_eq!(shown(&got), want, "{outcome:?}");
        let got = conclude(&asked, &outcome, accept);
        let want = json!({
            "decision": "accepted", "incomingAmount": amount("1000"), "by": "policy", "because": because,
        });
        assert_eq!(shown(&got), want, "{outcome:?}");
    }
}

#[test]
fn a_rejection_is_one_whatever_stands_around_it() {
    let accept = Policy {
        on_failure: OnFailure::Accept,
        ..Policy::default()
    };
    for asked in [creation(json!({})), partial(json!({}))] {
        for around in [
            "", " ", "\n", "\u{b}", "\u{c}", "\u{85}", "\u{a0}", "\u{3000}",
        ] {
            for answer in [
                r#"{"decision":"rejected"}"#,
                r#"{"decision":"rejected","decision":"accepted"}"#,
                r#"{"decision":"accepted","decision":"rejected"}"#,
            ] {
                let answer = format!("{around}{answer}{around}");
                let got = conclude(&question(&asked), &answered(200, &answer), accept);
                let want = json!({"decision": "rejected", "by": "ase"});
                assert_eq!(shown(&got), want, "{answer:?}");
            }
        }
    }
}

#[test]
fn a_kept_decision_is_found_again_by_the_same_question_only() {
    let tenant = TenantId::parse("acme").expect("a valid id");
    let asked = question(&creation(json!({})));
    let decision = conclude(
        &asked,
        &answered(200, r#"{"decision":"rejected","reason":"\"limit\" }"}"#),
        Policy::default(),
    );
    let mut event = asked.event(event_id(&tenant, "k"), Timestamp::UNIX_EPOCH, source());
    event.data = asked.decided(&decision);
    assert_eq!(Kept::of(&event, &asked), Kept::Same(decision.clone()));

    let spaced = creation(json!({})).to_string().replace(',', " , ");
    let spaced = Question::read(spaced.as_bytes()).expect("a valid question");
    assert_eq!(Kept::of(&event, &spaced), Kept::Same(decision));
    for other in [
        creation(json!({"incomingAmount": amount("1001")})),
        creation(json!({"metadata": {"description": "Order 18"}})),
        creation(json!({"client": null})),
        partial(json!({})),
    ] {
        assert_eq!(Kept::of(&event, &question(&other)), Kept::Other, "{other}");
    }
    event.source = Source::new("rafiki");
    assert_eq!(Kept::of(&event, &asked), Kept::Foreign);
}

#[test]
fn a_key_stands_for_one_event_of_its_tenant() {
    let tenant = |name: &str| TenantId::parse(name).expect("a valid id");
    assert_eq!(
        event_id(&tenant("acme"), "k"),
        event_id(&tenant("acme"), "k")
    );
    assert_ne!(
        event_id(&tenant("acme"), "k"),
        event_id(&tenant("acme"), "K")
    );
    assert_ne!(
        event_id(&tenant("acme"), "k"),
        event_id(&tenant("other"), "k")
    );
}

#[test]
fn a_deadline_is_between_a_tenth_of_a_second_and_ten() {
    let policy = |deadline_ms| Policy {
        deadline_ms,
        ..Policy::default()
    };
    assert_eq!(
        Policy::default().deadline(),
        jiff::SignedDuration::from_millis(1500)
    );
    for (deadline_ms, fits) in [(99, false), (100, true), (10_000, true), (10_001, false)] {
        assert_eq!(policy(deadline_ms).check().is_ok(), fits, "{deadline_ms}");
        let within = policy(deadline_ms).deadline() <= Policy::DEADLINE_MOST;
        assert!(within || !fits, "{deadline_ms}");
    }
}

#[test]
fn every_kind_of_question_has_its_event_type_which_only_we_make() {
    for kind in QuestionKind::ALL {
        assert_eq!(kind.event_type().as_str(), kind.wire_name());
        assert_eq!(Maker::of(&kind.event_type()), Maker::Payrelay, "{kind:?}");
    }
}

fn any_amount() -> impl Strategy<Value = Amount> {
    let codes = prop::sample::select(vec!["USD", "EUR"]);
    (0..20_u64, codes, 1..3_u8).prop_map(|(value, code, asset_scale)| Amount {
        value: Units(value),
        asset_code: serde_json::from_value(code.into()).expect("a valid code"),
        asset_scale,
    })
}

proptest! {
    #[test]
    fn nothing_that_was_asked_for_is_raised_or_changed_into_another_asset_or_let_open(
        asked in any_amount().prop_filter("more than 0", |amount| amount.value > Units(0)),
        said in prop::option::of(prop::option::of(any_amount())),
        verdict in prop::sample::select(vec!["accepted", "rejected", "maybe"]),
        status in prop::sample::select(vec![200_u16, 204, 500]),
        accept in any::<bool>(),
    ) {
        let mut answer = json!({"decision": verdict});
        if let Some(said) = said {
            over(&mut answer, json!({"incomingAmount": said}));
        }
        let policy = Policy {
            on_failure: if accept { OnFailure::Accept } else { OnFailure::Reject },
            ..Policy::default()
        };
        let question = question(&creation(json!({"incomingAmount": asked})));
        let decision = conclude(&question, &answered(status, &answer.to_string()), policy);
        match decision.verdict {
            Verdict::Rejected => prop_assert_eq!(decision.incoming_amount, None),
            Verdict::Accepted => {
                let amount = decision.incoming_amount.expect("it was not open");
                prop_assert!(amount.value <= asked.value && same_asset(&amount, &asked));
                prop_assert!(amount.value > Units(0));
            }
        }
        if status == 200 && verdict == "rejected" {
            prop_assert_eq!(decision.verdict, Verdict::Rejected);
        }
    }

    #[test]
    fn no_answer_makes_the_judge_fail(text in ".{0,200}") {
        let question = question(&creation(json!({})));
        let decision = conclude(&question, &answered(200, &text), Policy::default());
        prop_assert_eq!(decision.verdict, Verdict::Rejected);
    }
}
