//! One signal, one step: joined into its intent, with what that means for the retries and the events to tell.
//!
//! A step has two halves, since what all invoices of a token share can only be read once the token is known: [`join`], then
//! [`Joined::finish`]. Every token whose charges the signal may change has its ledger in the step; retries are planned by
//! that of the token that would be charged.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::told::Told;
use super::{
    Action, EndReason, Intent, Plan, RecordBack, Recording, Signal, SignalKind, Stage, Terms,
    TokenLedger, TriggeredBy, action,
};
use crate::event::Event;
use crate::ids::TenantId;

/// A signal joined into its intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    intent: Option<Intent>,
    changed: bool,
    action: Action,
    tokens: Vec<String>,
}

/// So many ledgers take part in a step at most. More than three do only where the first failure of an invoice comes after
/// charges of other cards.
const TOKENS_MOST: usize = 8;

/// What a signal leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The intent as it stands now; `None` where the signal says nothing of an invoice.
    pub intent: Option<Intent>,
    /// What is known of each token now, where that changed: it is stored together with the intent.
    pub ledgers: BTreeMap<String, TokenLedger>,
    /// Whether the intent must be stored: a signal seen before changes nothing.
    pub changed: bool,
    /// What the signal calls for.
    pub action: Action,
    /// What has to be told. A signal seen before tells the same events again, under the same ids.
    pub events: Vec<Event>,
    /// Whether the platform has to be told of the success.
    pub record_back: bool,
}

/// Joins `signal`, received at `now`, into what is `known` of its invoice.
#[must_use]
pub fn join(known: Option<Intent>, signal: &Signal, now: Timestamp) -> Joined {
    let triggered_by = triggered_by(known.as_ref(), signal);
    let action = action(signal.kind, triggered_by);
    // Amounts of another currency can't be of this invoice.
    let foreign = |intent: &Intent| intent.amount.currency != signal.amount.currency;
    if known.as_ref().is_some_and(foreign) {
        return Joined {
            intent: known,
            changed: false,
            action: Action::InvalidAction,
            tokens: Vec::new(),
        };
    }
    let failed_before = known.as_ref().is_some_and(Intent::has_failed);
    let seen = known
        .as_ref()
        .is_some_and(|intent| intent.has_seen(&signal.id));
    let mut intent = known.or_else(|| Intent::open(signal, now));
    let changed = !seen && intent.is_some();
    let mut tokens = Vec::new();
    if let Some(intent) = intent.as_mut().filter(|_| changed) {
        intent.join(&answering(signal, intent), now);
        let told = intent.token().map(str::to_owned);
        intent.settle_answered();
        tokens = tokens_of(intent, signal, told, failed_before);
    }
    Joined {
        intent,
        changed,
        action,
        tokens,
    }
}

/// The tokens whose ledgers a signal may change, that of the next charge first: beside it those of the retry that was told,
/// and of the signal's own charge, which may be of an older card. Charges count from the first failure of the invoice on;
/// whatever was charged before it is entered then.
fn tokens_of(
    intent: &Intent,
    signal: &Signal,
    told: Option<String>,
    failed_before: bool,
) -> Vec<String> {
    if !intent.has_failed() {
        return Vec::new();
    }
    // What else is known of the charge may say more of its token than the signal does.
    let charged = signal.charge.as_ref().and_then(|it| intent.attempt(it));
    let earlier = intent.by_time().filter(|_| !failed_before);
    let charged = charged.into_iter().chain(earlier);
    let charged = charged.filter_map(|attempt| attempt.token().map(str::to_owned));
    let next = intent.token().map(str::to_owned);
    let mut tokens: Vec<String> = Vec::new();
    for token in next.into_iter().chain(told).chain(charged) {
        if tokens.len() < TOKENS_MOST && !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    tokens
}

/// Who made the charge: as far as is known, else as the signal itself says.
fn triggered_by(known: Option<&Intent>, signal: &Signal) -> Option<TriggeredBy> {
    let charge = signal.charge.as_ref()?;
    let known = known.and_then(|intent| intent.attempt(charge));
    match (known, charge.triggered_by) {
        (Some(attempt), _) => Some(attempt.triggered_by),
        (None, TriggeredBy::Internal) => Some(TriggeredBy::Internal),
        (None, TriggeredBy::External) => None,
    }
}

/// The signal, answering no retry that the merchant was never told of.
fn answering<'a>(signal: &'a Signal, intent: &Intent) -> Cow<'a, Signal> {
    let told = intent.retry.told;
    let never = |retry: u32| retry == 0 || retry > told;
    let mut signal = Cow::Borrowed(signal);
    if signal
        .charge
        .as_ref()
        .and_then(|it| it.retry)
        .is_some_and(never)
        && let Some(charge) = &mut signal.to_mut().charge
    {
        charge.retry = None;
    }
    signal
}

