//! The charges of an intent, as they are told. A card is told whole, as far as it is known; the token that charges it is
//! not, since whoever has it and a key of the payment service provider can charge.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use shared::ids::{ChargeKey, SignalId};
use shared::money::Currency;
use shared::recovery::{
    Attempt, Card, ChargeId, Decline, Enrichment, Fact, Instrument, Network, Status, Terms,
    TriggeredBy,
};

use crate::openapi::schema;

/// A token of fewer characters would be half told by its last four.
const TOKEN_LEAST: usize = 8;

/// One charge of an invoice.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptView {
    /// What tells it from the invoice's other charges: the strongest of its ids.
    #[schema(value_type = String)]
    charge: ChargeKey,
    /// Everything it is known by.
    ids: Vec<ChargeIdView>,
    /// Who made it: `internal` (the merchant, when told to) or `external` (the billing platform or somebody else).
    #[schema(schema_with = schema::triggered_by)]
    triggered_by: TriggeredBy,
    /// Which of our retries it answers, counted from 1, where the merchant said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u32>,
    /// How it stands; absent while nothing was said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::charge_status)]
    status: Option<Status>,
    /// When it was made: as the platform says, else when the first word of it was said.
    #[serde(serialize_with = "super::millis_or_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    made_at: Option<Timestamp>,
    /// Why it failed, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    decline: Option<DeclineView>,
    /// What was charged, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    instrument: Option<InstrumentView>,
    /// The platform's id of the gateway it went through.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    /// The payment account behind that gateway; the gateway itself where the billing account maps it to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_account: Option<String>,
    /// Whether the platform was asked for what its notification does not say: `enriched`, `not_needed`, or why it is
    /// without: `no_key`, `refused`, `not_understood`, `unreachable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::enrichment)]
    enrichment: Option<Enrichment>,
    /// What was said of it, status by status.
    facts: Vec<FactView>,
}

impl AttemptView {
    /// A charge, with what was agreed on for its invoice.
    pub(crate) fn new(attempt: &Attempt, terms: Option<&Terms>) -> Self {
        let gateway = attempt.gateway();
        let payment_account = gateway
            .zip(terms)
            .map(|(gateway, terms)| terms.payment_account(gateway).to_owned());
        let facts = attempt.facts.values();
        Self {
            charge: attempt.key().clone(),
            ids: views(&attempt.ids),
            triggered_by: attempt.triggered_by,
            retry: attempt.retry,
            status: attempt.status(),
            made_at: attempt.made_at(),
            decline: attempt.decline().map(DeclineView::from),
            instrument: attempt.instrument().map(InstrumentView::from),
            gateway: gateway.map(str::to_owned),
            payment_account,
            enrichment: facts.map(|fact| fact.details.enrichment).min(),
            facts: attempt.facts.iter().map(FactView::from).collect(),
        }
    }
}

fn views(ids: &BTreeSet<ChargeId>) -> Vec<ChargeIdView> {
    let view = |id: &ChargeId| ChargeIdView {
        kind: match id {
            ChargeId::Psp(_) => "psp",
            ChargeId::Transaction(_) => "transaction",
            ChargeId::Platform(_) => "platform",
        },
        id: id.key().clone(),
    };
    ids.iter().map(view).collect()
}

/// An id of a charge.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChargeIdView {
    /// Whose it is: the payment service provider's charge (`psp`), a transaction of one charge (`transaction`), or the
    /// billing platform's own (`platform`).
    #[schema(schema_with = schema::charge_id_kind)]
    kind: &'static str,
    /// The id, as the other side writes it.
    #[schema(value_type = String)]
    id: ChargeKey,
}

/// Why a charge failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeclineView {
    /// The code, as the platform or the payment service provider writes it.
    code: String,
    /// The text for humans.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The reason behind a general code.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The card network's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    network_code: Option<String>,
    /// The card network's advice on trying again (Mastercard's merchant advice code).
    #[serde(skip_serializing_if = "Option::is_none")]
    advice_code: Option<String>,
    /// The card network's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    network_message: Option<String>,
}

impl From<&Decline> for DeclineView {
    fn from(decline: &Decline) -> Self {
        let Decline {
            code,
            message,
            reason,
            network_code,
            advice_code,
            network_message,
        } = decline.clone();
        Self {
            code,
            message,
            reason,
            network_code,
            advice_code,
            network_message,
        }
    }
}

/// What was charged.
#[derive(Serialize, ToSchema)]
pub(crate) struct InstrumentView {
    /// The last four characters of the token at the payment service provider; absent where it has fewer than eight.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_last4: Option<String>,
    /// The customer at the payment service provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    /// The method, as the platform names it (`card`, `sepa_debit`).
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// The card, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<CardView>,
}

impl From<&Instrument> for InstrumentView {
    fn from(instrument: &Instrument) -> Self {
        Self {
            token_last4: instrument.token.as_deref().and_then(last4),
            customer: instrument.customer.clone(),
            method: instrument.method.clone(),
            card: instrument.card.as_ref().map(CardView::from),
        }
    }
}

fn last4(token: &str) -> Option<String> {
    let hidden = token.chars().count().checked_sub(4)?;
    (hidden >= TOKEN_LEAST - 4).then(|| token.chars().skip(hidden).collect())
}

/// What is known of a card.
#[derive(Serialize, ToSchema)]
pub(crate) struct CardView {
    /// The network; `unknown` for a brand that is not known here.
    #[schema(schema_with = schema::network)]
    network: Network,
    /// How it is funded, as the platform names it (`credit`, `debit`, `prepaid`).
    #[serde(skip_serializing_if = "Option::is_none")]
    funding: Option<String>,
    /// Its last four digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    last4: Option<String>,
    /// The month it is good until, 1 to 12.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_month: Option<u8>,
    /// The year it is good until.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_year: Option<u16>,
}

impl From<&Card> for CardView {
    fn from(card: &Card) -> Self {
        Self {
            network: card.network,
            funding: card.funding.clone(),
            last4: card.last4.clone(),
            expiry_month: card.expiry_month,
            expiry_year: card.expiry_year,
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
        let decline = fact.details.decline.as_ref();
        Self {
            status: *status,
            at: fact.first.at,
            last_at: fact.last.at,
            signal: fact.first.id.clone(),
            amount: fact.details.amount.amount,
            currency: fact.details.amount.currency,
            transaction_id: fact.details.transaction_id.clone(),
            error_code: decline.map(|decline| decline.code.clone()),
            error_message: decline.and_then(|decline| decline.message.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::last4;

    #[test]
    fn of_a_token_only_the_last_four_characters_are_told_and_of_a_short_one_nothing() {
        let cases = [
            ("pm_1Qbb", None),
            ("pm_11Qbb", Some("1Qbb")),
            ("tök_ünïqé", Some("nïqé")),
            ("", None),
        ];
        for (token, want) in cases {
            assert_eq!(last4(token).as_deref(), want, "{token}");
        }
    }
}
