//! What one step promises, and the law that the order of arrival does not matter.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::event::Source;
use crate::ids::{ChargeKey, ConnectorAccountId, InvoiceId, ProfileId, SignalId};
use crate::money::{Currency, Money};
use crate::recovery::{Charge, State, Status};
use crate::recovery::{ChargeId, Decline, Details, IntentKey, Order, SignalKind};

fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a valid id")
}

fn usd(amount: i64) -> Money {
    Money {
        amount,
        currency: Currency::parse("USD").expect("an ISO code"),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_735_689_600 + second).expect("a time in range")
}

/// A signal `id` at `second` about `charge`, if any.
fn signal(id: &str, second: i64, kind: SignalKind, charge: Option<&str>) -> Signal {
    let id = SignalId::parse(id).expect("a valid id");
    let (status, rank) = match kind {
        SignalKind::PaymentFailed => (Status::Failed, 0),
        SignalKind::PaymentPending => (Status::Pending, 1),
        SignalKind::InvoiceCancelled => (Status::Failed, 2),
        SignalKind::PaymentSucceeded | SignalKind::Other => (Status::Succeeded, 3),
    };
    Signal {
        id: id.clone(),
        source: Source::new("stripe"),
        by_merchant: false,
        intent: IntentKey {
            profile_id: ProfileId::parse("pro_1").expect("a valid id"),
            connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
            invoice_id: InvoiceId::parse("in_1").expect("a valid id"),
        },
        kind,
        order: Order {
            at: at(second),
            rank,
            id,
        },
        amount: usd(2500),
        left: None,
        tries: None,
        next_try: None,
        charge: charge.map(|key| Charge {
            ids: BTreeSet::from([ChargeId::Psp(ChargeKey::parse(key).expect("a valid id"))]),
            status,
            triggered_by: TriggeredBy::External,
            retry: None,
            details: Details {
                decline: (status == Status::Failed).then(|| Decline {
                    code: "card_declined".into(),
                    ..Decline::default()
                }),
                ..Details::of(usd(2500))
            },
        }),
    }
}

fn step(known: Option<Intent>, signal: &Signal, now: Timestamp) -> Step {
    join(known, signal, now).finish(&tenant(), signal, &Terms::default(), &BTreeMap::new(), now)
}

fn run(signals: &[Signal]) -> (Option<Intent>, Vec<String>) {
    let mut known = None;
    let mut told = Vec::new();
    for signal in signals {
        let step = step(known, signal, at(0));
        known = step.intent;
        for event in step.events {
            let line = event.event_type.to_string();
            if !told.contains(&(event.id.clone(), line.clone())) {
                told.push((event.id, line));
            }
        }
    }
    (known, told.into_iter().map(|(_, line)| line).collect())
}

#[test]
fn signals_make_these_events_and_leave_this_state() {
    use SignalKind::*;
    struct Case {
        name: &'static str,
        signals: Vec<Signal>,
        events: Vec<&'static str>,
        state: State,
    }
    let failed = || signal("evt_1", 1, PaymentFailed, Some("ch_1"));
    let paid = || signal("evt_2", 9, PaymentSucceeded, Some("ch_2"));
    let cases = [
        Case {
            name: "a failure",
            signals: vec![failed()],
            events: vec!["recovery.payment_failed"],
            state: State::Open,
        },
        Case {
            name: "a failure, then the success of another charge",
            signals: vec![failed(), paid()],
            events: vec![
                "recovery.payment_failed",
                "recovery.payment_succeeded",
                "recovery.recovered",
            ],
            state: State::Recovered,
        },
        Case {
            name: "the success arrives before the failure it follows",
            signals: vec![paid(), failed()],
            events: vec![
                "recovery.payment_succeeded",
                "recovery.payment_failed",
                "recovery.recovered",
            ],
            state: State::Recovered,
        },
        Case {
            name: "a first charge that succeeds recovers nothing",
            signals: vec![paid()],
            events: vec!["recovery.payment_succeeded"],
            state: State::Recovered,
        },
        Case {
            name: "two signals for one success",
            signals: vec![
                failed(),
                paid(),
                signal("evt_3", 9, PaymentSucceeded, Some("ch_2")),
            ],
            events: vec![
                "recovery.payment_failed",
                "recovery.payment_succeeded",
                "recovery.recovered",
            ],
            state: State::Recovered,
        },
        Case {
            name: "the same charge under a new signal id",
            signals: vec![failed(), signal("evt_9", 1, PaymentFailed, Some("ch_1"))],
            events: vec!["recovery.payment_failed"],
            state: State::Open,
        },
        Case {
            name: "a charge becomes known, then fails",
            signals: vec![signal("evt_0", 0, PaymentPending, Some("ch_1")), failed()],
            events: vec!["recovery.payment_pending", "recovery.payment_failed"],
            state: State::Open,
        },
        Case {
            name: "cancelled for an unknown invoice",
            signals: vec![signal("evt_4", 5, InvoiceCancelled, None)],
            events: vec!["recovery.cancelled"],
            state: State::Cancelled,
        },
        Case {
            name: "cancelled, and the late word of an earlier failure",
            signals: vec![signal("evt_4", 5, InvoiceCancelled, None), failed()],
            events: vec!["recovery.cancelled", "recovery.payment_failed"],
            state: State::Cancelled,
        },
        Case {
            name: "a late failure reopens what was recovered",
            signals: vec![
                failed(),
                paid(),
                signal("evt_5", 20, PaymentFailed, Some("ch_2")),
            ],
            events: vec![
                "recovery.payment_failed",
                "recovery.payment_succeeded",
                "recovery.recovered",
                "recovery.payment_failed",
            ],
            state: State::Open,
        },
        Case {
            name: "paid out of band after a failure",
            signals: vec![failed(), signal("evt_6", 9, PaymentSucceeded, None)],
            events: vec!["recovery.payment_failed", "recovery.recovered"],
            state: State::Recovered,
        },
        Case {
            name: "collected after it had been given up",
            signals: vec![failed(), signal("evt_4", 5, InvoiceCancelled, None), paid()],
            events: vec![
                "recovery.payment_failed",
                "recovery.cancelled",
                "recovery.payment_succeeded",
                "recovery.recovered",
            ],
            state: State::Recovered,
        },
    ];
    for Case {
        name,
        signals,
        events,
        state,
    } in cases
    {
        let (intent, told) = run(&signals);
        assert_eq!(told, events, "{name}");
        assert_eq!(intent.map(|intent| intent.state), Some(state), "{name}");
    }
}

