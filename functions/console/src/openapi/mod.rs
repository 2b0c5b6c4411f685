//! The OpenAPI document of everything that outsiders call or are sent: this API, the doors of `ingest`,
//! `publish` and `decide`, and what receivers get.
//!
//! Paths and shapes are derived from the handlers and the views; what all of them share (the key, the problems, the
//! form of ids) is added here once. A test holds the document and the router together.

mod anchors;
mod decisions;
mod doors;
mod events;
mod reports;
pub(crate) mod schema;
mod webhooks;

use serde_json::{Value, json};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, Schema};
use utoipa::{Modify, OpenApi as Derive};

use axum::http::StatusCode;

use anchors::Anchors;
pub use anchors::PATHS as ANCHOR_PATHS;
use decisions::Decisions;
use doors::Events;
use reports::Reports;
use webhooks::Webhooks;

use crate::routes::{
    anchor, billing_accounts, breaker, clients, deliveries, endpoints, event_types,
    events as recorded, intents, keys, publishers, quarantine, secrets, signing_key, tenants,
};

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut document =
        serde_json::to_value(Document::openapi()).expect("a document has a JSON form");
    // The library knows no `webhooks`, and the catalogue's schemas are more than its own type for schemas holds.
    if let Some(schemas) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    {
        schemas.extend(events::components());
    }
    if let Some(document) = document.as_object_mut() {
        document.insert("webhooks".to_owned(), events::webhooks().into());
    }
    document
}

#[derive(Derive)]
#[openapi(
    info(
        title = "Payrelay",
        description = "Takes in signed webhooks of billing platforms and delivers signed webhooks to those who must \
                       hear of them. The operator's API, and the doors that platforms post to.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        crate::handler::document,
        tenants::list,
        tenants::put,
        tenants::read,
        tenants::delete,
        keys::post,
        keys::list,
        keys::delete,
        endpoints::put,
        endpoints::list,
        endpoints::read,
        endpoints::delete,
        breaker::turn,
        secrets::rotate,
        deliveries::undelivered,
        billing_accounts::put,
        billing_accounts::list,
        billing_accounts::read,
        billing_accounts::delete,
        publishers::put,
        publishers::list,
        publishers::read,
        publishers::delete,
        anchor::put,
        anchor::read,
        anchor::delete,
        signing_key::put,
        signing_key::read,
        signing_key::delete,
        signing_key::rotate,
        clients::put,
        clients::list,
        clients::read,
        clients::delete,
        clients::turn,
        recorded::list,
        recorded::read,
        recorded::replay,
        event_types::list,
        event_types::read,
        intents::read,
        intents::pull,
        quarantine::list,
        quarantine::list_of_tenant,
        quarantine::read,
        quarantine::redrive,
        quarantine::delete,
    ),
    security(("key" = [])),
    modifiers(&Webhooks, &Reports, &Events, &Decisions, &Anchors, &Shared),
)]
struct Document;

/// What the operations have in common.
struct Shared;

const PROBLEM: &str = "Problem";

impl Modify for Shared {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        components.schemas.insert(PROBLEM.to_owned(), problem());
        let mut key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        key.description = Some(
            "An operator's key reaches all tenants; a tenant's key (`prk_..`, made with `POST .../keys`) reaches \
             its own tenant. What wallets are told is personal data, and shown only to a key that was made with \
             `personal_data`; the operator's key of the environment is none."
                .to_owned(),
        );
        components.add_security_scheme("key", SecurityScheme::Http(key));
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item) {
                complete(path, operation);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

/// Adds what any operation of its kind may answer, and the words that need not be written twice.
fn complete(path: &str, operation: &mut Operation) {
    let tag = operation
        .tags
        .iter()
        .flatten()
        .next()
        .map(|tag| tag.replace(' ', "_"));
    if let (Some(tag), Some(name)) = (tag, &operation.operation_id) {
        operation.operation_id = Some(format!("{tag}_{name}"));
    }
    let mut refusals = Vec::new();
    if operation.security.is_none() {
        refusals.extend([
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::SERVICE_UNAVAILABLE,
        ]);
        if path.contains('{') {
            refusals.push(StatusCode::NOT_FOUND);
        }
        if operation.parameters.is_some() {
            refusals.push(StatusCode::BAD_REQUEST);
        }
        if operation.request_body.is_some() {
            let of_body = [
                StatusCode::PAYLOAD_TOO_LARGE,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                StatusCode::UNPROCESSABLE_ENTITY,
            ];
            refusals.extend(of_body);
        }
    }
    for status in refusals {
        operation
            .responses
            .responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| Response::new("").into());
    }
    for (status, response) in &mut operation.responses.responses {
        let status = status.parse().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let RefOr::T(response) = response {
            describe(status, response);
        }
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        describe_parameter(parameter);
    }
}

fn describe(status: StatusCode, response: &mut Response) {
    if response.description.is_empty() {
        response.description = status.canonical_reason().unwrap_or_default().to_owned();
    }
    if status.is_client_error() || status.is_server_error() {
        let content = Content::new(Some(RefOr::<Schema>::Ref(Ref::from_schema_name(PROBLEM))));
        response
            .content
            .entry("application/problem+json".to_owned())
            .or_insert(content);
    }
}

