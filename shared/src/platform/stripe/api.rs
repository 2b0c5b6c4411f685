//! What is asked of Stripe's API: the charge that a webhook speaks of, and to take an invoice for paid.
//!
//! Since basil an invoice names no charge. It has payments, each through a payment intent, whose latest charge is the one
//! unless the intent was charged again since: then the intent's charges are looked through for the one that fits.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;

use super::charge::Charge;
use super::{Notice, Stripe};
use crate::platform::Thin;
use crate::platform::api::{Api, ApiRequest, Enriching, segment};
use crate::platform::field::{FieldError, Problem, at, if_it_fits, read, within};
use crate::recovery::{self, ChargeId, Enrichment, Intent, Signal, Status};
use crate::secret::Secret;

/// The version whose forms are read here, whatever the account's default is.
const VERSION: HeaderValue = HeaderValue::from_static("2025-03-31.basil");
const VERSION_HEADER: HeaderName = HeaderName::from_static("stripe-version");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

impl Api for Stripe {
    fn base_url(&self) -> Option<&'static str> {
        Some("https://api.stripe.com")
    }

    fn authorization(&self, key: &Secret) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn enrich(&self, thin: &Thin, answers: &[Bytes]) -> Result<Enriching, FieldError> {
        let told = thin
            .told
            .as_ref()
            .ok_or(Problem::Shape)
            .map_err(at("told"))?;
        let Some(charge) = &told.charge else {
            return Ok(Enriching::Signal(Box::new(told.clone())));
        };
        let notice: Notice = read(thin.notification.as_str().as_bytes())?;
        match notice {
            Notice::Charge(id) => named(told, charge, &id, answers),
            Notice::Invoice(id) => looked_up(told, charge, id.as_str(), answers),
        }
    }

    fn record_back(&self, intent: &Intent, idempotency_key: &str) -> Option<ApiRequest> {
        let invoice = segment(intent.key.invoice_id.as_str())?;
        let key = HeaderValue::from_str(idempotency_key).ok()?;
        Some(ApiRequest {
            method: Method::POST,
            path: format!("/v1/invoices/{invoice}/pay"),
            headers: HeaderMap::from_iter([
                (VERSION_HEADER, VERSION),
                (CONTENT_TYPE, FORM),
                (IDEMPOTENCY_KEY, key),
            ]),
            body: Bytes::from_static(b"paid_out_of_band=true"),
        })
    }

    /// "Idempotent requests" of its API documentation: the first status and body are kept, 500s included, unless the request
    /// was not valid or came beside another one. To pay out of band takes effect once, whatever the key.
    fn keeps_answers(&self) -> bool {
        true
    }

    fn recorded_id(&self, answer: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        struct Paid {
            id: String,
        }
        let paid: Paid = serde_json::from_slice(answer).ok()?;
        Some(paid.id)
    }
}

fn get(path: String) -> Enriching {
    Enriching::Ask(ApiRequest {
        method: Method::GET,
        path,
        headers: HeaderMap::from_iter([(VERSION_HEADER, VERSION)]),
        body: Bytes::new(),
    })
}

fn name(id: &str, field: &'static str) -> Result<String, FieldError> {
    segment(id).ok_or(Problem::Shape).map_err(at(field))
}

/// The webhook names the charge.
fn named(
    told: &Signal,
    of: &recovery::Charge,
    id: &str,
    answers: &[Bytes],
) -> Result<Enriching, FieldError> {
    let [answer, ..] = answers else {
        let id = name(id, "data.object.charge")?;
        return Ok(get(format!("/v1/charges/{id}")));
    };
    let charge: Charge = read(answer).map_err(within("charge"))?;
    with(told, of, &charge)
}

