//! When an invoice is charged next, or why it is not charged again. One pure function.

use jiff::{SignedDuration, Timestamp};

use super::{Decline, EndReason, Network, Terms, TokenLedger, advised_wait, is_hard};
use crate::time::later;

/// What has happened to an invoice so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History<'a> {
    /// How many charges were tried, by whomever.
    pub tried: u32,
    /// When the first one failed.
    pub first_failed: Timestamp,
    /// When the last one failed.
    pub last_failed: Timestamp,
    /// Why the last one failed, where that is known.
    pub decline: Option<&'a Decline>,
    /// The network of the card that was charged last.
    pub network: Network,
    /// When the platform charges next itself, as far as it said.
    pub announced: Option<Timestamp>,
    /// When an operator asked for the next charge at once, if one did: it does not wait for the ladder's step then.
    pub hurried: Option<Timestamp>,
}

/// What comes next for an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is charged again at this time.
    At(Timestamp),
    /// It is not charged again.
    End(EndReason),
}

/// No charge of ours is made so long after one that the platform announced: what comes of that must be known first.
pub const CLEAR_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// And none so long before it, since a merchant needs time for ours.
pub const CLEAR_BEFORE: SignedDuration = SignedDuration::from_mins(30);

/// When an invoice is charged next, no earlier than `from`, on the `terms` of its billing account, with all that is known of
/// the token that would be charged.
#[must_use]
pub fn timetable(
    terms: &Terms,
    history: &History<'_>,
    ledger: &TokenLedger,
    from: Timestamp,
) -> Next {
    let hard = history
        .decline
        .and_then(|decline| is_hard(decline, history.network, &terms.hard_declines));
    if hard.is_some() || ledger.is_stopped() {
        return Next::End(EndReason::HardDeclined);
    }
    if terms
        .max_retry_count
        .is_some_and(|most| history.tried >= most)
    {
        return Next::End(EndReason::RetriesExhausted);
    }
    let Some(wait) = terms.wait(history.tried) else {
        return Next::End(EndReason::RetriesExhausted);
    };
    let advised = history
        .decline
        .and_then(|decline| advised_wait(decline.advice_code.as_deref()?))
        .unwrap_or_default();
    let after_ladder = match history.hurried {
        Some(at) => at,
        None => later(history.last_failed, wait),
    };
    // What the network advises holds for an operator, too.
    let earliest = from
        .max(after_ladder)
        .max(later(history.last_failed, advised));
    let at = clear(earliest, history.announced, ledger);
    let end = terms
        .grace_period()
        .map(|grace| later(history.first_failed, grace));
    if end.is_some_and(|end| at > end) {
        return Next::End(EndReason::GracePeriodExpired);
    }
    Next::At(at)
}

/// The earliest time from `earliest` on that the network allows and that keeps clear of the platform's own charge. Keeping
/// clear moves a time at most once, and what the network allows it allows later, too.
fn clear(earliest: Timestamp, announced: Option<Timestamp>, ledger: &TokenLedger) -> Timestamp {
    let allowed = ledger.allowed_from(earliest);
    match announced {
        Some(announced)
            if later(allowed, CLEAR_BEFORE) > announced
                && allowed < later(announced, CLEAR_AFTER) =>
        {
            later(announced, CLEAR_AFTER)
        }
        Some(_) | None => allowed,
    }
}
