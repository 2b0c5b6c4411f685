//! What an operator does to the retries of an intent.

use jiff::Timestamp;

use super::{EndReason, Hold, Hurry, Intent, Issue, Lever, Pull, Stage, State, Terms};
use crate::time::later;

/// So many pulls of levers are kept with an intent.
const PULLS_MOST: usize = 50;

impl Intent {
    /// Why pulling `lever` makes no sense as the intent stands, in words that complete a sentence; `None` if it does.
    #[must_use]
    pub fn refuses(&self, lever: Lever) -> Option<&'static str> {
        match self.state {
            State::Recovered => return Some("the invoice was collected"),
            State::Cancelled => return Some("the billing platform gave the invoice up"),
            State::Open | State::Processing => {}
        }
        match (lever, self.retry.hold) {
            (Lever::Pause, None) | (Lever::Cancel, None | Some(Hold::Paused)) => None,
            (Lever::Pause, Some(Hold::Paused)) => Some("its retries are paused already"),
            (Lever::Pause, Some(Hold::Cancelled)) => {
                Some("its retries are cancelled; `resume` takes that back")
            }
            (Lever::Cancel, Some(Hold::Cancelled)) => Some("its retries are cancelled already"),
            (Lever::Resume, Some(_)) => None,
            (Lever::Resume, None) => Some("its retries are neither paused nor cancelled"),
            (Lever::RetryNow, Some(_)) => {
                Some("its retries are paused or cancelled; `resume` them first")
            }
            (Lever::RetryNow, None) => self.refuses_hurry(),
        }
    }

    fn refuses_hurry(&self) -> Option<&'static str> {
        match &self.retry.stage {
            Stage::Idle => Some("no charge of the invoice failed"),
            Stage::Held => Some("a charge is under way"),
            Stage::Due(_) => Some("the merchant is told to charge already"),
            Stage::Ended { reason } => Some(match reason {
                EndReason::HardDeclined => "the card must not be charged again",
                EndReason::RetriesExhausted => "no retries are left",
                EndReason::GracePeriodExpired => "the grace period is over",
                EndReason::Cancelled => "the billing platform gave the invoice up",
                EndReason::Recovered => "the invoice was collected",
            }),
            Stage::PlatformFirst
            | Stage::Paused
            | Stage::Planned { .. }
            | Stage::Missed { .. }
            | Stage::Unknown(_) => None,
        }
    }

    /// Whether this very pull was made before.
    #[must_use]
    pub fn was_pulled(&self, pull: &Pull) -> bool {
        self.pulls.iter().any(|known| known.id == pull.id)
    }

    /// Pulls a lever at `now`: what it means for the retries is worked out by [`Intent::replan`] after it.
    pub fn pull(&mut self, pull: &Pull, terms: &Terms, now: Timestamp) {
        match pull.lever {
            Lever::Pause => self.retry.hold = Some(Hold::Paused),
            Lever::Cancel => self.retry.hold = Some(Hold::Cancelled),
            Lever::Resume => self.retry.hold = None,
            Lever::RetryNow => match &self.retry.stage {
                Stage::Unknown(issue) => {
                    // The same retry under the same idempotency key: if it was made, it is not made twice.
                    let again = Issue {
                        times: issue.times.saturating_add(1),
                        deadline: later(now, terms.retry_window()),
                        sent: false,
                        ..issue.clone()
                    };
                    self.retry.stage = Stage::Due(again);
                }
                _ => {
                    self.retry.hurried = Some(Hurry {
                        tried: self.tried(),
                        at: now,
                    });
                }
            },
        }
        self.pulls.push(pull.clone());
        let over = self.pulls.len().saturating_sub(PULLS_MOST);
        self.pulls.drain(..over);
    }
}
