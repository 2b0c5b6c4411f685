//! The record of a delivery: what each try, hold and accident makes of it.

use super::*;
use crate::delivery::Scheme;
use crate::event::Source;
use crate::ids::{ConnectorAccountId, InvoiceId, ProfileId, SignalId};
use crate::money::{Currency, Money};
use crate::recovery::{Ask, Hold as IntentHold, Issue, Order, Signal, SignalKind, Stage};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time in range")
}

fn delivery() -> Delivery {
    Delivery::new(
        DeliveryKey {
            tenant: TenantId::parse("acme").expect("a valid id"),
            event: EventId::parse("evt").expect("a valid id"),
            endpoint: EndpointId::parse("shop").expect("a valid id"),
            round: Round::FIRST,
        },
        None,
    )
}

fn settle(
    delivery: &mut Delivery,
    status: u16,
    policy: &Policy,
    useful_until: Option<Timestamp>,
    now: i64,
) -> bool {
    settle_in(delivery.hop, delivery, status, policy, useful_until, now)
}

/// A try that began when the delivery had been parked or held `hop` times.
fn settle_in(
    hop: u32,
    delivery: &mut Delivery,
    status: u16,
    policy: &Policy,
    useful_until: Option<Timestamp>,
    now: i64,
) -> bool {
    let outcome = Outcome::answered(status);
    let verdict = Scheme::StandardWebhooks.judge(&outcome);
    let tried = Try::new(at(now), at(now), &outcome);
    let terms = Terms {
        policy,
        useful_until,
        per_mille: 0,
        hop,
        holder: Holder {
            message: "m1",
            count: 1,
        },
    };
    delivery.settle(tried, &outcome, verdict, terms, at(now))
}

#[test]
fn each_outcome_leads_to_one_state() {
    struct Case {
        name: &'static str,
        waits_s: Vec<u32>,
        status: u16,
        useful_until: Option<i64>,
        want: State,
    }
    let cases = [
        Case {
            name: "delivered",
            waits_s: vec![5],
            status: 200,
            useful_until: None,
            want: State::Delivered,
        },
        Case {
            name: "failed",
            waits_s: vec![5],
            status: 500,
            useful_until: None,
            want: State::Retrying { due: at(105) },
        },
        Case {
            name: "the longest visible wait",
            waits_s: vec![900],
            status: 500,
            useful_until: None,
            want: State::Retrying { due: at(1000) },
        },
        Case {
            name: "one second more",
            waits_s: vec![901],
            status: 500,
            useful_until: None,
            want: State::Parked { due: at(1001) },
        },
        Case {
            name: "the last try",
            waits_s: vec![],
            status: 500,
            useful_until: None,
            want: State::GivenUp {
                reason: End::RetriesExhausted,
            },
        },
        Case {
            name: "gone",
            waits_s: vec![5],
            status: 410,
            useful_until: None,
            want: State::GivenUp { reason: End::Gone },
        },
        Case {
            name: "just in time",
            waits_s: vec![5],
            status: 500,
            useful_until: Some(105),
            want: State::Retrying { due: at(105) },
        },
        Case {
            name: "too late",
            waits_s: vec![5],
            status: 500,
            useful_until: Some(104),
            want: State::Expired,
        },
    ];
    for Case {
        name,
        waits_s,
        status,
        useful_until,
        want,
    } in cases
    {
        let mut delivery = delivery();
        settle(
            &mut delivery,
            status,
            &Policy::Ladder { waits_s },
            useful_until.map(at),
            100,
        );
        assert_eq!(delivery.state, want, "{name}");
        assert_eq!(delivery.tried(), 1, "{name}");
        assert_eq!(delivery.hop, u32::from(want.as_str() == "parked"), "{name}");
    }
}

#[test]
fn a_settled_round_keeps_late_tries_and_only_a_success_changes_it() {
    let policy = Policy::Ladder { waits_s: vec![] };
    let mut delivery = delivery();
    settle(&mut delivery, 500, &policy, None, 1);
    settle(&mut delivery, 500, &policy, None, 2);
    assert_eq!(
        delivery.state,
        State::GivenUp {
            reason: End::RetriesExhausted
        }
    );
    settle(&mut delivery, 200, &policy, None, 3);
    settle(&mut delivery, 500, &policy, None, 4);
    assert_eq!((delivery.state, delivery.tried()), (State::Delivered, 4));
}

/// A message at its first receipt.
fn once(message: &str) -> Holder<'_> {
    Holder { message, count: 1 }
}

#[test]
fn a_late_failure_opens_no_settled_round_again() {
    let policy = Policy::Ladder {
        waits_s: vec![5, 5],
    };
    let mut delivery = delivery();
    settle(&mut delivery, 410, &policy, None, 1);
    settle(&mut delivery, 500, &policy, None, 2);
    let gone = State::GivenUp { reason: End::Gone };
    assert_eq!((delivery.state, delivery.tried()), (gone, 2));
}

