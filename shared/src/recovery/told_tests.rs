//! What merchants are told of an intent, to the member, and under which ids.

use serde_json::{Value, json};

use super::*;
use crate::recovery::parts::{at, charge, intent, key, signal, tenant, usd};
use crate::recovery::{Ask, Decline, Details, Hurry, Signal, SignalKind};
use SignalKind::{InvoiceCancelled, PaymentFailed, PaymentSucceeded};

fn failed(second: i64, id: &str) -> Signal {
    let decline = Decline {
        code: "card_declined".into(),
        message: Some("Declined.".into()),
        ..Decline::default()
    };
    let charge = Charge {
        details: Details {
            decline: Some(decline),
            transaction_id: Some(format!("txn_{id}")),
            ..Details::of(usd(2500))
        },
        ..charge(id, Status::Failed)
    };
    signal(second, PaymentFailed, Some(charge))
}

fn paid(second: i64, id: &str) -> Signal {
    let charge = Charge {
        triggered_by: TriggeredBy::Internal,
        details: Details::of(usd(2400)),
        ..charge(id, Status::Succeeded)
    };
    Signal {
        left: Some(usd(0)),
        ..signal(second, PaymentSucceeded, Some(charge))
    }
}

fn word(second: i64, kind: SignalKind) -> Signal {
    signal(second, kind, None)
}

fn cascading() -> Terms {
    Terms {
        mode: Mode::Cascading,
        ..Terms::default()
    }
}

/// Type, time and payload of an event, without the invoice, which is checked.
fn said(event: &Event) -> (String, Timestamp, Value) {
    let mut data: Value = serde_json::from_str(event.data.as_str()).expect("it is JSON");
    let members = data.as_object_mut().expect("it is an object");
    for (name, want) in [
        ("profile_id", "pro_1"),
        ("connector_account_id", "mca_1"),
        ("invoice_id", "in_1"),
    ] {
        assert_eq!(members.remove(name), Some(json!(want)), "{name}");
    }
    assert_eq!(event.resource.as_deref(), Some("in_1"));
    assert_eq!(event.source.as_str(), "stripe");
    (event.event_type.to_string(), event.at, data)
}

fn ending(signals: &[Signal]) -> Option<Event> {
    Told::new(&tenant(), &intent(signals)).ending()
}

#[test]
fn a_charge_is_told_in_the_status_that_the_signal_says() {
    let story = [failed(5, "a"), paid(6, "b")];
    let intent = intent(&story);
    let tenant = tenant();
    let told = Told::new(&tenant, &intent);
    let one = |signal: &Signal| {
        let charge = signal.charge.as_ref().expect("it names a charge");
        told.payment(charge).map(|event| said(&event))
    };
    let data = json!({
        "charge": "a",
        "transaction_id": "txn_a",
        "amount": 2500,
        "currency": "USD",
        "triggered_by": "external",
        "error_code": "card_declined",
        "error_message": "Declined.",
        "occurred_at": "1970-01-01T00:00:05Z",
    });
    let want = ("recovery.payment_failed".to_owned(), at(5), data);
    assert_eq!(one(&failed(5, "a")), Some(want));
    let data = json!({
        "charge": "b",
        "amount": 2400,
        "currency": "USD",
        "triggered_by": "internal",
        "occurred_at": "1970-01-01T00:00:06Z",
    });
    let want = ("recovery.payment_succeeded".to_owned(), at(6), data);
    assert_eq!(one(&paid(6, "b")), Some(want));
    assert_eq!(one(&paid(6, "a")), None, "it never succeeded");
    assert_eq!(one(&failed(5, "c")), None, "nobody knows it");
}

