//! Stripe Billing: `invoice.*` webhooks, in the shapes before and after API version 2025-03-31 ("basil").
//!
//! - Signature: [`crate::signature::stripe`].
//! - Order key: `created` of the event; signals of one second rank failed < given up < paid, as an invoice lives.
//! - Thin where there is a charge: the webhook says all of the invoice and hardly anything of the charge, which is asked for
//!   ([`api`]).
//! - Charge key: `charge` of the invoice. Basil took it away; until it is asked for, a failed charge is known by the invoice
//!   and its `attempt_count`, and the successful one, of which an invoice has but one, by the invoice. The count tells of
//!   the platform's own retries only, so it is no id of a charge that has a better one.
//! - Money: integers of ISO 4217 minor units but for three currencies ([`digits`]).

mod api;
mod charge;

use std::collections::BTreeSet;

use http::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::field::{FieldError, Problem, at, read};
use super::{Adapter, BillingAccount, Ignored, Interpretation, Platform, Thin, header, intent_key};
use crate::event::{EventType, Json, Source};
use crate::ids::{ChargeKey, IdError, InvoiceId, SignalId};
use crate::money::{Currency, Money, MoneyError};
use crate::recovery::{Charge, ChargeId, Details, Order, Signal, SignalKind, Status, TriggeredBy};
use crate::signature::{TOLERANCE, Verified, VerifyError, stripe};

/// The adapter.
#[derive(Debug, Clone, Copy)]
pub struct Stripe;

impl Adapter for Stripe {
    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        account: &BillingAccount,
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        stripe::verify(
            header(headers, stripe::HEADER)?,
            body,
            &account.webhook_secrets,
            now,
            TOLERANCE,
        )
    }

    fn interpret(
        &self,
        body: &[u8],
        account: &BillingAccount,
        _proof: &Verified,
    ) -> Result<Interpretation, FieldError> {
        let envelope: Envelope = read(body)?;
        let happened = Timestamp::from_second(envelope.created)
            .map_err(|_| Problem::Time)
            .map_err(at("created"))?;
        let source = Source::new(Platform::Stripe.as_str());
        let Some((kind, rank)) = meaning(envelope.event_type.as_str()) else {
            let platform_type = envelope.event_type;
            return Ok(Interpretation::Ignored(Ignored {
                id: envelope.id,
                source,
                platform_type,
                at: happened,
            }));
        };
        let invoice = read::<Notification>(body)?.data.object;
        let currency = Currency::parse(&invoice.currency)
            .ok_or(MoneyError::UnknownCurrency)
            .map_err(at("data.object.currency"))?;
        let money = |amount, field| {
            Money::from_scaled(amount, digits(currency), currency).map_err(at(field))
        };
        let amount = money(invoice.amount_due, "data.object.amount_due")?;
        let left = money(invoice.amount_remaining, "data.object.amount_remaining")?;
        let next_try = invoice
            .next_payment_attempt
            .map(|second| Timestamp::from_second(second).map_err(|_| Problem::Time))
            .transpose()
            .map_err(at("data.object.next_payment_attempt"))?;
        let charged = match kind {
            SignalKind::PaymentFailed => Some((Status::Failed, left)),
            SignalKind::PaymentSucceeded if invoice.charged() => Some((
                Status::Succeeded,
                money(invoice.amount_paid, "data.object.amount_paid")?,
            )),
            SignalKind::PaymentSucceeded
            | SignalKind::PaymentPending
            | SignalKind::InvoiceCancelled
            | SignalKind::Other => None,
        };
        let charge = charged
            .map(|(status, amount)| {
                let ids = invoice
                    .charge_ids(status)
                    .map_err(at("data.object.charge"))?;
                Ok(Charge {
                    ids,
                    status,
                    triggered_by: TriggeredBy::External,
                    retry: None,
                    details: Details {
                        transaction_id: invoice.payment_intent.clone(),
                        ..Details::of(amount)
                    },
                })
            })
            .transpose()?;
        let notice = charge.is_some().then(|| invoice.notice());
        let told = Signal {
            order: Order {
                at: happened,
                rank,
                id: envelope.id.clone(),
            },
            id: envelope.id.clone(),
            source,
            by_merchant: false,
            intent: intent_key(account, invoice.id),
            kind,
            amount,
            left: Some(left),
            tries: Some(invoice.attempt_count),
            next_try,
            charge,
        };
        let Some(notice) = notice else {
            return Ok(Interpretation::Signal(Box::new(told)));
        };
        Ok(Interpretation::Thin(Box::new(Thin {
            id: envelope.id,
            platform: Platform::Stripe,
            platform_type: envelope.event_type,
            profile_id: account.profile_id.clone(),
            connector_account_id: account.connector_account_id.clone(),
            at: happened,
            notification: Json::of(&notice).expect("texts always have a JSON form"),
            told: Some(told),
        })))
    }
}

