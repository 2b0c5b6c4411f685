//! Recurly: JSON webhooks, which say that something happened to a payment or to an invoice, and nothing of it.
//!
//! - Signature: [`crate::signature::recurly`]. XML notifications are not signed, so only JSON is taken.
//! - Thin: everything else is asked for ([`api`]). `event_type` alone says nothing: a payment and an invoice both fail.
//! - Order key: `event_time`; what happened in one second ranks pending < failed < given up < paid, as a charge and its
//!   invoice live.
//! - Charge key: the gateway's own reference, and the transaction's `uuid`.
//! - Money: decimals of major units, by the currency's exponent.
//!
//! Forms: "Payment notifications" and "Charge invoice notifications" of the Recurly documentation. A payment is named by
//! the `uuid` of its transaction, an invoice by `invoice_number`, since the API finds no invoice by its uuid. A notification
//! of an invoice without its number is taken in all the same, and set aside behind the door: sent again, it would say no
//! more.

mod api;
mod invoice;
mod transaction;

use http::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::field::{FieldError, Problem, at, read};
use super::{Adapter, BillingAccount, Ignored, Interpretation, Platform, Thin, header};
use crate::event::{EventType, Json, Source};
use crate::ids::SignalId;
use crate::signature::{TOLERANCE, Verified, VerifyError, recurly};

/// The adapter.
#[derive(Debug, Clone, Copy)]
pub struct Recurly;

impl Adapter for Recurly {
    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        account: &BillingAccount,
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        recurly::verify(
            header(headers, recurly::HEADER)?,
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
        let (id, happened) = (envelope.id, envelope.event_time);
        let platform_type = format!("{}.{}", envelope.object_type, envelope.event_type);
        let platform_type = EventType::parse(platform_type)
            .map_err(|_| Problem::Shape)
            .map_err(at("event_type"))?;
        let Some(notice) = Notice::of(&envelope.object_type, &envelope.event_type, body)? else {
            return Ok(Interpretation::Ignored(Ignored {
                id,
                source: Source::new(Platform::Recurly.as_str()),
                platform_type,
                at: happened,
            }));
        };
        Ok(Interpretation::Thin(Box::new(Thin {
            id,
            platform: Platform::Recurly,
            platform_type,
            profile_id: account.profile_id.clone(),
            connector_account_id: account.connector_account_id.clone(),
            at: happened,
            notification: Json::of(&notice).expect("texts and numbers always have a JSON form"),
            told: None,
        })))
    }
}

#[derive(Deserialize)]
struct Envelope {
    id: SignalId,
    object_type: String,
    event_type: String,
    event_time: Timestamp,
}

/// What is handled of the notifications, and how to ask for the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Notice {
    /// Something happened to the transaction with this uuid.
    Payment { event: PaymentEvent, uuid: String },
    /// Something happened to the charge invoice with this number; without one nobody can be asked about it.
    ChargeInvoice {
        event: InvoiceEvent,
        number: Option<String>,
    },
}

/// What happens to a payment and concerns the collection of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PaymentEvent {
    Scheduled,
    Processing,
    Succeeded,
    Failed,
    Voided,
    TransactionStatusUpdated,
}

/// What happens to a charge invoice and concerns its collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InvoiceEvent {
    Processing,
    Paid,
    Failed,
    Reopened,
    Updated,
}

#[derive(Deserialize)]
struct OfPayment {
    uuid: String,
}

#[derive(Deserialize)]
struct OfInvoice {
    #[serde(default)]
    invoice_number: Option<Number>,
}

/// An invoice's number, which is a text where numbers have a prefix.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(u64),
    Prefixed(String),
}

impl Notice {
    /// `None` for what does not concern the collection of an invoice.
    fn of(object_type: &str, event_type: &str, body: &[u8]) -> Result<Option<Self>, FieldError> {
        let notice = match object_type {
            "payment" => match payment_event(event_type) {
                Some(event) => {
                    let uuid = read::<OfPayment>(body)?.uuid;
                    named(&uuid).map_err(at("uuid"))?;
                    Some(Self::Payment { event, uuid })
                }
                None => None,
            },
            "charge_invoice" => match invoice_event(event_type) {
                Some(event) => {
                    let number = read::<OfInvoice>(body)?.invoice_number;
                    let number = number.map(|number| match number {
                        Number::Plain(number) => number.to_string(),
                        Number::Prefixed(number) => number,
                    });
                    let fits = number.as_deref().map_or(Ok(()), named);
                    fits.map_err(at("invoice_number"))?;
                    Some(Self::ChargeInvoice { event, number })
                }
                None => None,
            },
            _ => None,
        };
        Ok(notice)
    }
}

/// What may stand in a path for the name of a thing.
fn named(name: &str) -> Result<(), Problem> {
    let fits = (1..=64).contains(&name.len()) && !name.chars().any(char::is_control);
    fits.then_some(()).ok_or(Problem::Shape)
}

/// Refunds, authorizations and fraud reports collect nothing.
fn payment_event(event_type: &str) -> Option<PaymentEvent> {
    match event_type {
        "scheduled" => Some(PaymentEvent::Scheduled),
        "processing" => Some(PaymentEvent::Processing),
        "succeeded" => Some(PaymentEvent::Succeeded),
        "failed" => Some(PaymentEvent::Failed),
        "voided" => Some(PaymentEvent::Voided),
        "transaction_status_updated" => Some(PaymentEvent::TransactionStatusUpdated),
        _ => None,
    }
}

/// That an invoice was created or is past due tells of no charge; where one failed, its payment tells so.
fn invoice_event(event_type: &str) -> Option<InvoiceEvent> {
    match event_type {
        "processing" => Some(InvoiceEvent::Processing),
        "paid" => Some(InvoiceEvent::Paid),
        "failed" => Some(InvoiceEvent::Failed),
        "reopened" => Some(InvoiceEvent::Reopened),
        "updated" => Some(InvoiceEvent::Updated),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
