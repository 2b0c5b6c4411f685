//! The record of a delivery: its tries, and where it stands.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{EXCERPT_MOST, Failure, Outcome, Policy, Verdict};
use crate::ids::{EndpointId, EventId, Round, TenantId};
use crate::recovery::{Intent, IntentKey};
use crate::time::{later, until};

/// A wait up to this long is the message's visibility timeout; a longer one is parked in the table, because
/// messages in flight are capped.
pub const VISIBILITY_MOST: SignedDuration = SignedDuration::from_mins(15);

/// Which delivery: derived, so that a replay of the same work lands on the same record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryKey {
    /// Whose event it is.
    pub tenant: TenantId,
    /// The event.
    pub event: EventId,
    /// The receiver.
    pub endpoint: EndpointId,
    /// The round.
    pub round: Round,
}

/// Something that must hold for a delivery to be of use; it is read before each try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "guard", rename_all = "snake_case")]
pub enum Guard {
    /// The merchant must still be to make this retry, and have the time for it.
    RetryDue {
        /// Of which intent.
        intent: IntentKey,
        /// Which retry, counted from 1.
        number: u32,
        /// Which telling of it, counted from 1.
        times: u32,
        /// After this time nobody may make it any more.
        deadline: Timestamp,
    },
}

impl Guard {
    /// How the delivery ends without a try at `now`, if it does, given the intent that the guard names. An intent that is
    /// not there lets nothing through.
    #[must_use]
    pub fn ends(&self, intent: Option<&Intent>, now: Timestamp) -> Option<State> {
        let Self::RetryDue {
            intent: _,
            number,
            times,
            deadline,
        } = self;
        if now > *deadline {
            Some(State::Expired)
        } else if intent.is_some_and(|intent| intent.awaits(*number, *times)) {
            None
        } else {
            Some(State::Superseded)
        }
    }

    /// After this time what is guarded is of no use.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        let Self::RetryDue { deadline, .. } = self;
        *deadline
    }
}

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u32,
    /// The HTTP status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was no answer, if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The beginning of the answer's body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub excerpt: String,
}

impl Try {
    /// The record of a request made from `at` until `ended`.
    #[must_use]
    pub fn new(at: Timestamp, ended: Timestamp, outcome: &Outcome) -> Self {
        let took_ms = u32::try_from(ended.duration_since(at).as_millis()).unwrap_or_default();
        match outcome {
            Outcome::Answered {
                status, excerpt, ..
            } => Self {
                at,
                took_ms,
                status: Some(*status),
                failure: None,
                excerpt: excerpt
                    .get(..excerpt.floor_char_boundary(EXCERPT_MOST))
                    .unwrap_or_default()
                    .to_owned(),
            },
            Outcome::Failed(failure) => Self {
                at,
                took_ms,
                status: None,
                failure: Some(*failure),
                excerpt: String::new(),
            },
        }
    }
}

/// Why a delivery was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The policy has no further try.
    RetriesExhausted,
    /// The receiver answered 410 Gone.
    Gone,
    /// Somebody waited for the receiver's decision, and it did not come in time or could not be used.
    Undecided,
    /// The endpoint's breaker was still open when the last retry would have been over.
    EndpointDown,
}

/// Why a delivery was not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The endpoint is switched off.
    EndpointDisabled,
    /// The endpoint is no longer there.
    EndpointDeleted,
}

/// Why a message was set aside: always an accident of ours, never a receiver's refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It is no task that we know.
    Undecodable,
    /// Its handler panicked three times.
    Panicked,
    /// It came far more often than its tries explain.
    Stuck,
    /// The queue itself gave it up.
    DeadLetter,
}

impl Cause {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::Panicked => "panicked",
            Self::Stuck => "stuck",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// Where a delivery stands. One that was never tried has no record and is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Queued: not tried yet, or taken up again after it was set aside.
    Queued,
    /// Its message waits out a visibility timeout.
    Retrying {
        /// When it is tried next.
        due: Timestamp,
    },
    /// It waits in the table, and `sweep` puts it back.
    Parked {
        /// When it is tried next.
        due: Timestamp,
    },
    /// It waits in the table for its endpoint, whose breaker is open; `sweep` puts it back.
    Held {
        /// If the breaker is still open then, it is given up.
        until: Timestamp,
    },
    /// The receiver has it.
    Delivered,
    /// Given up.
    GivenUp {
        /// Why.
        reason: End,
    },
    /// Its guard no longer holds: what it would have said is no longer so.
    Superseded,
    /// A retry would have come too late to be of use; or any try, where a guard has a deadline.
    Expired,
    /// Not tried.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
    /// Its message was set aside. The round is not over: a redriven message or a replay takes it up again.
    Quarantined {
        /// Why.
        cause: Cause,
    },
}

