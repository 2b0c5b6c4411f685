//! How an invoice stands after what was said of it: whose word counts, and until when.

use super::*;
use crate::recovery::Details;
use crate::recovery::parts::{at, charge, intent, order, signal, usd};
use SignalKind::{InvoiceCancelled, PaymentFailed, PaymentPending, PaymentSucceeded};

/// That the charge succeeded, and the invoice with it.
fn paid(second: i64, id: &str) -> Signal {
    let charge = charge(id, Status::Succeeded);
    signal(second, PaymentSucceeded, Some(charge))
}

fn failed(second: i64, id: &str) -> Signal {
    signal(second, PaymentFailed, Some(charge(id, Status::Failed)))
}

/// What names no charge.
fn word(second: i64, kind: SignalKind) -> Signal {
    signal(second, kind, None)
}

fn with_left(left: i64, signal: Signal) -> Signal {
    Signal {
        left: Some(usd(left)),
        ..signal
    }
}

fn by_merchant(signal: Signal) -> Signal {
    Signal {
        by_merchant: true,
        ..signal
    }
}

#[test]
fn an_intent_is_over_once_it_was_collected_or_given_up() {
    let cases = [
        (State::Open, false),
        (State::Processing, false),
        (State::Cancelled, true),
        (State::Recovered, true),
    ];
    for (state, want) in cases {
        assert_eq!(state.ended(), want, "{state:?}");
    }
}

#[test]
fn the_latest_word_on_its_end_counts_until_something_takes_it_back() {
    use State::{Cancelled, Open, Processing, Recovered};
    let cases: [(&str, &[Signal], State, i64); 19] = [
        ("failed", &[failed(5, "a")], Open, 5),
        ("collected", &[failed(5, "a"), paid(6, "b")], Recovered, 6),
        (
            "in any order",
            &[paid(6, "b"), failed(5, "a")],
            Recovered,
            6,
        ),
        (
            "another charge fails after it",
            &[paid(6, "b"), failed(7, "a")],
            Recovered,
            6,
        ),
        (
            "that very charge fails after it",
            &[paid(6, "b"), failed(7, "b")],
            Open,
            7,
        ),
        (
            "given up, then collected",
            &[word(5, InvoiceCancelled), paid(6, "b")],
            Recovered,
            6,
        ),
        (
            "collected, then given up",
            &[paid(5, "b"), word(6, InvoiceCancelled)],
            Cancelled,
            6,
        ),
        (
            "opened again",
            &[word(5, InvoiceCancelled), word(6, PaymentFailed)],
            Open,
            6,
        ),
        (
            "opened before",
            &[word(5, InvoiceCancelled), word(4, PaymentFailed)],
            Cancelled,
            5,
        ),
        (
            "opened in the same place",
            &[word(5, InvoiceCancelled), word(5, PaymentFailed)],
            Cancelled,
            5,
        ),
        (
            "paid by whatever means",
            &[failed(4, "a"), word(5, PaymentSucceeded)],
            Recovered,
            5,
        ),
        (
            "only a part was paid by whatever means",
            &[failed(4, "a"), with_left(1, word(5, PaymentSucceeded))],
            Open,
            5,
        ),
        (
            "nothing is left",
            &[failed(4, "a"), with_left(0, word(5, PaymentSucceeded))],
            Recovered,
            5,
        ),
        (
            "the charge behind the word fails after it",
            &[paid(4, "a"), word(5, PaymentSucceeded), failed(6, "a")],
            Open,
            6,
        ),
        (
            "it failed before the word",
            &[paid(3, "a"), failed(4, "a"), word(5, PaymentSucceeded)],
            Recovered,
            5,
        ),
        (
            "it failed in the place of the word",
            &[paid(3, "a"), failed(5, "a"), word(5, PaymentSucceeded)],
            Recovered,
            5,
        ),
        (
            "a charge that never succeeded fails after the word",
            &[word(5, PaymentSucceeded), failed(6, "a")],
            Recovered,
            5,
        ),
        (
            "a charge succeeds after the word",
            &[word(5, PaymentSucceeded), paid(6, "a")],
            Recovered,
            6,
        ),
        (
            "under way, which charge nobody says",
            &[failed(4, "a"), word(5, PaymentPending)],
            Processing,
            5,
        ),
    ];
    for (name, signals, state, since) in cases {
        let intent = intent(signals);
        assert_eq!(intent.state, state, "{name}");
        assert_eq!(intent.since(), at(since), "{name}");
    }
}

#[test]
fn an_invoice_that_was_opened_again_says_by_which_word() {
    let opened = intent(&[word(5, InvoiceCancelled), word(6, PaymentFailed)]);
    assert_eq!(opened.reopened(), Some(&order(6)));
    assert_eq!(intent(&[failed(5, "a")]).reopened(), None);
}

