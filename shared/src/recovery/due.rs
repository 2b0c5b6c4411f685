//! What time does to an intent: a retry becomes due, is told, and stays unanswered.

use jiff::{SignedDuration, Timestamp};

use super::ledger::Claim;
use super::timetable::{CLEAR_AFTER, Next};
use super::told::Told;
use super::{Ask, Attempt, EndReason, Intent, Issue, Mode, Stage, Terms, TokenLedger};
use crate::event::Event;
use crate::ids::TenantId;
use crate::time::later;

/// What has to be done about an intent whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The intent as it stands now; it is stored before a retry is told.
    pub intent: Intent,
    /// What is known of the token now, if it changed.
    pub ledger: Option<TokenLedger>,
    /// What is told of it.
    pub events: Vec<Event>,
    /// The retry that the merchant is told to make: sent with a guard, and then noted as sent.
    pub retry: Option<(Event, Issue)>,
    /// Why somebody has to look, if somebody has.
    pub alarm: Option<Alarm>,
}

/// Why somebody has to look at an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// Nobody knows what came of a retry: its deadline passed without a word.
    UnknownOutcome,
    /// A charge has been under way for too long.
    Held,
}

/// A retry that can't be told now for as long as another invoice charges the token, is looked at again after so long.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(10);

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
    if intent.retry.due_at().is_none_or(|at| at > now) {
        return None;
    }
    let mut due = Due {
        intent,
        ledger: None,
        events: Vec::new(),
        retry: None,
        alarm: None,
    };
    let ledger = ledger.unwrap_or_default();
    match due.intent.retry.stage.clone() {
        Stage::Planned { at } => due.planned(tenant, at, terms, ledger, now),
        Stage::Due(issue) if !issue.sent => due.unsent(tenant, issue, terms, ledger, now),
        Stage::Due(issue) => {
            let unknown = true;
            due.intent.retry.tell(Issue { unknown, ..issue });
            due.alarm = Some(Alarm::UnknownOutcome);
        }
        Stage::Held => {
            if let Some(held) = &mut due.intent.retry.held {
                held.alarmed = true;
            }
            due.alarm = Some(Alarm::Held);
        }
        Stage::Idle
        | Stage::PlatformFirst
        | Stage::Paused
        | Stage::Missed { .. }
        | Stage::Unknown(_)
        | Stage::Ended { .. } => return None,
    }
    Some(due)
}

impl Due {
    fn planned(
        &mut self,
        tenant: &TenantId,
        at: Timestamp,
        terms: Option<&Terms>,
        mut ledger: TokenLedger,
        now: Timestamp,
    ) {
        let asked = self.intent.hurried().is_some();
        let Some(terms) = terms.filter(|terms| asked || terms.mode == Mode::Cascading) else {
            self.intent.retry.stage = Stage::Missed { at };
            return;
        };
        self.intent
            .enter(self.intent.token(), &mut ledger, terms, now);
        let from = ledger.claimed_until(&self.intent.key, now).unwrap_or(now);
        match self.intent.next(terms, &ledger, from) {
            Some(Next::At(at)) if at <= now => {
                let issue = self.intent.issue(terms, asked, now);
                self.tell_merchant(tenant, issue, ledger, terms, now);
            }
            Some(Next::At(at)) => {
                self.intent.retry.stage = Stage::Planned { at };
                self.tell_plan(tenant, terms);
            }
            Some(Next::End(reason)) => self.end(tenant, reason, terms),
            None => self.intent.retry.stage = Stage::Idle,
        }
    }

