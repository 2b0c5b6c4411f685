//! What pulling a lever does, when it makes no sense, and what comes of one that comes twice or too late.

use super::*;
use crate::recovery::parts::{at, charge, intent, signal, tenant, usd};
use crate::recovery::{Ask, Charge, Details, Instrument, Mode, SignalKind, Status};

const HOUR: i64 = 3600;

/// An invoice whose one charge, of a token, failed at 0.
fn failed() -> Intent {
    let instrument = Instrument {
        token: Some("pm_1".into()),
        ..Instrument::default()
    };
    let charge = Charge {
        details: Details {
            instrument: Some(instrument),
            ..Details::of(usd(2500))
        },
        ..charge("ch_1", Status::Failed)
    };
    let mut intent = intent(&[signal(0, SignalKind::PaymentFailed, Some(charge))]);
    intent.replan(&cascading(), &TokenLedger::default());
    intent
}

fn cascading() -> Terms {
    Terms {
        mode: Mode::Cascading,
        ..Terms::default()
    }
}

fn pulled(id: &str, lever: Lever, second: i64) -> Pull {
    Pull {
        id: id.into(),
        lever,
        by: None,
        at: at(second),
        refused: None,
    }
}

fn refused(pull: Pull) -> Pull {
    Pull {
        refused: Some("why".into()),
        ..pull
    }
}

fn pull_at(intent: &Intent, one: &Pull, ledger: Option<TokenLedger>, now: i64) -> Pulled {
    pull(
        &tenant(),
        intent.clone(),
        one,
        &cascading(),
        ledger,
        at(now),
    )
}

fn types(pulled: &Pulled) -> Vec<String> {
    let events = pulled.events.iter();
    events.map(|it| it.event_type.to_string()).collect()
}

/// A retry that was told at the first step of the ladder.
fn told() -> Issue {
    Issue {
        sent: true,
        went_out: true,
        ..Issue::new(1, at(3 * HOUR), at(5 * HOUR), Ask::of(usd(2500)))
    }
}

#[test]
fn a_lever_that_makes_no_sense_is_refused_in_words() {
    use Lever::{Cancel, Pause, Resume, RetryNow};
    let stands = |state, hold, stage: &Stage| {
        let mut intent = failed();
        intent.state = state;
        intent.retry.hold = hold;
        intent.retry.stage = stage.clone();
        intent
    };
    let planned = Stage::Planned { at: at(9) };
    let open = |hold| stands(State::Open, hold, &planned);
    let (paused, cancelled) = (Some(Hold::Paused), Some(Hold::Cancelled));
    let collected = stands(State::Recovered, None, &planned);
    let given_up = stands(State::Cancelled, None, &planned);
    let already = Some("its retries are paused already");
    let take_back = Some("its retries are cancelled; `resume` takes that back");
    let first = Some("its retries are paused or cancelled; `resume` them first");
    let mut cases = vec![
        (open(None), Pause, None),
        (open(paused), Pause, already),
        (open(cancelled), Pause, take_back),
        (open(None), Cancel, None),
        (open(paused), Cancel, None),
        (
            open(cancelled),
            Cancel,
            Some("its retries are cancelled already"),
        ),
        (open(paused), Resume, None),
        (open(cancelled), Resume, None),
        (
            open(None),
            Resume,
            Some("its retries are neither paused nor cancelled"),
        ),
        (open(None), RetryNow, None),
        (open(paused), RetryNow, first),
        (open(cancelled), RetryNow, first),
    ];
    for lever in Lever::ALL {
        let why = Some("the invoice was collected");
        cases.push((collected.clone(), lever, why));
        let why = Some("the billing platform gave the invoice up");
        cases.push((given_up.clone(), lever, why));
    }
    let ended = |reason| Stage::Ended { reason };
    let stages = [
        (Stage::Idle, Some("no charge of the invoice failed")),
        (Stage::PlatformFirst, None),
        (Stage::Held, Some("a charge is under way")),
        (Stage::Paused, None),
        (Stage::Missed { at: at(9) }, None),
        (
            Stage::Due(told()),
            Some("the merchant is told to charge already"),
        ),
        (Stage::Unknown(told()), None),
        (
            ended(EndReason::HardDeclined),
            Some("the card must not be charged again"),
        ),
        (
            ended(EndReason::RetriesExhausted),
            Some("no retries are left"),
        ),
        (
            ended(EndReason::GracePeriodExpired),
            Some("the grace period is over"),
        ),
        (
            ended(EndReason::Cancelled),
            Some("the billing platform gave the invoice up"),
        ),
        (
            ended(EndReason::Recovered),
            Some("the invoice was collected"),
        ),
    ];
    for (stage, want) in stages {
        cases.push((stands(State::Open, None, &stage), RetryNow, want));
    }
    for (intent, lever, want) in cases {
        let (state, retry) = (intent.state, &intent.retry);
        let row = format!("{lever:?} {state:?} {:?} {:?}", retry.hold, retry.stage);
        assert_eq!(intent.refuses(lever), want, "{row}");
    }
}

