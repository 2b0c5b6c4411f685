//! What becomes of a retry when its time has come, when it could not be told, and when nobody answers it.

use super::*;
use crate::recovery::parts::{at, charge, intent, key, signal, tenant, usd};
use crate::recovery::{Charge, Details, Hurry, Instrument, Signal, SignalKind, Status, Stop};

const HOUR: i64 = 3600;
const MINUTE: i64 = 60;
/// When the first step of the ladder is due.
const DUE: i64 = 3 * HOUR;

fn cascading() -> Terms {
    Terms {
        mode: Mode::Cascading,
        ..Terms::default()
    }
}

/// A charge of a token, which has a customer.
fn failed(id: &str, token: &str, customer: &str) -> Charge {
    let instrument = Instrument {
        token: Some(token.into()),
        customer: Some(customer.into()),
        ..Instrument::default()
    };
    Charge {
        details: Details {
            instrument: Some(instrument),
            gateway: Some("gw_1".into()),
            ..Details::of(usd(2500))
        },
        ..charge(id, Status::Failed)
    }
}

/// An invoice whose one charge failed at 0, and whose retry is planned for the first step of the ladder.
fn planned() -> Intent {
    let failed = failed("ch_1", "pm_1", "cus_1");
    let mut intent = intent(&[signal(0, SignalKind::PaymentFailed, Some(failed))]);
    intent.retry.stage = Stage::Planned { at: at(DUE) };
    intent
}

fn look(intent: Intent, terms: &Terms, ledger: TokenLedger, now: i64) -> Due {
    let due = due(&tenant(), intent, Some(terms), Some(ledger), at(now));
    due.expect("its time has come")
}

fn types(events: &[Event]) -> Vec<String> {
    events.iter().map(|it| it.event_type.to_string()).collect()
}

#[test]
fn nothing_is_done_before_its_time() {
    let look = |now| due(&tenant(), planned(), Some(&cascading()), None, at(now));
    assert_eq!(look(DUE - 1), None);
    assert!(look(DUE).is_some());
}

#[test]
fn the_merchant_is_told_what_to_charge_of_the_token_that_was_charged_last() {
    let mut intent = planned();
    let later = failed("ch_2", "pm_2", "cus_2");
    intent.join(&signal(5, SignalKind::PaymentFailed, Some(later)), at(5));
    intent.retry.stage = Stage::Planned { at: at(DUE + 5) };
    let terms = Terms {
        payment_accounts: [("gw_1".to_owned(), "acct_1".to_owned())].into(),
        ..cascading()
    };
    let told = look(intent, &terms, TokenLedger::default(), DUE + 5);
    let (event, issue) = told.retry.expect("it is told");
    let what = Ask {
        money: usd(2500),
        token: Some("pm_2".into()),
        customer: Some("cus_2".into()),
        payment_account: Some("acct_1".into()),
    };
    let want = Issue::new(1, at(DUE + 5), at(DUE + 5 + 2 * HOUR), what);
    assert_eq!(issue, want);
    assert_eq!(event.event_type.to_string(), "recovery.retry_due");
    assert_eq!(told.intent.retry.stage, Stage::Due(want.clone()));
    assert_eq!(told.intent.retry.told, 1);
    let claim = told.ledger.and_then(|ledger| ledger.claim);
    assert_eq!(claim.map(|claim| claim.until), Some(want.deadline));
    assert_eq!((told.events, told.alarm), (Vec::new(), None));
}

#[test]
fn monitoring_lets_a_retry_pass_unless_an_operator_asked_for_it() {
    let passed = look(planned(), &Terms::default(), TokenLedger::default(), DUE);
    assert_eq!(passed.intent.retry.stage, Stage::Missed { at: at(DUE) });
    assert_eq!(passed.retry, None);
    let mut asked = planned();
    asked.retry.hurried = Some(Hurry {
        told: 0,
        at: at(HOUR),
    });
    asked.retry.stage = Stage::Planned { at: at(HOUR) };
    let told = look(asked, &Terms::default(), TokenLedger::default(), HOUR);
    let (_, issue) = told.retry.expect("it is told");
    assert!(issue.asked, "so that monitoring does not hold it back");
}

