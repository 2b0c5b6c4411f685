//! What happens to an invoice, and where that leaves its retries.

use super::Lever::{Cancel, Pause, Resume, RetryNow};
use super::SignalKind::{InvoiceCancelled, PaymentFailed, PaymentPending, PaymentSucceeded};
use super::scene::Happening::{
    Announces, Answered, Charged, Counts, Leaves, Passed, Pulled, Reported, Told, ToldAgain,
};
use super::scene::{self, Happening, Invoice};
use super::*;

const HOUR: u32 = 3600;

/// Where the retries stand, in a word, with the number of those told.
fn standing(intent: Option<&Intent>) -> (String, u32) {
    let Some(intent) = intent else {
        return ("no intent".to_owned(), 0);
    };
    let stage = match &intent.retry.stage {
        Stage::Idle => "idle".to_owned(),
        Stage::PlatformFirst => "platform first".to_owned(),
        Stage::Held => "held".to_owned(),
        Stage::Paused => "paused".to_owned(),
        Stage::Planned { .. } => "planned".to_owned(),
        Stage::Missed { .. } => "missed".to_owned(),
        Stage::Due(issue) => format!("due {}.{}", issue.number, issue.times),
        Stage::Unknown(issue) => format!("unknown {}", issue.number),
        Stage::Ended { reason } => reason.as_str().to_owned(),
    };
    (stage, intent.retry.told)
}

fn cascading() -> Terms {
    Terms {
        mode: Mode::Cascading,
        ..Terms::default()
    }
}

fn threshold(retry_threshold: u32) -> Terms {
    Terms {
        retry_threshold,
        ..cascading()
    }
}