#[test]
fn a_lever_moves_the_retries_and_is_told() {
    let planned = Stage::Planned { at: at(3 * HOUR) };
    assert_eq!(failed().retry.stage, planned);
    let paused = pull_at(&failed(), &pulled("1", Lever::Pause, 60), None, 61);
    assert_eq!(paused.intent.retry.hold, Some(Hold::Paused));
    assert_eq!(paused.intent.retry.stage, Stage::Paused);
    assert_eq!(types(&paused), [""; 0]);
    let cancelled = pull_at(&paused.intent, &pulled("2", Lever::Cancel, 62), None, 63);
    let reason = EndReason::Cancelled;
    assert_eq!(cancelled.intent.retry.hold, Some(Hold::Cancelled));
    assert_eq!(cancelled.intent.retry.stage, Stage::Ended { reason });
    assert_eq!(types(&cancelled), ["recovery.cancelled"]);
    let resumed = pull_at(&cancelled.intent, &pulled("3", Lever::Resume, 64), None, 65);
    assert_eq!(resumed.intent.retry.hold, None);
    assert_eq!(resumed.intent.retry.stage, planned);
    assert_eq!(types(&resumed), ["recovery.retry_scheduled"]);
    let hurried = pull_at(&resumed.intent, &pulled("4", Lever::RetryNow, 66), None, 67);
    let hurry = Hurry {
        told: 0,
        at: at(67),
    };
    assert_eq!(hurried.intent.retry.hurried, Some(hurry));
    assert_eq!(hurried.intent.retry.stage, Stage::Planned { at: at(67) });
    assert_eq!(types(&hurried), ["recovery.retry_scheduled"]);
    let ids = hurried.intent.pulls.iter().map(|pull| pull.id.as_str());
    assert_eq!(ids.collect::<Vec<_>>(), ["1", "2", "3", "4"]);
}

#[test]
fn a_retry_of_which_nobody_knows_is_told_again_as_the_same_one() {
    let mut intent = failed();
    intent.retry.told = 1;
    intent.retry.tell(Issue {
        unknown: true,
        wait: Some(at(9 * HOUR)),
        ..told()
    });
    let now = 6 * HOUR;
    let again = pull_at(&intent, &pulled("1", Lever::RetryNow, now), None, now);
    let want = Issue {
        sent: false,
        again: true,
        wait: None,
        unknown: false,
        asked: true,
        ..told()
    };
    assert_eq!(again.intent.retry.open, Some(want.clone()));
    assert_eq!(again.intent.retry.stage, Stage::Due(want));
    assert_eq!(again.intent.retry.hurried, None);
}

