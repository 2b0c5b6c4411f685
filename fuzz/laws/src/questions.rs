//! Decisions: what a payment backend asks, and what an ASE answers. Accepted is never more than what was asked, nor in another
//! asset; a rejection is one; and the question under its key finds its decision again.
//!
//! An input is a question, and after a line `---` the answer.

use serde_json::Value;
use shared::decision::{
    By, Decision, Kept, OnFailure, Policy, Question, QuestionKind, Verdict, conclude, source,
};
use shared::delivery::Outcome;
use shared::event::{Envelope, check};
use shared::ids::EventId;

use crate::now;

const SEPARATOR: &[u8] = b"\n---\n";

/// Holds the laws.
///
/// # Panics
/// Where one is broken.
pub fn hold(input: &[u8]) {
    let at = input
        .windows(SEPARATOR.len())
        .position(|it| it == SEPARATOR);
    let (asked, answer) = match at.and_then(|at| input.split_at_checked(at)) {
        Some((asked, rest)) => (asked, rest.get(SEPARATOR.len()..).unwrap_or_default()),
        None => (input, &[][..]),
    };
    let Ok(question) = Question::read(asked) else {
        return;
    };
    let answer = String::from_utf8_lossy(answer).into_owned();
    for on_failure in [OnFailure::Reject, OnFailure::Accept] {
        let policy = Policy {
            on_failure,
            ..Policy::default()
        };
        let outcome = Outcome::Answered {
            status: 200,
            retry_after: None,
            excerpt: answer.clone(),
        };
        let decision = conclude(&question, &outcome, policy);
        judge(&question, &answer, &decision, on_failure);
        kept(&question, &decision);
    }
}

fn judge(question: &Question, answer: &str, decision: &Decision, on_failure: OnFailure) {
    let answered: Value = serde_json::from_str(answer.trim()).unwrap_or_default();
    let verdict = answered.get("decision").and_then(Value::as_str);
    match &decision.by {
        By::Ase => assert_eq!(
            verdict,
            Some(decision.verdict.as_str()),
            "it says what the ASE said"
        ),
        By::Policy { .. } => {
            assert_ne!(verdict, Some("rejected"), "a rejection is a rejection");
            assert_eq!(
                decision.verdict == Verdict::Accepted,
                on_failure == OnFailure::Accept
            );
        }
    }
    if decision.verdict == Verdict::Rejected {
        assert_eq!(decision.incoming_amount, None);
        return;
    }
    match (question.incoming_amount(), &decision.incoming_amount) {
        (Some(asked), Some(amount)) => {
            assert!(
                amount.value <= asked.value && amount.value.0 > 0,
                "more than was asked"
            );
            assert!(
                amount.asset_code == asked.asset_code && amount.asset_scale == asked.asset_scale,
                "another asset"
            );
        }
        (Some(_), None) => panic!("the amount is gone"),
        (None, Some(_)) => assert_eq!(
            question.kind(),
            QuestionKind::Creation,
            "a part is taken as it is"
        ),
        (None, None) => {}
    }
}

/// What is kept is found again, and is the event that the catalogue documents.
fn kept(question: &Question, decision: &Decision) {
    let id = EventId::parse("e-1").expect("it has the form of an event's id");
    let mut event = question.event(id, now(), source());
    assert_eq!(
        check(&event.event_type, &event.data),
        Ok(()),
        "the ASE is asked in the documented form"
    );
    assert!(event.resource.is_some(), "it is found by what it is about");
    let published = format!(
        r#"{{"id":"e-1","type":"{}","data":{}}}"#,
        event.event_type,
        event.data.as_str()
    );
    assert!(Envelope::read(&published).is_ok());
    event.data = question.decided(decision);
    assert_eq!(
        Kept::of(&event, question),
        Kept::Same(decision.clone()),
        "asked again it is the same"
    );
}
