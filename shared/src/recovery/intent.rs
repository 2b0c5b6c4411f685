//! One invoice to collect, with its attempts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Attempt, Charge, Fact, Instrument, Order, Pull, RecordBack, Retry, Signal, SignalKind, Status,
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
    /// What the platform itself said last, and where in its order.
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
        let state = State::said_by(signal.kind)?;
        Some(Self {
            key: signal.intent.clone(),
            source: signal.source.clone(),
            amount: signal.amount,
            first: signal.order.clone(),
            state,
            said: signal.order.clone(),
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
        self.said.at
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
            .filter(|attempt| attempt.status() == Some(Status::Succeeded))
            .filter_map(|attempt| Some((attempt.key(), attempt.facts.get(&Status::Succeeded)?)))
            .max_by(|(_, one), (_, other)| one.last.cmp(&other.last))
    }

    /// What is left to collect, in minor units: what the platform says, else all that the invoice asks for.
    #[must_use]
    pub fn left(&self) -> Money {
        self.left.as_ref().map_or(self.amount, |(_, left)| *left)
    }

    /// How many charges were tried, by whomever: those that we know of, or as many as the platform counts.
    #[must_use]
    pub fn tried(&self) -> u32 {
        let known = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        known.max(self.platform_tries)
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
        matches!(self.platform_said, Some((_, SignalKind::PaymentSucceeded)))
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
        if let Some(left) = signal.left
            && later(&self.left, &signal.order)
        {
            self.left = Some((signal.order.clone(), left));
        }
        if signal.kind == SignalKind::PaymentFailed && later(&self.announced, &signal.order) {
            self.announced = Some((signal.order.clone(), signal.next_try));
        }
        if !signal.by_merchant && later(&self.platform_said, &signal.order) {
            self.platform_said = Some((signal.order.clone(), signal.kind));
        }
        self.platform_tries = self.platform_tries.max(signal.tries.unwrap_or_default());
        if let Some(charge) = &signal.charge {
            self.attribute(charge, &signal.order);
        }
        self.remember(signal, now);
    }

    /// Joins a charge with every attempt that shares an id with it: what was taken for two may turn out to be one.
    fn attribute(&mut self, charge: &Charge, order: &Order) {
        let mut joined = Attempt::of(charge, order);
        let mut ids: BTreeSet<_> = charge.ids.clone();
        while let Some(place) = self.attempts.iter().position(|it| it.is_same(&ids)) {
            let same = self.attempts.remove(place);
            ids.extend(same.ids.iter().cloned());
            joined.join(same);
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

/// Whether a signal in this place says something later than what is known.
fn later<T>(known: &Option<(Order, T)>, order: &Order) -> bool {
    known.as_ref().is_none_or(|(known, _)| order > known)
}