#[test]
fn a_state_says_when_it_is_tried_next() {
    let due = at(50);
    let cases = [
        (State::Queued, None),
        (State::Retrying { due }, Some(due)),
        (State::Parked { due }, Some(due)),
        (State::Delivered, None),
        (State::Expired, None),
        (State::Superseded, None),
        (State::GivenUp { reason: End::Gone }, None),
        (
            State::Quarantined {
                cause: Cause::Stuck,
            },
            None,
        ),
    ];
    for (state, want) in cases {
        assert_eq!(state.due(), want, "{state:?}");
    }
}

#[test]
fn a_cause_has_one_name_wherever_it_is_written() {
    let cases = [
        (Cause::Undecodable, "undecodable"),
        (Cause::Panicked, "panicked"),
        (Cause::Stuck, "stuck"),
        (Cause::DeadLetter, "dead_letter"),
    ];
    for (cause, name) in cases {
        assert_eq!(cause.as_str(), name);
        let json = serde_json::to_string(&cause).ok();
        assert_eq!(json, Some(format!("\"{name}\"")));
    }
}

#[test]
fn one_message_at_a_time_holds_a_delivery() {
    let mut delivery = delivery();
    assert_eq!(
        delivery.held_from(once("m1"), at(0)),
        None,
        "nobody does at first"
    );
    delivery.claim(once("m1"), at(0));
    assert!(delivery.holds_for_a_try(once("m1"), at(5)));
    assert!(
        !delivery.holds_for_a_try(once("m1"), at(6)),
        "too late to be sure, so it claims anew"
    );
    assert!(!delivery.holds_for_a_try(once("m2"), at(0)));
    assert_eq!(delivery.held_from(once("m1"), at(0)), None);
    assert_eq!(delivery.held_from(once("m2"), at(29)), Some(at(30)));
    assert_eq!(
        delivery.held_from(once("m2"), at(30)),
        None,
        "a message that died holds nothing for ever"
    );
    settle(
        &mut delivery,
        500,
        &Policy::Ladder {
            waits_s: vec![5, 3600],
        },
        None,
        10,
    );
    let again = Holder {
        message: "m1",
        count: 2,
    };
    assert_eq!(
        delivery.held_from(again, at(10)),
        Some(at(30)),
        "its first receipt may still be at work"
    );
    delivery.keep("m1");
    assert_eq!(
        delivery.held_from(again, at(20)),
        None,
        "between tries any receipt of it may go on"
    );
    assert_eq!(
        delivery.held_from(once("m2"), at(20)),
        Some(at(75)),
        "a minute beyond its next try"
    );
    settle(
        &mut delivery,
        500,
        &Policy::Ladder {
            waits_s: vec![5, 3600],
        },
        None,
        15,
    );
    delivery.keep("m1");
    assert_eq!(delivery.hold, None, "parked, it waits for whoever comes");
}

#[test]
fn a_try_that_ends_after_a_copy_parked_or_held_the_delivery_leaves_it_to_sweep() {
    struct Case {
        name: &'static str,
        status: u16,
        waits_s: Vec<u32>,
        useful_until: Option<i64>,
        want: Option<State>,
    }
    let case = |name, status, waits_s, useful_until, want| Case {
        name,
        status,
        waits_s,
        useful_until,
        want,
    };
    let exhausted = State::GivenUp {
        reason: End::RetriesExhausted,
    };
    let gone = State::GivenUp { reason: End::Gone };
    let cases = [
        case("it would retry before that", 500, vec![5], None, None),
        case("it got through", 200, vec![5], None, Some(State::Delivered)),
        case("its endpoint is gone", 410, vec![5], None, Some(gone)),
        case("it was the last", 500, vec![], None, Some(exhausted)),
        case(
            "no longer of use",
            500,
            vec![5],
            Some(3),
            Some(State::Expired),
        ),
    ];
    for meanwhile in [
        State::Held { until: at(100) },
        State::Parked { due: at(100) },
        State::Retrying { due: at(100) },
    ] {
        for case in &cases {
            let mut delivery = delivery();
            (delivery.state, delivery.hop) = (meanwhile, 1);
            let policy = Policy::Ladder {
                waits_s: case.waits_s.clone(),
            };
            let follows = settle_in(
                0,
                &mut delivery,
                case.status,
                &policy,
                case.useful_until.map(at),
                1,
            );
            let name = case.name;
            assert_eq!(delivery.state, case.want.unwrap_or(meanwhile), "{name}");
            assert_eq!(follows, case.want.is_some(), "{name}");
            assert_eq!((delivery.hop, delivery.tried()), (1, 1), "{name}");
        }
    }
}