fn describe_parameter(parameter: &mut Parameter) {
    if parameter.parameter_in != ParameterIn::Path {
        return;
    }
    let description = match parameter.name.as_str() {
        "tenant" => "The tenant.",
        "key" => "The key's public name (`key_..`), not the key.",
        "endpoint" => "The endpoint, or the wallet client.",
        "client" => "The wallet client.",
        "id" => "The transaction, as the anchor names it.",
        "profile_id" => "The business profile that the billing account belongs to.",
        "connector_account_id" | "connector_id" => "The billing account.",
        "merchant_id" => "The tenant whose billing account it is.",
        "event" => "The event's id.",
        "type" => "The event type, such as `wallet_address.not_found`.",
        "message" => "The message's id, as the list shows it.",
        "lever" => "What to do: `pause`, `resume`, `cancel` or `retry-now`.",
        _ => "",
    };
    parameter
        .description
        .get_or_insert_with(|| description.to_owned());
    let pattern = match parameter.name.as_str() {
        "type" => "^[A-Za-z0-9_.]{1,128}$",
        "lever" => "^(pause|resume|cancel|retry-now)$",
        _ => "^[A-Za-z0-9_-]{1,64}$",
    };
    parameter.schema = Some(schema::of(json!({"type": "string", "pattern": pattern})));
}

fn problem() -> RefOr<Schema> {
    schema::of(json!({
        "type": "object",
        "description": "What stood in the way (RFC 9457). Errors of a field or a parameter name it in backquotes.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "description": "A stable name of the situation."},
            "title": {"type": "string", "description": "The situation in a few words."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": {"type": "string", "description": "What is wrong this time and what to do."},
        },
        "example": {
            "type": "/problems/invalid-field",
            "title": "A field of the body is not right",
            "status": 422,
            "detail": "`url`: must be an https URL",
        },
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shared::delivery::Scheme;
    use shared::event::{Kind, Role};
    use shared::platform::Platform;

    use super::*;

    #[test]
    fn the_names_of_an_enum_are_those_it_is_written_with() {
        assert_eq!(schema::names::<Role>(), Role::ALL.map(Role::as_str));
        assert_eq!(schema::names::<Scheme>(), Scheme::ALL.map(Scheme::as_str));
        for name in schema::names::<Platform>() {
            let platform: Platform = serde_json::from_value(json!(name)).expect("its own name");
            assert_eq!(platform.as_str(), name);
        }
    }

    #[test]
    fn every_operation_is_named_once_and_described_and_its_answers_too() {
        let document = document();
        assert_eq!(document.get("openapi"), Some(&json!("3.1.0")));
        let mut names = BTreeSet::new();
        let paths = document
            .get("paths")
            .and_then(Value::as_object)
            .expect("it has paths");
        for (path, item) in paths {
            for (method, operation) in item.as_object().expect("an item is an object") {
                let place = format!("{method} {path}");
                let name = operation
                    .get("operationId")
                    .and_then(Value::as_str)
                    .expect(&place)
                    .to_owned();
                assert!(names.insert(name), "{place}: its name is another's too");
                assert!(
                    operation.get("summary").is_some_and(|text| text != ""),
                    "{place}: no summary"
                );
                for parameter in operation
                    .get("parameters")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                {
                    assert!(
                        parameter.get("description").is_some_and(|text| text != ""),
                        "{place}: {parameter}"
                    );
                    assert!(parameter.get("schema").is_some(), "{place}: {parameter}");
                }
                let answers = operation
                    .get("responses")
                    .and_then(Value::as_object)
                    .expect(&place);
                for (status, answer) in answers {
                    assert!(
                        answer.get("description").is_some_and(|text| text != ""),
                        "{place}: {status}"
                    );
                    let problem = answer
                        .pointer("/content/application~1problem+json")
                        .is_some();
                    assert_eq!(problem, !status.starts_with('2'), "{place}: {status}");
                }
            }
        }
    }

    #[test]
    fn every_type_of_the_catalogue_is_a_webhook_in_both_schemes() {
        let document = document();
        let webhooks = document.get("webhooks").and_then(Value::as_object);
        let webhooks = webhooks.expect("it has webhooks");
        assert_eq!(webhooks.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let name = kind.wire_name();
            let of = |pointer: &str| {
                let found = webhooks.get(name).and_then(|item| item.pointer(pointer));
                found.cloned().unwrap_or_default()
            };
            assert_eq!(of("/post/summary"), kind.when(), "{name}");
            let body = "/post/requestBody/content/application~1json";
            for scheme in [0, 1] {
                let data = of(&format!(
                    "{body}/schema/oneOf/{scheme}/properties/data/$ref"
                ));
                assert_eq!(data, format!("#/components/schemas/Event.{name}"));
            }
            let sample: Value = serde_json::from_str(kind.sample()).expect("a sample is JSON");
            assert_eq!(of(&format!("{body}/examples/rafiki/value")), sample);
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let references: BTreeSet<_> = text
            .split("\"$ref\":\"#")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(references.len() > 10, "{references:?}");
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
