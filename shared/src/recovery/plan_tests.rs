//! Where retries stand, worked out from what is known of an invoice; and what is entered of it for its tokens.

use super::*;
use crate::recovery::parts::{at, charge, intent, key, signal, usd};
use crate::recovery::{
    Ask, Card, Charge, Claim, Decline, Details, Hurry, Instrument, Signal, SignalKind, TriggeredBy,
};
use SignalKind::{InvoiceCancelled, PaymentFailed, PaymentPending, PaymentSucceeded};

const HOUR: i64 = 3600;

/// A charge of a token, or of nobody knows what.
fn of(token: Option<&str>, charge: Charge) -> Charge {
    let instrument = token.map(|token| Instrument {
        token: Some(token.into()),
        card: Some(Card {
            network: Network::Mastercard,
            ..Card::default()
        }),
        ..Instrument::default()
    });
    Charge {
        details: Details {
            instrument,
            ..charge.details
        },
        ..charge
    }
}

fn declined(code: &str, charge: Charge) -> Charge {
    let decline = Decline {
        code: code.into(),
        ..Decline::default()
    };
    Charge {
        details: Details {
            decline: Some(decline),
            ..charge.details
        },
        ..charge
    }
}

fn failed(second: i64, id: &str) -> Signal {
    let charge = of(Some("pm_1"), charge(id, Status::Failed));
    signal(second, PaymentFailed, Some(charge))
}

fn paid(second: i64, id: &str) -> Signal {
    let charge = of(Some("pm_1"), charge(id, Status::Succeeded));
    signal(second, PaymentSucceeded, Some(charge))
}

fn pending(second: i64, id: &str) -> Signal {
    let charge = charge(id, Status::Pending);
    signal(second, PaymentPending, Some(charge))
}

/// The first retry, told at the first step of the ladder, with two hours to make it.
fn told() -> Issue {
    let what = Ask {
        token: Some("pm_1".into()),
        ..Ask::of(usd(2500))
    };
    Issue {
        sent: true,
        went_out: true,
        ..Issue::new(1, at(3 * HOUR), at(5 * HOUR), what)
    }
}

fn with_told(issue: Issue, signals: &[Signal]) -> Intent {
    let mut intent = intent(signals);
    intent.retry.told = 1;
    intent.retry.tell(issue);
    intent
}

/// That the merchant says of the charge which retry it is.
fn reported(second: i64, retry: u32, charge: Charge) -> Signal {
    Signal {
        by_merchant: true,
        ..signal(
            second,
            PaymentFailed,
            Some(Charge {
                triggered_by: TriggeredBy::Internal,
                retry: Some(retry),
                ..charge
            }),
        )
    }
}

fn replanned(mut intent: Intent, terms: &Terms) -> Intent {
    intent.replan(terms, &TokenLedger::default());
    intent
}

#[test]
fn the_stage_follows_from_all_that_is_known() {
    let ended = |reason| Stage::Ended { reason };
    let planned = |second| Stage::Planned { at: at(second) };
    let usual = Terms::default();
    let patient = Terms {
        retry_threshold: 2,
        ..Terms::default()
    };
    let exhausted = Terms {
        max_retry_count: Some(1),
        ..Terms::default()
    };
    let plain = |signals: &[Signal]| intent(signals);
    let held = |hold, signals: &[Signal]| {
        let mut intent = intent(signals);
        intent.retry.hold = Some(hold);
        intent
    };
    let mut hurried = plain(&[failed(0, "a")]);
    hurried.retry.hurried = Some(Hurry {
        told: 0,
        at: at(60),
    });
    let mut hurried_before = plain(&[failed(0, "a")]);
    hurried_before.retry.hurried = Some(Hurry {
        told: 1,
        at: at(60),
    });
    let unknown = Issue {
        unknown: true,
        ..told()
    };
    let nothing_left = Signal {
        left: Some(usd(0)),
        ..failed(6, "b")
    };
    let mut left_nothing = plain(&[failed(0, "a"), nothing_left]);
    left_nothing.amount = usd(0);
    let cases = [
        ("never failed", plain(&[paid(5, "a")]), &usual, Stage::Idle),
        (
            "collected",
            plain(&[failed(0, "a"), paid(5, "b")]),
            &usual,
            ended(EndReason::Recovered),
        ),
        (
            "given up",
            plain(&[failed(0, "a"), signal(5, InvoiceCancelled, None)]),
            &usual,
            ended(EndReason::Cancelled),
        ),
        (
            "cancelled by an operator",
            held(Hold::Cancelled, &[failed(0, "a")]),
            &usual,
            ended(EndReason::Cancelled),
        ),
        (
            "cancelled by an operator while a charge is under way",
            held(Hold::Cancelled, &[failed(0, "a"), pending(5, "b")]),
            &usual,
            ended(EndReason::Cancelled),
        ),
        (
            "paused",
            held(Hold::Paused, &[failed(0, "a"), pending(5, "b")]),
            &usual,
            Stage::Paused,
        ),
        (
            "under way",
            plain(&[failed(0, "a"), pending(5, "b")]),
            &usual,
            Stage::Held,
        ),
        (
            "failed",
            plain(&[failed(0, "a")]),
            &usual,
            planned(3 * HOUR),
        ),
        (
            "the platform's turn",
            plain(&[failed(0, "a")]),
            &patient,
            Stage::PlatformFirst,
        ),
        (
            "the platform's turn, and nothing failed",
            plain(&[pending(0, "a"), signal(5, PaymentFailed, None)]),
            &patient,
            Stage::Held,
        ),
        (
            "the platform had its turn",
            plain(&[failed(0, "a"), failed(HOUR, "b")]),
            &patient,
            planned(4 * HOUR),
        ),
        ("hurried", hurried.clone(), &usual, planned(60)),
        (
            "hurried before the platform's turn is over",
            hurried,
            &patient,
            planned(60),
        ),
        (
            "hurried once before",
            hurried_before,
            &usual,
            planned(3 * HOUR),
        ),
        (
            "no retries left",
            plain(&[failed(0, "a")]),
            &exhausted,
            ended(EndReason::RetriesExhausted),
        ),
        ("nothing to collect", left_nothing, &usual, Stage::Idle),
        (
            "told",
            with_told(told(), &[failed(0, "a")]),
            &usual,
            Stage::Due(told()),
        ),
        (
            "told, and nobody knows",
            with_told(unknown.clone(), &[failed(0, "a")]),
            &usual,
            Stage::Unknown(unknown),
        ),
    ];
    for (name, intent, terms, want) in cases {
        let got = replanned(intent, terms);
        assert_eq!(got.retry.stage, want, "{name}");
        let held = got.retry.stage == Stage::Held;
        assert_eq!(got.retry.held.is_some(), held, "{name}");
    }
}