#[test]
fn a_try_that_ends_while_another_message_or_receipt_makes_one_leaves_the_delivery_to_that_one() {
    let policy = Policy::Ladder {
        waits_s: vec![5, 60],
    };
    let held = |message, count| {
        let mut delivery = delivery();
        delivery.claim(Holder { message, count }, at(0));
        delivery
    };
    for (message, count) in [("m2", 1), ("m1", 2)] {
        let mut delivery = held(message, count);
        let hold = delivery.hold.clone();
        assert!(!settle(&mut delivery, 500, &policy, None, 1), "{message}");
        assert_eq!(delivery.tried(), 1, "{message}");
        let due = at(6);
        assert_eq!(delivery.state, State::Retrying { due }, "after that one");
        assert_eq!(delivery.hold, hold, "{message}");
        assert!(settle(&mut delivery, 200, &policy, None, 2), "{message}");
        assert_eq!(delivery.state, State::Delivered, "{message}");
    }
    let mut own = held("m1", 1);
    assert!(settle(&mut own, 500, &policy, None, 1));
    let mut died = held("m2", 1);
    let after = settle(&mut died, 500, &policy, None, 31);
    assert!(after, "a message that died holds nothing for ever");
    let mut waits = held("m2", 1);
    settle_in(0, &mut waits, 500, &policy, None, 31);
    waits.keep("m2");
    let takes_over = settle(&mut waits, 500, &policy, None, 32);
    let due = at(92);
    let name = "who only waits waits for as long as both tries ask for";
    assert_eq!(
        (takes_over, waits.state),
        (true, State::Retrying { due }),
        "{name}"
    );
}

#[test]
fn of_copies_that_were_told_to_wait_the_longest_wait_counts() {
    let retrying = |s| State::Retrying { due: at(s) };
    let parked = |s| State::Parked { due: at(s) };
    let held = State::Held { until: at(60) };
    let set_aside = State::Quarantined {
        cause: Cause::Stuck,
    };
    // How a copy left it, how long this try, which ends after a second, is to wait, and how that leaves it; and whether it
    // stays as it is in kind where `sweep` or another try carries it on.
    for (left, wait_s, waits, stays) in [
        (State::Queued, 30, retrying(31), false),
        (retrying(20), 30, retrying(31), false),
        (retrying(60), 30, retrying(60), false),
        (retrying(60), 900, retrying(901), false),
        (retrying(60), 901, parked(902), false),
        (retrying(1_800), 30, parked(1_800), false),
        (parked(1_200), 30, parked(1_200), true),
        (parked(1_200), 1_800, parked(1_801), true),
        (held, 1_800, held, true),
        (set_aside, 30, set_aside, true),
    ] {
        let name = format!("{left:?} and {wait_s} s");
        let policy = Policy::Ladder {
            waits_s: vec![5, wait_s],
        };
        let fails = |prepare: fn(&mut Delivery)| {
            let mut delivery = delivery();
            settle(&mut delivery, 429, &policy, None, 0);
            delivery.state = left;
            prepare(&mut delivery);
            let hop = delivery.hop;
            let follows = settle_in(0, &mut delivery, 500, &policy, None, 1);
            assert_eq!(delivery.state, waits, "{name}");
            let parks = matches!(waits, State::Parked { .. }) && !stays;
            assert_eq!(delivery.hop, hop + u32::from(parks), "{name}");
            follows
        };
        assert!(stays || fails(|it| it.keep("m2")), "{name}, it waits");
        let other = |it: &mut Delivery| {
            it.hold = Some(Hold {
                by: "m2".to_owned(),
                receipt: Some(1),
                until: at(30),
            });
        };
        assert!(!fails(other), "{name}, another one is at its try");
        assert!(!fails(|it| it.hop = 1), "{name}, it was sent anew");
    }
}

#[test]
fn a_try_of_what_was_parked_or_set_aside_is_followed_by_its_own_message() {
    let policy = Policy::Ladder { waits_s: vec![30] };
    let parked = State::Parked { due: at(0) };
    let set_aside = State::Quarantined {
        cause: Cause::Stuck,
    };
    for left in [parked, set_aside] {
        let mut delivery = delivery();
        (delivery.state, delivery.hop) = (left, 1);
        assert!(settle(&mut delivery, 500, &policy, None, 1), "{left:?}");
        let due = at(31);
        assert_eq!(delivery.state, State::Retrying { due }, "{left:?}");
        assert_eq!(delivery.hop, 1, "{left:?}");
    }
}