#[test]
fn what_collected_it_is_the_latest_charge_that_did() {
    let two = intent(&[paid(6, "b"), failed(4, "a"), paid(5, "c")]);
    let (key, fact) = two.collected_by().expect("it was collected");
    assert_eq!((key.as_str(), &fact.last), ("b", &order(6)));
    let by_word = intent(&[failed(4, "a"), word(5, PaymentSucceeded)]);
    assert_eq!(by_word.collected_by(), None);
}

#[test]
fn what_is_left_is_what_was_said_last_and_nothing_only_while_it_is_over() {
    let cases: [(&str, &[Signal], i64); 7] = [
        ("nobody said", &[failed(5, "a")], 2500),
        ("some", &[with_left(1, failed(5, "a"))], 1),
        (
            "less",
            &[
                with_left(900, failed(5, "a")),
                with_left(500, failed(6, "b")),
            ],
            500,
        ),
        (
            "in any order",
            &[
                with_left(500, failed(6, "b")),
                with_left(900, failed(5, "a")),
            ],
            500,
        ),
        (
            "the first in its place",
            &[
                with_left(500, failed(6, "b")),
                with_left(900, failed(6, "a")),
            ],
            500,
        ),
        ("nothing", &[with_left(0, paid(5, "a"))], 0),
        (
            "nothing, but the charge failed",
            &[with_left(0, paid(5, "a")), failed(6, "a")],
            2500,
        ),
    ];
    for (name, signals, want) in cases {
        assert_eq!(intent(signals).left(), usd(want), "{name}");
    }
}

#[test]
fn what_it_asks_for_is_what_the_platform_said_first() {
    let asks = |amount, signal: Signal| Signal {
        amount: usd(amount),
        ..signal
    };
    let cases: [(&str, &[Signal], i64); 5] = [
        (
            "the earlier",
            &[asks(200, failed(5, "a")), asks(300, failed(4, "a"))],
            300,
        ),
        (
            "not the later",
            &[asks(200, failed(5, "a")), asks(300, failed(6, "a"))],
            200,
        ),
        (
            "not another in its place",
            &[asks(200, failed(5, "a")), asks(300, failed(5, "b"))],
            200,
        ),
        (
            "the platform's before a merchant's",
            &[
                by_merchant(asks(200, failed(5, "a"))),
                asks(300, failed(6, "a")),
            ],
            300,
        ),
        (
            "not a merchant's",
            &[
                asks(200, failed(5, "a")),
                by_merchant(asks(300, failed(4, "a"))),
            ],
            200,
        ),
    ];
    for (name, signals, want) in cases {
        assert_eq!(intent(signals).amount, usd(want), "{name}");
    }
}

#[test]
fn the_platform_knows_of_a_success_if_it_said_so_last_itself() {
    let cases: [(&str, &[Signal], bool); 6] = [
        ("it said so", &[failed(4, "a"), paid(5, "b")], true),
        (
            "a merchant did",
            &[failed(4, "a"), by_merchant(paid(5, "b"))],
            false,
        ),
        ("it failed since", &[paid(4, "b"), failed(5, "b")], false),
        ("in any order", &[failed(5, "b"), paid(4, "b")], false),
        (
            "another word in its place",
            &[paid(5, "b"), failed(5, "a")],
            true,
        ),
        ("of a part", &[with_left(1, paid(5, "b"))], false),
    ];
    for (name, signals, want) in cases {
        assert_eq!(intent(signals).platform_knows(), want, "{name}");
    }
}

#[test]
fn what_the_platform_announces_holds_until_it_says_otherwise_of_a_failure() {
    let announces = |second, next: Option<i64>| Signal {
        next_try: next.map(at),
        ..failed(second, "a")
    };
    let cases: [(&str, &[Signal], Option<i64>); 6] = [
        ("it says", &[announces(5, Some(99))], Some(99)),
        (
            "no more",
            &[announces(5, Some(99)), announces(6, None)],
            None,
        ),
        (
            "in any order",
            &[announces(6, None), announces(5, Some(99))],
            None,
        ),
        (
            "the first in its place",
            &[announces(5, Some(99)), announces(5, Some(88))],
            Some(99),
        ),
        (
            "a merchant announces nothing",
            &[announces(5, Some(99)), by_merchant(announces(6, Some(88)))],
            Some(99),
        ),
        (
            "what is no failure announces nothing",
            &[announces(5, Some(99)), word(6, PaymentPending)],
            Some(99),
        ),
    ];
    for (name, signals, want) in cases {
        assert_eq!(intent(signals).announced(), want.map(at), "{name}");
    }
}