#[test]
fn what_monitoring_let_pass_stays_so_until_the_timetable_moves_on() {
    let cascading = Terms {
        mode: Mode::Cascading,
        ..Terms::default()
    };
    let planned = Stage::Planned { at: at(3 * HOUR) };
    let missed = |second| Stage::Missed { at: at(second) };
    let cases = [
        (missed(3 * HOUR), Terms::default(), missed(3 * HOUR)),
        (missed(2 * HOUR), Terms::default(), planned.clone()),
        (missed(3 * HOUR), cascading, planned),
    ];
    for (stage, terms, want) in cases {
        let mut intent = intent(&[failed(0, "a")]);
        intent.retry.stage = stage.clone();
        let got = replanned(intent, &terms);
        assert_eq!(got.retry.stage, want, "{stage:?} {:?}", terms.mode);
    }
}

#[test]
fn a_retry_that_something_came_between_is_told_again() {
    let again = Issue {
        times: 2,
        sent: false,
        ..told()
    };
    let reason = EndReason::Cancelled;
    let cases = [
        (Stage::Held, &again),
        (Stage::Paused, &again),
        (Stage::Ended { reason }, &again),
        (Stage::Idle, &told()),
        (Stage::Due(told()), &told()),
    ];
    for (stage, want) in cases {
        let mut intent = with_told(told(), &[failed(0, "a")]);
        intent.retry.stage = stage.clone();
        let got = replanned(intent, &Terms::default());
        assert_eq!(got.retry.stage, Stage::Due(want.clone()), "{stage:?}");
        assert_eq!(got.retry.open.as_ref(), Some(want), "{stage:?}");
    }
}

#[test]
fn a_charge_under_way_is_alarmed_of_once() {
    let held = |since, alarmed| Held {
        since: at(since),
        alarmed,
    };
    let cases = [
        (None, held(5, false)),
        (Some(held(5, true)), held(5, true)),
        (Some(held(4, true)), held(5, false)),
    ];
    for (known, want) in cases {
        let mut intent = intent(&[failed(0, "a"), pending(5, "b")]);
        intent.retry.held = known;
        let got = replanned(intent, &Terms::default());
        assert_eq!(got.retry.held, Some(want), "{known:?}");
    }
}

