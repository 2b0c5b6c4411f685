//! Endpoints, as they are told.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use shared::delivery::{Breaker, BreakerPolicy, EndpointState, Filter, Policy, Scheme};
use shared::event::Role;
use shared::ids::EndpointId;
use shared::secret::Secret;
use shared::signature::standard::SigningKey;
use shared::store::EndpointRecord;

use super::BreakerView;
use crate::auth::Caller;
use crate::openapi::schema;
use crate::reply::LOCKED;

/// An endpoint. Its secrets are shown only in the answer to the request that had them made.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "shop",
    "url": "https://shop.example/hooks",
    "role": "merchant",
    "scheme": "standard-webhooks",
    "event_types": ["recovery.*"],
    "retry": {"policy": "ladder", "waits_s": [5, 300, 1800]},
    "breaker": {
        "failures": 10, "share_percent": 90, "window_s": 300, "minimum": 20,
        "pause_s": 60, "pause_most_s": 3600, "release_per_minute": 600,
    },
    "breaker_state": {
        "state": "closed", "since": null, "opened_by": null, "failures": 0, "next_probe_at": null,
    },
    "timeout_ms": 15000,
    "useful_for_ms": null,
    "decision_url": null,
    "state": "enabled",
    "live_secrets": [{"public_key": null, "until": null}],
    "created_at": "2026-11-22T09:00:00.000Z",
    "secrets": ["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
}))]
pub(crate) struct EndpointView {
    /// Its name.
    #[schema(value_type = String)]
    id: EndpointId,
    /// Where deliveries are posted; `null` for a tenant's key where the endpoint is the operator's.
    url: Option<String>,
    /// What it is to the tenant.
    #[schema(schema_with = schema::role)]
    role: Role,
    /// How deliveries are written and signed.
    #[schema(schema_with = schema::scheme)]
    scheme: Scheme,
    /// The event types it wants, prefixes (`recovery.*`) and `*`; `null` wants every type of `GET /v1/event-types`.
    #[schema(value_type = Option<Vec<String>>)]
    event_types: Option<Filter>,
    /// How failed tries are followed up.
    #[schema(schema_with = schema::policy)]
    retry: Policy,
    /// When failed tries have it left alone for a while; `off`: never.
    #[schema(schema_with = schema::breaker)]
    breaker: BreakerPolicy,
    /// Whether it is being left alone.
    breaker_state: BreakerView,
    /// The deadline of a try, in milliseconds.
    timeout_ms: u64,
    /// The same, as Rafiki's operators know it; for `rafiki` only.
    #[serde(rename = "WEBHOOK_TIMEOUT", skip_serializing_if = "Option::is_none")]
    webhook_timeout: Option<u64>,
    /// How many retries follow the first try, as Rafiki's operators know it; for `rafiki` only.
    #[serde(rename = "WEBHOOK_MAX_RETRY", skip_serializing_if = "Option::is_none")]
    webhook_max_retry: Option<u32>,
    /// How long after it happened an event is still worth a retry, in milliseconds; `null` leaves it to the type.
    useful_for_ms: Option<u64>,
    /// Where it is asked to decide on incoming payments; `null` if it is not.
    decision_url: Option<String>,
    /// Whether it takes deliveries: `enabled`, `disabled`, or `gone` after it answered 410.
    #[schema(schema_with = schema::endpoint_state)]
    state: EndpointState,
    /// What is to be told of the secrets that sign now, the current one first.
    live_secrets: Vec<LiveSecretView>,
    /// What is wrong with it and what to do, where nothing can be sent to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<&'static str>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    created_at: Timestamp,
    /// The secrets that were made for this request. They can't be shown again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
}

/// What is to be told of a secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct LiveSecretView {
    /// What receivers verify with, for a secret that is a private key (`whsk_`).
    public_key: Option<String>,
    /// It signs until then; `null` for a current one.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "super::millis_or_none")]
    until: Option<Timestamp>,
}

impl EndpointView {
    /// An endpoint at `now`, as `caller` may see it, with the secrets that were `made` for this request.
    pub(crate) fn new(
        EndpointRecord {
            endpoint,
            created_at,
        }: EndpointRecord,
        breaker: &Breaker,
        made: &[Secret],
        now: Timestamp,
        caller: &Caller,
    ) -> Self {
        let live = endpoint
            .secrets
            .iter()
            .filter(|live| live.until.is_none_or(|until| now < until));
        let rafiki = endpoint.scheme == Scheme::Rafiki;
        let timeout_ms = u64::try_from(endpoint.deadline.as_millis()).unwrap_or_default();
        Self {
            webhook_timeout: rafiki.then_some(timeout_ms),
            webhook_max_retry: rafiki.then(|| endpoint.policy.retries()),
            broken: endpoint.is_locked(now).then_some(LOCKED),
            live_secrets: live
                .map(|live| LiveSecretView {
                    public_key: SigningKey::parse(&live.secret)
                        .ok()
                        .and_then(|key| key.public()),
                    until: live.until,
                })
                .collect(),
            id: endpoint.id,
            url: (endpoint.role != Role::Operator || caller.is_operator()).then_some(endpoint.url),
            role: endpoint.role,
            scheme: endpoint.scheme,
            event_types: endpoint.filter,
            retry: endpoint.policy,
            breaker: endpoint.breaker,
            breaker_state: BreakerView::from(breaker),
            timeout_ms,
            useful_for_ms: endpoint
                .useful_for
                .and_then(|window| u64::try_from(window.as_millis()).ok()),
            decision_url: endpoint.decision_url,
            state: endpoint.state,
            created_at,
            secrets: made
                .iter()
                .map(|secret| secret.expose().to_owned())
                .collect(),
        }
    }
}
