//! The router, and what it stands on.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};

use shared::delivery::Vetting;
use shared::entropy::Entropy;
use shared::queue::Enqueue;
use shared::store::{
    Accounts, AnchorAdmin, Anchors, Breakers, Credentials, Deliveries, EndpointAdmin, Events,
    IntentList, Intents, Keys, Lines, Publishers, QuarantineAdmin, Tenants,
};
use shared::time::Clock;

use crate::reply::Refusal;
use crate::request::BODY_MOST;
use crate::{openapi, routes};

/// Exactly what the operator's API may use.
pub struct Console {
    /// Tenants.
    pub tenants: Arc<dyn Tenants>,
    /// Their keys.
    pub keys: Arc<dyn Keys>,
    /// Whose a presented key is.
    pub credentials: Arc<dyn Credentials>,
    /// Endpoints.
    pub endpoints: Arc<dyn EndpointAdmin>,
    /// Whether endpoints are tried.
    pub breakers: Arc<dyn Breakers>,
    /// Billing accounts.
    pub accounts: Arc<dyn Accounts>,
    /// Payment backends that publish.
    pub publishers: Arc<dyn Publishers>,
    /// Anchors and their wallet clients.
    pub anchors: Arc<dyn Anchors>,
    /// How they are set up.
    pub anchor_admin: Arc<dyn AnchorAdmin>,
    /// How far what wallets are told in order is.
    pub lines: Arc<dyn Lines>,
    /// What was recorded.
    pub events: Arc<dyn Events>,
    /// What became of it.
    pub deliveries: Arc<dyn Deliveries>,
    /// Invoices to collect.
    pub intents: Arc<dyn Intents>,
    /// Which of them there are.
    pub intent_list: Arc<dyn IntentList>,
    /// Messages set aside.
    pub quarantine: Arc<dyn QuarantineAdmin>,
    /// Where replays and redriven messages are sent.
    pub queues: Arc<dyn Enqueue>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What keys, ids and secrets are drawn from.
    pub entropy: Arc<dyn Entropy>,
    /// Judges the URLs that are registered.
    pub vetting: Vetting,
    /// The SHA-256 of the first operator key, in lower-case hex.
    pub operator_key_hash: String,
}

/// A path and what answers on it.
pub(crate) type Route = (&'static str, MethodRouter<Arc<Console>>);

/// Every route, noun by noun.
fn table() -> Vec<Route> {
    [
        vec![("/v1/openapi.json", get(document))],
        routes::tenants::routes(),
        routes::keys::routes(),
        routes::endpoints::routes(),
        routes::secrets::routes(),
        routes::breaker::routes(),
        routes::deliveries::routes(),
        routes::billing_accounts::routes(),
        routes::publishers::routes(),
        routes::anchor::routes(),
        routes::signing_key::routes(),
        routes::clients::routes(),
        routes::events::routes(),
        routes::event_types::routes(),
        routes::intents::routes(),
        routes::quarantine::routes(),
    ]
    .concat()
}

/// The paths that the router answers on, with `{names}` for what varies.
#[must_use]
pub fn paths() -> Vec<&'static str> {
    table().into_iter().map(|(path, _)| path).collect()
}

/// The operator's API.
pub fn router(console: Console) -> Router {
    table()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| {
            router.route(path, methods)
        })
        .fallback(async || Refusal::NoSuchPath)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(BODY_MOST))
        .layer(map_response(never_stored))
        .with_state(Arc::new(console))
}

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "document",
    security(()),
    responses((status = 200, body = serde_json::Value, description = "The OpenAPI 3.1 document")),
)]
pub(crate) async fn document() -> Json<serde_json::Value> {
    Json(openapi::document())
}

/// Answers hold what must not lie in a cache on the way.
async fn never_stored(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