#[test]
fn a_retry_is_answered_by_its_report_or_by_a_charge_made_in_its_time() {
    let other = |second, id| {
        let charge = charge(id, Status::Failed);
        signal(second, PaymentFailed, Some(charge))
    };
    let mine = |second, retry| reported(second, retry, charge("b", Status::Failed));
    let cases: [(&str, Signal, Option<bool>); 8] = [
        ("before its time", other(3 * HOUR - 1, "b"), None),
        ("in its first second", other(3 * HOUR, "b"), Some(true)),
        ("in its last second", other(5 * HOUR, "b"), Some(true)),
        ("after its time", other(5 * HOUR + 1, "b"), None),
        ("reported", mine(4 * HOUR, 1), Some(false)),
        ("reported late", mine(9 * HOUR, 1), Some(false)),
        ("another is reported", mine(4 * HOUR, 2), None),
        ("nothing", other(0, "a"), None),
    ];
    for (name, signal, guessed) in cases {
        let intent = with_told(told(), &[failed(0, "a"), signal]);
        let unanswered = intent.unanswered().is_some();
        assert_eq!(unanswered, guessed.is_none(), "{name}");
        let got = replanned(intent, &Terms::default()).retry;
        assert_eq!(got.open.is_some(), guessed.is_none(), "{name}");
        let by_time = guessed == Some(true);
        assert_eq!(got.not_before.is_some(), by_time, "{name}");
        if by_time {
            assert_eq!(got.not_before, Some(at(5 * HOUR)), "{name}");
        }
        let kept = got.guessed.get(&1).map(String::as_str);
        assert_eq!(kept, by_time.then_some("pm_1"), "{name}");
    }
}

#[test]
fn a_report_answers_before_a_charge_that_was_made_in_its_time() {
    let echo = signal(4 * HOUR, PaymentFailed, Some(charge("b", Status::Failed)));
    let report = reported(4 * HOUR + 1, 1, charge("c", Status::Failed));
    let intent = with_told(told(), &[failed(0, "a"), echo, report]);
    let answer = intent.answer(&told()).map(|it| it.key().as_str());
    assert_eq!(answer, Some("c"));
}

#[test]
fn a_message_goes_while_its_retry_is_awaited_as_it_was_told() {
    let usual = || with_told(told(), &[failed(0, "a")]);
    let of_part = |left| Signal {
        left: Some(usd(left)),
        ..failed(1, "a")
    };
    let mut paused = usual();
    paused.retry.hold = Some(Hold::Paused);
    let mut planned = usual();
    planned.retry.stage = Stage::Planned { at: at(9) };
    let cases = [
        ("as it was told", usual(), 1, 1, true),
        ("another retry", usual(), 2, 1, false),
        ("told another time", usual(), 1, 2, false),
        ("paused", paused, 1, 1, false),
        ("not told", planned, 1, 1, false),
        (
            "less is left",
            with_told(told(), &[of_part(2499)]),
            1,
            1,
            false,
        ),
        (
            "as much is left",
            with_told(told(), &[of_part(2500)]),
            1,
            1,
            true,
        ),
        (
            "collected",
            with_told(told(), &[failed(0, "a"), paid(5, "b")]),
            1,
            1,
            false,
        ),
        (
            "under way",
            with_told(told(), &[failed(0, "a"), pending(5, "b")]),
            1,
            1,
            false,
        ),
        (
            "answered",
            with_told(told(), &[failed(0, "a"), failed(4 * HOUR, "b")]),
            1,
            1,
            false,
        ),
    ];
    for (name, intent, number, times, want) in cases {
        assert_eq!(intent.awaits(number, times), want, "{name}");
    }
}

#[test]
fn the_last_charge_that_failed_says_why() {
    let of = |second, id, status, code| {
        let kind = match status {
            Status::Failed => PaymentFailed,
            Status::Pending | Status::Succeeded => PaymentPending,
        };
        let charge = declined(code, charge(id, status));
        signal(second, kind, Some(charge))
    };
    let story = intent(&[
        of(0, "a", Status::Failed, "first"),
        of(5, "b", Status::Failed, "second"),
        of(9, "c", Status::Pending, "none"),
    ]);
    let decline = story.last_failed().and_then(Attempt::decline);
    let code = decline.map(|decline| decline.code.as_str());
    assert_eq!(code, Some("second"));
    assert_eq!(intent(&[pending(0, "a")]).last_failed(), None);
}

#[test]
fn the_token_is_the_one_that_is_told_else_the_one_that_was_charged_last() {
    let named = |second, id, token| {
        let charge = of(token, charge(id, Status::Failed));
        signal(second, PaymentFailed, Some(charge))
    };
    let two = [named(0, "a", Some("pm_1")), named(5, "b", Some("pm_2"))];
    let silent = [named(0, "a", Some("pm_1")), named(5, "b", None)];
    // A card of which nobody knows the token is no reason to charge the one before it.
    let card = Charge {
        details: Details {
            instrument: Some(Instrument::default()),
            ..Details::of(usd(2500))
        },
        ..charge("b", Status::Failed)
    };
    let tokenless = [
        named(0, "a", Some("pm_1")),
        signal(5, PaymentFailed, Some(card)),
    ];
    let other = Issue {
        what: Ask {
            token: Some("pm_3".into()),
            ..told().what
        },
        ..told()
    };
    let nameless = Issue {
        what: Ask::of(usd(2500)),
        ..told()
    };
    let cases = [
        (intent(&two), Some("pm_2")),
        (intent(&silent), Some("pm_1")),
        (intent(&tokenless), None),
        (intent(&[named(0, "a", None)]), None),
        (with_told(other, &two), Some("pm_3")),
        (with_told(nameless, &two), Some("pm_2")),
    ];
    for (intent, want) in cases {
        assert_eq!(intent.token(), want);
    }
    assert_eq!(intent(&silent).network(), Network::Mastercard);
    assert_eq!(intent(&[named(0, "a", None)]).network(), Network::Unknown);
}