#[test]
fn a_plan_that_does_not_hold_any_more_is_told_anew() {
    let claimed = TokenLedger {
        claim: Some(Claim {
            intent: key("in_2"),
            until: at(DUE + HOUR),
        }),
        ..TokenLedger::default()
    };
    let later = look(planned(), &cascading(), claimed, DUE);
    let want = Stage::Planned { at: at(DUE + HOUR) };
    assert_eq!(later.intent.retry.stage, want);
    assert_eq!(types(&later.events), ["recovery.retry_scheduled"]);
    let ended = look(planned(), &cascading(), stopped(), DUE);
    let reason = EndReason::HardDeclined;
    assert_eq!(ended.intent.retry.stage, Stage::Ended { reason });
    assert_eq!(types(&ended.events), ["recovery.limits_exhausted"]);
    assert_eq!((later.retry, ended.retry), (None, None));
}

fn stopped() -> TokenLedger {
    TokenLedger {
        stop: Some(Stop {
            at: at(1),
            code: "stolen_card".into(),
        }),
        ..TokenLedger::default()
    }
}

/// A retry that was told, or is to be, until two hours after it is due.
fn issue() -> Issue {
    Issue {
        asked: false,
        ..Issue::new(1, at(DUE), at(DUE + 2 * HOUR), Ask::of(usd(2500)))
    }
}

fn with(issue: Issue) -> Intent {
    let mut intent = planned();
    intent.retry.told = 1;
    intent.retry.tell(issue);
    intent
}

#[test]
fn nobody_knows_what_came_of_a_retry_whose_deadline_passes_without_a_word() {
    let sent = Issue {
        sent: true,
        went_out: true,
        ..issue()
    };
    let terms = cascading();
    let early = due(&tenant(), with(sent.clone()), Some(&terms), None, at(DUE));
    assert_eq!(early, None);
    let over = look(
        with(sent.clone()),
        &terms,
        TokenLedger::default(),
        DUE + 2 * HOUR,
    );
    let unknown = Issue {
        unknown: true,
        ..sent
    };
    assert_eq!(over.intent.retry.stage, Stage::Unknown(unknown.clone()));
    assert_eq!(over.alarm, Some(Alarm::UnknownOutcome));
    assert_eq!(over.retry, None);
    // Nor of one that an operator had told again before its deadline: that is not asked for once more.
    let again = Issue {
        unknown: false,
        again: true,
        ..unknown
    };
    let ledger = TokenLedger::default();
    let over = look(with(again), &terms, ledger, DUE + 2 * HOUR);
    assert_eq!(
        (over.alarm, over.retry),
        (Some(Alarm::UnknownOutcome), None)
    );
}

