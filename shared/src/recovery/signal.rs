//! What a billing platform told us, in our words: the one neutral record that every adapter yields.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Charge, IntentKey};
use crate::event::Source;
use crate::ids::SignalId;
use crate::money::Money;

/// One notification of a billing platform about one invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// The platform's id of the notification, the same on every redelivery.
    pub id: SignalId,
    /// The platform.
    pub source: Source,
    /// Whether the merchant reported it, and not the platform itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_merchant: bool,
    /// The invoice it is about.
    pub intent: IntentKey,
    /// What happened to the invoice.
    pub kind: SignalKind,
    /// Where the platform's own order puts it among the signals of the invoice.
    pub order: Order,
    /// What the invoice asks for, in minor units.
    pub amount: Money,
    /// What of it is still to be collected, in minor units, where the platform says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Money>,
    /// How many charges the platform says were tried so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u32>,
    /// When the platform says that it will charge next itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// The charge it speaks of; absent where an invoice changed without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<Charge>,
}

/// What a signal says happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// A charge failed.
    PaymentFailed,
    /// A charge is under way.
    PaymentPending,
    /// The platform stopped collecting the invoice.
    InvoiceCancelled,
    /// The invoice was collected.
    PaymentSucceeded,
    /// Something else that the platform files under recovery and that has no meaning here.
    Other,
}

/// A platform's order key: signals are compared by `at`, then by `rank`, then by their id.
///
/// Platforms stamp whole seconds, so several signals of one invoice share a time; `rank` says which of them is
/// the later fact, as the platform's life cycle has it. The id only makes the order total.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order {
    /// When the platform says that it happened.
    pub at: Timestamp,
    /// The tie rank that the adapter gives.
    pub rank: u8,
    /// The signal's id.
    pub id: SignalId,
}
