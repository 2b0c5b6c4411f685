//! Decisions: an ASE is asked, while somebody waits, whether an incoming payment may be made.
//!
//! A [`Question`] is what a payment backend asks; an ASE's answer is judged against it ([`conclude`]); where there is no
//! usable answer the tenant's [`Policy`] decides, and the [`Decision`] says so. All of it is pure: the request is made
//! elsewhere, and time is an argument.
//!
//! What it promises: an accepted amount is never above what was asked, and never in another asset; a rejection that can
//! be read is a rejection, whatever else the answer holds; the same question under the same key has one decision, which
//! is kept with its event.

mod answer;
mod policy;
mod question;

use serde::{Deserialize, Serialize};

pub use answer::conclude;
pub use policy::{OnFailure, Policy, PolicyError};
pub use question::{Kept, Question, QuestionKind};

use crate::event::amount::Amount;
use crate::event::{Event, Source};
use crate::ids::{EventId, TenantId};

/// The source of an event that is a decision.
const SOURCE: &str = "decide";

/// Whether the payment may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may.
    Accepted,
    /// It may not.
    Rejected,
}

impl Verdict {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

/// Why the policy decided and not the ASE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The ASE had not answered when the deadline passed.
    Timeout,
    /// It could not be reached, or answered with another status than 200.
    Refused,
    /// It answered, and the answer can't be used.
    InvalidAnswer,
    /// The tenant has no endpoint of role `ase` with a `decision_url`.
    NoEndpoint,
    /// Every such endpoint is switched off.
    EndpointDisabled,
}

impl Because {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::InvalidAnswer => "invalid_answer",
            Self::NoEndpoint => "no_endpoint",
            Self::EndpointDisabled => "endpoint_disabled",
        }
    }
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum By {
    /// The ASE.
    Ase,
    /// The tenant's policy.
    Policy {
        /// Why it had to.
        because: Because,
        /// What is wrong with the ASE's answer, where there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
}

/// What was decided, as it is answered and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Whether the payment may be made.
    #[serde(rename = "decision")]
    pub verdict: Verdict,
    /// Why, in the ASE's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The amount that an accepted payment is to be made with; none for one that stays open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming_amount: Option<Amount>,
    /// Who decided.
    #[serde(flatten)]
    pub by: By,
}

impl Decision {
    /// What the policy makes of a question that has no usable answer.
    #[must_use]
    pub fn by_policy(
        question: &Question,
        policy: Policy,
        because: Because,
        problem: Option<String>,
    ) -> Self {
        let (verdict, incoming_amount) = match policy.on_failure {
            OnFailure::Accept => (Verdict::Accepted, question.incoming_amount().cloned()),
            OnFailure::Reject => (Verdict::Rejected, None),
        };
        Self {
            verdict,
            reason: None,
            incoming_amount,
            by: By::Policy { because, problem },
        }
    }
}

/// The id of the event that a question asked under `key` is: the same key gives the same id, so that an ASE that is asked
/// again after an accident of ours knows the question again.
#[must_use]
pub fn event_id(tenant: &TenantId, key: &str) -> EventId {
    EventId::derive(tenant, key, "decision", "incoming_payment")
}

/// Where an event that is a decision comes from.
#[must_use]
pub fn source() -> Source {
    Source::new(SOURCE)
}

/// Whether an event is a decision: asked while somebody waited, and never to be delivered again.
#[must_use]
pub fn is_decision(event: &Event) -> bool {
    event.source.as_str() == SOURCE
}

#[cfg(test)]
mod tests;