#[test]
fn what_is_entered_of_a_token_is_what_was_surely_or_may_have_been_its() {
    let story = intent(&[
        failed(0, "a"),
        signal(
            1,
            PaymentFailed,
            Some(of(Some("pm_2"), charge("b", Status::Failed))),
        ),
        signal(2, PaymentFailed, Some(charge("c", Status::Failed))),
        paid(3, "d"),
    ]);
    let mut ledger = TokenLedger::default();
    story.enter(Some("pm_1"), &mut ledger, &Terms::default(), at(4));
    let tries: Vec<_> = ledger.tries.values().flatten().copied().collect();
    assert_eq!(tries, [at(0), at(2), at(3)]);
    assert_eq!(ledger.network, Network::Mastercard);
    assert_eq!(ledger.paid_at, Some(at(3)));
    assert_eq!((ledger.stop, ledger.claim), (None, None));
    let mut other = TokenLedger::default();
    story.enter(Some("pm_2"), &mut other, &Terms::default(), at(4));
    assert_eq!(other.paid_at, None, "another paid");
    // A card whose network nobody names keeps the one that is known.
    let mut unnamed = TokenLedger {
        network: Network::Visa,
        ..TokenLedger::default()
    };
    let silent = signal(2, PaymentFailed, Some(charge("c", Status::Failed)));
    intent(&[silent]).enter(Some("pm_1"), &mut unnamed, &Terms::default(), at(4));
    assert_eq!(unnamed.network, Network::Visa);
}

#[test]
fn a_retry_that_is_told_counts_for_its_token_as_if_it_were_made() {
    let waiting = with_told(told(), &[failed(0, "a")]);
    let tries = |token| {
        let mut ledger = TokenLedger::default();
        waiting.enter(Some(token), &mut ledger, &Terms::default(), at(4 * HOUR));
        let tries: Vec<_> = ledger.tries.values().flatten().copied().collect();
        tries
    };
    assert_eq!(tries("pm_1"), [at(0), at(3 * HOUR)]);
    assert!(tries("pm_2").is_empty());
}

#[test]
fn the_latest_hard_decline_of_a_token_stops_it() {
    let hard = |second, id, code| {
        let charge = of(Some("pm_1"), charge(id, Status::Failed));
        signal(second, PaymentFailed, Some(declined(code, charge)))
    };
    let story = intent(&[
        hard(5, "a", "stolen_card"),
        hard(0, "b", "lost_card"),
        hard(9, "c", "insufficient_funds"),
    ]);
    let mut ledger = TokenLedger::default();
    story.enter(Some("pm_1"), &mut ledger, &Terms::default(), at(10));
    let want = Stop {
        at: at(5),
        code: "stolen_card".into(),
    };
    assert_eq!(ledger.stop, Some(want));
}

#[test]
fn a_token_is_given_back_once_its_retry_is_settled() {
    let mine = || TokenLedger {
        claim: Some(Claim {
            intent: key("in_1"),
            until: at(9 * HOUR),
        }),
        ..TokenLedger::default()
    };
    let another = || TokenLedger {
        claim: Some(Claim {
            intent: key("in_2"),
            until: at(9 * HOUR),
        }),
        ..TokenLedger::default()
    };
    let settled = || intent(&[failed(0, "a")]);
    let mut not_over = settled();
    not_over.retry.not_before = Some(at(5 * HOUR));
    let cases = [
        ("settled", settled(), mine(), 4 * HOUR, false),
        ("another's", settled(), another(), 4 * HOUR, true),
        (
            "unanswered",
            with_told(told(), &[failed(0, "a")]),
            mine(),
            4 * HOUR,
            true,
        ),
        (
            "under way",
            intent(&[failed(0, "a"), pending(5, "b")]),
            mine(),
            4 * HOUR,
            true,
        ),
        (
            "may be made still",
            not_over.clone(),
            mine(),
            5 * HOUR - 1,
            true,
        ),
        ("its time is over", not_over, mine(), 5 * HOUR, false),
    ];
    for (name, intent, mut ledger, now, claimed) in cases {
        intent.enter(Some("pm_1"), &mut ledger, &Terms::default(), at(now));
        assert_eq!(ledger.claim.is_some(), claimed, "{name}");
    }
}
