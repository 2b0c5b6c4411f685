//! Where the retries of an intent stand: planned, told to the merchant, unanswered, or at an end.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ChargeKey, KeyId, SignalId};

/// The retries of an intent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Where they stand.
    pub stage: Stage,
    /// How many the merchant was told of.
    #[serde(default)]
    pub told: u32,
    /// What signals made of the timetable, the last ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<Plan>,
    /// What an operator put on them, until an operator takes it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// An operator asked for the next one at once, when so many charges had been tried: since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hurried: Option<Hurry>,
}

/// So many plans are kept with an intent.
const PLANS_MOST: usize = 32;

impl Retry {
    /// When somebody has to look at them, if time alone moves them on: when the next one is due, at once while the
    /// merchant is not told yet, and when its deadline has passed.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        match &self.stage {
            Stage::Planned { at } => Some(*at),
            Stage::Due(issue) if issue.sent => Some(issue.deadline),
            // On hold it is not told; resumed, it is.
            Stage::Due(issue) => self.hold.is_none().then_some(issue.at),
            Stage::Idle
            | Stage::PlatformFirst
            | Stage::Held
            | Stage::Paused
            | Stage::Missed { .. }
            | Stage::Unknown(_)
            | Stage::Ended { .. } => None,
        }
    }

    /// Keeps a plan.
    pub(super) fn note(&mut self, plan: Plan) {
        self.plans.push(plan);
        let over = self.plans.len().saturating_sub(PLANS_MOST);
        self.plans.drain(..over);
    }

    /// What a signal made of the timetable, if it changed it.
    pub(super) fn plan_of(&self, signal: &SignalId) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.signal == *signal)
    }
}

/// What a signal made of the timetable: kept, so that a replay tells the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The signal.
    pub signal: SignalId,
    /// The number of the next retry then.
    pub retry: u32,
    /// Planned, or at an end.
    #[serde(flatten)]
    pub stage: Stage,
}

/// Where the retries of an intent stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// There is nothing to collect again: no charge failed.
    #[default]
    Idle,
    /// The platform has not had its own tries yet.
    PlatformFirst,
    /// A charge is under way.
    Held,
    /// An operator paused them.
    Paused,
    /// The next one has its time.
    Planned {
        /// When it is due.
        at: Timestamp,
    },
    /// In monitoring: the next one would have been due, and nobody was told.
    Missed {
        /// When it would have been due.
        at: Timestamp,
    },
    /// The merchant is told to charge, and has not reported yet.
    Due(Issue),
    /// The merchant was told to charge, and nobody knows whether it did: nothing is charged on a guess.
    Unknown(Issue),
    /// There will be no more.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// A retry that the merchant is told to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// Which one, counted from 1.
    pub number: u32,
    /// How often it was told, always with the same idempotency key; from 1.
    pub times: u32,
    /// When it became due.
    pub at: Timestamp,
    /// Until when the merchant may make it.
    pub deadline: Timestamp,
    /// Whether the event is on its way; until then it is sent again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sent: bool,
}

/// Why there will be no more retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The ladder, or what the account agreed on, has no further one.
    RetriesExhausted,
    /// The next one would come too long after the first failure.
    GracePeriodExpired,
    /// The card must not be charged again.
    HardDeclined,
    /// The invoice was given up, by the platform or by an operator.
    Cancelled,
    /// The invoice was collected.
    Recovered,
}

impl EndReason {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetriesExhausted => "retries_exhausted",
            Self::GracePeriodExpired => "grace_period_expired",
            Self::HardDeclined => "hard_declined",
            Self::Cancelled => "cancelled",
            Self::Recovered => "recovered",
        }
    }
}

/// What an operator put on the retries of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// None until they are resumed.
    Paused,
    /// None any more; resuming takes that back.
    Cancelled,
}

/// That an operator asked for the next retry at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hurry {
    /// How many charges had been tried then: it holds for the next one only.
    pub tried: u32,
    /// When.
    pub at: Timestamp,
}

/// What an operator can do to an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lever {
    /// No retries until they are resumed.
    Pause,
    /// Retries go on.
    Resume,
    /// No retries any more.
    Cancel,
    /// The next retry at once, within what the networks allow; after an unknown outcome: the same one again, under the
    /// same idempotency key.
    RetryNow,
}

impl Lever {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Pause, Self::Resume, Self::Cancel, Self::RetryNow];

    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::RetryNow => "retry_now",
        }
    }
}

/// That an operator pulled a lever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Drawn when it was pulled, so that a message that comes twice pulls once.
    pub id: String,
    /// Which one.
    pub lever: Lever,
    /// The API key it was pulled with; `None` for the operator's key of the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<KeyId>,
    /// When.
    pub at: Timestamp,
}

/// How telling the platform of a success stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordBack {
    /// How it ended, if it did.
    pub state: Recording,
    /// The success: the charge by which the invoice was collected.
    pub charge: ChargeKey,
    /// How often the platform was asked.
    pub tries: u32,
    /// When this was written.
    pub at: Timestamp,
    /// The last answer's HTTP status, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The platform's own id of what it recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_id: Option<String>,
}

/// How telling the platform of a success ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    /// Not yet.
    Waiting,
    /// It has it.
    Recorded,
    /// It does not take it, or could not be reached for as long as was tried: somebody must look.
    Failed,
}
