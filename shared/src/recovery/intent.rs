//! One invoice to collect, with its attempts.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Attempt, Charge, Fact, Instrument, Order, Pull, RecordBack, Retry, Signal, SignalKind, Status,
    TriggeredBy,
};
use crate::event::Source;
use crate::ids::{ChargeKey, ConnectorAccountId, InvoiceId, ProfileId, SignalId};
use crate::money::Money;

/// Which invoice, at which billing account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntentKey {
    /// The business profile.
    pub profile_id: ProfileId,
    /// The billing account.
    pub connector_account_id: ConnectorAccountId,
    /// The platform's invoice id.
    pub invoice_id: InvoiceId,
}

impl IntentKey {
    /// All three as one text, for what is derived from them.
    #[must_use]
    pub fn subject(&self) -> String {
        [
            self.profile_id.as_str(),
            self.connector_account_id.as_str(),
            self.invoice_id.as_str(),
        ]
        .join("/")
    }
}

/// How an intent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// To be collected.
    Open,
    /// A charge is under way.
    Processing,
    /// The platform stopped collecting it.
    Cancelled,
    /// Collected.
    Recovered,
}

impl State {
    /// Whether nothing more is expected to happen. A collected invoice is open again if the very charge that collected it
    /// fails after all, a cancelled one if its platform opens it again.
    #[must_use]
    pub fn ended(self) -> bool {
        match self {
            Self::Open | Self::Processing => false,
            Self::Cancelled | Self::Recovered => true,
        }
    }
}

/// Signals are remembered for so long: longer than any platform re-sends.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(10 * 24);
/// And at most so many of an intent, which bounds its size; forgetting one only costs a repeated join.
const REMEMBERED_MOST: usize = 64;

/// One invoice to collect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Which invoice.
    pub key: IntentKey,
    /// The platform that bills it.
    pub source: Source,
    /// What it asks for, in minor units, as the earliest signal had it (later ones show what is left).
    pub amount: Money,
    /// Whose word `amount` is, and where: the platform's before a merchant's (`true`).
    first: (bool, Order),
    /// How it stands.
    pub state: State,
    /// The latest signal.
    said: Order,
    /// The latest signal that the platform gave it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancelled: Option<Order>,
    /// The latest signal that it was paid, where none of its charges did that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paid: Option<Order>,
    /// The latest signal that it is to be collected, which names no charge: it takes back what ended it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reopened: Option<Order>,
    /// Its charges, by their strongest ids.
    pub attempts: Vec<Attempt>,
    /// What is left to collect, in minor units, and the latest signal that said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left: Option<(Order, Money)>,
    /// How many charges were tried, as the platform counts them.
    #[serde(default)]
    platform_tries: u32,
    /// When the platform charges next itself, if it does, and the latest signal that said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    announced: Option<(Order, Option<Timestamp>)>,
    /// What the platform itself said last, and where in its order; of a part that was paid, that the invoice is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform_said: Option<(Order, SignalKind)>,
    /// When it was first recorded.
    pub opened_at: Timestamp,
    /// Where its retries stand.
    #[serde(default)]
    pub retry: Retry,
    /// What operators did to it, the last ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pulls: Vec<Pull>,
    /// How telling the platform of a success stands, where that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_back: Option<RecordBack>,
    /// Signals seen, with the time they happened.
    seen: BTreeMap<SignalId, Timestamp>,
}

impl Intent {
    /// What a first signal tells of an invoice; `None` if it tells nothing of it.
    #[must_use]
    pub fn open(signal: &Signal, now: Timestamp) -> Option<Self> {
        (signal.kind != SignalKind::Other).then(|| Self {
            key: signal.intent.clone(),
            source: signal.source.clone(),
            amount: signal.amount,
            first: (signal.by_merchant, signal.order.clone()),
            state: State::Open,
            said: signal.order.clone(),
            cancelled: None,
            paid: None,
            reopened: None,
            attempts: Vec::new(),
            left: None,
            platform_tries: 0,
            announced: None,
            platform_said: None,
            opened_at: now,
            retry: Retry::default(),
            pulls: Vec::new(),
            record_back: None,
            seen: BTreeMap::new(),
        })
    }

    /// Whether this very signal was joined before.
    #[must_use]
    pub fn has_seen(&self, signal: &SignalId) -> bool {
        self.seen.contains_key(signal)
    }

    /// How many signals are remembered.
    #[must_use]
    pub fn signals(&self) -> impl ExactSizeIterator<Item = (&SignalId, Timestamp)> {
        self.seen.iter().map(|(id, at)| (id, *at))
    }

