//! One charge of an invoice, joined from every signal that spoke of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::intent::more_left;
use super::{
    Charge, ChargeId, Decline, Details, Instrument, Network, Order, Signal, SignalKind, Status,
    TriggeredBy,
};
use crate::ids::ChargeKey;

/// What signals said of a charge in one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The earliest signal that said so.
    pub first: Order,
    /// The latest signal that said so.
    pub last: Order,
    /// The signal that `details` are of: the earliest of those that know most.
    pub told_by: Order,
    /// Whether the invoice asked for more after this charge, as the latest signal says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// What is known of the charge.
    #[serde(flatten)]
    pub details: Details,
}

impl Fact {
    fn of(charge: &Charge, order: &Order, partial: bool) -> Self {
        Self {
            first: order.clone(),
            last: order.clone(),
            told_by: order.clone(),
            partial,
            details: charge.details.clone(),
        }
    }

    fn join(&mut self, other: Self) {
        self.first = self.first.clone().min(other.first);
        if other.last > self.last {
            self.last = other.last;
            self.partial = other.partial;
        }
        // A merchant may report that a charge failed and leave it to the platform to say why.
        let rank = |details: &Details, order: &Order| {
            let silent = (details.decline.is_none(), details.instrument.is_none());
            (details.enrichment, silent, order.clone())
        };
        if rank(&other.details, &other.told_by) < rank(&self.details, &self.told_by) {
            self.details = other.details;
            self.told_by = other.told_by;
        }
    }
}

/// One charge of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Everything it is known by; never empty.
    pub ids: BTreeSet<ChargeId>,
    /// What it is called, and the earliest signal of it, which named it: a better id that comes later changes no name.
    named: (Order, ChargeKey),
    /// Whether the platform itself told of it, and counts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_platform: bool,
    /// Who made the charge.
    pub triggered_by: TriggeredBy,
    /// Which of our retries it answers, where the merchant said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<u32>,
    /// The token that the merchant was told to charge with that retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// What we know of it, by status.
    pub facts: BTreeMap<Status, Fact>,
}

impl Attempt {
    /// An attempt as `signal` tells of it; `None` if it tells of no charge, or of one without an id.
    #[must_use]
    pub fn of(signal: &Signal) -> Option<Self> {
        let charge = signal.charge.as_ref()?;
        // Who does not say what is left, and took less than the invoice asks for, took a part.
        let less = signal.left.is_none() && charge.details.amount.amount < signal.amount.amount;
        let partial = charge.status == Status::Succeeded
            && (more_left(signal) || less || signal.kind != SignalKind::PaymentSucceeded);
        let fact = Fact::of(charge, &signal.order, partial);
        Some(Self {
            named: (signal.order.clone(), charge.key()?.clone()),
            ids: charge.ids.clone(),
            by_platform: !signal.by_merchant,
            triggered_by: charge.triggered_by,
            retry: charge.retry,
            told: None,
            facts: BTreeMap::from([(charge.status, fact)]),
        })
    }

    /// Whether both are one charge: they share an id. What a merchant calls a transaction may be what the platform knows as
    /// the id of the payment service provider. Charges that the platform itself tells apart are two, whatever reference a
    /// gateway gives both.
    #[must_use]
    pub fn is_same(&self, ids: &BTreeSet<ChargeId>) -> bool {
        let shares = |of_platform: bool| {
            let known = self
                .ids
                .iter()
                .filter(|id| id.is_platforms() == of_platform);
            known.map(ChargeId::key).any(|key| {
                ids.iter()
                    .any(|id| id.is_platforms() == of_platform && id.key() == key)
            })
        };
        let both =
            self.ids.iter().any(ChargeId::is_platforms) && ids.iter().any(ChargeId::is_platforms);
        if both { shares(true) } else { shares(false) }
    }

    /// Joins what else is known of this charge. Who reports a charge as ours knows better than who does not.
    pub fn join(&mut self, other: Self) {
        self.ids.extend(other.ids);
        self.named = self.named.clone().min(other.named);
        self.by_platform |= other.by_platform;
        if other.triggered_by == TriggeredBy::Internal {
            self.triggered_by = TriggeredBy::Internal;
        }
        self.retry = match (self.retry, other.retry) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.told = self.told.take().or(other.told);
        for (status, fact) in other.facts {
            match self.facts.remove(&status) {
                Some(mut known) => {
                    known.join(fact);
                    self.facts.insert(status, known);
                }
                None => {
                    self.facts.insert(status, fact);
                }
            }
        }
    }

    /// The id by which it is shown and told: the strongest that its earliest signal gave.
    #[must_use]
    pub fn key(&self) -> &ChargeKey {
        let (_, key) = &self.named;
        key
    }

    /// Whether it collected the invoice: the charge stands as succeeded, and nothing was left after it.
    #[must_use]
    pub fn collected(&self) -> Option<&Fact> {
        let (status, fact) = self.latest_fact()?;
        (status == Status::Succeeded && !fact.partial).then_some(fact)
    }

    /// How the charge stands: what the latest signal said.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.latest_fact().map(|(status, _)| status)
    }

    fn latest_fact(&self) -> Option<(Status, &Fact)> {
        self.facts
            .iter()
            .max_by_key(|(_, fact)| &fact.last)
            .map(|(status, fact)| (*status, fact))
    }

    /// The latest signal about it.
    pub(super) fn latest_order(&self) -> Option<&Order> {
        self.facts.values().map(|fact| &fact.last).max()
    }

    /// When the charge was made: as the platform says, else when the first signal of it happened.
    #[must_use]
    pub fn made_at(&self) -> Option<Timestamp> {
        let said = |fact: &Fact| fact.details.made_at;
        let happened = || self.facts.values().map(|fact| fact.first.at).min();
        self.facts.values().filter_map(said).min().or_else(happened)
    }

    /// Why it failed, where that is known.
    #[must_use]
    pub fn decline(&self) -> Option<&Decline> {
        self.facts.get(&Status::Failed)?.details.decline.as_ref()
    }

    /// What was charged, as the latest signal that knows it says.
    #[must_use]
    pub fn instrument(&self) -> Option<&Instrument> {
        self.known(|details| details.instrument.as_ref())
    }

    /// The token that was charged, as the latest signal that knows it says. Who reports a retry and names none charged the
    /// one that was told.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        let known = self.known(|details| details.instrument.as_ref()?.token.as_deref());
        known.or(self.told.as_deref())
    }

    /// The network of the card that was charged, as far as it is known.
    #[must_use]
    pub fn network(&self) -> Network {
        let card = self.instrument().and_then(|it| it.card.as_ref());
        card.map(|card| card.network).unwrap_or_default()
    }

    /// The platform's id of the gateway it went through, as the latest signal that knows it says.
    #[must_use]
    pub fn gateway(&self) -> Option<&str> {
        self.known(|details| details.gateway.as_deref())
    }

    fn known<'a, T: 'a>(&'a self, of: impl Fn(&'a Details) -> Option<T>) -> Option<T> {
        let facts = self.facts.values();
        facts
            .filter_map(|fact| Some((&fact.last, of(&fact.details)?)))
            .max_by(|(one, _), (other, _)| one.cmp(other))
            .map(|(_, known)| known)
    }
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
