//! Chargebee: `payment_*` and `invoice_*` webhooks of API version 2, which say all that recovery needs.
//!
//! - Authenticity: HTTP Basic ([`crate::signature::basic`]); Chargebee signs nothing.
//! - Order key: the later `resource_version` (milliseconds) of invoice and transaction, as "Events" of its API
//!   documentation advises; else `occurred_at`. `paid_at` is none: it is the day that somebody wrote on a payment, and may
//!   lie before failures that the payment put right. Signals of one millisecond rank pending < failed < given up < paid <
//!   failed late, as an invoice lives.
//! - Charge key: `id_at_gateway`, where the gateway gave one, and the id of Chargebee's transaction.
//! - Money: integers of ISO 4217 minor units but for currencies of three decimals ([`digits`]).
//!
//! A transaction's status says what happened, more exactly than the type of the event: an event of a payment comes with
//! `in_progress`, `late_failure` or `voided` too. What an invoice went through without a charge is told by
//! `invoice_deleted` and `invoice_updated`: it was voided, written off, or paid with credits or with what the customer had
//! paid in excess, and must not be charged then.

mod api;
mod notification;

use std::collections::BTreeSet;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;

use self::notification::{
    Changed, Customer, Envelope, Invoice, Notification, Payment, Transaction,
};
use super::field::{FieldError, Problem, at, gateway_key, read};
use super::{Adapter, BillingAccount, Ignored, Interpretation, Platform, intent_key};
use crate::event::{EventType, Source};
use crate::ids::ChargeKey;
use crate::money::{Currency, Money, MoneyError};
use crate::recovery::{
    Charge, ChargeId, Details, Instrument, Order, Signal, SignalKind, Status, TriggeredBy,
};
use crate::signature::{Verified, VerifyError, basic};

/// The adapter.
#[derive(Debug, Clone, Copy)]
pub struct Chargebee;

impl Adapter for Chargebee {
    fn verify(
        &self,
        headers: &HeaderMap,
        _body: &[u8],
        account: &BillingAccount,
        _now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let header = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        };
        basic::verify(header, &account.webhook_secrets)
    }

    fn interpret(
        &self,
        body: &[u8],
        account: &BillingAccount,
        _proof: &Verified,
    ) -> Result<Interpretation, FieldError> {
        let envelope: Envelope = read(body)?;
        let happened = seconds(envelope.occurred_at).map_err(at("occurred_at"))?;
        let source = Source::new(Platform::Chargebee.as_str());
        let Some(told) = told(&envelope, body)? else {
            return Ok(Interpretation::Ignored(Ignored {
                id: envelope.id,
                source,
                platform_type: envelope.event_type,
                at: happened,
            }));
        };
        let Told {
            invoice,
            charged,
            kind,
            rank,
        } = told;
        let currency = currency(&invoice.currency_code, "content.invoice.currency_code")?;
        let amount = money(invoice.total, currency, "content.invoice.total")?;
        let left = money(invoice.amount_due, currency, "content.invoice.amount_due")?;
        let next_try = invoice
            .next_retry_at
            .map(seconds)
            .transpose()
            .map_err(at("content.invoice.next_retry_at"))?;
        let charge = charged
            .as_ref()
            .map(|charged| charged.charge())
            .transpose()?;
        let versions = [
            invoice.resource_version,
            charged
                .as_ref()
                .and_then(|charged| charged.transaction.resource_version),
        ];
        let changed_at = versions
            .into_iter()
            .flatten()
            .filter_map(|version| Timestamp::from_millisecond(version).ok())
            .max();
        Ok(Interpretation::Signal(Box::new(Signal {
            order: Order {
                at: changed_at.unwrap_or(happened),
                rank,
                id: envelope.id.clone(),
            },
            id: envelope.id,
            source,
            by_merchant: false,
            intent: intent_key(account, invoice.id),
            kind,
            amount,
            left: Some(left),
            tries: invoice
                .linked_payments
                .map(|payments| u32::try_from(payments.len()).unwrap_or(u32::MAX)),
            next_try,
            charge,
        })))
    }
}

/// What an event tells of an invoice, and where that ranks among what was told of the same millisecond.
struct Told {
    invoice: Invoice,
    charged: Option<Charged>,
    kind: SignalKind,
    rank: u8,
}

/// A charge, and whose it was.
struct Charged {
    transaction: Transaction,
    customer: Option<Customer>,
    status: Status,
}

