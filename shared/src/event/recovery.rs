//! The payloads (`data`) of the `recovery.*` events, as merchants receive them. Version 1.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ChargeKey, ConnectorAccountId, InvoiceId, ProfileId};
use crate::money::Money;

/// Who made a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggeredBy {
    /// We did.
    Internal,
    /// The billing platform did, or somebody else.
    External,
}

impl TriggeredBy {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
        }
    }
}

/// Which invoice an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// The business profile the billing account belongs to.
    pub profile_id: ProfileId,
    /// The billing account that told us.
    pub connector_account_id: ConnectorAccountId,
    /// The platform's invoice id.
    pub invoice_id: InvoiceId,
}

/// `recovery.payment_failed`.
pub type PaymentFailed = Payment;
/// `recovery.payment_succeeded`.
pub type PaymentSucceeded = Payment;
/// `recovery.payment_pending`.
pub type PaymentPending = Payment;

/// `recovery.payment_failed`, `recovery.payment_succeeded`, `recovery.payment_pending`: one charge of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The invoice that was charged.
    #[serde(flatten)]
    pub invoice: Invoice,
    /// What tells this charge from the invoice's others.
    pub charge: ChargeKey,
    /// The payment service provider's transaction, where the platform names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// What was charged, in ISO 4217 minor units.
    #[serde(flatten)]
    pub money: Money,
    /// Who made the charge.
    pub triggered_by: TriggeredBy,
    /// The decline's code, where the charge failed and the platform told why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The decline's text for humans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// When the platform says that the charge reached this status.
    #[serde(deserialize_with = "super::field::instant")]
    pub occurred_at: Timestamp,
}

/// `recovery.recovered`: an invoice that had failed was collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// The invoice.
    #[serde(flatten)]
    pub invoice: Invoice,
    /// What was collected, in ISO 4217 minor units.
    #[serde(flatten)]
    pub money: Money,
    /// The charge that collected it; absent where it was paid without one (out of band).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<ChargeKey>,
}

/// `recovery.cancelled`: an invoice will not be collected any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// The invoice.
    #[serde(flatten)]
    pub invoice: Invoice,
    /// What stays uncollected, in ISO 4217 minor units.
    #[serde(flatten)]
    pub money: Money,
}
