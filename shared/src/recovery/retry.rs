//! Where the retries of an intent stand: planned, told to the merchant, unanswered, or at an end.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::{ChargeKey, KeyId, SignalId};
use crate::money::Money;
use crate::time::later;

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
    /// The last one that the merchant was told of, while nothing is known that came of it: whatever else happens to the
    /// invoice, it may still be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Issue>,
    /// The tokens of those whose answer is known by its time only: a report of one of them that names no token is of that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub guessed: BTreeMap<u32, String>,
    /// The next one is not told before this time, since the last one may be made until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// A charge is under way since then, and whether somebody was told that it takes too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// An operator asked for the next one at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hurried: Option<Hurry>,
}

/// A charge that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when.
    pub since: Timestamp,
    /// Whether somebody was told that it takes too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alarmed: bool,
}

/// A charge that is under way for so long needs somebody to look: no card payment takes that long, a direct debit may.
const HELD_MOST: SignedDuration = SignedDuration::from_hours(14 * 24);

/// So many plans are kept with an intent.
const PLANS_MOST: usize = 32;

impl Retry {
    /// When somebody has to look at them, if time alone moves them on: when the next one is due, as soon as it can be while
    /// the merchant is not told yet, when its deadline has passed, and when a charge takes too long.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        match &self.stage {
            Stage::Planned { at } => Some(*at),
            Stage::Due(issue) if issue.sent => Some(issue.deadline),
            Stage::Due(issue) => Some(issue.wait.unwrap_or(issue.at)),
            Stage::Held => self
                .held
                .filter(|held| !held.alarmed)
                .map(|held| later(held.since, HELD_MOST)),
            Stage::Idle
            | Stage::PlatformFirst
            | Stage::Paused
            | Stage::Missed { .. }
            | Stage::Unknown(_)
            | Stage::Ended { .. } => None,
        }
    }

    /// The merchant is to make this one, and nothing is known that came of it.
    pub(super) fn tell(&mut self, issue: Issue) {
        self.open = Some(issue.clone());
        self.stage = if issue.unknown {
            Stage::Unknown(issue)
        } else {
            Stage::Due(issue)
        };
    }

    /// The token that the merchant was told to charge with this retry, as far as it is still known.
    pub(super) fn token_of(&self, retry: u32) -> Option<&str> {
        let open = self.open.as_ref().filter(|open| open.number == retry);
        match open {
            Some(open) => open.what.token.as_deref(),
            None => self.guessed.get(&retry).map(String::as_str),
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
    /// From when on the merchant may make it, as it was told last.
    pub from: Timestamp,
    /// Until when.
    pub deadline: Timestamp,
    /// From when until when the merchant could make it, as it was told before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<(Timestamp, Timestamp)>,
    /// What is to be charged: the same in every telling.
    pub what: Ask,
    /// Whether the event is on its way; until then it is sent again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sent: bool,
    /// Whether it ever was on its way: then it may have been made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub went_out: bool,
    /// Whether an operator wants it told once more after its deadline.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// While it is not on its way: not before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Timestamp>,
    /// Whether its deadline passed without a word: it is told again only if an operator asks for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// Whether an operator asked for it, so that monitoring does not hold it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
}

impl Issue {
    /// A retry that is not told yet.
    #[must_use]
    pub fn new(number: u32, at: Timestamp, deadline: Timestamp, what: Ask) -> Self {
        Self {
            number,
            times: 1,
            at,
            from: at,
            deadline,
            before: Vec::new(),
            what,
            sent: false,
            went_out: false,
            again: false,
            wait: None,
            unknown: false,
            asked: false,
        }
    }
}

impl Issue {
    /// Told once more, with a new time to make it in.
    pub(super) fn tell_again(&mut self, from: Timestamp, deadline: Timestamp) {
        self.before.push((self.from, self.deadline));
        self.times = self.times.saturating_add(1);
        (self.from, self.deadline) = (from, deadline);
        self.again = false;
    }

    /// Whether somebody may have made it, as far as we know.
    pub(super) fn may_be_made(&self) -> bool {
        self.went_out || self.times > 1
    }

    /// Whether a charge that was made then may be this one. Platforms write whole seconds.
    pub(super) fn may_be(&self, made: Timestamp) -> bool {
        let now = (self.from, self.deadline);
        let mut times = self.before.iter().chain([&now]);
        times
            .any(|(from, until)| (from.as_second()..=until.as_second()).contains(&made.as_second()))
    }
}

impl Ask {
    /// What is left to collect, and nothing else known.
    #[must_use]
    pub fn of(money: Money) -> Self {
        Self {
            money,
            token: None,
            customer: None,
            payment_account: None,
        }
    }
}

/// What a merchant is told to charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What is left to collect, in minor units.
    pub money: Money,
    /// The token at the payment service provider, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The customer there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The payment account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_account: Option<String>,
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
    /// How many retries had been told then: it holds for the next one only.
    pub told: u32,
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
    /// Why it moved nothing, where it came too late to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// How telling the platform of a success stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordBack {
    /// How it ended, if it did.
    pub state: Recording,
    /// The success: the charge by which the invoice was collected.
    pub charge: ChargeKey,
    /// The signal that reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_by: Option<SignalId>,
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

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