    /// When the signal happened that gave the intent its present state.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.ending().map_or(self.said.at, |(_, order)| order.at)
    }

    /// How the invoice ended, if it did, and the signal that said so. A charge that collected it stands whatever other
    /// charges come to; a failure of that very charge takes it back.
    fn ending(&self) -> Option<(State, &Order)> {
        let collected = self.attempts.iter().filter_map(Attempt::collected);
        let collected = collected.map(|fact| (State::Recovered, &fact.last));
        let paid = self.paid.iter().filter(|it| !self.taken_back_since(it));
        let paid = paid.map(|order| (State::Recovered, order));
        let cancelled = self.cancelled.iter().map(|order| (State::Cancelled, order));
        let (state, order) = collected
            .chain(paid)
            .chain(cancelled)
            .max_by(|(_, one), (_, other)| one.cmp(other))?;
        let taken_back = self.reopened.as_ref().is_some_and(|again| again > order);
        (!taken_back).then_some((state, order))
    }

    /// Whether a charge that had collected the invoice failed after this signal.
    fn taken_back_since(&self, order: &Order) -> bool {
        self.attempts.iter().any(|attempt| {
            attempt.facts.contains_key(&Status::Succeeded)
                && attempt.status() == Some(Status::Failed)
                && attempt.latest_order() > Some(order)
        })
    }

    /// Since when a charge is under way, if one is.
    #[must_use]
    pub fn pending_since(&self) -> Option<Timestamp> {
        let pending = |attempt: &&Attempt| attempt.status() == Some(Status::Pending);
        self.attempts
            .iter()
            .filter(pending)
            .filter_map(Attempt::made_at)
            .min()
    }

    /// The signal that opened the invoice again, if one did: what ends it after that is another ending.
    pub(super) fn reopened(&self) -> Option<&Order> {
        self.reopened.as_ref()
    }

    /// Whether any charge of the invoice ever failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.attempts
            .iter()
            .any(|attempt| attempt.facts.contains_key(&Status::Failed))
    }

    /// The attempt that `charge` speaks of.
    #[must_use]
    pub fn attempt(&self, charge: &Charge) -> Option<&Attempt> {
        self.attempts
            .iter()
            .find(|attempt| attempt.is_same(&charge.ids))
    }

    /// The charge that collected the invoice, where one did. A platform that is told of a success says so in its own words
    /// after it, naming no charge.
    #[must_use]
    pub fn collected_by(&self) -> Option<(&ChargeKey, &Fact)> {
        self.attempts
            .iter()
            .filter_map(|attempt| Some((attempt.key(), attempt.collected()?)))
            .max_by(|(_, one), (_, other)| one.last.cmp(&other.last))
    }

    /// What is left to collect, in minor units: what the latest signal says, else all that the invoice asks for. That nothing
    /// is left holds no longer than what collected it.
    #[must_use]
    pub fn left(&self) -> Money {
        match &self.left {
            Some((_, left)) if left.amount > 0 || self.state.ended() => *left,
            Some(_) | None => self.amount,
        }
    }

    /// How many charges were tried, by whomever: the platform's, and those that it does not know of.
    #[must_use]
    pub fn tried(&self) -> u32 {
        let unknown = |attempt: &&Attempt| !platforms(attempt);
        let unknown = self.attempts.iter().filter(unknown).count();
        self.platform_tried()
            .saturating_add(u32::try_from(unknown).unwrap_or(u32::MAX))
    }

    /// How many charges the platform tried: those that we know of, or as many as it counts.
    #[must_use]
    pub fn platform_tried(&self) -> u32 {
        let known = self.attempts.iter().filter(|it| platforms(it)).count();
        u32::try_from(known)
            .unwrap_or(u32::MAX)
            .max(self.platform_tries)
    }

    /// When the platform charges next itself, as far as it said.
    #[must_use]
    pub fn announced(&self) -> Option<Timestamp> {
        self.announced.as_ref().and_then(|(_, at)| *at)
    }

    /// What was charged last, where that is known.
    #[must_use]
    pub fn instrument(&self) -> Option<&Instrument> {
        self.by_time().find_map(Attempt::instrument)
    }

    /// The platform's id of the gateway that was charged through last, where that is known.
    #[must_use]
    pub fn gateway(&self) -> Option<&str> {
        self.by_time().find_map(Attempt::gateway)
    }

    /// Whether the platform itself said last that the invoice was collected.
    #[must_use]
    pub fn platform_knows(&self) -> bool {
        self.platform_says(SignalKind::PaymentSucceeded)
    }

    fn platform_says(&self, kind: SignalKind) -> bool {
        self.platform_said
            .as_ref()
            .is_some_and(|(_, said)| *said == kind)
    }

    /// The charges, the latest first.
    pub(super) fn by_time(&self) -> impl Iterator<Item = &Attempt> {
        let mut attempts: Vec<_> = self.attempts.iter().collect();
        attempts
            .sort_by(|one, other| (other.made_at(), other.key()).cmp(&(one.made_at(), one.key())));
        attempts.into_iter()
    }

    /// Joins `signal`, which happened about `now`.
    pub fn join(&mut self, signal: &Signal, now: Timestamp) {
        if signal.kind == SignalKind::Other {
            return;
        }
        let latest =
            |known: &mut Option<Order>| *known = known.take().max(Some(signal.order.clone()));
        match (signal.kind, &signal.charge) {
            (SignalKind::InvoiceCancelled, _) => latest(&mut self.cancelled),
            (SignalKind::PaymentSucceeded, None) if !more_left(signal) => latest(&mut self.paid),
            (SignalKind::PaymentFailed, None) => latest(&mut self.reopened),
            (
                SignalKind::PaymentFailed
                | SignalKind::PaymentPending
                | SignalKind::PaymentSucceeded
                | SignalKind::Other,
                _,
            ) => {}
        }
        self.said = self.said.clone().max(signal.order.clone());
        let first = (signal.by_merchant, signal.order.clone());
        if first < self.first {
            self.first = first;
            self.amount = signal.amount;
        }
        if let Some(left) = signal.left
            && later(&self.left, &signal.order)
        {
            self.left = Some((signal.order.clone(), left));
        }
        if !signal.by_merchant
            && signal.kind == SignalKind::PaymentFailed
            && later(&self.announced, &signal.order)
        {
            self.announced = Some((signal.order.clone(), signal.next_try));
        }
        if !signal.by_merchant && later(&self.platform_said, &signal.order) {
            let kind = match signal.kind {
                SignalKind::PaymentSucceeded if more_left(signal) => SignalKind::PaymentFailed,
                kind => kind,
            };
            self.platform_said = Some((signal.order.clone(), kind));
        }
        self.platform_tries = self.platform_tries.max(signal.tries.unwrap_or_default());
        if let Some(mut attempt) = Attempt::of(signal) {
            let told = attempt.retry.and_then(|retry| self.retry.token_of(retry));
            attempt.told = told.map(str::to_owned);
            self.attribute(attempt);
        }
        self.state = match self.ending() {
            Some((state, _)) => state,
            None if self.pending_since().is_some() => State::Processing,
            None if self.platform_says(SignalKind::PaymentPending) => State::Processing,
            None => State::Open,
        };
        self.remember(signal, now);
    }

    /// Joins a charge with every attempt that is the same: what was taken for two may turn out to be one.
    fn attribute(&mut self, mut joined: Attempt) {
        let same = |joined: &Attempt, known: &Attempt| known.is_same(&joined.ids);
        while let Some(place) = self.attempts.iter().position(|it| same(&joined, it)) {
            joined.join(self.attempts.remove(place));
        }
        self.attempts.push(joined);
        self.attempts.sort_by(|one, other| one.ids.cmp(&other.ids));
    }

    fn remember(&mut self, signal: &Signal, now: Timestamp) {
        self.seen.insert(signal.id.clone(), signal.order.at);
        self.seen
            .retain(|_, at| now.duration_since(*at) <= REMEMBERED);
        while self.seen.len() > REMEMBERED_MOST {
            let oldest = self
                .seen
                .iter()
                .min_by_key(|(id, at)| (**at, (*id).clone()))
                .map(|(id, _)| id.clone());
            if let Some(oldest) = oldest {
                self.seen.remove(&oldest);
            }
        }
    }
}

/// Whether a signal says that the invoice asks for more.
pub(super) fn more_left(signal: &Signal) -> bool {
    signal.left.is_some_and(|left| left.amount > 0)
}

/// Whether a charge is the platform's own, or one that it knows of and counts.
fn platforms(attempt: &Attempt) -> bool {
    attempt.by_platform || attempt.triggered_by == TriggeredBy::External
}

/// Whether a signal in this place says something later than what is known.
fn later<T>(known: &Option<(Order, T)>, order: &Order) -> bool {
    known.as_ref().is_none_or(|(known, _)| order > known)
}

#[cfg(test)]
#[path = "intent_tests.rs"]
mod tests;
