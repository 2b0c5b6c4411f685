//! What holds when an ASE does not decide, and how long it is waited for.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// What becomes of a payment of which the ASE did not decide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is rejected.
    #[default]
    Reject,
    /// It is accepted as it was asked for.
    Accept,
}

/// The longest deadline, in milliseconds.
const DEADLINE_MOST_MS: u32 = 10_000;
/// The shortest deadline, in milliseconds.
const DEADLINE_LEAST_MS: u32 = 100;
/// The deadline where the tenant names none: what Rafiki waits for a decision on a partial payment
/// (`PARTIAL_PAYMENT_DECISION_MAX_WAIT_MS` of interledger/rafiki).
const DEADLINE_MS: u32 = 1500;

/// A tenant's policy on decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What becomes of a payment of which the ASE did not decide.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How long all requests to the ASE may take together, in milliseconds from the arrival of the question.
    #[serde(default = "usual_ms")]
    pub deadline_ms: u32,
}

/// A deadline that is too short or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {DEADLINE_LEAST_MS} to {DEADLINE_MOST_MS} milliseconds")]
pub struct PolicyError;

fn usual_ms() -> u32 {
    DEADLINE_MS
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::default(),
            deadline_ms: DEADLINE_MS,
        }
    }
}

impl Policy {
    /// The longest deadline.
    pub const DEADLINE_MOST: SignedDuration = SignedDuration::from_secs(10);

    /// The policy, if its deadline is one.
    ///
    /// # Errors
    /// [`PolicyError`] otherwise.
    pub fn check(self) -> Result<Self, PolicyError> {
        if (DEADLINE_LEAST_MS..=DEADLINE_MOST_MS).contains(&self.deadline_ms) {
            Ok(self)
        } else {
            Err(PolicyError)
        }
    }

    /// How long all requests to the ASE may take together.
    #[must_use]
    pub fn deadline(self) -> SignedDuration {
        SignedDuration::from_millis(i64::from(self.deadline_ms))
    }
}