/// The webhook names the invoice: its payments, their latest charge, and if that is another one, all of them.
fn looked_up(
    told: &Signal,
    of: &recovery::Charge,
    invoice: &str,
    answers: &[Bytes],
) -> Result<Enriching, FieldError> {
    let [payments, rest @ ..] = answers else {
        let invoice = name(invoice, "data.object.id")?;
        return Ok(get(format!(
            "/v1/invoice_payments?invoice={invoice}&limit=100&expand%5B%5D=data.payment.payment_intent"
        )));
    };
    let payments: List<InvoicePayment> = read(payments).map_err(within("invoice_payments"))?;
    let Some(payment) = payment_of(&payments.data, of.status, told).filter(|it| it.is_charged())
    else {
        return Ok(out_of_band(told, of));
    };
    let rest = match (payment.charge(), rest) {
        (None, rest) => rest,
        (Some(latest), []) => {
            let charge = name(latest, "invoice_payments.data.payment")?;
            return Ok(get(format!("/v1/charges/{charge}")));
        }
        (Some(_), [answer, rest @ ..]) => {
            let charge: Charge = read(answer).map_err(within("charge"))?;
            if charge.may_be(of.status, told) {
                return with(told, of, &charge);
            }
            rest
        }
    };
    let Some(intent) = payment.intent() else {
        return Ok(unknown(told, of));
    };
    let [answer, ..] = rest else {
        let intent = name(intent, "invoice_payments.data.payment.payment_intent")?;
        return Ok(get(format!(
            "/v1/charges?payment_intent={intent}&limit=100"
        )));
    };
    let charges: List<Charge> = read(answer).map_err(within("charges"))?;
    let fitting = charges.data.iter().filter(|it| it.may_be(of.status, told));
    match fitting.max_by_key(|charge| charge.created()) {
        Some(charge) => with(told, of, charge),
        None => Ok(unknown(told, of)),
    }
}

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
}

/// As much of an `InvoicePayment` as is read.
#[derive(Deserialize)]
struct InvoicePayment {
    created: i64,
    status: String,
    payment: Payment,
}

#[derive(Deserialize)]
struct Payment {
    #[serde(default, deserialize_with = "if_it_fits")]
    charge: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    payment_intent: Option<PaymentIntent>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PaymentIntent {
    Expanded {
        id: String,
        #[serde(default)]
        latest_charge: Option<String>,
    },
    Id(String),
}

impl InvoicePayment {
    fn charge(&self) -> Option<&str> {
        match (&self.payment.charge, &self.payment.payment_intent) {
            (Some(charge), _) => Some(charge),
            (None, Some(PaymentIntent::Expanded { latest_charge, .. })) => latest_charge.as_deref(),
            (None, Some(PaymentIntent::Id(_)) | None) => None,
        }
    }

    fn intent(&self) -> Option<&str> {
        match self.payment.payment_intent.as_ref()? {
            PaymentIntent::Expanded { id, .. } | PaymentIntent::Id(id) => Some(id),
        }
    }

    /// Whether it is made by a charge, and not a record of one that was made elsewhere.
    fn is_charged(&self) -> bool {
        self.charge().is_some() || self.intent().is_some()
    }
}

/// The newest payment that may be the one that `told` speaks of.
fn payment_of<'a>(
    payments: &'a [InvoicePayment],
    status: Status,
    told: &Signal,
) -> Option<&'a InvoicePayment> {
    payments
        .iter()
        .filter(|payment| payment.created <= told.order.at.as_second())
        .filter(|payment| status != Status::Succeeded || payment.status == "paid")
        .max_by_key(|payment| payment.created)
}

/// The signal with what is known of its charge. A failed charge is told by the charge alone: the invoice's count may be
/// that of another one.
fn with(told: &Signal, of: &recovery::Charge, charge: &Charge) -> Result<Enriching, FieldError> {
    let by_invoice = of.ids.iter().filter(|_| of.status == Status::Succeeded);
    let mut ids: BTreeSet<_> = by_invoice.cloned().collect();
    ids.insert(ChargeId::Psp(charge.id.clone()));
    let charge = recovery::Charge {
        ids,
        details: charge.details(of.status).map_err(within("charge"))?,
        ..of.clone()
    };
    Ok(Enriching::Signal(Box::new(Signal {
        charge: Some(charge),
        ..told.clone()
    })))
}

/// The signal where no payment was charged: an invoice that was paid all the same was paid out of band.
fn out_of_band(told: &Signal, of: &recovery::Charge) -> Enriching {
    match of.status {
        Status::Succeeded => Enriching::Signal(Box::new(Signal {
            charge: None,
            ..told.clone()
        })),
        Status::Failed | Status::Pending => unknown(told, of),
    }
}

/// The signal where Stripe knows of no such charge.
fn unknown(told: &Signal, of: &recovery::Charge) -> Enriching {
    let mut charge = of.clone();
    charge.details.enrichment = Enrichment::Refused;
    Enriching::Signal(Box::new(Signal {
        charge: Some(charge),
        ..told.clone()
    }))
}