#[test]
fn charges_are_counted_as_the_platform_does_and_ours_beside_them() {
    let ours = |second, id| {
        by_merchant(signal(
            second,
            PaymentFailed,
            Some(Charge {
                triggered_by: TriggeredBy::Internal,
                ..charge(id, Status::Failed)
            }),
        ))
    };
    let counts = |tries, signal: Signal| Signal {
        tries: Some(tries),
        ..signal
    };
    let cases: [(&str, &[Signal], (u32, u32)); 6] = [
        ("one", &[failed(5, "a")], (1, 1)),
        ("two", &[failed(5, "a"), failed(6, "b")], (2, 2)),
        ("more than we know of", &[counts(3, failed(5, "a"))], (3, 3)),
        (
            "fewer than it said before",
            &[counts(3, failed(5, "a")), counts(2, failed(6, "b"))],
            (3, 3),
        ),
        ("ours", &[failed(5, "a"), ours(6, "b")], (1, 2)),
        (
            "a merchant's that the platform counts",
            &[by_merchant(failed(5, "a"))],
            (1, 1),
        ),
    ];
    for (name, signals, want) in cases {
        let intent = intent(signals);
        let got = (intent.platform_tried(), intent.tried());
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn of_what_was_charged_the_latest_charge_that_knows_it_tells() {
    let knows = |second, id, known: Option<&str>| {
        let instrument = known.map(|token| Instrument {
            token: Some(token.into()),
            ..Instrument::default()
        });
        let details = Details {
            gateway: known.map(str::to_owned),
            instrument,
            ..Details::of(usd(2500))
        };
        let charge = Charge {
            details,
            ..charge(id, Status::Failed)
        };
        signal(second, PaymentFailed, Some(charge))
    };
    let cases: [(&[Signal], Option<&str>); 4] = [
        (&[knows(5, "a", None)], None),
        (&[knows(5, "a", Some("one"))], Some("one")),
        (
            &[knows(5, "a", Some("one")), knows(6, "b", Some("two"))],
            Some("two"),
        ),
        (
            &[knows(6, "b", None), knows(5, "a", Some("one"))],
            Some("one"),
        ),
    ];
    for (signals, want) in cases {
        let intent = intent(signals);
        let token = intent.instrument().and_then(|it| it.token.as_deref());
        assert_eq!((token, intent.gateway()), (want, want));
    }
}

#[test]
fn charges_stand_the_latest_first_and_those_of_one_time_by_their_names() {
    let intent = intent(&[failed(5, "b"), failed(7, "a"), failed(5, "c")]);
    let keys: Vec<_> = intent.by_time().map(|it| it.key().as_str()).collect();
    assert_eq!(keys, ["a", "c", "b"]);
}

#[test]
fn a_charge_is_under_way_since_it_was_made() {
    let pending = |second, id| {
        let charge = charge(id, Status::Pending);
        signal(second, PaymentPending, Some(charge))
    };
    let cases: [(&[Signal], Option<i64>); 4] = [
        (&[failed(5, "a")], None),
        (&[pending(5, "a")], Some(5)),
        (&[pending(5, "a"), failed(6, "a")], None),
        (&[pending(6, "a"), pending(5, "b")], Some(5)),
    ];
    for (signals, want) in cases {
        let intent = intent(signals);
        assert_eq!(intent.pending_since(), want.map(at));
        let state = match want {
            Some(_) => State::Processing,
            None => State::Open,
        };
        assert_eq!(intent.state, state);
    }
}

#[test]
fn signals_are_remembered_for_ten_days_and_the_last_64_of_them() {
    let ten_days = 10 * 24 * 3600;
    let mut intent = intent(&[failed(0, "a")]);
    let seen = |intent: &Intent, second| intent.has_seen(&order(second).id);
    intent.join(&failed(1, "a"), at(ten_days));
    assert!(seen(&intent, 0), "ten days to the second");
    intent.join(&failed(2, "a"), at(ten_days + 1));
    assert!(!seen(&intent, 0) && seen(&intent, 1));
    for second in 3..=65 {
        intent.join(&failed(second, "a"), at(65));
    }
    assert_eq!(intent.signals().len(), 64);
    assert!(!seen(&intent, 1) && seen(&intent, 2), "the oldest goes");
    let earliest = intent.signals().map(|(_, happened)| happened).min();
    assert_eq!(earliest, Some(at(2)));
}

#[test]
fn what_is_filed_under_recovery_and_means_nothing_changes_nothing() {
    assert_eq!(Intent::open(&word(5, SignalKind::Other), at(5)), None);
    let before = intent(&[failed(5, "a")]);
    let mut after = before.clone();
    after.join(&word(6, SignalKind::Other), at(6));
    assert_eq!(after, before);
}
