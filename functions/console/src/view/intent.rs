//! Intents, as they are told.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use shared::event::Source;
use shared::ids::{ChargeKey, ConnectorAccountId, InvoiceId, ProfileId, SignalId};
use shared::money::Currency;
use shared::recovery::{Attempt, Fact, Intent, State, Status, TriggeredBy};

use crate::openapi::schema;

/// One invoice to collect, with its charges.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "profile_id": "pro_1",
    "connector_account_id": "mca_1",
    "invoice_id": "in_1",
    "source": "stripe",
    "amount": 2500,
    "currency": "USD",
    "state": "open",
    "since": "2026-11-22T08:59:59.000Z",
    "attempts": [{
        "charge": "ch_1",
        "triggered_by": "external",
        "status": "failed",
        "facts": [{
            "status": "failed",
            "at": "2026-11-22T08:59:59.000Z",
            "last_at": "2026-11-22T08:59:59.000Z",
            "signal": "evt_1",
            "amount": 2500,
            "currency": "USD",
            "transaction_id": "pi_1",
            "error_code": "card_declined",
            "error_message": "Your card was declined.",
        }],
    }],
    "signals": [{"id": "evt_1", "at": "2026-11-22T08:59:59.000Z"}],
}))]
pub(crate) struct IntentView {
    /// The business profile.
    #[schema(value_type = String)]
    profile_id: ProfileId,
    /// The billing account.
    #[schema(value_type = String)]
    connector_account_id: ConnectorAccountId,
    /// The platform's invoice id.
    #[schema(value_type = String)]
    invoice_id: InvoiceId,
    /// The platform.
    #[schema(value_type = String)]
    source: Source,
    /// What it asks for, in ISO 4217 minor units.
    amount: i64,
    /// The ISO 4217 currency.
    #[schema(value_type = String)]
    currency: Currency,
    /// How it stands.
    #[schema(schema_with = schema::intent_state)]
    state: State,
    /// Since when it stands so, by the platform's time.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    since: Timestamp,
    /// Its charges.
    attempts: Vec<AttemptView>,
    /// The platform's notifications that were joined into it; those of the last 10 days are remembered.
    signals: Vec<SignalView>,
}

impl From<Intent> for IntentView {
    fn from(intent: Intent) -> Self {
        let signals = intent
            .signals()
            .map(|(id, at)| SignalView { id: id.clone(), at });
        let mut signals: Vec<_> = signals.collect();
        signals.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
        Self {
            signals,
            since: intent.since(),
            attempts: intent.attempts.iter().map(AttemptView::from).collect(),
            profile_id: intent.key.profile_id,
            connector_account_id: intent.key.connector_account_id,
            invoice_id: intent.key.invoice_id,
            source: intent.source,
            amount: intent.amount.amount,
            currency: intent.amount.currency,
            state: intent.state,
        }
    }
}

/// One charge of an invoice.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptView {
    /// What tells it from the invoice's other charges.
    #[schema(value_type = String)]
    charge: ChargeKey,
    /// Who made it: `internal` (we) or `external` (the billing platform or somebody else).
    #[schema(schema_with = schema::triggered_by)]
    triggered_by: TriggeredBy,
    /// How it stands; absent while nothing was said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::charge_status)]
    status: Option<Status>,
    /// What was said of it, status by status.
    facts: Vec<FactView>,
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        Self {
            charge: attempt.key().clone(),
            triggered_by: attempt.triggered_by,
            status: attempt.status(),
            facts: attempt.facts.iter().map(FactView::from).collect(),
        }
    }
}

/// What was said of a charge in one status.
#[derive(Serialize, ToSchema)]
pub(crate) struct FactView {
    /// The status.
    #[schema(schema_with = schema::charge_status)]
    status: Status,
    /// When the platform first said so.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    at: Timestamp,
    /// When it last said so.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    last_at: Timestamp,
    /// The notification that first said so.
    #[schema(value_type = String)]
    signal: SignalId,
    /// What was charged, in ISO 4217 minor units.
    amount: i64,
    /// The ISO 4217 currency.
    #[schema(value_type = String)]
    currency: Currency,
    /// The payment service provider's transaction, where the platform names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<String>,
    /// The decline's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    /// The decline's text for humans.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

impl From<(&Status, &Fact)> for FactView {
    fn from((status, fact): (&Status, &Fact)) -> Self {
        Self {
            status: *status,
            at: fact.first.at,
            last_at: fact.last.at,
            signal: fact.first.id.clone(),
            amount: fact.details.amount.amount,
            currency: fact.details.amount.currency,
            transaction_id: fact.details.transaction_id.clone(),
            error_code: fact
                .details
                .decline
                .as_ref()
                .map(|decline| decline.code.clone()),
            error_message: fact
                .details
                .decline
                .as_ref()
                .and_then(|decline| decline.message.clone()),
        }
    }
}

/// A notification of the billing platform.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignalView {
    /// The platform's id of it.
    #[schema(value_type = String)]
    id: SignalId,
    /// When the platform says that it happened.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    at: Timestamp,
}
