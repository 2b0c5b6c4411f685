//! The route of `ingest` that merchants report invoices and charges to.

use serde_json::{Value, json};
use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

const PATH: &str = "/v1/tenants/{tenant}/recovery/attempts";

/// Adds the route.
pub(super) struct Reports;

impl Modify for Reports {
    fn modify(&self, document: &mut OpenApi) {
        document.paths.paths.insert(PATH.to_owned(), item());
    }
}

fn text(most: u32, description: &str) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": most, "description": description})
}

fn maybe(description: &str) -> Value {
    json!({"type": ["string", "null"], "minLength": 1, "maxLength": 255, "description": description})
}

fn time(description: &str) -> Value {
    json!({"type": ["string", "null"], "format": "date-time", "description": description})
}

fn minor(description: &str) -> Value {
    json!({"type": ["integer", "null"], "format": "int64", "minimum": 0, "description": description})
}

fn object(properties: &Value) -> Value {
    json!({"type": ["object", "null"], "additionalProperties": false, "properties": properties})
}

fn charge() -> Value {
    let error = json!({
        "type": ["object", "null"],
        "description": "Why it failed; beside `payment_failed` only.",
        "required": ["code"],
        "additionalProperties": false,
        "properties": {
            "code": text(255, "The decline's code, as the payment service provider writes it."),
            "message": {"type": ["string", "null"], "description": "The text for humans."},
            "reason": maybe("The reason behind a general code."),
            "network_code": maybe("The card network's code (`51`)."),
            "advice_code": maybe("The card network's advice on trying again (`02`)."),
            "network_message": {"type": ["string", "null"], "description": "The card network's text."},
        },
    });
    let card = object(&json!({
        "network": maybe("Its brand, in any usual writing."),
        "funding": maybe("`credit`, `debit`, `prepaid`."),
        "last4": {"type": ["string", "null"], "pattern": "^[0-9]{4}$"},
        "expiry_month": {"type": ["integer", "null"], "minimum": 1, "maximum": 12},
        "expiry_year": {"type": ["integer", "null"], "minimum": 2000, "maximum": 2999},
    }));
    let instrument = object(&json!({
        "token": maybe("The token at the payment service provider."),
        "customer": maybe("The customer at the payment service provider."),
        "method": maybe("`card`, `sepa_debit` and the like."),
        "card": card,
    }));
    json!({
        "type": ["object", "null"],
        "description": "The charge that it tells of, by at least one of its ids. Charges that share an id are one. No card \
                        number is taken anywhere.",
        "additionalProperties": false,
        "properties": {
            "charge_id": maybe("The payment service provider's id of the charge."),
            "transaction_id": maybe("The payment service provider's transaction. Without `charge_id` it must be of this charge only."),
            "platform_id": maybe("The billing platform's id of the charge."),
            "amount": minor("What was charged, if not all that was to be collected."),
            "triggered_by": {
                "type": "string",
                "enum": ["internal", "external"],
                "default": "external",
                "description": "`internal`: a retry that Payrelay asked for. Of an account of another platform than `custom` \
                                nothing else is taken, since the platform tells of it.",
            },
            "retry": {
                "type": ["integer", "null"],
                "minimum": 1,
                "description": "The number of that retry, as `recovery.retry_due` had it.",
            },
            "made_at": time("When it was made."),
            "error": error,
            "instrument": instrument,
            "gateway": maybe("The gateway that it went through."),
        },
    })
}

fn report() -> Value {
    json!({
        "type": "object",
        "required": [
            "id", "profile_id", "connector_account_id", "invoice_id", "event", "occurred_at", "amount", "currency",
        ],
        "additionalProperties": false,
        "properties": {
            "id": text(200, "Your id of the report. Sent again, it is known as the same."),
            "profile_id": text(64, "The business profile of the billing account."),
            "connector_account_id": text(64, "The billing account."),
            "invoice_id": text(255, "The invoice, as the billing platform names it."),
            "event": {
                "type": "string",
                "enum": ["payment_failed", "payment_pending", "payment_succeeded", "invoice_cancelled"],
                "description": "What happened to it. The first two need a `charge`, the last one has none.",
            },
            "occurred_at": {
                "type": "string",
                "format": "date-time",
                "description": "When it happened; not in the future.",
            },
            "amount": {
                "type": "integer",
                "format": "int64",
                "minimum": 0,
                "description": "What the invoice asks for, in ISO 4217 minor units.",
            },
            "currency": text(3, "The ISO 4217 currency of every amount."),
            "amount_left": minor("What of it is still to be collected."),
            "tries": {"type": ["integer", "null"], "minimum": 0, "description": "How many charges were tried so far."},
            "next_try_at": time("When whoever bills charges next by itself."),
            "charge": charge(),
        },
    })
}

fn item() -> PathItem {
    let item = json!({"post": {
        "operationId": "report",
        "tags": ["intents"],
        "summary": "Takes a merchant's report of a charge or an invoice.",
        "description": "What came of a retry that `recovery.retry_due` asked for, and of accounts of the platform `custom` \
                        all that happens to an invoice. Answers 200 once the report is kept for good, also when it came \
                        before. Behind function URLs this is the URL of `ingest`.",
        "security": [{"key": []}],
        "parameters": [{"name": "tenant", "in": "path", "required": true}],
        "requestBody": {
            "required": true,
            "description": "The report, at most 64 KiB. A field that is not known is refused.",
            "content": {"application/json": {
                "schema": report(),
                "example": {
                    "id": "rep_1002",
                    "profile_id": "pro_1",
                    "connector_account_id": "mca_1",
                    "invoice_id": "in_1",
                    "event": "payment_succeeded",
                    "occurred_at": "2026-11-22T12:01:30Z",
                    "amount": 2500,
                    "currency": "USD",
                    "amount_left": 0,
                    "charge": {"charge_id": "ch_2", "amount": 2500, "triggered_by": "internal", "retry": 1},
                },
            }},
        },
        "responses": {
            "200": {
                "description": "It is kept.",
                "content": {"application/json": {"schema": {
                    "type": "object",
                    "required": ["signal"],
                    "properties": {"signal": {"type": "string", "description": "The id by which the report is known."}},
                }}},
            },
            "400": {"description": "It is no JSON or no report; the field is named."},
            "401": {"description": "The key is missing, not known, or was revoked."},
            "403": {"description": "The key does not reach this tenant."},
            "404": {"description": "There is no such billing account of this tenant."},
            "405": {"description": "Reports are posted."},
            "413": {"description": "It is too long."},
            "415": {"description": "It is declared to be something else than JSON."},
            "422": {"description": "It is not what came of a retry, and the account's platform tells the rest itself."},
            "503": {"description": "It could not be kept; send it again after the time in Retry-After."},
        },
    }});
    serde_json::from_value(item).expect("the literal is a path item, and a test reads it")
}
