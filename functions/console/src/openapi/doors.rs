//! The route of `publish`, which payment backends post to. It shares its path with the list of events.

use serde_json::json;
use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};

const PATH: &str = "/v1/tenants/{tenant}/events";

/// Adds the route.
pub(super) struct Events;

impl Modify for Events {
    fn modify(&self, document: &mut OpenApi) {
        let signature = ApiKeyValue::with_description(
            "Rafiki-Signature",
            "`t=<unix time>, v1=<hex>`: the HMAC-SHA256 of `<t>.<RFC 8785 canonical form of the body>` under any live \
             secret of the tenant's publisher `rafiki`. `t` is in milliseconds or seconds.",
        );
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("rafiki", SecurityScheme::ApiKey(ApiKey::Header(signature)));
        if let Some(item) = document.paths.paths.get_mut(PATH) {
            item.post = Some(operation());
        }
    }
}

fn operation() -> Operation {
    let event = json!({
        "type": "object",
        "required": ["id", "type", "data"],
        "additionalProperties": false,
        "properties": {
            "id": {
                "type": "string",
                "pattern": "^[A-Za-z0-9_-]{1,64}$",
                "description": "The event's id. It passes through unchanged, and receivers drop duplicates by it.",
            },
            "type": {
                "type": "string",
                "pattern": "^[A-Za-z0-9_.]{1,128}$",
                "description": "What happened. A type that is not known here goes to endpoints that ask for it.",
            },
            "data": {
                "type": "object",
                "description": "The payload. It is forwarded as the text it came with.",
            },
        },
    });
    let example = json!({
        "id": "0f8a9d2e-5b1c-4c3e-9a77-3f2d1c0b9a01",
        "type": "wallet_address.not_found",
        "data": {"walletAddressUrl": "https://wallet.example.com/carla_garcia"},
    });
    let results = json!({
        "type": "object",
        "required": ["results"],
        "properties": {"results": {
            "type": "array",
            "description": "One entry for each event of the array, in its order.",
            "items": {
                "type": "object",
                "required": ["id", "status"],
                "properties": {
                    "id": {"type": ["string", "null"], "description": "The event's id, where it could be read."},
                    "status": {"type": "integer", "description": "200 if it was accepted, else the problem's status."},
                    "problem": {"$ref": "#/components/schemas/Problem"},
                },
            },
        }},
    });
    let operation = json!({
        "operationId": "publish",
        "tags": ["events"],
        "summary": "Takes an event of a payment backend.",
        "description": "Answers 200 with an empty body once the event is kept for good, also when it came before. With a \
                        key, and not with a signature, up to 10 events and 700 KiB may come as an array; what became of \
                        each is then told in a list. Behind function URLs this is the URL of `publish`.",
        "security": [{"key": []}, {"rafiki": []}],
        "parameters": [
            {"name": "tenant", "in": "path", "required": true},
            {
                "name": "recipients",
                "in": "query",
                "required": false,
                "description": "The roles that hear of it, separated by commas. Left out, it goes by the event's type.",
                "schema": {"type": "string"},
                "example": "ase,pos",
            },
            {
                "name": "Payrelay-Recipients",
                "in": "header",
                "required": false,
                "description": "The same, for a sender whose URL is fixed. It must not contradict `recipients`.",
                "schema": {"type": "string"},
            },
        ],
        "requestBody": {
            "required": true,
            "description": "The event, at most 256 KiB, or an array of events.",
            "content": {"application/json": {
                "schema": {"oneOf": [event.clone(), {"type": "array", "minItems": 1, "maxItems": 10, "items": event}]},
                "example": example,
            }},
        },
        "responses": {
            "200": {
                "description": "It is kept, or every event of the array is.",
                "content": {"application/json": {"schema": results.clone()}},
            },
            "207": {
                "description": "Some events of the array were not accepted.",
                "content": {"application/json": {"schema": results}},
            },
            "400": {"description": "It is no JSON or no event, its type is one that Payrelay alone makes, or a parameter is wrong; the field is named."},
            "401": {"description": "Its signature or key is missing or wrong, or the signature is stale."},
            "403": {"description": "The key does not reach this tenant."},
            "404": {"description": "There is no such tenant (told to an operator's key only)."},
            "413": {"description": "It is too long."},
            "415": {"description": "It is declared to be something else than JSON."},
            "503": {"description": "Nothing was kept; send it again after the time in Retry-After."},
        },
    });
    serde_json::from_value(operation).expect("the literal is an operation, and a test reads it")
}