/// What the event tells; `None` if that is nothing of an invoice to collect.
fn told(envelope: &Envelope, body: &[u8]) -> Result<Option<Told>, FieldError> {
    match envelope.event_type.as_str() {
        "payment_succeeded" | "payment_failed" | "payment_initiated" => {
            let content = read::<Notification<Payment>>(body)?.content;
            // What was paid in advance, or refunded, is no charge of an invoice.
            let (Some(invoice), true) = (content.invoice, content.transaction.is_payment()) else {
                return Ok(None);
            };
            let said = content.transaction.status.as_deref();
            let Some((status, kind, rank)) = charged(said, &envelope.event_type) else {
                return Ok(None);
            };
            let charged = Charged {
                transaction: content.transaction,
                customer: content.customer,
                status,
            };
            Ok(Some(Told {
                invoice,
                charged: Some(charged),
                kind,
                rank,
            }))
        }
        "invoice_deleted" | "invoice_updated" => {
            let invoice = read::<Notification<Changed>>(body)?.content.invoice;
            let deleted = envelope.event_type.as_str() == "invoice_deleted";
            let kind = match invoice.status.as_deref() {
                _ if deleted => SignalKind::InvoiceCancelled,
                Some("voided") => SignalKind::InvoiceCancelled,
                Some("paid") if invoice.write_off_amount.unwrap_or_default() > 0 => {
                    SignalKind::InvoiceCancelled
                }
                Some("paid") => SignalKind::PaymentSucceeded,
                _ => return Ok(None),
            };
            let rank = if kind == SignalKind::PaymentSucceeded {
                3
            } else {
                2
            };
            Ok(Some(Told {
                invoice,
                charged: None,
                kind,
                rank,
            }))
        }
        _ => Ok(None),
    }
}

/// What a transaction's status means; without one, what the type of the event does. A status that is not known means
/// nothing, since it may be about money.
fn charged(status: Option<&str>, event_type: &EventType) -> Option<(Status, SignalKind, u8)> {
    let pending = (Status::Pending, SignalKind::PaymentPending, 0);
    let failed = (Status::Failed, SignalKind::PaymentFailed, 1);
    let succeeded = (Status::Succeeded, SignalKind::PaymentSucceeded, 3);
    match (status, event_type.as_str()) {
        (Some("in_progress" | "needs_attention"), _) | (None, "payment_initiated") => Some(pending),
        (Some("failure" | "timeout" | "voided"), _) | (None, "payment_failed") => Some(failed),
        (Some("success"), _) | (None, "payment_succeeded") => Some(succeeded),
        // What had succeeded and did not after all.
        (Some("late_failure"), _) => Some((Status::Failed, SignalKind::PaymentFailed, 4)),
        _ => None,
    }
}

fn seconds(at: i64) -> Result<Timestamp, Problem> {
    Timestamp::from_second(at).map_err(|_| Problem::Time)
}

fn currency(code: &str, field: &'static str) -> Result<Currency, FieldError> {
    Currency::parse(code)
        .ok_or(MoneyError::UnknownCurrency)
        .map_err(at(field))
}

fn money(amount: i64, currency: Currency, field: &'static str) -> Result<Money, FieldError> {
    Money::from_scaled(amount, digits(currency), currency).map_err(at(field))
}

/// How many decimal digits Chargebee's integers have ("Currencies" of its API documentation): none where the currency has
/// none, and two everywhere else, also where ISO 4217 has three.
fn digits(currency: Currency) -> u32 {
    currency.exponent().unwrap_or_default().min(2)
}

impl Charged {
    fn charge(&self) -> Result<Charge, FieldError> {
        let transaction = &self.transaction;
        let currency = currency(
            &transaction.currency_code,
            "content.transaction.currency_code",
        )?;
        let amount = money(transaction.amount, currency, "content.transaction.amount")?;
        let platform =
            ChargeKey::parse(transaction.id.clone()).map_err(at("content.transaction.id"))?;
        // A gateway that gives no id, or one that can't be kept, leaves Chargebee's own to tell the charge by.
        let at_gateway = transaction.id_at_gateway.as_deref();
        let psp = at_gateway.and_then(gateway_key);
        let transaction_id = psp.as_ref().map(|id| id.as_str().to_owned());
        let ids = psp.map(ChargeId::Psp).into_iter();
        let made_at = transaction
            .date
            .map(seconds)
            .transpose()
            .map_err(at("content.transaction.date"))?;
        Ok(Charge {
            ids: ids
                .chain([ChargeId::Platform(platform)])
                .collect::<BTreeSet<_>>(),
            status: self.status,
            triggered_by: TriggeredBy::External,
            retry: None,
            details: Details {
                made_at,
                transaction_id,
                decline: (self.status == Status::Failed).then(|| transaction.decline()),
                instrument: self.instrument(),
                gateway: transaction.gateway_account_id.clone(),
                ..Details::of(amount)
            },
        })
    }

    fn instrument(&self) -> Option<Instrument> {
        let transaction = &self.transaction;
        let method = transaction.payment_method.clone();
        let card = (method.as_deref() == Some("card")).then(|| transaction.card());
        let (customer, token) = self
            .customer
            .as_ref()
            .and_then(|customer| customer.token_of(transaction))
            .unzip();
        let instrument = Instrument {
            token,
            customer: customer.flatten(),
            method,
            card,
        };
        (instrument != Instrument::default()).then_some(instrument)
    }
}

#[cfg(test)]
mod tests;
