//! Which tokens take part in a step, which reports answer a retry, and which successes the platform has to be told of.

use super::*;
use crate::recovery::parts::{at, charge, intent, signal, tenant, usd};
use crate::recovery::{Charge, Details, Instrument, Status};
use SignalKind::{PaymentFailed, PaymentSucceeded};

fn of_token(second: i64, status: Status, token: &str) -> Signal {
    let instrument = Instrument {
        token: Some(token.into()),
        ..Instrument::default()
    };
    let charge = Charge {
        details: Details {
            instrument: Some(instrument),
            ..Details::of(usd(2500))
        },
        ..charge(&format!("ch_{second}"), status)
    };
    let kind = match status {
        Status::Failed => PaymentFailed,
        Status::Pending => SignalKind::PaymentPending,
        Status::Succeeded => PaymentSucceeded,
    };
    signal(second, kind, Some(charge))
}

#[test]
fn each_token_takes_part_once_and_eight_at_most_that_of_the_next_charge_first() {
    let before = |tokens: &[&str]| {
        let pending = tokens.iter().zip(0..);
        let pending = pending.map(|(token, second)| of_token(second, Status::Pending, token));
        intent(&pending.collect::<Vec<_>>())
    };
    let tokens = |known: Intent| {
        let first_failure = of_token(50, Status::Failed, "next");
        join(Some(known), &first_failure, at(50)).tokens
    };
    assert_eq!(tokens(before(&["a", "b", "a"])), ["next", "a", "b"]);
    let many = before(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    let want = ["next", "i", "h", "g", "f", "e", "d", "c"];
    assert_eq!(tokens(many), want, "the latest of them");
    let nothing_failed = join(None, &of_token(5, Status::Pending, "a"), at(5));
    assert_eq!(nothing_failed.tokens(), [""; 0]);
}

#[test]
fn a_report_answers_no_retry_that_nobody_was_told_of() {
    let cases = [
        (0, Some(1), None),
        (2, Some(0), None),
        (2, Some(1), Some(1)),
        (2, Some(2), Some(2)),
        (2, Some(3), None),
        (2, None, None),
    ];
    for (told, retry, want) in cases {
        let mut known = intent(&[of_token(0, Status::Failed, "a")]);
        known.retry.told = told;
        let report = signal(
            5,
            PaymentFailed,
            Some(Charge {
                retry,
                ..charge("ch_5", Status::Failed)
            }),
        );
        let joined = join(Some(known), &report, at(5)).intent;
        let joined = joined.expect("there is an invoice");
        let charge = report.charge.as_ref().expect("it names a charge");
        let attempt = joined.attempt(charge).expect("it is known");
        assert_eq!(attempt.retry, want, "{told} {retry:?}");
    }
}

#[test]
fn the_platform_is_told_of_a_success_of_ours_that_it_does_not_know() {
    let ours = || Signal {
        by_merchant: true,
        ..signal(
            5,
            PaymentSucceeded,
            Some(Charge {
                triggered_by: TriggeredBy::Internal,
                ..charge("ch_5", Status::Succeeded)
            }),
        )
    };
    let failed_before = Signal {
        by_merchant: true,
        ..signal(
            4,
            PaymentFailed,
            Some(Charge {
                triggered_by: TriggeredBy::Internal,
                ..charge("ch_5", Status::Failed)
            }),
        )
    };
    let external = Signal {
        by_merchant: true,
        ..signal(5, PaymentSucceeded, Some(charge("ch_5", Status::Succeeded)))
    };
    let of_part = Signal {
        left: Some(usd(1)),
        ..ours()
    };
    let by_platform = Signal {
        by_merchant: false,
        ..ours()
    };
    let wanted = Terms {
        record_back: true,
        ..Terms::default()
    };
    let not_wanted = Terms::default();
    let failed = || intent(&[of_token(0, Status::Failed, "a")]);
    let knows = intent(&[
        of_token(0, Status::Failed, "a"),
        signal(9, PaymentSucceeded, None),
    ]);
    let told = |charge: &str, state| {
        let mut intent = failed();
        intent.record_back = Some(RecordBack {
            state,
            charge: crate::ids::ChargeKey::parse(charge).expect("a valid id"),
            began_by: None,
            tries: 1,
            at: at(1),
            status: None,
            platform_id: None,
        });
        intent
    };
    let under_way = Signal {
        kind: SignalKind::PaymentPending,
        ..ours()
    };
    let collected = intent(&[of_token(0, Status::Failed, "a"), ours()]);
    let cases = [
        ("ours", failed(), ours(), &wanted, true),
        (
            "of another time",
            collected,
            Signal {
                id: signal(4, PaymentFailed, None).id,
                ..under_way
            },
            &wanted,
            false,
        ),
        (
            "a failure before it",
            intent(&[of_token(0, Status::Failed, "a"), ours()]),
            failed_before,
            &wanted,
            false,
        ),
        ("not wanted", failed(), ours(), &not_wanted, false),
        ("not ours", failed(), external, &wanted, false),
        ("a part", failed(), of_part, &wanted, false),
        ("the platform's own", failed(), by_platform, &wanted, false),
        ("it knows", knows, ours(), &wanted, false),
        (
            "told before",
            told("ch_5", Recording::Failed),
            ours(),
            &wanted,
            false,
        ),
        (
            "told of another",
            told("ch_4", Recording::Recorded),
            ours(),
            &wanted,
            true,
        ),
    ];
    let none = BTreeMap::new();
    for (name, known, signal, terms, want) in cases {
        let joined = join(Some(known), &signal, at(5));
        let step = joined.finish(&tenant(), &signal, terms, &none, at(5));
        assert_eq!(step.record_back, want, "{name}");
        let Some(intent) = step.intent else {
            panic!("{name}: there is an invoice");
        };
        let waits = |it: &RecordBack| it.state == Recording::Waiting;
        let waiting = intent.record_back.as_ref().is_some_and(waits);
        assert_eq!(waiting, want, "{name}");
        // The same signal once more says the same, for as long as the platform was not told; another one does not.
        let again = join(Some(intent.clone()), &signal, at(6));
        let again = again.finish(&tenant(), &signal, terms, &none, at(6));
        assert_eq!((again.changed, again.record_back), (false, want), "{name}");
        let other = of_token(7, Status::Failed, "a");
        let other_step = join(Some(intent), &other, at(7));
        let other_step = other_step.finish(&tenant(), &other, terms, &none, at(7));
        assert!(!other_step.record_back, "{name}");
    }
}

#[test]
fn amounts_of_another_currency_change_nothing() {
    let known = intent(&[of_token(0, Status::Failed, "a")]);
    let mut foreign = of_token(5, Status::Failed, "a");
    foreign.amount.currency = crate::money::Currency::parse("EUR").expect("an ISO code");
    let joined = join(Some(known.clone()), &foreign, at(5));
    assert_eq!(joined.action, Action::InvalidAction);
    assert_eq!((joined.intent, joined.changed), (Some(known), false));
}

#[test]
fn a_plan_is_kept_with_the_signal_that_changed_it_and_with_no_other() {
    let none = BTreeMap::new();
    let terms = Terms::default();
    let mut known = None;
    let mut plans = Vec::new();
    let story = [
        of_token(0, Status::Failed, "a"),
        // An echo of the first charge, one under way, and what comes of that.
        signal(1, PaymentFailed, Some(charge("ch_0", Status::Failed))),
        of_token(2, Status::Pending, "a"),
        signal(3, PaymentFailed, Some(charge("ch_2", Status::Failed))),
        of_token(4, Status::Succeeded, "a"),
    ];
    for signal in &story {
        let step = join(known, signal, at(5)).finish(&tenant(), signal, &terms, &none, at(5));
        let intent = step.intent.expect("there is an invoice");
        let kept = intent.retry.plans.iter();
        plans.push(kept.map(|plan| plan.signal.to_string()).collect::<Vec<_>>());
        known = Some(intent);
    }
    let want = [
        vec!["evt_0"],
        vec!["evt_0"],
        vec!["evt_0"],
        vec!["evt_0", "evt_3"],
        vec!["evt_0", "evt_3"],
    ];
    assert_eq!(plans, want);
}
