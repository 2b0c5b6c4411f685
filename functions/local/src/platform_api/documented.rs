//! What the stand-in answers when it behaves, as each platform's documentation has it.

use data_encoding::BASE64;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Kind, PlatformApi, Recorded, Request, value_of};

/// What Recurly wants to be asked for; other versions are refused with 406.
const RECURLY_VERSION: &str = "application/vnd.recurly.v2021-02-25";

/// An error in the form of the platform that was asked.
pub(super) fn error(request: &Request, status: StatusCode) -> (StatusCode, Value) {
    let said = status.canonical_reason().unwrap_or("Error");
    let error = if request.path.contains("/v1/") {
        json!({"error": {"type": "invalid_request_error", "message": said}})
    } else if request.path.ends_with("/record_payment") {
        json!({"message": said, "api_error_code": "invalid_request", "http_status_code": status.as_u16()})
    } else {
        json!({"error": {"type": "error", "message": said, "params": []}})
    };
    (status, error)
}

impl PlatformApi {
    pub(super) fn serve(&self, request: &Request) -> (StatusCode, Value) {
        let path: Vec<_> = request.path.split('/').skip(1).collect();
        let refuse = |status| error(request, status);
        let found = |object: Option<Value>| match object {
            Some(object) => (StatusCode::OK, object),
            None => refuse(StatusCode::NOT_FOUND),
        };
        let key = self.key.expose();
        let basic = format!("Basic {}", BASE64.encode(format!("{key}:").as_bytes()));
        let expected = match path.as_slice() {
            ["v1", ..] => format!("Bearer {key}"),
            _ => basic,
        };
        if request.header(AUTHORIZATION) != Some(&expected) {
            return refuse(StatusCode::UNAUTHORIZED);
        }
        if matches!(path.first(), Some(&"transactions" | &"invoices"))
            && request.header(ACCEPT) != Some(RECURLY_VERSION)
        {
            return refuse(StatusCode::NOT_ACCEPTABLE);
        }
        match (&request.method, path.as_slice()) {
            (&Method::GET, ["v1", "charges", id]) => {
                found(self.find(Kind::StripeCharge, &[("id", id)]))
            }
            (&Method::GET, ["v1", "charges"]) => {
                self.list(Kind::StripeCharge, "payment_intent", request)
            }
            (&Method::GET, ["v1", "invoice_payments"]) => {
                self.list(Kind::StripeInvoicePayment, "invoice", request)
            }
            (&Method::POST, ["v1", "invoices", id, "pay"]) => {
                self.once(request, || self.pay_at_stripe(id, request))
            }
            (&Method::GET, ["transactions", id]) => {
                let by_uuid = id.strip_prefix("uuid-").map(|uuid| ("uuid", uuid));
                found(self.find(Kind::RecurlyTransaction, &[by_uuid.unwrap_or(("id", id))]))
            }
            (&Method::GET, ["invoices", id]) => {
                let by_number = id.strip_prefix("number-").map(|number| ("number", number));
                found(self.find(Kind::RecurlyInvoice, &[by_number.unwrap_or(("id", id))]))
            }
            (&Method::PUT, ["invoices", id, "mark_successful"]) => {
                self.mark_at_recurly(id, request)
            }
            (&Method::POST, [.., "invoices", id, "record_payment"]) => {
                self.once(request, || self.record_at_chargebee(id, request))
            }
            _ => refuse(StatusCode::NOT_FOUND),
        }
    }

    fn find(&self, kind: Kind, fields: &[(&str, &str)]) -> Option<Value> {
        let inner = self.lock();
        let fits = |object: &Value| {
            fields
                .iter()
                .all(|(name, value)| object.get(name).and_then(Value::as_str) == Some(*value))
        };
        inner
            .objects
            .iter()
            .find(|(other, object)| *other == kind && fits(object))
            .map(|(_, object)| object.clone())
    }