impl State {
    /// Whether the round is over.
    #[must_use]
    pub fn settled(self) -> bool {
        match self {
            Self::Queued
            | Self::Retrying { .. }
            | Self::Parked { .. }
            | Self::Held { .. }
            | Self::Quarantined { .. } => false,
            Self::Delivered
            | Self::GivenUp { .. }
            | Self::Superseded
            | Self::Expired
            | Self::Skipped { .. } => true,
        }
    }

    /// The next try, where there is one.
    #[must_use]
    pub fn due(self) -> Option<Timestamp> {
        match self {
            Self::Retrying { due } | Self::Parked { due } => Some(due),
            Self::Queued
            | Self::Held { .. }
            | Self::Delivered
            | Self::GivenUp { .. }
            | Self::Superseded
            | Self::Expired
            | Self::Skipped { .. }
            | Self::Quarantined { .. } => None,
        }
    }

    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Retrying { .. } => "retrying",
            Self::Parked { .. } => "parked",
            Self::Held { .. } => "held",
            Self::Delivered => "delivered",
            Self::GivenUp { .. } => "given_up",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::Skipped { .. } => "skipped",
            Self::Quarantined { .. } => "quarantined",
        }
    }
}

/// A message as it was received this time. Queues hand a message out twice now and then, and again when its visibility ran
/// out: whoever has it from an earlier receipt may still be at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder<'a> {
    /// The message's id, the same at every receipt.
    pub message: &'a str,
    /// How often it was received, this time included.
    pub count: u32,
}

/// Which message works on a delivery. Messages come twice; while one holds a delivery, another one waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The message's id, the same at every receipt.
    pub by: String,
    /// Which receipt of it is at work; none while it waits for its next try, which any of them may make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<u32>,
    /// It holds the delivery until then, unless it says otherwise before.
    pub until: Timestamp,
}

/// A message that has claimed a delivery holds it for so long: a try and what belongs to it fit in.
const CLAIM: SignedDuration = SignedDuration::from_secs(30);
/// A try takes at most its deadline; recording it comes on top.
const TRY: SignedDuration = SignedDuration::from_secs(25);
/// A message that waits for its next try keeps its hold for so long beyond it.
const OVERDUE: SignedDuration = SignedDuration::from_mins(1);

/// One event on its way to one endpoint, in one round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which one.
    pub key: DeliveryKey,
    /// Where it stands.
    pub state: State,
    /// The requests made, oldest first.
    pub tries: Vec<Try>,
    /// How often it was parked or held: a message of an earlier hop has nothing more to do.
    pub hop: u32,
    /// If it was ever held for its endpoint: from then on it is given up rather than held again.
    pub held_until: Option<Timestamp>,
    /// What must hold for it to be tried.
    pub guard: Option<Guard>,
    /// Which message works on it.
    pub hold: Option<Hold>,
}

/// What the policy of an endpoint makes of a failed try.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The endpoint's policy.
    pub policy: &'a Policy,
    /// After this time a retry is of no use.
    pub useful_until: Option<Timestamp>,
    /// Drawn from 0 to 999, for the jitter.
    pub per_mille: u16,
    /// How often the delivery had been parked or held when the try began.
    pub hop: u32,
    /// The message that tried.
    pub holder: Holder<'a>,
}

impl Delivery {
    /// A delivery that was not tried yet.
    #[must_use]
    pub fn new(key: DeliveryKey, guard: Option<Guard>) -> Self {
        Self {
            key,
            state: State::Queued,
            tries: Vec::new(),
            hop: 0,
            held_until: None,
            guard,
            hold: None,
        }
    }

    /// How many tries were made.
    #[must_use]
    pub fn tried(&self) -> u32 {
        u32::try_from(self.tries.len()).unwrap_or(u32::MAX)
    }

    /// Until when another message, or another receipt of this one, holds it, if one does at `now`.
    #[must_use]
    pub fn held_from(&self, holder: Holder<'_>, now: Timestamp) -> Option<Timestamp> {
        let hold = self.hold.as_ref()?;
        let is_own =
            hold.by == holder.message && hold.receipt.is_none_or(|count| count == holder.count);
        (!is_own && hold.until > now).then_some(hold.until)
    }

