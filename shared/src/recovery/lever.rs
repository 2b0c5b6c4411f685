//! Which levers can be pulled, as an intent stands.

use super::{EndReason, Hold, Intent, Lever, Stage, State};

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
}
