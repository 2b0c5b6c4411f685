//! Chargebee's API: how it is told of a payment that it did not make.

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::{Chargebee, digits};
use crate::platform::api::segment;
use crate::platform::{Api, ApiRequest, Enriching, FieldError, Problem, Thin};
use crate::recovery::Intent;
use crate::secret::Secret;

/// Makes a request one, however often it is sent. Chargebee keeps the key for 30 minutes; after that an invoice that is
/// paid takes no other payment (409 `invalid_invoice_state`), so nothing is recorded twice either way.
const IDEMPOTENCY_KEY: &str = "chargebee-idempotency-key";

impl Api for Chargebee {
    /// Every site has its own: `https://{site}.chargebee.com`.
    fn base_url(&self) -> Option<&'static str> {
        None
    }

    /// HTTP Basic, with the key as user and no password.
    fn authorization(&self, key: &Secret) -> Option<HeaderValue> {
        let pair = format!("{}:", key.expose());
        let encoded = format!("Basic {}", BASE64.encode(pair.as_bytes()));
        let mut value = HeaderValue::try_from(encoded).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A webhook of Chargebee says all, so there is nothing to ask.
    fn enrich(&self, thin: &Thin, _answers: &[Bytes]) -> Result<Enriching, FieldError> {
        thin.told
            .clone()
            .map(|signal| Enriching::Signal(Box::new(signal)))
            .ok_or(FieldError {
                field: "body".to_owned(),
                problem: Problem::Shape,
            })
    }

    /// "Record payment for an invoice" of its API documentation, with the charge's id, by which its own webhook of the payment
    /// is known as the same charge.
    fn record_back(&self, intent: &Intent, idempotency_key: &str) -> Option<ApiRequest> {
        let (charge, fact) = intent.collected_by()?;
        let money = fact.details.amount;
        let amount = money.to_scaled(digits(money.currency)).ok()?;
        let body = Serializer::new(String::new())
            .append_pair("transaction[amount]", &amount.to_string())
            .append_pair("transaction[payment_method]", "other")
            .append_pair("transaction[id_at_gateway]", charge.as_str())
            .append_pair("transaction[status]", "success")
            .finish();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let key = HeaderValue::try_from(idempotency_key).ok()?;
        let invoice = segment(intent.key.invoice_id.as_str())?;
        Some(ApiRequest {
            method: Method::POST,
            path: format!("/api/v2/invoices/{invoice}/record_payment"),
            headers: HeaderMap::from_iter([
                (CONTENT_TYPE, form),
                (HeaderName::from_static(IDEMPOTENCY_KEY), key),
            ]),
            body: Bytes::from(body),
        })
    }

    fn recorded_id(&self, answer: &[u8]) -> Option<String> {
        let recorded: Recorded = serde_json::from_slice(answer).ok()?;
        Some(recorded.transaction.id)
    }
}

#[derive(Deserialize)]
struct Recorded {
    transaction: RecordedTransaction,
}

#[derive(Deserialize)]
struct RecordedTransaction {
    id: String,
}
