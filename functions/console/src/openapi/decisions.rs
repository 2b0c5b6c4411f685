//! The route of `decide`, where payment backends ask.

use serde_json::{Value, json};
use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

const PATH: &str = "/v1/tenants/{tenant}/incoming-payments/decisions";

/// Adds the route.
pub(super) struct Decisions;

impl Modify for Decisions {
    fn modify(&self, document: &mut OpenApi) {
        document.paths.paths.insert(PATH.to_owned(), item());
    }
}

fn amount(description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "required": ["value", "assetCode", "assetScale"],
        "additionalProperties": false,
        "properties": {
            "value": {
                "type": "string",
                "pattern": "^(0|[1-9][0-9]{0,19})$",
                "description": "An unsigned 64-bit integer.",
            },
            "assetCode": {"type": "string", "minLength": 1, "maxLength": 2048},
            "assetScale": {"type": "integer", "minimum": 0, "maximum": 255},
        },
    })
}

fn creation() -> Value {
    json!({
        "type": "object",
        "title": "A payment to be created",
        "required": ["walletAddress", "expiresAt"],
        "additionalProperties": false,
        "properties": {
            "walletAddress": {"type": "string", "format": "uri", "maxLength": 2048, "description": "Who is paid."},
            "client": {
                "type": ["string", "null"],
                "format": "uri",
                "description": "Who asked for the payment; `null` where the ASE did itself.",
            },
            "incomingAmount": amount("What is to be received, more than 0. Left out, the payment is to be open."),
            "expiresAt": {"type": "string", "format": "date-time", "description": "When it takes no more money."},
            "metadata": {"type": ["object", "null"], "description": "What the client attached, free in form."},
        },
    })
}

fn partial() -> Value {
    json!({
        "type": "object",
        "title": "A partial payment",
        "required": ["partial"],
        "additionalProperties": false,
        "properties": {"partial": {
            "type": "object",
            "required": ["incomingPaymentId", "partialIncomingPaymentId", "receivedAmount", "partialAmount"],
            "additionalProperties": false,
            "properties": {
                "incomingPaymentId": {"type": "string", "description": "The payment that would take it."},
                "partialIncomingPaymentId": {"type": "string", "description": "What is to be decided on."},
                "receivedAmount": amount("What the payment received so far."),
                "partialAmount": amount("What would be added, more than 0, in the asset of `receivedAmount`."),
                "walletAddress": {"type": ["string", "null"], "format": "uri"},
                "client": {"type": ["string", "null"], "format": "uri"},
                "expiresAt": {"type": ["string", "null"], "format": "date-time"},
                "metadata": {"type": ["object", "null"]},
                "dataFromSender": {"type": ["string", "null"], "description": "At most 16 KiB."},
            },
        }},
    })
}

fn decision() -> Value {
    json!({
        "type": "object",
        "required": ["decision", "by", "eventId"],
        "properties": {
            "decision": {"type": "string", "enum": ["accepted", "rejected"]},
            "reason": {"type": "string", "description": "Why, in the ASE's words; at most 500 characters."},
            "incomingAmount": amount(
                "The amount to make an accepted payment with: as asked for, lowered, or set where there was none. Left \
                 out, the payment stays open, or is partial.",
            ),
            "by": {"type": "string", "enum": ["ase", "policy"], "description": "Who decided."},
            "because": {
                "type": "string",
                "enum": ["timeout", "refused", "invalid_answer", "no_endpoint", "endpoint_disabled"],
                "description": "Why the tenant's policy had to.",
            },
            "problem": {"type": "string", "description": "What is wrong with the ASE's answer (`invalid_answer`)."},
            "eventId": {"type": "string", "description": "The event that the decision is found by."},
        },
        "example": {
            "decision": "accepted",
            "incomingAmount": {"value": "2500", "assetCode": "USD", "assetScale": 2},
            "by": "ase",
            "eventId": "9a1c3c0e-6b7f-5c1e-9a55-0d1f2a3b4c5d",
        },
    })
}

fn item() -> PathItem {
    let item = json!({"post": {
        "operationId": "decide",
        "tags": ["decisions"],
        "summary": "Asks the tenant's ASE whether an incoming payment may be made.",
        "description": "Answers within the deadline of the tenant's policy. The endpoint of role `ase` that has a \
                        `decision_url` is asked, signed as its deliveries are, with `incoming_payment.decision_requested` or \
                        `incoming_payment.partial_decision_requested`; where it does not decide, the policy does. The same \
                        `Idempotency-Key` has the same decision. Behind function URLs this is the URL of `decide`.",
        "security": [{"key": []}],
        "parameters": [
            {"name": "tenant", "in": "path", "required": true},
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": true,
                "description": "The question's own name. Asked again with the same, it has the same decision.",
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
                "example": "8e03978e-40d5-43e8-bc93-6894a57f9324",
            },
        ],
        "requestBody": {
            "required": true,
            "description": "The payment that is about to be created, or with `partial` the partial payment that would be \
                            taken; at most 64 KiB. A field that is not known is refused.",
            "content": {"application/json": {
                "schema": {"oneOf": [creation(), partial()]},
                "example": {
                    "walletAddress": "https://wallet.example/alice",
                    "client": "https://shop.example/op",
                    "incomingAmount": {"value": "2500", "assetCode": "USD", "assetScale": 2},
                    "expiresAt": "2026-12-24T12:00:00.000Z",
                    "metadata": {"description": "Order 17"},
                },
            }},
        },
        "responses": {
            "200": {
                "description": "What was decided; it is kept as an event.",
                "content": {"application/json": {"schema": decision()}},
            },
            "400": {"description": "It is no JSON or no question, or `Idempotency-Key` is missing; the field is named."},
            "401": {"description": "The key is missing, not known, or was revoked."},
            "403": {"description": "The key is not one of this tenant."},
            "404": {"description": "There is no such tenant."},
            "405": {"description": "Questions are posted."},
            "409": {"description": "The `Idempotency-Key` leads to an event that is no decision."},
            "413": {"description": "It is longer than 64 KiB."},
            "415": {"description": "It is declared to be something else than JSON."},
            "422": {"description": "Another question was asked with this `Idempotency-Key`."},
            "503": {"description": "No decision can be told; ask again with the same key after the time in Retry-After."},
        },
    }});
    serde_json::from_value(item).expect("the literal is a path item, and a test reads it")
}
