//! One charge of an invoice, joined from every signal that spoke of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Charge, Decline, Order, TriggeredBy};
use crate::money::Money;

/// How a charge stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Under way.
    Pending,
    /// Declined, or it ended without money.
    Failed,
    /// The money was collected.
    Succeeded,
}

/// What signals said of a charge in one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The earliest signal that said so; the other fields are that signal's.
    pub first: Order,
    /// The latest signal that said so.
    pub last: Order,
    /// What was charged, in minor units.
    pub amount: Money,
    /// The payment service provider's transaction, where the platform names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// Why it failed, where the platform says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline: Option<Decline>,
}

impl Fact {
    fn of(charge: &Charge, order: &Order) -> Self {
        Self {
            first: order.clone(),
            last: order.clone(),
            amount: charge.amount,
            transaction_id: charge.transaction_id.clone(),
            decline: charge.decline.clone(),
        }
    }

    /// The earliest signal gives the content, the latest one the place in time.
    fn join(&mut self, other: Self) {
        let last = self.last.clone().max(other.last.clone());
        if other.first < self.first {
            *self = other;
        }
        self.last = last;
    }
}

/// One charge of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Who made the charge.
    pub triggered_by: TriggeredBy,
    /// What we know of it, by status.
    pub facts: BTreeMap<Status, Fact>,
}

impl Attempt {
    /// An attempt of which nothing is known but who made it.
    #[must_use]
    pub fn new(triggered_by: TriggeredBy) -> Self {
        Self {
            triggered_by,
            facts: BTreeMap::new(),
        }
    }

    /// Joins what a signal says of this charge.
    pub fn join(&mut self, charge: &Charge, order: &Order) {
        let fact = Fact::of(charge, order);
        self.facts
            .entry(charge.status)
            .and_modify(|known| known.join(fact.clone()))
            .or_insert(fact);
    }

    /// How the charge stands: what the latest signal said.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.facts
            .iter()
            .max_by_key(|(_, fact)| &fact.last)
            .map(|(status, _)| *status)
    }

    /// When the latest signal about it happened.
    #[must_use]
    pub fn latest(&self) -> Option<Timestamp> {
        self.facts.values().map(|fact| fact.last.at).max()
    }
}