impl Joined {
    /// The tokens of which all that is known must be read before the step is finished, each once. None where no charge of
    /// the invoice ever failed.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Works out what the signal means for the retries, on the `terms` of the billing account, and what is told. `known` is
    /// what was read of [`tokens`](Self::tokens), without those of which nothing is known.
    #[must_use]
    pub fn finish(
        self,
        tenant: &TenantId,
        signal: &Signal,
        terms: &Terms,
        known: &BTreeMap<String, TokenLedger>,
        now: Timestamp,
    ) -> Step {
        let Self {
            intent,
            changed,
            action,
            tokens,
        } = self;
        let mut step = Step {
            intent,
            ledgers: BTreeMap::new(),
            changed,
            action,
            events: Vec::new(),
            record_back: false,
        };
        let Some(intent) = &mut step.intent else {
            return step;
        };
        if changed {
            let known = |token: &str| known.get(token).cloned().unwrap_or_default();
            let entered = |token: Option<&str>| {
                let mut ledger = token.map(known).unwrap_or_default();
                intent.enter(token, &mut ledger, terms, now);
                ledger
            };
            let next = entered(intent.token());
            let ledgers = tokens.iter().map(|it| (it.clone(), entered(Some(it))));
            let new = ledgers.filter(|(token, ledger)| *ledger != known(token));
            step.ledgers = new.collect();
            intent.plan(signal, terms, &next);
            if let Some(charge) = to_record_back(intent, signal, terms) {
                intent.record_back = Some(RecordBack {
                    state: Recording::Waiting,
                    charge,
                    began_by: Some(signal.id.clone()),
                    tries: 0,
                    at: now,
                    status: None,
                    platform_id: None,
                });
            }
        }
        let begun = |it: &RecordBack| {
            it.state == Recording::Waiting && it.began_by.as_ref() == Some(&signal.id)
        };
        step.record_back = intent.record_back.as_ref().is_some_and(begun);
        step.events = events(tenant, intent, signal, terms);
        step
    }
}

impl Intent {
    fn plan(&mut self, signal: &Signal, terms: &Terms, ledger: &TokenLedger) {
        let before = self.retry.stage.clone();
        self.replan(terms, ledger);
        let tells = matches!(
            self.retry.stage,
            Stage::Planned { .. }
                | Stage::Ended {
                    reason: EndReason::RetriesExhausted
                        | EndReason::GracePeriodExpired
                        | EndReason::HardDeclined
                }
        );
        if tells && before != self.retry.stage {
            self.retry.note(Plan {
                signal: signal.id.clone(),
                retry: self.retry.told.saturating_add(1),
                stage: self.retry.stage.clone(),
            });
        }
    }
}

/// The charge of a success that a merchant reports and that the platform has not told of itself.
fn to_record_back(
    intent: &Intent,
    signal: &Signal,
    terms: &Terms,
) -> Option<crate::ids::ChargeKey> {
    let charge = signal.charge.as_ref()?;
    let ours = signal.by_merchant
        && signal.kind == SignalKind::PaymentSucceeded
        && charge.triggered_by == TriggeredBy::Internal;
    let attempt = intent.attempt(charge)?;
    attempt.collected()?;
    let key = attempt.key();
    let told = intent
        .record_back
        .as_ref()
        .is_some_and(|it| it.charge == *key);
    (terms.record_back && ours && !told && !intent.platform_knows()).then(|| key.clone())
}

/// What is told is a function of the signal and the joined state, not of the change it made: a replay tells the
/// same, and a failure that arrives after the success it precedes still makes the recovery known.
fn events(tenant: &TenantId, intent: &Intent, signal: &Signal, terms: &Terms) -> Vec<Event> {
    let told = Told::new(tenant, intent);
    let payment = signal.charge.as_ref().and_then(|it| told.payment(it));
    let planned = intent.retry.plan_of(&signal.id);
    let planned = planned.and_then(|plan| told.planned(plan.retry, &plan.stage, terms));
    payment
        .into_iter()
        .chain(told.ending())
        .chain(planned)
        .collect()
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod decisions;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
