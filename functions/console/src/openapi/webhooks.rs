//! The routes of `ingest` that billing platforms post to: two forms of one path.

use serde_json::{Value, json};
use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

/// Adds the routes.
pub(super) struct Webhooks;

impl Modify for Webhooks {
    fn modify(&self, document: &mut OpenApi) {
        let forms = [
            (
                "receive",
                "/v2/webhooks/revenue_recovery/{profile_id}/{connector_account_id}",
            ),
            (
                "receive_long_form",
                "/v2/webhooks/recovery/{merchant_id}/{profile_id}/{connector_id}",
            ),
        ];
        for (name, path) in forms {
            document
                .paths
                .paths
                .insert(path.to_owned(), webhook(name, path));
        }
    }
}

/// What each platform proves itself with: its header, what that holds, and an example.
const PROOFS: [(&str, &str, &str); 3] = [
    (
        "Stripe-Signature",
        "Of Stripe: its signature over the body's bytes; any valid `v1` of several will do.",
        "t=1767225600,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd",
    ),
    (
        "recurly-signature",
        "Of Recurly: the time in milliseconds and its signatures over that and the body's bytes; any valid one of several \
         will do. Webhooks in XML are not signed, and not taken.",
        "1700000000123,c07cf9ba6dc4b70a4a64cc2502d695107c334190a22507e9ae123751b22f9c53",
    ),
    (
        "Authorization",
        "Of Chargebee: HTTP Basic with one of the account's live pairs of user and password.",
        "Basic aG9va191c2VyOmhvb2tfcGFzcw==",
    ),
];

fn webhook(name: &str, path: &str) -> PathItem {
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = names
        .map(|name| json!({"name": name, "in": "path", "required": true}))
        .collect();
    parameters.extend(PROOFS.map(|(name, description, example)| {
        json!({
            "name": name,
            "in": "header",
            "required": false,
            "description": description,
            "schema": {"type": "string"},
            "example": example,
        })
    }));
    let item = json!({"post": {
        "operationId": name,
        "tags": ["webhooks"],
        "summary": "Takes a webhook of a billing platform.",
        "description": "Answers 200 once the notification is kept for good, also when it came before or is of a \
                        type that is of no interest here. The header that proves the platform is the one of the billing \
                        account's platform.",
        "security": [{}],
        "parameters": parameters,
        "requestBody": {
            "required": true,
            "description": "The notification, as the platform documents it; at most 256 KiB.",
            "content": {"application/json": {
                "schema": {"type": "object"},
                "example": {"id": "evt_1", "type": "invoice.payment_failed", "data": {"object": {"id": "in_1"}}},
            }},
        },
        "responses": {
            "200": {"description": "It is kept."},
            "400": {"description": "It is no JSON, or no notification of the platform; the field is named."},
            "401": {"description": "Its proof is missing, wrong or stale."},
            "404": {"description": "There is no such billing account."},
            "405": {"description": "Webhooks are posted."},
            "413": {"description": "It is longer than 256 KiB."},
            "415": {"description": "It is declared to be something else than JSON."},
            "503": {"description": "It could not be kept; send it again after the time in Retry-After."},
        },
    }});
    serde_json::from_value(item).expect("the literal is a path item, and a test reads it")
}