    /// Told but for a crash or an outage, or to be told once more. All that could forbid it is asked again. Past its
    /// deadline it gets a new one, under the same idempotency key.
    fn unsent(
        &mut self,
        tenant: &TenantId,
        mut issue: Issue,
        terms: Option<&Terms>,
        mut ledger: TokenLedger,
        now: Timestamp,
    ) {
        let allowed = |terms: &&Terms| issue.asked || terms.mode == Mode::Cascading;
        let Some(terms) = terms.filter(allowed) else {
            self.withdraw(issue);
            return;
        };
        // Its content is fixed with its key, and a part was paid since.
        let too_much = issue.what.money.amount > self.intent.left().amount;
        let lapsed = issue.deadline <= now && issue.went_out && !issue.again;
        if too_much || lapsed {
            self.withdraw(issue);
            return;
        }
        // Whether one more charge is allowed is asked of all charges but this very one.
        let mut others = self.intent.clone();
        others.retry.open = None;
        others.enter(self.intent.token(), &mut ledger, terms, now);
        let busy = ledger.claimed_until(&self.intent.key, now);
        match self.intent.next_of(&issue, terms, &ledger, now) {
            Some(Next::At(at)) if at <= now && busy.is_none() => {
                if issue.deadline <= now {
                    issue.tell_again(now, self.intent.deadline(terms, now));
                }
                issue.wait = None;
                self.intent.retry.tell(issue.clone());
                self.tell_merchant(tenant, issue, ledger, terms, now);
            }
            Some(Next::At(at)) => {
                issue.wait = Some(at.max(busy.unwrap_or(at)).max(later(now, LOOK_AGAIN)));
                self.intent.retry.tell(issue);
            }
            Some(Next::End(_)) if issue.may_be_made() => self.withdraw(issue),
            Some(Next::End(reason)) => {
                self.intent.retry.open = None;
                self.end(tenant, reason, terms);
            }
            None => self.withdraw(issue),
        }
    }

    /// It is not told any more. Who was told before may still have charged.
    fn withdraw(&mut self, issue: Issue) {
        if issue.may_be_made() {
            let unknown = true;
            self.intent.retry.tell(Issue { unknown, ..issue });
            self.alarm = Some(Alarm::UnknownOutcome);
        } else {
            self.intent.retry.open = None;
            self.intent.retry.stage = Stage::Missed { at: issue.at };
        }
    }

    fn tell_merchant(
        &mut self,
        tenant: &TenantId,
        issue: Issue,
        mut ledger: TokenLedger,
        terms: &Terms,
        now: Timestamp,
    ) {
        if let Some(token) = self.intent.token() {
            self.intent.enter(Some(token), &mut ledger, terms, now);
            ledger.claim = Some(Claim {
                intent: self.intent.key.clone(),
                until: issue.deadline,
            });
            self.ledger = Some(ledger);
        }
        let event = Told::new(tenant, &self.intent).retry_due(&issue, now);
        self.retry = Some((event, issue));
    }

    fn end(&mut self, tenant: &TenantId, reason: EndReason, terms: &Terms) {
        self.intent.retry.stage = Stage::Ended { reason };
        self.tell_plan(tenant, terms);
    }

    fn tell_plan(&mut self, tenant: &TenantId, terms: &Terms) {
        let retry = &self.intent.retry;
        let told = Told::new(tenant, &self.intent);
        let event = told.planned(retry.told.saturating_add(1), &retry.stage, terms);
        self.events.extend(event);
    }
}

impl Intent {
    /// Notes that the event of the retry is on its way.
    pub fn note_sent(&mut self, sent: &Issue) {
        if let Stage::Due(issue) = &self.retry.stage
            && issue == sent
        {
            self.retry.tell(Issue {
                sent: true,
                went_out: true,
                ..issue.clone()
            });
        }
    }

    fn issue(&mut self, terms: &Terms, asked: bool, now: Timestamp) -> Issue {
        let number = self.retry.told.saturating_add(1);
        let token = self.token();
        let of_token = |attempt: &&Attempt| attempt.token() == token;
        let instrument = self
            .by_time()
            .filter(of_token)
            .find_map(Attempt::instrument);
        let gateway = self.gateway();
        let what = Ask {
            money: self.left(),
            token: token.map(str::to_owned),
            customer: instrument.and_then(|it| it.customer.clone()),
            payment_account: gateway.map(|it| terms.payment_account(it).to_owned()),
        };
        let issue = Issue {
            asked,
            ..Issue::new(number, now, self.deadline(terms, now), what)
        };
        self.retry.told = number;
        self.retry.not_before = None;
        self.retry.tell(issue.clone());
        issue
    }

    /// Until when a merchant that is told now may charge: clear of the platform's own charge.
    fn deadline(&self, terms: &Terms, now: Timestamp) -> Timestamp {
        let window = later(now, terms.retry_window());
        match self.announced() {
            Some(announced) if announced > later(now, CLEAR_AFTER) => {
                window.min(later(announced, -CLEAR_AFTER))
            }
            Some(_) | None => window,
        }
    }
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
