//! What an operator does to the retries of an intent.

use jiff::Timestamp;

use super::told::Told;
use super::{EndReason, Hold, Hurry, Intent, Issue, Lever, Pull, Stage, State, Terms, TokenLedger};
use crate::event::Event;
use crate::event::recovery::CancelledBy;
use crate::ids::TenantId;

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

    fn was_refused(&self, pull: &Pull) -> bool {
        let refused = |known: &Pull| known.id == pull.id && known.refused.is_some();
        self.pulls.iter().any(refused)
    }

    /// Whether this very pull was made before.
    fn was_pulled(&self, pull: &Pull) -> bool {
        self.pulls.iter().any(|known| known.id == pull.id)
    }

    /// Pulls a lever at `now`: what it means for the retries is worked out after it.
    fn pull(&mut self, lever: Lever, now: Timestamp) {
        match lever {
            Lever::Pause => self.retry.hold = Some(Hold::Paused),
            Lever::Cancel => self.retry.hold = Some(Hold::Cancelled),
            Lever::Resume => self.retry.hold = None,
            // The same retry under the same idempotency key: if it was made, it is not made twice.
            Lever::RetryNow => match self.retry.open.clone() {
                Some(issue) => self.retry.tell(Issue {
                    sent: false,
                    again: true,
                    wait: None,
                    unknown: false,
                    asked: true,
                    ..issue
                }),
                None => {
                    self.retry.hurried = Some(Hurry {
                        told: self.retry.told,
                        at: now,
                    });
                }
            },
        }
    }

    /// Why a pull moves nothing, though somebody was told that it would: something came before it.
    fn overtakes(&self, pull: &Pull) -> Option<&'static str> {
        let holds = |pull: &Pull| pull.lever != Lever::RetryNow;
        let applied = |known: &&Pull| known.refused.is_none() && holds(known);
        let last = self.pulls.iter().filter(applied).map(|known| known.at);
        if holds(pull) && last.max() > Some(pull.at) {
            return Some("a later lever was pulled before this one arrived");
        }
        self.refuses(pull.lever)
    }

    fn record(&mut self, pull: Pull) {
        self.pulls.push(pull);
        let over = self.pulls.len().saturating_sub(PULLS_MOST);
        self.pulls.drain(..over);
    }
}

/// What pulling a lever leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The intent as it stands now.
    pub intent: Intent,
    /// What is known of the token now, if that changed.
    pub ledger: Option<TokenLedger>,
    /// Whether the intent must be stored: a pull seen before changes nothing.
    pub changed: bool,
    /// What has to be told. A pull seen before tells the same again, under the same ids.
    pub events: Vec<Event>,
}

/// Pulls a lever of a tenant's intent, on the `terms` of its billing account and with what is known of its token. One that
/// can't be pulled any more moves nothing, and is recorded with the reason.
#[must_use]
pub fn pull(
    tenant: &TenantId,
    mut intent: Intent,
    pull: &Pull,
    terms: &Terms,
    ledger: Option<TokenLedger>,
    now: Timestamp,
) -> Pulled {
    let changed = !intent.was_pulled(pull);
    let refused = changed.then(|| intent.overtakes(pull)).flatten();
    let mut new = None;
    if changed {
        intent.record(Pull {
            refused: refused.map(str::to_owned),
            ..pull.clone()
        });
    }
    if changed && refused.is_none() {
        let token = intent.token().map(str::to_owned);
        let known = ledger.unwrap_or_default();
        let mut ledger = known.clone();
        intent.enter(token.as_deref(), &mut ledger, terms, now);
        intent.pull(pull.lever, now);
        intent.replan(terms, &ledger);
        intent.enter(token.as_deref(), &mut ledger, terms, now);
        new = (token.is_some() && ledger != known).then_some(ledger);
    }
    let told = Told::new(tenant, &intent);
    let event = match pull.lever {
        _ if intent.was_refused(pull) => None,
        Lever::Cancel => Some(told.cancelled(CancelledBy::Operator, pull.at)),
        Lever::Pause => None,
        Lever::Resume | Lever::RetryNow => {
            let retry = &intent.retry;
            told.planned(retry.told.saturating_add(1), &retry.stage, terms)
        }
    };
    Pulled {
        events: event.into_iter().collect(),
        intent,
        ledger: new,
        changed,
    }
}

#[cfg(test)]
#[path = "lever_tests.rs"]
mod tests;
