//! What is asked of Recurly's API (v2021-02-25): the transaction and the invoice that a notification is about, and to take
//! an invoice for paid.
//!
//! A notification's type is what happened when it was sent; what is fetched may be later, and adds to it. A success is never
//! lost to the other: neither to a read that lags behind, nor to a failure that was overtaken.

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;

use super::invoice::Invoice;
use super::transaction::{Standing, Transaction};
use super::{InvoiceEvent, Notice, PaymentEvent, Recurly};
use crate::event::Source;
use crate::platform::api::{Api, ApiRequest, Enriching, segment};
use crate::platform::field::{FieldError, Problem, at, read, within};
use crate::platform::{Ignored, Platform, Thin};
use crate::recovery::{Charge, Intent, IntentKey, Order, Signal, SignalKind, Status};
use crate::secret::Secret;

/// The version whose forms are read here.
const VERSION: HeaderValue = HeaderValue::from_static("application/vnd.recurly.v2021-02-25");

impl Api for Recurly {
    fn base_url(&self) -> Option<&'static str> {
        Some("https://v3.recurly.com")
    }

    fn authorization(&self, key: &Secret) -> Option<HeaderValue> {
        let pair = format!("{}:", key.expose());
        let value = format!("Basic {}", BASE64.encode(pair.as_bytes()));
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn enrich(&self, thin: &Thin, answers: &[Bytes]) -> Result<Enriching, FieldError> {
        match read::<Notice>(thin.notification.as_str().as_bytes())? {
            Notice::Payment { event, uuid } => of_payment(thin, event, &uuid, answers),
            Notice::ChargeInvoice { event, number } => {
                let number = number.ok_or(Problem::Shape).map_err(at("invoice_number"))?;
                of_invoice(thin, event, &number, answers)
            }
        }
    }

    /// Recurly knows no idempotency keys. It takes an invoice for paid once: a second time it answers 422.
    fn record_back(&self, intent: &Intent, _idempotency_key: &str) -> Option<ApiRequest> {
        let invoice = segment(intent.key.invoice_id.as_str())?;
        let path = format!("/invoices/{invoice}/mark_successful");
        Some(request(Method::PUT, path))
    }

    fn recorded_id(&self, answer: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        struct Marked {
            id: String,
        }
        let marked: Marked = serde_json::from_slice(answer).ok()?;
        Some(marked.id)
    }
}

fn request(method: Method, path: String) -> ApiRequest {
    ApiRequest {
        method,
        path,
        headers: HeaderMap::from_iter([(ACCEPT, VERSION)]),
        body: Bytes::new(),
    }
}

fn ask(what: &str, name: &str, field: &'static str) -> Result<Enriching, FieldError> {
    let name = segment(name).ok_or(Problem::Shape).map_err(at(field))?;
    Ok(Enriching::Ask(request(
        Method::GET,
        format!("/{what}/{name}"),
    )))
}

/// First its transaction, then the invoice that this collects.
fn of_payment(
    thin: &Thin,
    event: PaymentEvent,
    uuid: &str,
    answers: &[Bytes],
) -> Result<Enriching, FieldError> {
    let [transaction, rest @ ..] = answers else {
        return ask("transactions", &format!("uuid-{uuid}"), "uuid");
    };
    let transaction: Transaction = read(transaction).map_err(within("transaction"))?;
    let Some(invoice) = transaction.collects_invoice() else {
        return Ok(ignored(thin));
    };
    let [answer, ..] = rest else {
        return ask("invoices", invoice, "transaction.invoice.id");
    };
    let invoice: Invoice = read(answer).map_err(within("invoice"))?;
    let standing = transaction.standing().map_err(within("transaction"))?;
    let status = status(event, standing, &invoice);
    let Some(status) = status.filter(|_| !invoice.is_credit()) else {
        return Ok(ignored(thin));
    };
    let charge = transaction.charge(status).map_err(within("transaction"))?;
    let kind = match status {
        Status::Succeeded if whole(&charge, &invoice)? => SignalKind::PaymentSucceeded,
        // A part was paid: what is left is still to be collected.
        Status::Succeeded => SignalKind::PaymentFailed,
        Status::Failed | Status::Pending if invoice.state.given_up() => {
            SignalKind::InvoiceCancelled
        }
        Status::Failed => SignalKind::PaymentFailed,
        Status::Pending => SignalKind::PaymentPending,
    };
    signal(thin, kind, &invoice, Some(charge))
}