/// Where to ask for the charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Notice {
    /// The webhook names it.
    Charge(String),
    /// The webhook names the invoice only, since basil.
    Invoice(InvoiceId),
}

/// What an event type means to us and its tie rank; `None` for types that we don't handle.
fn meaning(event_type: &str) -> Option<(SignalKind, u8)> {
    match event_type {
        "invoice.payment_failed" => Some((SignalKind::PaymentFailed, 0)),
        "invoice.voided" | "invoice.marked_uncollectible" => {
            Some((SignalKind::InvoiceCancelled, 1))
        }
        "invoice.paid" | "invoice.payment_succeeded" => Some((SignalKind::PaymentSucceeded, 2)),
        _ => None,
    }
}

/// How many decimal digits Stripe's integers have: ISO 4217's, but for the currencies that its documentation
/// ("Supported currencies", special cases and zero-decimal currencies) treats differently.
fn digits(currency: Currency) -> u32 {
    match currency.code() {
        "ISK" | "UGX" => 2,
        "MGA" => 0,
        _ => currency.exponent().unwrap_or_default(),
    }
}

#[derive(Deserialize)]
struct Envelope {
    id: SignalId,
    #[serde(rename = "type")]
    event_type: EventType,
    created: i64,
}

#[derive(Deserialize)]
struct Notification {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Invoice,
}

#[derive(Deserialize)]
struct Invoice {
    id: InvoiceId,
    currency: String,
    amount_due: i64,
    amount_paid: i64,
    amount_remaining: i64,
    attempt_count: u32,
    /// `None` where the shape has no such field (basil and later), `Some(None)` where no charge was made.
    #[serde(default, deserialize_with = "present")]
    charge: Option<Option<String>>,
    #[serde(default)]
    payment_intent: Option<String>,
    #[serde(default)]
    next_payment_attempt: Option<i64>,
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl Invoice {
    /// Whether money was collected by a charge: an invoice of nothing, or one paid out of band, has none.
    fn charged(&self) -> bool {
        match &self.charge {
            Some(charge) => charge.is_some(),
            None => self.amount_paid > 0,
        }
    }

    fn notice(&self) -> Notice {
        match &self.charge {
            Some(Some(charge)) => Notice::Charge(charge.clone()),
            Some(None) | None => Notice::Invoice(self.id.clone()),
        }
    }

    fn charge_ids(&self, status: Status) -> Result<BTreeSet<ChargeId>, IdError> {
        let id = match (&self.charge, status) {
            (Some(Some(charge)), _) => ChargeId::Psp(ChargeKey::parse(charge)?),
            (Some(None) | None, Status::Succeeded) => {
                ChargeId::Platform(ChargeKey::parse(format!("{}:paid", self.id))?)
            }
            (Some(None) | None, Status::Failed | Status::Pending) => {
                let counted = format!("{}:{}", self.id, self.attempt_count);
                ChargeId::Platform(ChargeKey::parse(counted)?)
            }
        };
        Ok(BTreeSet::from([id]))
    }
}

#[cfg(test)]
mod enriched;
#[cfg(test)]
mod tests;
