//! The payloads (`data`) of the `recovery.*` events, as merchants receive them. Version 1.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Json, Kind};
use crate::ids::{ChargeKey, ConnectorAccountId, EventId, InvoiceId, ProfileId};
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
    /// Who made that charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggered_by: Option<TriggeredBy>,
    /// How it came to that.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// How much was tried to collect an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// How often it was charged, by whomever.
    pub charges_tried: u32,
    /// How many retries the merchant was told to make.
    pub retries_told: u32,
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
    /// Who gave it up.
    pub by: CancelledBy,
    /// How it came to that.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// Who gave an invoice up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CancelledBy {
    /// The billing platform.
    Platform,
    /// An operator, who wants no more retries.
    Operator,
}

/// `recovery.retry_scheduled`: an invoice will be charged again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryScheduled {
    /// The invoice.
    #[serde(flatten)]
    pub invoice: Invoice,
    /// What is left to collect, in ISO 4217 minor units.
    #[serde(flatten)]
    pub money: Money,
    /// Which retry, counted from 1.
    pub retry: u32,
    /// When.
    #[serde(deserialize_with = "super::field::instant")]
    pub scheduled_at: Timestamp,
    /// Why the last charge failed, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// How it came to that.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// `recovery.retry_due`: an invoice is to be charged now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryDue {
    /// The invoice.
    #[serde(flatten)]
    pub invoice: Invoice,
    /// What is left to collect, in ISO 4217 minor units.
    #[serde(flatten)]
    pub money: Money,
    /// Which retry, counted from 1; the report of the charge names it.
    pub retry: u32,
    /// Until when it may be charged; who comes later must leave it.
    #[serde(deserialize_with = "super::field::instant")]
    pub deadline: Timestamp,
    /// To be given to the payment service provider with the charge: the same for every telling of this retry.
    pub idempotency_key: EventId,
    /// What to charge, as the payment service provider knows it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whom to charge, as the payment service provider knows them, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Where to charge: the payment account behind the platform's gateway, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_account: Option<String>,
    /// Why the last charge failed, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// How it came to that.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// `recovery.limits_exhausted`: an invoice will not be charged again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsExhausted {
    /// The invoice.
    #[serde(flatten)]
    pub invoice: Invoice,
    /// What stays uncollected, in ISO 4217 minor units.
    #[serde(flatten)]
    pub money: Money,
    /// Why: `retries_exhausted`, `grace_period_expired` or `hard_declined`.
    pub reason: Limit,
    /// How it came to that.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// Why an invoice will not be charged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// There is no further retry on what the billing account agreed on.
    RetriesExhausted,
    /// The next one would come too long after the first failure.
    GracePeriodExpired,
    /// The card must not be charged again.
    HardDeclined,
}

/// What makes a happening of recovery what it is. The rest (when it happened, a decline's words, the amount of an invoice
/// that is given up) is taken from whichever signal or joined state told of it first, and another one may differ there.
const SAME: [&str; 11] = [
    "profile_id",
    "connector_account_id",
    "invoice_id",
    "charge",
    "currency",
    "amount",
    "retry",
    "scheduled_at",
    "idempotency_key",
    "reason",
    "by",
];

/// Whether two payloads of an event of recovery, under one id, tell of one happening: several signals of a platform may
/// tell of it, each with a time of its own. Another amount or currency is another story.
pub(super) fn same_happening(kind: Kind, one: &Json, other: &Json) -> bool {
    let differs_by_signal = match kind {
        Kind::RecoveryPaymentFailed
        | Kind::RecoveryPaymentSucceeded
        | Kind::RecoveryPaymentPending
        | Kind::RecoveryRecovered => None,
        // What is left to collect is as of the signal that told it.
        Kind::RecoveryCancelled
        | Kind::RecoveryRetryScheduled
        | Kind::RecoveryRetryDue
        | Kind::RecoveryLimitsExhausted => Some("amount"),
        _ => return false,
    };
    let object = |json: &Json| serde_json::from_str::<serde_json::Map<_, _>>(json.as_str()).ok();
    let (Some(one), Some(other)) = (object(one), object(other)) else {
        return false;
    };
    let (one, other): (
        serde_json::Map<String, Value>,
        serde_json::Map<String, Value>,
    ) = (one, other);
    one.contains_key("invoice_id")
        && SAME
            .iter()
            .filter(|name| Some(**name) != differs_by_signal)
            .all(|name| one.get(*name) == other.get(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_one_happening_may_differ_in_time_and_words_but_not_in_what_was_charged() {
        let data = |extra: &str| {
            let text =
                format!(r#"{{"invoice_id":"in_1","charge":"ch_1","currency":"USD",{extra}}}"#);
            Json::parse(text).expect("valid JSON")
        };
        let known = data(r#""amount":2500,"occurred_at":"2026-01-01T00:00:00Z""#);
        let later = data(r#""amount":2500,"occurred_at":"2026-01-01T00:00:01Z","error_code":"x""#);
        let other = data(r#""amount":2400,"occurred_at":"2026-01-01T00:00:00Z""#);
        let charge = Json::parse(later.as_str().replace("ch_1", "ch_2")).expect("valid JSON");
        let cases = [
            (Kind::RecoveryPaymentSucceeded, &later, true),
            (Kind::RecoveryPaymentSucceeded, &other, false),
            (Kind::RecoveryPaymentSucceeded, &charge, false),
            (Kind::RecoveryRecovered, &other, false),
            (Kind::RecoveryCancelled, &other, true),
            (Kind::RecoveryCancelled, &charge, false),
            (Kind::GrantRevoked, &known, false),
        ];
        let nothing = Json::parse("{}".into()).expect("valid JSON");
        assert!(!same_happening(Kind::RecoveryRecovered, &nothing, &nothing));
        for (kind, told, want) in cases {
            assert_eq!(
                same_happening(kind, &known, told),
                want,
                "{kind:?} {told:?}"
            );
        }
    }
}
