//! One invoice to collect, with its attempts.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Attempt, Charge, Fact, Order, Signal, SignalKind, Status, TriggeredBy};
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
    /// Whether nothing more is expected to happen; a late failure may still reopen the intent.
    #[must_use]
    pub fn ended(self) -> bool {
        match self {
            Self::Open | Self::Processing => false,
            Self::Cancelled | Self::Recovered => true,
        }
    }

    fn said_by(kind: SignalKind) -> Option<Self> {
        match kind {
            SignalKind::PaymentFailed => Some(Self::Open),
            SignalKind::PaymentPending => Some(Self::Processing),
            SignalKind::InvoiceCancelled => Some(Self::Cancelled),
            SignalKind::PaymentSucceeded => Some(Self::Recovered),
            SignalKind::Other => None,
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
    /// The signal that `amount` is of.
    first: Order,
    /// How it stands.
    pub state: State,
    /// The signal that said so.
    said: Order,
    /// Its charges, by what tells them apart.
    pub attempts: BTreeMap<ChargeKey, Attempt>,
    /// Signals seen, with the time they happened.
    seen: BTreeMap<SignalId, Timestamp>,
}

impl Intent {
    /// What a first signal tells of an invoice; `None` if it tells nothing of it.
    #[must_use]
    pub fn open(signal: &Signal) -> Option<Self> {
        let state = State::said_by(signal.kind)?;
        Some(Self {
            key: signal.intent.clone(),
            source: signal.source.clone(),
            amount: signal.amount,
            first: signal.order.clone(),
            state,
            said: signal.order.clone(),
            attempts: BTreeMap::new(),
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
        self.said.at
    }

    /// Whether any charge of the invoice ever failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.attempts
            .values()
            .any(|attempt| attempt.facts.contains_key(&Status::Failed))
    }

    /// The attempt that `charge` speaks of.
    #[must_use]
    pub fn attempt(&self, charge: &Charge) -> Option<&Attempt> {
        self.attempts.get(&charge.key)
    }

    /// The charge that collected the invoice, where one did.
    #[must_use]
    pub fn collected_by(&self) -> Option<(&ChargeKey, &Fact)> {
        self.attempts
            .iter()
            .filter_map(|(key, attempt)| Some((key, attempt.facts.get(&Status::Succeeded)?)))
            .find(|(_, fact)| fact.last == self.said)
    }

    /// Joins `signal`, which happened about `now`.
    pub fn join(&mut self, signal: &Signal, now: Timestamp) {
        if let Some(state) = State::said_by(signal.kind)
            && signal.order > self.said
        {
            self.state = state;
            self.said = signal.order.clone();
        }
        if signal.order < self.first {
            self.first = signal.order.clone();
            self.amount = signal.amount;
        }
        if let Some(charge) = &signal.charge {
            self.attempts
                .entry(charge.key.clone())
                .or_insert_with(|| Attempt::new(TriggeredBy::External))
                .join(charge, &signal.order);
        }
        self.remember(signal, now);
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
