//! What an ASE's answer comes to: judged against the question, or left to the tenant's policy.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::question::{is_zero, object, same_asset};
use super::{Because, By, Decision, Policy, Question, QuestionKind, Verdict};
use crate::delivery::{Failure, Outcome};
use crate::event::amount::Amount;

/// So many characters of a reason are kept.
const REASON_MOST: usize = 500;

/// What is decided, given what came of the last request to the ASE.
#[must_use]
pub fn conclude(question: &Question, outcome: &Outcome, policy: Policy) -> Decision {
    let (because, problem) = match outcome {
        Outcome::Answered {
            status: 200,
            excerpt,
            ..
        } => match judge(question, excerpt) {
            Ok(decision) => return decision,
            Err(problem) => (Because::InvalidAnswer, Some(problem)),
        },
        Outcome::Answered { .. } => (Because::Refused, None),
        Outcome::Failed(failure) => (because(*failure), None),
    };
    Decision::by_policy(question, policy, because, problem)
}

fn because(failure: Failure) -> Because {
    match failure {
        Failure::Timeout => Because::Timeout,
        Failure::Protocol => Because::InvalidAnswer,
        Failure::Refused
        | Failure::Dns
        | Failure::Tls
        | Failure::Closed
        | Failure::Blocked
        | Failure::Unsigned
        | Failure::Locked => Because::Refused,
    }
}

/// An answer that accepts. Nothing in it may be left unread: it could be a limit with a misspelt name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Acceptance {
    decision: Verdict,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default, deserialize_with = "said")]
    incoming_amount: Said,
}

/// What an answer says of the amount.
#[derive(Default)]
enum Said {
    /// Nothing.
    #[default]
    Nothing,
    /// That there is to be none.
    Null,
    /// This.
    Amount(Amount),
}

fn said<'de, D: Deserializer<'de>>(given: D) -> Result<Said, D::Error> {
    Option::<Amount>::deserialize(given).map(|amount| amount.map_or(Said::Null, Said::Amount))
}

/// The decision that an ASE's answer is, or what is wrong with the answer.
fn judge(question: &Question, answer: &str) -> Result<Decision, String> {
    // White space that JSON does not know is let pass, of a rejection too.
    let answer = answer.trim();
    let (reason, incoming_amount, verdict) = match rejection(answer) {
        Some(reason) => (reason, None, Verdict::Rejected),
        None => {
            let told: Acceptance = object(answer).map_err(|wrong| wrong.to_string())?;
            match told.decision {
                Verdict::Accepted => {
                    let amount = agreed(question, told.incoming_amount)?;
                    (told.reason, amount, Verdict::Accepted)
                }
                Verdict::Rejected => (told.reason, None, Verdict::Rejected),
            }
        }
    };
    Ok(Decision {
        verdict,
        reason: reason.map(|reason| reason.chars().take(REASON_MOST).collect()),
        incoming_amount,
        by: By::Ase,
    })
}

/// The reason of an answer that rejects. What else it holds does not matter, even another decision beside that one: no policy
/// may accept what the ASE did not want.
fn rejection(answer: &str) -> Option<Option<String>> {
    let Members(members) = serde_json::from_str(answer).ok()?;
    let rejected = Verdict::Rejected.as_str();
    let rejects = |(name, value): &(String, Value)| name == "decision" && value == rejected;
    let reason = members.iter().find(|(name, _)| name == "reason");
    let reason = reason.and_then(|(_, value)| value.as_str());
    members
        .iter()
        .any(rejects)
        .then(|| reason.map(str::to_owned))
}

/// Every member of an object, those that stand there twice as well.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(answer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = object.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        answer.deserialize_map(Reader)
    }
}

/// The amount that an accepted payment is made with: as asked, lowered, or set where there was none.
fn agreed(question: &Question, said: Said) -> Result<Option<Amount>, String> {
    let wrong = |rule: &str| Err(format!("`incomingAmount` {rule}"));
    match (question.kind(), question.incoming_amount(), said) {
        (QuestionKind::Partial, _, Said::Amount(_)) => {
            wrong("must be left out: a partial payment is accepted or rejected as it is")
        }
        (QuestionKind::Partial, _, Said::Nothing | Said::Null) => Ok(None),
        (_, asked, Said::Nothing) => Ok(asked.cloned()),
        (_, None, Said::Null) => Ok(None),
        (_, Some(_), Said::Null) => wrong("must not be removed"),
        (_, _, Said::Amount(amount)) if is_zero(&amount) => wrong("must be more than 0"),
        (_, None, Said::Amount(amount)) => Ok(Some(amount)),
        (_, Some(asked), Said::Amount(amount)) => {
            if !same_asset(&amount, asked) {
                wrong("must be of the asset and scale that was asked for")
            } else if amount.value > asked.value {
                wrong("must not be above what was asked for")
            } else {
                Ok(Some(amount))
            }
        }
    }
}
