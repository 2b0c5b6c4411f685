//! When time alone moves retries on, what is kept of them, and what they are called.

use super::*;
use crate::recovery::parts::{at, order, usd};

const HOUR: i64 = 3600;

fn issue(number: u32) -> Issue {
    Issue::new(number, at(100), at(200), Ask::of(usd(2500)))
}

fn of_token(number: u32, token: &str) -> Issue {
    Issue {
        what: Ask {
            token: Some(token.into()),
            ..Ask::of(usd(2500))
        },
        ..issue(number)
    }
}

#[test]
fn somebody_looks_when_the_next_is_due_was_not_answered_or_takes_too_long() {
    let days_14 = 14 * 24 * HOUR;
    let sent = Issue {
        sent: true,
        wait: Some(at(150)),
        ..issue(1)
    };
    let waits = Issue {
        wait: Some(at(150)),
        ..issue(1)
    };
    let held = |alarmed| {
        Some(Held {
            since: at(5),
            alarmed,
        })
    };
    let reason = EndReason::Cancelled;
    let cases = [
        ("planned", Stage::Planned { at: at(9) }, None, Some(9)),
        ("told", Stage::Due(sent), None, Some(200)),
        ("to be told", Stage::Due(issue(1)), None, Some(100)),
        ("to be told later", Stage::Due(waits), None, Some(150)),
        ("under way", Stage::Held, held(false), Some(5 + days_14)),
        ("under way, alarmed", Stage::Held, held(true), None),
        ("idle", Stage::Idle, held(false), None),
        ("paused", Stage::Paused, None, None),
        ("unknown", Stage::Unknown(issue(1)), None, None),
        ("over", Stage::Ended { reason }, None, None),
    ];
    for (name, stage, held, want) in cases {
        let retry = Retry {
            stage,
            held,
            ..Retry::default()
        };
        assert_eq!(retry.due_at(), want.map(at), "{name}");
    }
}

#[test]
fn what_is_told_is_open_and_shows_whether_anybody_knows_of_it() {
    let unknown = Issue {
        unknown: true,
        ..issue(1)
    };
    for (issue, stage) in [
        (issue(1), Stage::Due(issue(1))),
        (unknown.clone(), Stage::Unknown(unknown)),
    ] {
        let mut retry = Retry::default();
        retry.tell(issue.clone());
        assert_eq!((retry.stage, retry.open), (stage, Some(issue)));
    }
}

#[test]
fn the_token_of_a_retry_is_known_while_it_is_open_or_its_answer_is_guessed() {
    let retry = Retry {
        open: Some(of_token(2, "pm_2")),
        guessed: BTreeMap::from([(1, "pm_1".to_owned())]),
        ..Retry::default()
    };
    let cases = [(1, Some("pm_1")), (2, Some("pm_2")), (3, None)];
    for (number, want) in cases {
        assert_eq!(retry.token_of(number), want, "{number}");
    }
}

#[test]
fn the_last_32_plans_are_kept_and_found_by_their_signals() {
    let mut retry = Retry::default();
    for second in 0..34 {
        retry.note(Plan {
            signal: order(second).id,
            retry: 1,
            stage: Stage::Planned { at: at(second) },
        });
    }
    assert_eq!(retry.plans.len(), 32);
    for (second, kept) in [(1, false), (2, true), (33, true), (34, false)] {
        let plan = retry.plan_of(&order(second).id);
        let stage = plan.map(|plan| plan.stage.clone());
        let want = kept.then_some(Stage::Planned { at: at(second) });
        assert_eq!(stage, want, "{second}");
    }
}

#[test]
fn a_retry_may_have_been_made_once_it_went_out_or_was_told_before() {
    let cases = [
        (false, 1, false),
        (true, 1, true),
        (false, 2, true),
        (true, 2, true),
        (false, 0, false),
    ];
    for (went_out, times, want) in cases {
        let issue = Issue {
            went_out,
            times,
            ..issue(1)
        };
        assert_eq!(issue.may_be_made(), want, "{went_out} {times}");
    }
}

#[test]
fn a_charge_may_be_it_in_every_time_that_it_was_told_for() {
    let mut issue = Issue {
        again: true,
        ..issue(1)
    };
    issue.tell_again(at(300), at(400));
    assert_eq!((issue.times, issue.again), (2, false));
    assert_eq!(issue.before, [(at(100), at(200))]);
    let seconds = [
        (99, false),
        (100, true),
        (200, true),
        (201, false),
        (299, false),
        (300, true),
        (400, true),
        (401, false),
    ];
    for (second, want) in seconds {
        assert_eq!(issue.may_be(at(second)), want, "{second}");
    }
    let half = at(200) + SignedDuration::from_millis(500);
    assert!(issue.may_be(half), "platforms write whole seconds");
}

#[test]
fn levers_and_reasons_have_one_name_wherever_they_are_written() {
    let levers = [
        (Lever::Pause, "pause"),
        (Lever::Resume, "resume"),
        (Lever::Cancel, "cancel"),
        (Lever::RetryNow, "retry_now"),
    ];
    assert_eq!(levers.map(|(lever, _)| lever), Lever::ALL);
    for (lever, name) in levers {
        assert_eq!(lever.as_str(), name);
        let json = serde_json::to_string(&lever).ok();
        assert_eq!(json, Some(format!("\"{name}\"")));
    }
    let reasons = [
        (EndReason::RetriesExhausted, "retries_exhausted"),
        (EndReason::GracePeriodExpired, "grace_period_expired"),
        (EndReason::HardDeclined, "hard_declined"),
        (EndReason::Cancelled, "cancelled"),
        (EndReason::Recovered, "recovered"),
    ];
    for (reason, name) in reasons {
        assert_eq!(reason.as_str(), name);
        let json = serde_json::to_string(&reason).ok();
        assert_eq!(json, Some(format!("\"{name}\"")));
    }
}
