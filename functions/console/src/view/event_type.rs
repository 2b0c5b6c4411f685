//! Event types, as they are told.

use serde::Serialize;
use utoipa::ToSchema;

use shared::event::{Json, Kind, Maker, Role, audience};

use crate::openapi::schema;

/// A type of the catalogue.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventTypeView {
    /// Its name, as events carry it and `event_types` of endpoints ask for it.
    #[serde(rename = "type")]
    #[schema(example = "wallet_address.not_found")]
    name: &'static str,
    /// The version of its payload.
    #[schema(example = 1)]
    version: u32,
    /// When it happens.
    description: &'static str,
    /// Who makes it: payment backends publish it, or Payrelay alone does, and nobody can publish it.
    #[schema(schema_with = schema::maker)]
    made_by: Maker,
    /// The role of the endpoints that are told when the sender names no recipients.
    #[schema(schema_with = schema::role)]
    told: Role,
    /// The role that is told as well where the sender says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::role, required = false)]
    told_on_request: Option<Role>,
    /// The role that gets a copy where the tenant has an endpoint of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::role, required = false)]
    copied: Option<Role>,
    /// What its receiver has to do.
    what_to_do: &'static str,
    /// How long after it happened a retry is still of use, in milliseconds; `null` where that has no end.
    #[schema(example = 1500)]
    useful_for_ms: Option<u64>,
    /// The JSON Schema (2020-12) of the event as it is published.
    #[schema(value_type = serde_json::Value)]
    schema: Json,
    /// An event of this type, as it is published.
    #[schema(value_type = serde_json::Value)]
    example: Json,
}

impl EventTypeView {
    /// A type, with all that is to be known of it.
    pub(crate) fn new(kind: Kind) -> Self {
        let audience = audience(kind);
        let json = |text: &str| Json::parse(text.to_owned());
        Self {
            name: kind.wire_name(),
            version: kind.version(),
            description: kind.when(),
            made_by: Maker::of(&kind.event_type()),
            told: audience.told,
            told_on_request: audience.on_request,
            copied: audience.copied,
            what_to_do: kind.action(),
            useful_for_ms: kind
                .useful_for()
                .and_then(|window| u64::try_from(window.as_millis()).ok()),
            schema: json(kind.schema()).expect("a test of the catalogue reads every schema"),
            example: json(kind.sample()).expect("a test of the catalogue reads every sample"),
        }
    }
}