#[test]
fn an_end_is_told_of_what_had_failed_or_was_given_up() {
    let recovered = |charge: Option<&str>, amount, by: Option<&str>, tried: u32| {
        let mut data = json!({
            "amount": amount,
            "currency": "USD",
            "charges_tried": tried,
            "retries_told": 0,
        });
        let members = data.as_object_mut().expect("it is an object");
        members.extend(charge.map(|id| ("charge".to_owned(), json!(id))));
        members.extend(by.map(|by| ("triggered_by".to_owned(), json!(by))));
        data
    };
    let event = |kind: &str, second, data| Some((kind.to_owned(), at(second), data));
    let cancelled = json!({
        "amount": 2500,
        "currency": "USD",
        "by": "platform",
        "charges_tried": 1,
        "retries_told": 0,
    });
    let cases: [(&str, &[Signal], _); 6] = [
        ("open", &[failed(5, "a")], None),
        ("collected at once", &[paid(5, "a")], None),
        (
            "collected after a failure",
            &[failed(5, "a"), paid(6, "b")],
            event(
                "recovery.recovered",
                6,
                recovered(Some("b"), 2400, Some("internal"), 2),
            ),
        ),
        (
            "collected by two",
            &[failed(5, "a"), paid(6, "b"), paid(7, "c")],
            event(
                "recovery.recovered",
                7,
                recovered(Some("c"), 2400, Some("internal"), 3),
            ),
        ),
        (
            "paid by whatever means",
            &[failed(5, "a"), word(6, PaymentSucceeded)],
            event("recovery.recovered", 6, recovered(None, 2500, None, 1)),
        ),
        (
            "given up",
            &[failed(5, "a"), word(6, InvoiceCancelled)],
            event("recovery.cancelled", 6, cancelled),
        ),
    ];
    for (name, signals, want) in cases {
        let got = ending(signals).map(|event| said(&event));
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn an_end_that_comes_again_after_the_invoice_was_opened_is_another_one() {
    let id = |signals: &[Signal]| ending(signals).map(|event| event.id);
    for kind in [InvoiceCancelled, PaymentSucceeded] {
        let once = [failed(4, "a"), word(5, kind)];
        let again = [
            failed(4, "a"),
            word(5, kind),
            word(6, PaymentFailed),
            word(7, kind),
        ];
        assert!(id(&once).is_some() && id(&again).is_some(), "{kind:?}");
        assert_ne!(id(&once), id(&again), "{kind:?}");
    }
}

#[test]
fn an_operators_cancel_is_told_of_its_time() {
    let intent = intent(&[failed(5, "a")]);
    let tenant = tenant();
    let told = Told::new(&tenant, &intent);
    let one = told.cancelled(CancelledBy::Operator, at(9));
    let data = json!({
        "amount": 2500,
        "currency": "USD",
        "by": "operator",
        "charges_tried": 1,
        "retries_told": 0,
    });
    assert_eq!(said(&one), ("recovery.cancelled".to_owned(), at(9), data));
    let other = told.cancelled(CancelledBy::Operator, at(10));
    assert_ne!(one.id, other.id);
}

#[test]
fn a_plan_is_told_where_somebody_is_asked_to_charge() {
    let planned = Stage::Planned { at: at(99) };
    let ended = |reason| Stage::Ended { reason };
    let scheduled = json!({
        "amount": 2500,
        "currency": "USD",
        "retry": 1,
        "scheduled_at": "1970-01-01T00:01:39Z",
        "error_code": "card_declined",
        "charges_tried": 1,
        "retries_told": 0,
    });
    let exhausted = |reason: &str| {
        let data = json!({
            "amount": 2500,
            "currency": "USD",
            "reason": reason,
            "charges_tried": 1,
            "retries_told": 0,
        });
        Some(("recovery.limits_exhausted".to_owned(), at(5), data))
    };
    let mut hurried = intent(&[failed(5, "a")]);
    hurried.retry.hurried = Some(Hurry { told: 0, at: at(9) });
    let usual = intent(&[failed(5, "a")]);
    let plan = Some(("recovery.retry_scheduled".to_owned(), at(5), scheduled));
    let monitoring = Terms::default();
    let cases = [
        (&usual, &cascading(), planned.clone(), plan.clone()),
        (&usual, &monitoring, planned.clone(), None),
        (&hurried, &monitoring, planned, plan),
        (
            &usual,
            &cascading(),
            ended(EndReason::RetriesExhausted),
            exhausted("retries_exhausted"),
        ),
        (
            &usual,
            &cascading(),
            ended(EndReason::GracePeriodExpired),
            exhausted("grace_period_expired"),
        ),
        (
            &usual,
            &cascading(),
            ended(EndReason::HardDeclined),
            exhausted("hard_declined"),
        ),
        (&usual, &cascading(), ended(EndReason::Cancelled), None),
        (&usual, &cascading(), ended(EndReason::Recovered), None),
        (&usual, &cascading(), Stage::Held, None),
    ];
    let tenant = tenant();
    for (intent, terms, stage, want) in cases {
        let event = Told::new(&tenant, intent).planned(1, &stage, terms);
        let got = event.map(|event| said(&event));
        assert_eq!(got, want, "{stage:?} {:?}", terms.mode);
    }
}

#[test]
fn every_telling_of_a_retry_has_its_own_id_and_the_same_idempotency_key() {
    let mut intent = intent(&[failed(5, "a")]);
    intent.retry.told = 3;
    let tenant = tenant();
    let told = Told::new(&tenant, &intent);
    let what = Ask {
        token: Some("pm_1".into()),
        customer: Some("cus_1".into()),
        payment_account: Some("acct_1".into()),
        ..Ask::of(usd(2500))
    };
    let first = Issue::new(3, at(100), at(200), what);
    let again = Issue {
        times: 2,
        ..first.clone()
    };
    let next = Issue {
        number: 4,
        ..first.clone()
    };
    let [one, two, three] = [first, again, next].map(|issue| told.retry_due(&issue, at(100)));
    let (event_type, happened, mut data) = said(&one);
    let key = |data: &Value| data.get("idempotency_key").cloned();
    let of_one = key(&data);
    assert!(of_one.is_some());
    assert_eq!(key(&said(&two).2), of_one);
    assert_ne!(key(&said(&three).2), of_one);
    assert_ne!(one.id, two.id);
    let members = data.as_object_mut().expect("it is an object");
    members.remove("idempotency_key");
    let want = json!({
        "amount": 2500,
        "currency": "USD",
        "retry": 3,
        "deadline": "1970-01-01T00:03:20Z",
        "token": "pm_1",
        "customer": "cus_1",
        "payment_account": "acct_1",
        "error_code": "card_declined",
        "charges_tried": 1,
        "retries_told": 3,
    });
    assert_eq!(
        (event_type.as_str(), happened),
        ("recovery.retry_due", at(100))
    );
    assert_eq!(data, want);
}

#[test]
fn what_is_told_of_two_invoices_is_never_one_event() {
    let of = |invoice| Signal {
        intent: key(invoice),
        ..failed(5, "a")
    };
    let tenant = tenant();
    let ids = |invoice| {
        let intent = intent(&[of(invoice)]);
        let told = Told::new(&tenant, &intent);
        let charge = of(invoice).charge.expect("it names a charge");
        let payment = told.payment(&charge).expect("it is known");
        let due = Issue::new(1, at(9), at(10), Ask::of(usd(2500)));
        let due = told.retry_due(&due, at(9));
        let data: Value = serde_json::from_str(due.data.as_str()).expect("it is JSON");
        (payment.id, due.id, data.get("idempotency_key").cloned())
    };
    let (one, other) = (ids("in_1"), ids("in_2"));
    assert_ne!(one.0, other.0);
    assert_ne!(one.1, other.1);
    assert_ne!(one.2, other.2);
}