#[test]
fn what_happens_to_an_invoice_leaves_its_retries_so() {
    let failed = Told(PaymentFailed, 1);
    let failed_again = Told(PaymentFailed, 2);
    let step = Passed(3 * HOUR);
    let cases = [
        (
            "a first charge that succeeds",
            cascading(),
            vec![Told(PaymentSucceeded, 1)],
            ("idle", 0),
        ),
        (
            "a first charge under way",
            cascading(),
            vec![Told(PaymentPending, 1)],
            ("held", 0),
        ),
        (
            "a failure",
            cascading(),
            vec![failed.clone()],
            ("planned", 0),
        ),
        (
            "the same failure, told twice",
            cascading(),
            vec![failed.clone(), ToldAgain(0)],
            ("planned", 0),
        ),
        (
            "a failure, one below the threshold",
            threshold(2),
            vec![failed.clone()],
            ("platform first", 0),
        ),
        (
            "at the threshold",
            threshold(2),
            vec![failed.clone(), failed_again.clone()],
            ("planned", 0),
        ),
        (
            "above the threshold",
            threshold(1),
            vec![failed.clone(), failed_again.clone()],
            ("planned", 0),
        ),
        (
            "when its time has come",
            cascading(),
            vec![failed.clone(), step.clone()],
            ("due 1.1", 1),
        ),
        (
            "in monitoring",
            Terms::default(),
            vec![failed.clone(), step.clone()],
            ("missed", 0),
        ),
        (
            "in monitoring, where an operator wants it",
            Terms::default(),
            vec![failed.clone(), Pulled(RetryNow), Passed(60)],
            ("due 1.1", 1),
        ),
        (
            "what monitoring missed, and the platform tries again",
            Terms::default(),
            vec![failed.clone(), step.clone(), failed_again.clone()],
            ("planned", 0),
        ),
        (
            "reported as failed",
            cascading(),
            vec![failed.clone(), step.clone(), Reported(false)],
            ("planned", 1),
        ),
        (
            "echoed by the platform",
            cascading(),
            vec![
                failed.clone(),
                step.clone(),
                Passed(60),
                failed_again.clone(),
            ],
            ("planned", 1),
        ),
        (
            "reported as paid",
            cascading(),
            vec![failed.clone(), step.clone(), Reported(true)],
            ("recovered", 1),
        ),
        (
            "and then echoed",
            cascading(),
            vec![
                failed.clone(),
                step.clone(),
                Reported(true),
                Told(PaymentSucceeded, 9),
            ],
            ("recovered", 1),
        ),
        (
            "answered by nobody",
            cascading(),
            vec![failed.clone(), step.clone(), Passed(2 * HOUR)],
            ("unknown 1", 1),
        ),
        (
            "for however long",
            cascading(),
            vec![
                failed.clone(),
                step.clone(),
                Passed(2 * HOUR),
                Passed(200 * HOUR),
            ],
            ("unknown 1", 1),
        ),
        (
            "reported late",
            cascading(),
            vec![
                failed.clone(),
                step.clone(),
                Passed(2 * HOUR),
                Reported(false),
            ],
            ("planned", 1),
        ),
        (
            "asked for again",
            cascading(),
            vec![
                failed.clone(),
                step.clone(),
                Passed(2 * HOUR),
                Pulled(RetryNow),
                Passed(60),
            ],
            ("due 1.2", 1),
        ),
        (
            "cancelled with a retry planned",
            cascading(),
            vec![failed.clone(), Told(InvoiceCancelled, 0), step.clone()],
            ("cancelled", 0),
        ),
        (
            "cancelled with a retry due",
            cascading(),
            vec![failed.clone(), step.clone(), Told(InvoiceCancelled, 0)],
            ("cancelled", 1),
        ),
        (
            "cancelled, and never failed",
            cascading(),
            vec![Told(InvoiceCancelled, 0)],
            ("cancelled", 0),
        ),
        (
            "paid by somebody else with a retry planned",
            cascading(),
            vec![failed.clone(), Told(PaymentSucceeded, 2), step.clone()],
            ("recovered", 0),
        ),
        (
            "paid by somebody else with a retry due",
            cascading(),
            vec![failed.clone(), step.clone(), Told(PaymentSucceeded, 2)],
            ("recovered", 1),
        ),
        (
            "a charge under way with a retry planned",
            cascading(),
            vec![failed.clone(), Told(PaymentPending, 2), step.clone()],
            ("held", 0),
        ),
        (
            "which fails in the end",
            cascading(),
            vec![
                failed.clone(),
                Told(PaymentPending, 2),
                Passed(60),
                failed_again.clone(),
            ],
            ("planned", 0),
        ),
        (
            "paid, and then it fails after all",
            cascading(),
            vec![
                failed.clone(),
                Told(PaymentSucceeded, 2),
                Passed(60),
                failed_again.clone(),
            ],
            ("planned", 0),
        ),
        (
            "paused",
            cascading(),
            vec![failed.clone(), Pulled(Pause), step.clone()],
            ("paused", 0),
        ),
        (
            "and resumed",
            cascading(),
            vec![
                failed.clone(),
                Pulled(Pause),
                step.clone(),
                Pulled(Resume),
                Passed(60),
            ],
            ("due 1.1", 1),
        ),
        (
            "cancelled by an operator",
            cascading(),
            vec![
                failed.clone(),
                Pulled(Cancel),
                step.clone(),
                failed_again.clone(),
            ],
            ("cancelled", 0),
        ),
        (
            "retried at once",
            cascading(),
            vec![failed.clone(), Pulled(RetryNow), Passed(60)],
            ("due 1.1", 1),
        ),
        (
            "retried at once before the platform had its tries",
            threshold(5),
            vec![failed.clone(), Pulled(RetryNow), Passed(60)],
            ("due 1.1", 1),
        ),
        (
            "a short ladder",
            Terms {
                ladder_s: Some(vec![60]),
                retry_window_s: Some(59),
                ..cascading()
            },
            vec![failed.clone(), Passed(60), Reported(false)],
            ("retries_exhausted", 1),
        ),
        (
            "a short grace period",
            Terms {
                grace_period_s: Some(HOUR),
                ..cascading()
            },
            vec![failed.clone()],
            ("grace_period_expired", 0),
        ),
        (
            "no account any more",
            Terms::default(),
            vec![],
            ("no intent", 0),
        ),
    ];
    for (name, terms, happenings, want) in cases {
        leaves(name, terms, &happenings, want);
    }
}

/// What happens to an invoice on these terms leaves its retries in this stage, with so many told.
fn leaves(name: &str, terms: Terms, happenings: &[Happening], (stage, told): (&str, u32)) {
    let mut invoice = Invoice::new(terms);
    for happening in happenings {
        invoice.happen(happening);
        invoice.holds();
    }
    let got = standing(invoice.intent.as_ref());
    assert_eq!(got, (stage.to_owned(), told), "{name}");
}

