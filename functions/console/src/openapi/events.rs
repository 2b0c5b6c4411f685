//! The `webhooks` of the document: what receivers are sent, made from the catalogue of events.

use serde_json::{Map, Value, json};
use shared::event::{Kind, audience};

/// The component that a schema of the catalogue calls `name`.
fn component(name: &str) -> String {
    format!("Event.{name}")
}

/// A catalogue's schema refers to its own definitions, which in the document are components.
fn embedded(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match (name.as_str(), value.as_str()) {
                ("$ref", Some(reference)) => {
                    let name = reference.rsplit('/').next().unwrap_or_default();
                    let place = format!("#/components/schemas/{}", component(name));
                    ("$ref".to_owned(), Value::from(place))
                }
                _ => (name.clone(), embedded(value)),
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(embedded).collect(),
        plain => plain.clone(),
    }
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("a test of the catalogue reads every schema and every sample")
}

/// The schemas of payloads, and of what they are made of, by the names they have among the components.
pub(super) fn components() -> Map<String, Value> {
    let schemas = Kind::ALL.iter().map(|kind| (kind, read(kind.schema())));
    schemas
        .flat_map(|(kind, schema)| {
            let parts = schema.pointer("/$defs").and_then(Value::as_object).cloned();
            let data = schema
                .pointer("/properties/data")
                .cloned()
                .unwrap_or_default();
            parts
                .into_iter()
                .flatten()
                .chain([(kind.wire_name().to_owned(), data)])
        })
        .map(|(name, schema)| (component(&name), embedded(&schema)))
        .collect()
}

/// One webhook for each type, in the catalogue's order.
pub(super) fn webhooks() -> Map<String, Value> {
    Kind::ALL
        .iter()
        .map(|kind| (kind.wire_name().to_owned(), json!({"post": webhook(*kind)})))
        .collect()
}

fn webhook(kind: Kind) -> Value {
    let name = kind.wire_name();
    let data = json!({"$ref": format!("#/components/schemas/{}", component(name))});
    let sample = read(kind.sample());
    let payload = sample.get("data").cloned().unwrap_or_default();
    let id = json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"});
    let header = |name: &str, description: &str| {
        json!({
            "name": name,
            "in": "header",
            "required": false,
            "description": description,
            "schema": {"type": "string"},
        })
    };
    json!({
        "operationId": format!("event_{}", name.replace('.', "_")),
        "tags": ["deliveries"],
        "summary": kind.when(),
        "description": format!(
            "Told to endpoints of role `{}`. What to do: {}\n\nThe body and the headers are those of the endpoint's \
             scheme. The id is the same in every delivery: drop what came before.",
            audience(kind).told,
            kind.action(),
        ),
        "security": [{}],
        "parameters": [
            header("Rafiki-Signature", "Scheme `rafiki`: `t=<unix milliseconds>, v1=<HMAC-SHA-256 in hex>`."),
            header("webhook-id", "Scheme `standard-webhooks`: the event's id."),
            header("webhook-timestamp", "Scheme `standard-webhooks`: when the request was signed, unix seconds."),
            header("webhook-signature", "Scheme `standard-webhooks`: one or more of `v1,<base64>` and `v1a,<base64>`."),
        ],
        "requestBody": {
            "required": true,
            "content": {"application/json": {
                "schema": {"oneOf": [
                    {
                        "title": "rafiki",
                        "type": "object",
                        "required": ["id", "type", "data"],
                        "properties": {"id": id, "type": {"const": name}, "data": data},
                        "additionalProperties": false,
                    },
                    {
                        "title": "standard-webhooks",
                        "type": "object",
                        "required": ["type", "timestamp", "data"],
                        "properties": {
                            "type": {"const": name},
                            "timestamp": {
                                "type": "string",
                                "format": "date-time",
                                "description": "When it happened.",
                            },
                            "data": data,
                        },
                        "additionalProperties": false,
                    },
                ]},
                "examples": {
                    "rafiki": {"value": sample},
                    "standard-webhooks": {"value": {
                        "type": name,
                        "timestamp": "2026-08-17T12:00:00Z",
                        "data": payload,
                    }},
                },
            }},
        },
        "responses": {
            "200": {"description": "Taken. Of other answers in 2xx, `rafiki` takes none for success, \
                                    `standard-webhooks` takes all."},
            "default": {"description": "Not taken: it is sent again, as the endpoint's policy says. Redirects are not \
                                        followed."},
        },
    })
}