#[test]
fn a_lever_that_comes_twice_is_pulled_once_and_tells_the_same() {
    let cancel = pulled("1", Lever::Cancel, 60);
    let once = pull_at(&failed(), &cancel, None, 61);
    assert!(once.changed);
    let twice = pull_at(&once.intent, &cancel, once.ledger.clone(), 99);
    assert!(!twice.changed);
    assert_eq!((&twice.intent, &twice.events), (&once.intent, &once.events));
    assert_eq!(twice.ledger, None);
}

#[test]
fn a_lever_that_is_refused_is_recorded_with_the_reason_and_tells_nothing() {
    let resume = pulled("1", Lever::Resume, 60);
    let once = pull_at(&failed(), &resume, None, 61);
    assert!(once.changed, "it is recorded");
    let why = "its retries are neither paused nor cancelled";
    let want = Pull {
        refused: Some(why.into()),
        ..resume.clone()
    };
    let mut recorded = failed();
    recorded.pulls = vec![want];
    assert_eq!((&once.intent, &once.ledger), (&recorded, &None));
    assert_eq!(types(&once), [""; 0]);
    let twice = pull_at(&once.intent, &resume, None, 99);
    assert!(!twice.changed);
    assert_eq!(types(&twice), [""; 0], "nor does it when it comes again");
    let other = pull_at(&twice.intent, &pulled("2", Lever::Cancel, 62), None, 63);
    assert_eq!(types(&other), ["recovery.cancelled"], "others do");
}

#[test]
fn a_lever_that_arrives_after_a_later_one_moves_nothing() {
    use Lever::{Cancel, Pause, Resume, RetryNow};
    let overtaken = Some("a later lever was pulled before this one arrived");
    let cases: [(&str, &[Pull], Pull, Option<&str>); 8] = [
        ("the first", &[], pulled("9", Pause, 5), None),
        (
            "after an earlier one",
            &[pulled("1", Resume, 4)],
            pulled("9", Pause, 5),
            None,
        ),
        (
            "after a later one",
            &[pulled("1", Resume, 6)],
            pulled("9", Pause, 5),
            overtaken,
        ),
        (
            "after a later and an earlier one",
            &[pulled("1", Resume, 6), pulled("2", Pause, 4)],
            pulled("9", Cancel, 5),
            overtaken,
        ),
        (
            "after one of the same time",
            &[pulled("1", Resume, 5)],
            pulled("9", Pause, 5),
            None,
        ),
        (
            "after a later one that moved nothing",
            &[refused(pulled("1", Resume, 6))],
            pulled("9", Pause, 5),
            None,
        ),
        (
            "after a later retry, which holds nothing",
            &[pulled("1", RetryNow, 6)],
            pulled("9", Pause, 5),
            None,
        ),
        (
            "a retry after a later lever",
            &[pulled("1", Resume, 6)],
            pulled("9", RetryNow, 5),
            None,
        ),
    ];
    for (name, known, pull, want) in cases {
        let mut intent = failed();
        intent.pulls = known.to_vec();
        assert_eq!(intent.overtakes(&pull), want, "{name}");
    }
}

#[test]
fn the_last_fifty_pulls_are_kept() {
    let mut intent = failed();
    for number in 0..52 {
        intent.record(pulled(&number.to_string(), Lever::Pause, number));
    }
    assert_eq!(intent.pulls.len(), 50);
    let first = intent.pulls.first().map(|pull| pull.id.as_str());
    assert_eq!(first, Some("2"));
}

#[test]
fn the_ledger_of_its_token_is_stored_if_a_lever_changes_it() {
    let pause = pulled("1", Lever::Pause, 60);
    let new = pull_at(&failed(), &pause, None, 61);
    let ledger = new.ledger.expect("it holds the charge");
    assert_eq!(ledger.tries.len(), 1);
    let known = pull_at(&failed(), &pause, Some(ledger), 61);
    assert_eq!(known.ledger, None, "it held the charge before");
    let unnamed = charge("ch_1", Status::Failed);
    let nobodys = intent(&[signal(0, SignalKind::PaymentFailed, Some(unnamed))]);
    assert_eq!(pull_at(&nobodys, &pause, None, 61).ledger, None);
}