#[test]
fn what_was_collected_or_told_is_not_charged_again_whatever_comes_between() {
    let failed = Told(PaymentFailed, 1);
    let step = Passed(3 * HOUR);
    let cases = [
        (
            "the platform's own charge fails after the merchant's collected it",
            vec![
                failed.clone(),
                step.clone(),
                Reported(true),
                Passed(600),
                Told(PaymentFailed, 9),
            ],
            ("recovered", 1),
        ),
        (
            "a charge under way fails after the invoice was given up",
            vec![
                failed.clone(),
                Told(InvoiceCancelled, 0),
                Passed(60),
                Told(PaymentFailed, 2),
            ],
            ("cancelled", 0),
        ),
        (
            "another charge fails while one is under way",
            vec![
                failed.clone(),
                Told(PaymentPending, 2),
                Passed(60),
                Told(PaymentFailed, 3),
            ],
            ("held", 0),
        ),
        (
            "cancelled and resumed after it was told",
            vec![
                failed.clone(),
                step.clone(),
                Pulled(Cancel),
                Passed(60),
                Pulled(Resume),
                Passed(60),
            ],
            ("due 1.2", 1),
        ),
        (
            "paused and resumed after it was told",
            vec![
                failed.clone(),
                step.clone(),
                Pulled(Pause),
                Passed(60),
                Pulled(Resume),
                Passed(60),
            ],
            ("due 1.2", 1),
        ),
        (
            "paid and taken back after it was told",
            vec![
                failed.clone(),
                step.clone(),
                Told(PaymentSucceeded, 2),
                Passed(60),
                Told(PaymentFailed, 2),
            ],
            ("planned", 1),
        ),
        (
            "the platform charges once nobody knows what came of it",
            vec![
                failed.clone(),
                step.clone(),
                Passed(2 * HOUR),
                Passed(HOUR),
                Told(PaymentFailed, 2),
            ],
            ("unknown 1", 1),
        ),
        (
            "the platform charges while it may be made",
            vec![
                failed.clone(),
                step.clone(),
                Passed(60),
                Told(PaymentFailed, 2),
                Pulled(RetryNow),
                Passed(60),
            ],
            ("planned", 1),
        ),
        (
            "at once is once",
            vec![
                failed.clone(),
                Pulled(RetryNow),
                Passed(60),
                Reported(false),
                Passed(60),
            ],
            ("planned", 1),
        ),
        (
            "paused until its deadline is over after it went out",
            vec![
                failed.clone(),
                step.clone(),
                Pulled(Pause),
                Passed(3 * HOUR),
                Pulled(Resume),
                Passed(60),
            ],
            ("unknown 1", 1),
        ),
        (
            "given up, and what was charged all the same is taken back",
            vec![
                failed.clone(),
                step.clone(),
                Told(InvoiceCancelled, 0),
                Passed(60),
                Reported(true),
                Passed(600),
                Reported(false),
            ],
            ("cancelled", 1),
        ),
        (
            "a part is paid",
            vec![
                failed.clone(),
                Leaves(Some(1500)),
                Told(PaymentSucceeded, 2),
            ],
            ("planned", 0),
        ),
        (
            "and then the rest",
            vec![
                failed.clone(),
                Leaves(Some(1500)),
                Told(PaymentSucceeded, 2),
                Leaves(Some(0)),
                Passed(60),
                Told(PaymentSucceeded, 3),
            ],
            ("recovered", 0),
        ),
        (
            "a charge under way for too long",
            vec![Told(PaymentPending, 1), Passed(15 * 24 * HOUR)],
            ("held", 0),
        ),
    ];
    for (name, happenings, want) in cases {
        leaves(name, cascading(), &happenings, want);
    }
}

#[test]
fn the_ceiling_counts_the_platforms_charges_that_nobody_told_of_and_ours() {
    let mut invoice = Invoice::new(Terms {
        max_retry_count: Some(4),
        ..cascading()
    });
    for happening in [
        Counts(3),
        Told(PaymentFailed, 1),
        Passed(9 * HOUR),
        Reported(false),
    ] {
        invoice.happen(&happening);
    }
    let got = standing(invoice.intent.as_ref());
    assert_eq!(got, ("retries_exhausted".to_owned(), 1));
}

#[test]
fn a_report_does_not_erase_what_the_platform_announced() {
    let mut invoice = Invoice::new(cascading());
    let announced = 3 * HOUR + 1200;
    for happening in [
        Announces(Some(announced)),
        Told(PaymentFailed, 1),
        Pulled(RetryNow),
        Passed(60),
        Passed(600),
        Reported(false),
    ] {
        invoice.happen(&happening);
    }
    let due = invoice
        .intent
        .as_ref()
        .and_then(|intent| intent.retry.due_at());
    let announced = invoice.intent.as_ref().and_then(Intent::announced);
    let clear = announced.map(|at| crate::time::later(at, CLEAR_AFTER));
    assert_eq!(due, clear);
}