    /// A list in Stripe's form, the last one put in first, as Stripe has the newest first.
    fn list(&self, kind: Kind, by: &str, request: &Request) -> (StatusCode, Value) {
        let Some(value) = request.asks_for(by) else {
            return error(request, StatusCode::BAD_REQUEST);
        };
        let inner = self.lock();
        let data: Vec<_> = inner
            .objects
            .iter()
            .rev()
            .filter(|(other, object)| {
                *other == kind && object.get(by).and_then(Value::as_str) == Some(value)
            })
            .map(|(_, object)| object.clone())
            .collect();
        let list = json!({"object": "list", "url": request.path, "has_more": false, "data": data});
        (StatusCode::OK, list)
    }

    /// The same answer to the same idempotency key.
    fn once(
        &self,
        request: &Request,
        effect: impl FnOnce() -> (StatusCode, Value),
    ) -> (StatusCode, Value) {
        let key = request.idempotency_key();
        let known = key.and_then(|key| self.lock().answered.get(key).cloned());
        known.unwrap_or_else(|| {
            let answer = effect();
            if let Some(key) = key {
                let key = key.to_owned();
                self.lock().answered.insert(key, answer.clone());
            }
            answer
        })
    }

    fn pay_at_stripe(&self, id: &str, request: &Request) -> (StatusCode, Value) {
        if value_of(&request.form, "paid_out_of_band") != Some("true") {
            return error(request, StatusCode::PAYMENT_REQUIRED);
        }
        let open = ["open", "uncollectible"];
        let paid = json!({"status": "paid", "amount_remaining": 0});
        self.record(Kind::StripeInvoice, id, request, "status", &open, paid)
            .unwrap_or_else(|| error(request, StatusCode::BAD_REQUEST))
    }

    fn mark_at_recurly(&self, id: &str, request: &Request) -> (StatusCode, Value) {
        let open = ["pending", "processing", "past_due", "failed"];
        let paid = json!({"state": "paid", "balance": 0.0});
        self.record(Kind::RecurlyInvoice, id, request, "state", &open, paid)
            .unwrap_or_else(|| error(request, StatusCode::UNPROCESSABLE_ENTITY))
    }

    fn record_at_chargebee(&self, id: &str, request: &Request) -> (StatusCode, Value) {
        if value_of(&request.form, "transaction[payment_method]").is_none() {
            return error(request, StatusCode::BAD_REQUEST);
        }
        let open = ["posted", "payment_due", "not_paid"];
        let paid = json!({"status": "paid", "amount_due": 0});
        let recorded = self.record(Kind::ChargebeeInvoice, id, request, "status", &open, paid);
        match recorded {
            Some((StatusCode::OK, invoice)) => {
                let transaction = json!({
                    "id": format!("txn_of_{id}"),
                    "id_at_gateway": value_of(&request.form, "transaction[id_at_gateway]"),
                    "object": "transaction",
                    "status": "success",
                });
                let answer = json!({"invoice": invoice, "transaction": transaction});
                (StatusCode::OK, answer)
            }
            Some(refused) => refused,
            None => error(request, StatusCode::CONFLICT),
        }
    }

    /// Takes an invoice for paid, if it is in one of the states from which it can be; `None` if it is not.
    fn record(
        &self,
        kind: Kind,
        id: &str,
        request: &Request,
        state: &str,
        from: &[&str],
        paid: Value,
    ) -> Option<(StatusCode, Value)> {
        let Some(mut invoice) = self.find(kind, &[("id", id)]) else {
            return Some(error(request, StatusCode::NOT_FOUND));
        };
        let now = invoice.get(state).and_then(Value::as_str)?;
        if !from.contains(&now) {
            return None;
        }
        if let (Some(invoice), Value::Object(paid)) = (invoice.as_object_mut(), paid) {
            invoice.extend(paid);
        }
        self.put(kind, invoice.clone());
        self.lock().recorded.push(Recorded {
            kind,
            invoice: id.to_owned(),
            form: request.form.clone(),
        });
        Some((StatusCode::OK, invoice))
    }
}
