//! What time does to an intent: a retry becomes due, is told, and stays unanswered.

use jiff::Timestamp;

use super::ledger::Claim;
use super::timetable::{CLEAR_AFTER, Next, clear};
use super::told::Told;
use super::{Intent, Issue, Mode, Stage, State, Terms, TokenLedger};
use crate::event::Event;
use crate::ids::TenantId;
use crate::time::later;

/// What has to be done about an intent whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The intent as it stands now; it is stored before anything is sent.
    pub intent: Intent,
    /// What is known of the token now, if it changed.
    pub ledger: Option<TokenLedger>,
    /// What is told of it.
    pub events: Vec<Event>,
    /// The retry that the merchant is told to make: sent with a guard, and then noted as sent.
    pub retry: Option<(Event, Issue)>,
    /// Whether somebody has to look: nobody knows what came of a retry.
    pub alarm: bool,
}

/// What has to be done at `now` about an intent of `tenant`, on the terms its billing account has now (`None`: there is no
/// such account any more); `None` if nothing has.
#[must_use]
pub fn due(
    tenant: &TenantId,
    intent: Intent,
    terms: Option<&Terms>,
    ledger: Option<TokenLedger>,
    now: Timestamp,
) -> Option<Due> {
    match &intent.retry.stage {
        Stage::Planned { at } if *at <= now => Some(planned(tenant, intent, terms, ledger, now)),
        Stage::Due(issue) if !issue.sent => {
            let issue = issue.clone();
            unsent(tenant, intent, issue, terms, ledger, now)
        }
        Stage::Due(issue) if issue.deadline <= now => {
            let issue = issue.clone();
            let mut due = Due::of(intent);
            due.intent.retry.stage = Stage::Unknown(issue);
            due.alarm = true;
            Some(due)
        }
        _ => None,
    }
}

impl Due {
    fn of(intent: Intent) -> Self {
        Self {
            intent,
            ledger: None,
            events: Vec::new(),
            retry: None,
            alarm: false,
        }
    }

    fn tell(&mut self, tenant: &TenantId, terms: &Terms) {
        let retry = &self.intent.retry;
        let told = Told::new(tenant, &self.intent);
        let event = told.planned(retry.told.saturating_add(1), &retry.stage, terms);
        self.events.extend(event);
    }
}

impl Intent {
    /// Notes that the event of the retry is on its way.
    pub fn note_sent(&mut self, sent: &Issue) {
        if let Stage::Due(issue) = &mut self.retry.stage
            && issue == sent
        {
            issue.sent = true;
        }
    }
}

fn planned(
    tenant: &TenantId,
    intent: Intent,
    terms: Option<&Terms>,
    ledger: Option<TokenLedger>,
    now: Timestamp,
) -> Due {
    let mut due = Due::of(intent);
    let intent = &mut due.intent;
    let asked = intent.hurried().is_some();
    let Some(terms) = terms.filter(|terms| terms.mode == Mode::Cascading || asked) else {
        if let Stage::Planned { at } = intent.retry.stage {
            intent.retry.stage = Stage::Missed { at };
        }
        return due;
    };
    let mut ledger = ledger.unwrap_or_default();
    intent.enter(&mut ledger, terms, now);
    let claimed = ledger.claimed_until(&intent.key, now);
    let next = intent.next(terms, &ledger, claimed.unwrap_or(now));
    match next {
        Some(Next::At(at)) if at <= now => {
            let issue = intent.issue(terms, now);
            intent.enter(&mut ledger, terms, now);
            due.ledger = due.intent.claim(ledger, &issue);
            let event = Told::new(tenant, &due.intent).retry_due(&issue, terms, now);
            due.retry = Some((event, issue));
        }
        Some(Next::At(at)) => {
            intent.retry.stage = Stage::Planned { at };
            due.tell(tenant, terms);
        }
        Some(Next::End(reason)) => {
            intent.retry.stage = Stage::Ended { reason };
            due.tell(tenant, terms);
        }
        None => intent.retry.stage = Stage::Idle,
    }
    due
}

/// Told but for a crash: told again as it was. Past its deadline it is told once more under the same idempotency key, as
/// soon as the token is free, the network takes one more try and the platform's own charge is not near; until then nothing
/// is done.
fn unsent(
    tenant: &TenantId,
    intent: Intent,
    mut issue: Issue,
    terms: Option<&Terms>,
    ledger: Option<TokenLedger>,
    now: Timestamp,
) -> Option<Due> {
    if intent.state != State::Open || intent.retry.hold.is_some() {
        return None;
    }
    let mut due = Due::of(intent);
    let usual = Terms::default();
    let terms = terms.unwrap_or(&usual);
    if issue.deadline <= now {
        let mut ledger = ledger.unwrap_or_default();
        due.intent.enter(&mut ledger, terms, now);
        let taken = ledger.claimed_until(&due.intent.key, now).is_some();
        if taken || clear(now, due.intent.announced(), &ledger) > now {
            return None;
        }
        issue.times = issue.times.saturating_add(1);
        issue.deadline = due.intent.deadline(terms, now);
        due.intent.retry.stage = Stage::Due(issue.clone());
        due.ledger = due.intent.claim(ledger, &issue);
    }
    let event = Told::new(tenant, &due.intent).retry_due(&issue, terms, now);
    due.retry = Some((event, issue));
    Some(due)
}

impl Intent {
    fn issue(&mut self, terms: &Terms, now: Timestamp) -> Issue {
        self.retry.told = self.retry.told.saturating_add(1);
        let issue = Issue {
            number: self.retry.told,
            times: 1,
            at: now,
            deadline: self.deadline(terms, now),
            sent: false,
        };
        self.retry.stage = Stage::Due(issue.clone());
        issue
    }

    /// Claims the token for the retry, so that no other invoice charges it; `None` where no token is known.
    fn claim(&self, mut ledger: TokenLedger, issue: &Issue) -> Option<TokenLedger> {
        self.token()?;
        ledger.claim = Some(Claim {
            intent: self.key.clone(),
            until: issue.deadline,
        });
        Some(ledger)
    }

    /// Until when a merchant that is told now may charge: clear of the platform's own charge.
    pub(super) fn deadline(&self, terms: &Terms, now: Timestamp) -> Timestamp {
        let window = later(now, terms.retry_window());
        match self.announced() {
            Some(announced) if announced > later(now, CLEAR_AFTER) => {
                window.min(later(announced, -CLEAR_AFTER))
            }
            Some(_) | None => window,
        }
    }
}
