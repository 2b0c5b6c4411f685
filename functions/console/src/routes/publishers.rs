//! Publishers: payment backends that may publish events for a tenant. `rafiki` is the one kind.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::SignedDuration;
use serde::Deserialize;
use utoipa::ToSchema;

use shared::ids::TenantId;
use shared::secret::Secret;
use shared::signature::TOLERANCE;
use shared::store::PublisherRecord;

use super::billing_accounts::check_secrets;
use super::{App, created, deleted, kept};
use crate::auth::Existing;
use crate::handler::{Console, Route};
use crate::reply::Refusal;
use crate::request::Body;
use crate::view::{List, PublisherView};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("/v1/tenants/{tenant}/publishers", get(list)),
        (
            "/v1/tenants/{tenant}/publishers/rafiki",
            get(read).put(put).delete(delete),
        ),
    ]
}

/// A publisher to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"secrets": ["0Jm7QkS1vXb4Zt9RyN3w"], "tolerance_seconds": 300}))]
pub(crate) struct PublisherBody {
    /// 1 to 5 live secrets of 16 to 256 characters; an event signed with any of them is genuine. None of them may be
    /// the secret of an endpoint of the tenant, whose receiver knows it.
    secrets: Vec<String>,
    /// How far a signature's timestamp may lie from our clock, either way, in seconds: 1 to 86400. Left out, 300.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86_400)]
    tolerance_seconds: Option<u32>,
}

fn tolerance(given: Option<u32>) -> Result<SignedDuration, Refusal> {
    match given {
        None => Ok(TOLERANCE),
        Some(seconds @ 1..=86_400) => Ok(SignedDuration::from_secs(i64::from(seconds))),
        Some(_) => Err(Refusal::field("tolerance_seconds", "must be 1 to 86400")),
    }
}

/// Refuses the secret of an endpoint that a publisher of the tenant signs with. The receiver that knows it could sign
/// events into the tenant's door.
pub(super) async fn refuse_publishers_secrets(
    console: &Console,
    tenant: &TenantId,
    given: impl IntoIterator<Item = (String, &Secret)>,
) -> Result<(), Refusal> {
    let Some(publisher) = console.publishers.rafiki(tenant).await? else {
        return Ok(());
    };
    let mut given = given.into_iter();
    match given.find(|(_, secret)| publisher.secrets.contains(secret)) {
        Some((field, _)) => Err(Refusal::field(
            field,
            "must not be a secret of the publisher `rafiki`: whoever knows it can sign events; send another, or leave \
             it out to have one made",
        )),
        None => Ok(()),
    }
}

/// Refuses a secret that an endpoint of the tenant signs with, or signed with lately: its receiver knows it.
async fn refuse_endpoints_secrets(
    console: &Console,
    tenant: &TenantId,
    given: &[Secret],
) -> Result<(), Refusal> {
    let endpoints = console.endpoints.endpoint_records(tenant).await?;
    for (index, secret) in given.iter().enumerate() {
        let knows = endpoints
            .iter()
            .map(|record| &record.endpoint)
            .find(|endpoint| endpoint.secrets.iter().any(|live| live.secret == *secret));
        if let Some(endpoint) = knows {
            return Err(Refusal::field(
                format!("secrets[{index}]"),
                format!(
                    "must not be a secret of the endpoint `{}`: whoever knows it can sign events; have the publisher \
                     sign with a new one",
                    endpoint.id.as_str()
                ),
            ));
        }
    }
    Ok(())
}

/// Makes the Rafiki publisher of a tenant, or replaces it. 201 when it is new.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/publishers/rafiki",
    tag = "publishers",
    params(("tenant" = String, Path)),
    request_body = PublisherBody,
    responses((status = 200, description = "Replaced", body = PublisherView), (status = 201, body = PublisherView)),
)]
pub(crate) async fn put(
    Existing(tenant): Existing,
    State(console): App,
    Body(body): Body<PublisherBody>,
) -> Result<(StatusCode, Json<PublisherView>), Refusal> {
    let secrets = check_secrets("secrets", body.secrets)?;
    let tolerance = tolerance(body.tolerance_seconds)?;
    refuse_endpoints_secrets(&console, &tenant, &secrets).await?;
    let before = console.publishers.rafiki(&tenant).await?;
    let created_at = before.map_or_else(|| console.clock.now(), |before| before.created_at);
    let publisher = PublisherRecord {
        tenant,
        secrets,
        tolerance,
        created_at,
    };
    let put = console.publishers.put_rafiki(&publisher).await?;
    let new = kept(put, &publisher.tenant)?.ok_or(Refusal::Contended)?;
    Ok((created(new), Json(publisher.into())))
}

/// The publishers of a tenant.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/publishers",
    tag = "publishers",
    params(("tenant" = String, Path)),
    responses((status = 200, body = List<PublisherView>)),
)]
pub(crate) async fn list(
    Existing(tenant): Existing,
    State(console): App,
) -> Result<Json<List<PublisherView>>, Refusal> {
    let rafiki = console.publishers.rafiki(&tenant).await?;
    Ok(Json(List::whole(
        rafiki.into_iter().map(PublisherView::from).collect(),
    )))
}

/// The Rafiki publisher of a tenant.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/publishers/rafiki",
    tag = "publishers",
    params(("tenant" = String, Path)),
    responses((status = 200, body = PublisherView)),
)]
pub(crate) async fn read(
    Existing(tenant): Existing,
    State(console): App,
) -> Result<Json<PublisherView>, Refusal> {
    let rafiki = console.publishers.rafiki(&tenant).await?;
    Ok(Json(
        rafiki
            .ok_or_else(|| Refusal::not_found("publisher", &"rafiki"))?
            .into(),
    ))
}

/// Removes the Rafiki publisher of a tenant.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/publishers/rafiki",
    tag = "publishers",
    params(("tenant" = String, Path)),
    responses((status = 204)),
)]
pub(crate) async fn delete(
    Existing(tenant): Existing,
    State(console): App,
) -> Result<StatusCode, Refusal> {
    deleted(
        console.publishers.delete_rafiki(&tenant).await?,
        "publisher",
        &"rafiki",
    )
}