/// First the invoice, then the transaction that brought it where it is, if there is one.
fn of_invoice(
    thin: &Thin,
    event: InvoiceEvent,
    number: &str,
    answers: &[Bytes],
) -> Result<Enriching, FieldError> {
    let [answer, rest @ ..] = answers else {
        return ask("invoices", &format!("number-{number}"), "invoice_number");
    };
    let invoice: Invoice = read(answer).map_err(within("invoice"))?;
    let (kind, by) = match event {
        InvoiceEvent::Paid => (SignalKind::PaymentSucceeded, Some(Standing::Collected)),
        InvoiceEvent::Processing => (SignalKind::PaymentPending, Some(Standing::Pending)),
        InvoiceEvent::Failed => (SignalKind::InvoiceCancelled, None),
        // It is to be collected again, and no charge of it failed yet.
        InvoiceEvent::Reopened => (SignalKind::PaymentFailed, None),
        // There is no notification of an invoice that was voided.
        InvoiceEvent::Updated if invoice.state.given_up() => (SignalKind::InvoiceCancelled, None),
        InvoiceEvent::Updated => return Ok(ignored(thin)),
    };
    let Some((standing, id)) = by.and_then(|by| Some((by, invoice.latest(by)?))) else {
        return signal(thin, kind, &invoice, None);
    };
    let [answer, ..] = rest else {
        return ask("transactions", id, "invoice.transactions.id");
    };
    let transaction: Transaction = read(answer).map_err(within("transaction"))?;
    let status = match standing {
        Standing::Collected => Status::Succeeded,
        Standing::Pending | Standing::Declined | Standing::Void | Standing::Disputed => {
            Status::Pending
        }
    };
    let charge = transaction.charge(status).map_err(within("transaction"))?;
    signal(thin, kind, &invoice, Some(charge))
}

/// How a charge stands after `event`; `None` if that is no matter of collecting.
fn status(event: PaymentEvent, standing: Standing, invoice: &Invoice) -> Option<Status> {
    match (event, standing) {
        (PaymentEvent::Succeeded, _) | (_, Standing::Collected) => Some(Status::Succeeded),
        (PaymentEvent::Failed, _) | (_, Standing::Declined) => Some(Status::Failed),
        (_, Standing::Pending) => Some(Status::Pending),
        // Called back before it collected anything; after that it gives money back, which is no failure.
        (_, Standing::Void) => invoice.state.to_be_collected().then_some(Status::Failed),
        (_, Standing::Disputed) => None,
    }
}

/// Whether a charge collected all of an invoice; what the invoice itself says may be from before the charge.
fn whole(charge: &Charge, invoice: &Invoice) -> Result<bool, FieldError> {
    let total = invoice.total().map_err(within("invoice"))?;
    let balance = invoice.balance().map_err(within("invoice"))?;
    let nothing_left = balance.is_some_and(|balance| balance.amount <= 0);
    Ok(nothing_left || charge.details.amount.amount >= total.amount)
}

fn signal(
    thin: &Thin,
    kind: SignalKind,
    invoice: &Invoice,
    charge: Option<Charge>,
) -> Result<Enriching, FieldError> {
    Ok(Enriching::Signal(Box::new(Signal {
        id: thin.id.clone(),
        source: Source::new(Platform::Recurly.as_str()),
        by_merchant: false,
        intent: IntentKey {
            profile_id: thin.profile_id.clone(),
            connector_account_id: thin.connector_account_id.clone(),
            invoice_id: invoice.id.clone(),
        },
        kind,
        order: Order {
            at: thin.at,
            rank: rank(kind),
            id: thin.id.clone(),
        },
        amount: invoice.total().map_err(within("invoice"))?,
        left: invoice.balance().map_err(within("invoice"))?,
        tries: Some(invoice.tries()),
        // Recurly announces no next try.
        next_try: None,
        charge,
    })))
}

fn rank(kind: SignalKind) -> u8 {
    match kind {
        SignalKind::PaymentPending | SignalKind::Other => 0,
        SignalKind::PaymentFailed => 1,
        SignalKind::InvoiceCancelled => 2,
        SignalKind::PaymentSucceeded => 3,
    }
}

fn ignored(thin: &Thin) -> Enriching {
    Enriching::Ignored(Ignored {
        id: thin.id.clone(),
        source: Source::new(Platform::Recurly.as_str()),
        platform_type: thin.platform_type.clone(),
        at: thin.at,
    })
}