    /// Whether this receipt holds it, and for long enough to make a try and record it.
    #[must_use]
    pub fn holds_for_a_try(&self, holder: Holder<'_>, now: Timestamp) -> bool {
        let needed = later(now, TRY);
        self.hold.as_ref().is_some_and(|hold| {
            hold.by == holder.message && hold.receipt == Some(holder.count) && hold.until >= needed
        })
    }

    /// Gives it to this receipt for the time of a try. One whose message had been set aside is under way again.
    pub fn claim(&mut self, holder: Holder<'_>, now: Timestamp) {
        if let State::Quarantined { .. } = self.state {
            self.state = State::Queued;
        }
        self.hold = Some(Hold {
            by: holder.message.to_owned(),
            receipt: Some(holder.count),
            until: later(now, CLAIM),
        });
    }

    /// After a try: `message` keeps it if it is to try again, else nobody holds it.
    pub fn keep(&mut self, message: &str) {
        self.hold = match self.state {
            State::Retrying { due } => Some(Hold {
                by: message.to_owned(),
                receipt: None,
                until: later(due, OVERDUE),
            }),
            State::Queued
            | State::Parked { .. }
            | State::Held { .. }
            | State::Delivered
            | State::GivenUp { .. }
            | State::Superseded
            | State::Expired
            | State::Skipped { .. }
            | State::Quarantined { .. } => None,
        };
    }

    /// Notes that a message of its, sent after it was parked or held `hop` times, was set aside at `now`. Whether that changed
    /// anything: not if the round is over, nor if another message carries it on, be it one that holds it, one of a later
    /// hop, or the one that `sweep` will send. `is_holder` tells whether a hold is that of the message set aside.
    pub fn set_aside(
        &mut self,
        cause: Cause,
        hop: u32,
        is_holder: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> bool {
        let held = |hold: &Hold| hold.until > now && !is_holder(&hold.by);
        let carried_on = match self.state {
            State::Parked { .. } | State::Held { .. } => true,
            state => state.settled() || hop < self.hop || self.hold.as_ref().is_some_and(held),
        };
        if !carried_on {
            self.state = State::Quarantined { cause };
            self.hold = None;
        }
        !carried_on
    }

    /// Records a try that ended at `now` and settles what follows; says whether that is now the matter of the message that
    /// tried. It is not if another copy of it settled the round meanwhile, unless this try got through. Nor is it, unless the
    /// round is over now, if another copy had the delivery parked or held, for `sweep` carries that on, and whoever comes with
    /// an earlier hop has nothing more to do; or if another message or receipt holds it for a try of its own. Whoever carries
    /// it on, of copies that were told to wait the longest wait counts; but what is held goes out once its endpoint is back.
    pub fn settle(
        &mut self,
        tried: Try,
        outcome: &Outcome,
        verdict: Verdict,
        terms: Terms<'_>,
        now: Timestamp,
    ) -> bool {
        self.tries.push(tried);
        if self.state == State::Delivered || (self.state.settled() && verdict != Verdict::Delivered)
        {
            return false;
        }
        let next = match verdict {
            Verdict::Delivered => State::Delivered,
            Verdict::Gone => State::GivenUp { reason: End::Gone },
            Verdict::Failed => self.after_failure(outcome, terms, now),
        };
        let State::Retrying { due } = next else {
            self.state = next;
            return true;
        };
        let due = self.state.due().map_or(due, |told| told.max(due));
        let tried_now = self.hold.as_ref().is_some_and(|it| it.receipt.is_some());
        let is_tried = tried_now && self.held_from(terms.holder, now).is_some();
        let carried_on = self.hop > terms.hop || is_tried;
        self.state = match self.state {
            State::Parked { .. } if carried_on => State::Parked { due },
            state @ (State::Held { .. } | State::Quarantined { .. }) if carried_on => state,
            _ if until(now, due) <= VISIBILITY_MOST => State::Retrying { due },
            _ => {
                self.hop += 1;
                State::Parked { due }
            }
        };
        !carried_on
    }

    /// The end of the round, or the time of the next try.
    fn after_failure(&self, outcome: &Outcome, terms: Terms<'_>, now: Timestamp) -> State {
        let Some(wait) =
            terms
                .policy
                .wait_after(self.tried(), outcome.retry_after(), terms.per_mille)
        else {
            return State::GivenUp {
                reason: End::RetriesExhausted,
            };
        };
        let due = later(now, wait);
        if terms.useful_until.is_some_and(|useful| due > useful) {
            State::Expired
        } else {
            State::Retrying { due }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
