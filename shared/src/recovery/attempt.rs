//! One charge of an invoice, joined from every signal that spoke of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Charge, ChargeId, Decline, Details, Instrument, Order, Status, TriggeredBy};
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
    /// What is known of the charge.
    #[serde(flatten)]
    pub details: Details,
}

impl Fact {
    fn of(charge: &Charge, order: &Order) -> Self {
        Self {
            first: order.clone(),
            last: order.clone(),
            told_by: order.clone(),
            details: charge.details.clone(),
        }
    }

    fn join(&mut self, other: Self) {
        self.first = self.first.clone().min(other.first);
        self.last = self.last.clone().max(other.last);
        let rank = |details: &Details, order: &Order| (details.enrichment, order.clone());
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
    /// Who made the charge.
    pub triggered_by: TriggeredBy,
    /// Which of our retries it answers, where the merchant said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<u32>,
    /// What we know of it, by status.
    pub facts: BTreeMap<Status, Fact>,
}

impl Attempt {
    /// An attempt as one signal tells of it.
    #[must_use]
    pub fn of(charge: &Charge, order: &Order) -> Self {
        Self {
            ids: charge.ids.clone(),
            triggered_by: charge.triggered_by,
            retry: charge.retry,
            facts: BTreeMap::from([(charge.status, Fact::of(charge, order))]),
        }
    }

    /// Whether both are one charge: they share an id.
    #[must_use]
    pub fn is_same(&self, ids: &BTreeSet<ChargeId>) -> bool {
        !self.ids.is_disjoint(ids)
    }

    /// Joins what else is known of this charge. Who reports a charge as ours knows better than who does not.
    pub fn join(&mut self, other: Self) {
        self.ids.extend(other.ids);
        if other.triggered_by == TriggeredBy::Internal {
            self.triggered_by = TriggeredBy::Internal;
        }
        self.retry = match (self.retry, other.retry) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
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

    /// The strongest of its ids, by which it is shown.
    ///
    /// # Panics
    /// Never: an attempt has an id from the first.
    #[must_use]
    pub fn key(&self) -> &ChargeKey {
        self.ids
            .first()
            .map(ChargeId::key)
            .expect("an attempt has an id from the first, and only gains more")
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

    /// When the latest signal about it happened.
    #[must_use]
    pub fn latest(&self) -> Option<Timestamp> {
        self.facts.values().map(|fact| fact.last.at).max()
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