/// That an invoice could not be collected.
fn failed() -> Signal {
    let id = SignalId::parse("evt_1").expect("a valid id");
    let currency = Currency::parse("EUR").expect("an ISO code");
    Signal {
        id: id.clone(),
        source: Source::new("stripe"),
        by_merchant: false,
        intent: IntentKey {
            profile_id: ProfileId::parse("p").expect("a valid id"),
            connector_account_id: ConnectorAccountId::parse("c").expect("a valid id"),
            invoice_id: InvoiceId::parse("i").expect("a valid id"),
        },
        kind: SignalKind::PaymentFailed,
        order: Order {
            at: at(0),
            rank: 0,
            id,
        },
        amount: Money {
            amount: 2500,
            currency,
        },
        left: None,
        tries: None,
        next_try: None,
        charge: None,
    }
}

#[test]
fn a_guarded_retry_goes_out_only_while_its_intent_awaits_this_telling_of_it() {
    struct Case {
        name: &'static str,
        stage: Option<Stage>,
        hold: Option<IntentHold>,
        now: i64,
        want: Option<State>,
    }
    let case = |name, stage, now, want| Case {
        name,
        stage,
        hold: None,
        now,
        want,
    };
    let due = |number, times| {
        let what = Ask::of(Money {
            amount: 2500,
            currency: Currency::parse("EUR").expect("an ISO code"),
        });
        Some(Stage::Due(Issue {
            times,
            sent: true,
            ..Issue::new(number, at(100), at(200), what)
        }))
    };
    let superseded = Some(State::Superseded);
    let cases = [
        case("as it was told", due(2, 1), 100, None),
        case("at its deadline", due(2, 1), 200, None),
        case("after it", due(2, 1), 201, Some(State::Expired)),
        case("another retry", due(3, 1), 100, superseded),
        case("told again since", due(2, 2), 100, superseded),
        case("nothing is due", Some(Stage::Idle), 100, superseded),
        case(
            "planned anew",
            Some(Stage::Planned { at: at(90) }),
            100,
            superseded,
        ),
        case("no intent", None, 100, superseded),
        case("no intent any more", None, 201, Some(State::Expired)),
        Case {
            hold: Some(IntentHold::Paused),
            ..case("paused", due(2, 1), 100, superseded)
        },
        Case {
            hold: Some(IntentHold::Cancelled),
            ..case("cancelled by hand", due(2, 1), 100, superseded)
        },
    ];
    let signal = failed();
    let guard = Guard::RetryDue {
        intent: signal.intent.clone(),
        number: 2,
        times: 1,
        deadline: at(200),
    };
    assert_eq!(guard.deadline(), at(200));
    for Case {
        name,
        stage,
        hold,
        now,
        want,
    } in cases
    {
        let intent = stage.map(|stage| {
            let mut intent = Intent::open(&signal, at(0)).expect("it tells of an invoice");
            intent.retry.stage = stage;
            intent.retry.hold = hold;
            intent
        });
        assert_eq!(guard.ends(intent.as_ref(), at(now)), want, "{name}");
    }
}

#[test]
fn a_delivery_is_set_aside_unless_it_is_over_or_another_message_carries_it_on() {
    let cause = Cause::Stuck;
    let quarantined = State::Quarantined { cause };
    let retrying = State::Retrying { due: at(50) };
    let parked = State::Parked { due: at(2000) };
    struct Case {
        name: &'static str,
        state: State,
        hold: Option<(&'static str, i64)>,
        hop: u32,
        want: State,
    }
    let case = |name, state, hold, hop, want| Case {
        name,
        state,
        hold,
        hop,
        want,
    };
    let cases = [
        case("never tried", State::Queued, None, 1, quarantined),
        case("its own hold", retrying, Some(("m1", 99)), 1, quarantined),
        case(
            "a hold that has ended",
            retrying,
            Some(("m2", 10)),
            1,
            quarantined,
        ),
        case("another's hold", retrying, Some(("m2", 11)), 1, retrying),
        case("an earlier hop", retrying, None, 0, retrying),
        case("parked", parked, None, 1, parked),
        case("delivered", State::Delivered, None, 1, State::Delivered),
        case("set aside before", quarantined, None, 1, quarantined),
    ];
    for Case {
        name,
        state,
        hold,
        hop,
        want,
    } in cases
    {
        let mut delivery = delivery();
        (delivery.state, delivery.hop) = (state, 1);
        delivery.hold = hold.map(|(by, until)| Hold {
            by: by.to_owned(),
            receipt: None,
            until: at(until),
        });
        let changed = delivery.set_aside(cause, hop, |by| by == "m1", at(10));
        assert_eq!(delivery.state, want, "{name}");
        assert_eq!(changed, want == quarantined, "{name}");
    }
}

#[test]
fn a_delivery_set_aside_is_not_over_and_a_claim_takes_it_up() {
    let mut delivery = delivery();
    assert!(delivery.set_aside(Cause::Panicked, 0, |_| true, at(0)));
    assert!(!delivery.state.settled());
    delivery.claim(once("m2"), at(1));
    assert_eq!(delivery.state, State::Queued);
}
