//! Revenue recovery: what a billing platform's signals mean for an invoice that could not be collected.
//!
//! A [`Signal`] is what the platform told us, in our words. [`step`] joins it into the [`Intent`] (one invoice to
//! collect, with its [`Attempt`]s) and says which events that makes. Signals come twice and in any order, so the
//! join is a set of maxima and minima over the platform's own order key: whatever the order of arrival, the same
//! signals leave the same state. Event ids are derived from what happened, so telling twice is telling once.

mod action;
mod attempt;
mod charge;
mod decline;
mod due;
mod intent;
mod ledger;
mod lever;
mod network;
mod plan;
mod retry;
mod signal;
mod step;
mod terms;
mod timetable;
mod told;

pub use action::{Action, action};
pub use attempt::{Attempt, Fact};
pub use charge::{Card, Charge, ChargeId, Decline, Details, Enrichment, Instrument, Status};
pub use decline::{advised_wait, is_hard};
pub use due::{Alarm, Due, due};
pub use intent::{Intent, IntentKey, State};
pub use ledger::{Claim, Stop, TokenLedger};
pub use lever::{Pulled, pull};
pub use network::{Limits, Network};
pub use retry::{
    Ask, EndReason, Held, Hold, Hurry, Issue, Lever, Plan, Pull, RecordBack, Recording, Retry,
    Stage,
};
pub use signal::{Order, Signal, SignalKind};
pub use step::{Joined, Step, join};
pub use terms::{Mode, Terms};
pub use timetable::{CLEAR_AFTER, CLEAR_BEFORE, History, Next, timetable};

pub use crate::event::recovery::TriggeredBy;

#[cfg(test)]
mod cards;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod scene;