#[test]
fn two_invoices_of_one_token_are_never_due_at_once() {
    let mut one = Invoice::new(cascading());
    one.happen(&Told(PaymentFailed, 1));
    one.happen(&Passed(3 * HOUR));
    assert_eq!(standing(one.intent.as_ref()).0, "due 1.1");
    let mut other = one.beside("in_2", cascading());
    other.happen(&Told(PaymentFailed, 7));
    other.happen(&Pulled(RetryNow));
    other.happen(&Passed(60));
    assert_eq!(standing(other.intent.as_ref()).0, "planned");
    let claim = one
        .cards()
        .ledgers
        .get("pm_1")
        .and_then(|it| it.claim.clone());
    let until = claim.map(|claim| claim.until);
    let due = other
        .intent
        .as_ref()
        .and_then(|intent| intent.retry.due_at());
    assert_eq!(due, until);
    // Once the first is answered, the token is free.
    one.happen(&Reported(false));
    other.happen(&Passed(2 * HOUR));
    assert_eq!(standing(other.intent.as_ref()).0, "due 1.1");
}

/// The platform tells of a charge of this token so long after it was made.
fn late(kind: SignalKind, charge: u8, token: &'static str, late_s: u32, hard: bool) -> Happening {
    Charged(scene::Charged {
        kind,
        charge,
        token,
        named: true,
        late_s,
        hard,
    })
}

/// When the token was charged, as is known of it.
fn tries(invoice: &Invoice, token: &str) -> Vec<jiff::Timestamp> {
    let cards = invoice.cards();
    let ledger = cards.ledgers.get(token);
    let tries = ledger.into_iter().flat_map(|it| it.tries.values());
    tries.flatten().copied().collect()
}

#[test]
fn a_retry_that_is_answered_by_another_card_leaves_the_first_ones_tries_as_they_were() {
    let mut invoice = Invoice::new(cascading());
    let first = invoice.now();
    invoice.happen(&Told(PaymentFailed, 1));
    invoice.happen(&Passed(3 * HOUR));
    let answered = invoice.now();
    assert_eq!(tries(&invoice, "pm_1"), [first, answered]);
    invoice.happen(&Answered(scene::Answered {
        paid: false,
        other: Some("pm_2"),
        named: true,
        left: None,
        hard: false,
    }));
    assert_eq!(tries(&invoice, "pm_1"), [first]);
    assert_eq!(tries(&invoice, "pm_2"), [answered]);
}

#[test]
fn a_late_charge_of_an_older_card_counts_for_that_card_wherever_it_is_charged() {
    let cases = [
        (
            "a hard decline stops it",
            PaymentFailed,
            true,
            "hard_declined",
        ),
        ("a decline is one more try", PaymentFailed, false, "due 1.1"),
        ("a charge under way, too", PaymentPending, false, "due 1.1"),
    ];
    for (name, kind, hard, want) in cases {
        let mut one = Invoice::new(cascading());
        one.happen(&late(PaymentFailed, 1, "pm_2", 0, false));
        // Its older card pays another invoice, whose retry is planned.
        let mut other = one.beside("in_2", cascading());
        other.happen(&Told(PaymentFailed, 7));
        assert_eq!(standing(other.intent.as_ref()).0, "planned");
        let before = tries(&one, "pm_1").len();
        one.happen(&late(kind, 2, "pm_1", HOUR, hard));
        assert_eq!(one.intent.as_ref().and_then(Intent::token), Some("pm_2"));
        assert_eq!(tries(&one, "pm_1").len(), before + 1, "{name}");
        assert_eq!(tries(&one, "pm_2").len(), 1, "{name}");
        other.happen(&Passed(3 * HOUR));
        assert_eq!(standing(other.intent.as_ref()).0, want, "{name}");
    }
}

#[test]
fn a_late_success_of_an_older_card_takes_its_stop_back() {
    let mut one = Invoice::new(cascading());
    one.happen(&late(PaymentFailed, 1, "pm_1", 2 * HOUR, true));
    one.happen(&late(PaymentFailed, 2, "pm_2", 0, false));
    let stopped = |invoice: &Invoice| {
        invoice
            .cards()
            .ledgers
            .get("pm_1")
            .map(TokenLedger::is_stopped)
    };
    assert_eq!(stopped(&one), Some(true));
    one.happen(&late(PaymentSucceeded, 3, "pm_1", HOUR, false));
    assert_eq!(stopped(&one), Some(false));
}

#[test]
fn a_card_that_was_charged_before_the_first_failure_counts_from_then_on() {
    let mut invoice = Invoice::new(cascading());
    invoice.happen(&late(PaymentPending, 1, "pm_2", HOUR, false));
    assert_eq!(invoice.cards().ledgers.len(), 0);
    invoice.happen(&Told(PaymentFailed, 2));
    assert_eq!(tries(&invoice, "pm_1").len(), 1);
    assert_eq!(tries(&invoice, "pm_2").len(), 1);
}