#[test]
fn a_retry_that_is_not_on_its_way_is_asked_anew_whether_it_may_be() {
    /// What becomes of it.
    #[derive(Debug, PartialEq)]
    enum Fate {
        /// Told for so many times, until then.
        Told(u32, i64),
        /// Looked at again then.
        Waits(i64),
        /// Not told.
        Missed,
        /// It may have been made.
        Unknown,
        /// There will be no more.
        Ended,
    }
    use Fate::*;
    struct Case {
        name: &'static str,
        issue: Issue,
        terms: Option<Terms>,
        ledger: TokenLedger,
        now: i64,
        want: Fate,
    }
    let case = |name, issue, now, want| Case {
        name,
        issue,
        terms: Some(cascading()),
        ledger: TokenLedger::default(),
        now,
        want,
    };
    let over = DUE + 2 * HOUR;
    let of = |amount| Issue {
        what: Ask::of(usd(amount)),
        ..issue()
    };
    let went_out = |issue| Issue {
        went_out: true,
        ..issue
    };
    let again = |issue| Issue {
        again: true,
        ..issue
    };
    let twice = |issue| Issue { times: 2, ..issue };
    let busy = TokenLedger {
        claim: Some(Claim {
            intent: key("in_2"),
            until: at(DUE + HOUR),
        }),
        ..TokenLedger::default()
    };
    let cases = [
        case("as it stands", issue(), DUE, Told(1, over)),
        case("less than is left", of(2499), DUE, Told(1, over)),
        case("more than is left", of(2501), DUE, Missed),
        case("more, and may be made", went_out(of(2501)), DUE, Unknown),
        case("just in time", went_out(issue()), over - 1, Told(1, over)),
        case("lapsed", went_out(issue()), over, Unknown),
        case("never out", issue(), over, Told(2, over + 2 * HOUR)),
        case(
            "asked for again",
            again(went_out(issue())),
            over,
            Told(2, over + 2 * HOUR),
        ),
        Case {
            terms: None,
            ..case("no account", issue(), DUE, Missed)
        },
        Case {
            terms: Some(Terms::default()),
            ..case("monitored", issue(), DUE, Missed)
        },
        Case {
            terms: Some(Terms::default()),
            ..case("monitored, may be made", twice(issue()), DUE, Unknown)
        },
        Case {
            ledger: stopped(),
            ..case("stopped", issue(), DUE, Ended)
        },
        Case {
            ledger: stopped(),
            ..case("stopped, may be made", twice(issue()), DUE, Unknown)
        },
        Case {
            ledger: busy,
            ..case("another charges", issue(), DUE, Waits(DUE + HOUR))
        },
    ];
    for Case {
        name,
        issue,
        terms,
        ledger,
        now,
        want,
    } in cases
    {
        let known = Some(ledger);
        let due = due(&tenant(), with(issue), terms.as_ref(), known, at(now));
        let due = due.expect("its time has come");
        let got = match (&due.intent.retry.stage, &due.retry) {
            (Stage::Due(issue), Some((_, told))) => {
                assert_eq!(issue, told, "{name}");
                Told(issue.times, issue.deadline.as_second())
            }
            (Stage::Due(issue), None) => Waits(issue.wait.map_or(0, jiff::Timestamp::as_second)),
            (Stage::Missed { .. }, None) => Missed,
            (Stage::Unknown(_), None) => Unknown,
            (Stage::Ended { .. }, None) => Ended,
            other => panic!("{name}: {other:?}"),
        };
        let alarm = (got == Unknown).then_some(Alarm::UnknownOutcome);
        assert_eq!(due.alarm, alarm, "{name}");
        assert_eq!(
            types(&due.events).len(),
            usize::from(got == Ended),
            "{name}"
        );
        let open = due.intent.retry.open.is_some();
        assert_eq!(open, !matches!(got, Missed | Ended), "{name}");
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn a_retry_is_noted_as_sent_if_it_is_still_the_one_that_was() {
    let mut intent = with(issue());
    let other = Issue {
        times: 2,
        ..issue()
    };
    intent.note_sent(&other);
    assert_eq!(intent.retry.stage, Stage::Due(issue()));
    intent.note_sent(&issue());
    let sent = Issue {
        sent: true,
        went_out: true,
        ..issue()
    };
    assert_eq!(intent.retry.stage, Stage::Due(sent.clone()));
    assert_eq!(intent.retry.open, Some(sent));
}

#[test]
fn the_deadline_keeps_clear_of_the_platforms_own_charge() {
    let cases = [
        ("none announced", None, 2 * HOUR),
        ("long after it", Some(9 * HOUR), 2 * HOUR),
        ("in an hour", Some(HOUR), 45 * MINUTE),
        ("too soon to keep clear of", Some(15 * MINUTE), 2 * HOUR),
        ("a second later", Some(15 * MINUTE + 1), 1),
        ("made", Some(-HOUR), 2 * HOUR),
    ];
    for (name, announced, want) in cases {
        let failed = failed("ch_1", "pm_1", "cus_1");
        let intent = intent(&[Signal {
            next_try: announced.map(|second| at(DUE + second)),
            ..signal(0, SignalKind::PaymentFailed, Some(failed))
        }]);
        let got = intent.deadline(&cascading(), at(DUE));
        assert_eq!(got, at(DUE + want), "{name}");
    }
}