#[test]
fn a_signal_seen_before_changes_nothing_and_tells_the_same_again() {
    let failed = signal("evt_1", 1, SignalKind::PaymentFailed, Some("ch_1"));
    let first = step(None, &failed, at(2));
    let again = step(first.intent.clone(), &failed, at(3));
    assert!(first.changed);
    assert!(!again.changed);
    assert_eq!(again.intent, first.intent);
    assert_eq!(again.events, first.events);
}

#[test]
fn a_signal_without_meaning_for_recovery_makes_no_intent() {
    let got = step(None, &signal("evt_1", 1, SignalKind::Other, None), at(1));
    assert_eq!(
        got,
        Step {
            intent: None,
            ledgers: BTreeMap::new(),
            changed: false,
            action: Action::InvalidAction,
            events: vec![],
            record_back: false,
        }
    );
}

#[test]
fn our_own_charge_echoed_calls_for_nothing() {
    let failed = signal("evt_1", 1, SignalKind::PaymentFailed, Some("ch_1"));
    let mut intent = step(None, &failed, at(1))
        .intent
        .expect("a failure opens an intent");
    for attempt in &mut intent.attempts {
        attempt.triggered_by = TriggeredBy::Internal;
    }
    let echo = signal("evt_2", 2, SignalKind::PaymentFailed, Some("ch_1"));
    assert_eq!(step(Some(intent), &echo, at(2)).action, Action::NoAction);
}

#[test]
fn the_payload_is_what_merchants_are_promised() {
    let failed = signal("evt_1", 60, SignalKind::PaymentFailed, Some("ch_1"));
    let step = step(None, &failed, at(61));
    let bodies: Vec<_> = step
        .events
        .iter()
        .map(|event| event.data.as_str())
        .collect();
    assert_eq!(
        bodies,
        [
            r#"{"profile_id":"pro_1","connector_account_id":"mca_1","invoice_id":"in_1","charge":"ch_1","amount":2500,"currency":"USD","triggered_by":"external","error_code":"card_declined","occurred_at":"2025-01-01T00:01:00Z"}"#
        ]
    );
}

#[test]
fn what_is_remembered_of_signals_is_bounded_in_time_and_number() {
    let mut known = None;
    for number in 0..200 {
        let signal = signal(
            &format!("evt_{number}"),
            number,
            SignalKind::PaymentFailed,
            Some("ch_1"),
        );
        known = step(known, &signal, at(number)).intent;
    }
    assert_eq!(
        known.as_ref().map(|intent| intent.signals().len()),
        Some(64)
    );
    let late = signal(
        "evt_late",
        11 * 24 * 3600,
        SignalKind::PaymentFailed,
        Some("ch_1"),
    );
    let known = step(known, &late, at(11 * 24 * 3600)).intent;
    assert_eq!(known.map(|intent| intent.signals().len()), Some(1));
}

fn any_signal() -> impl Strategy<Value = Signal> {
    let kind = prop_oneof![
        Just(SignalKind::PaymentFailed),
        Just(SignalKind::PaymentPending),
        Just(SignalKind::PaymentSucceeded),
        Just(SignalKind::InvoiceCancelled),
    ];
    (0..40_u32, 0..4_i64, kind, 0..3_u8).prop_map(|(id, second, kind, charge)| {
        let charge =
            (kind != SignalKind::InvoiceCancelled && charge > 0).then(|| format!("ch_{charge}"));
        // One notification has one content, so the id names all of it.
        let id = format!("evt_{id}_{second}_{kind:?}_{charge:?}");
        signal(&id, second, kind, charge.as_deref())
    })
}

/// All of an intent but what was made of the timetable on the way.
fn state(intent: Option<Intent>) -> Option<Intent> {
    intent.map(|mut intent| {
        intent.retry.plans.clear();
        intent
    })
}

proptest! {
    #[test]
    fn the_same_signals_in_any_order_and_number_leave_the_same_state(
        (signals, shuffled) in prop::collection::vec(any_signal(), 1..8)
            .prop_flat_map(|signals| {
                let twice = [signals.clone(), signals.clone()].concat();
                (Just(signals), Just(twice).prop_shuffle())
            })
    ) {
        let (straight, told) = run(&signals);
        let (mixed, told_mixed) = run(&shuffled);
        prop_assert_eq!(state(straight), state(mixed));
        let recovered = |told: &[String]| told.iter().any(|line| line == "recovery.payment_failed");
        prop_assert_eq!(recovered(&told), recovered(&told_mixed));
    }
}
