//! Tenants: the walls between whose data nothing crosses.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use utoipa::ToSchema;

use shared::decision::Policy;
use shared::ids::TenantId;
use shared::store::{Made, TenantRecord};

use super::{App, created, deleted};
use crate::auth::{Operator, Within};
use crate::handler::Route;
use crate::openapi::schema;
use crate::reply::Refusal;
use crate::request::{Body, Id, label};
use crate::view::{List, TenantView};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("/v1/tenants", get(list)),
        ("/v1/tenants/{tenant}", get(read).put(put).delete(delete)),
    ]
}

/// A tenant to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"display_name": "Acme Ltd", "decisions": {"on_failure": "reject", "deadline_ms": 1500}}))]
pub(crate) struct TenantBody {
    /// What people call it: 1 to 100 characters.
    #[serde(default)]
    display_name: Option<String>,
    /// What becomes of an incoming payment when the tenant's ASE does not decide, and how long it is waited for. Left out,
    /// it is rejected, after 1500 milliseconds.
    #[serde(default)]
    #[schema(schema_with = schema::decisions, required = false)]
    decisions: Policy,
}

/// Every tenant, by name. Operators only.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", responses((status = 200, body = List<TenantView>)))]
pub(crate) async fn list(
    _: Operator,
    State(console): App,
) -> Result<Json<List<TenantView>>, Refusal> {
    let tenants = console.tenants.tenants().await?;
    Ok(Json(List::whole(
        tenants.into_iter().map(TenantView::from).collect(),
    )))
}

/// Makes a tenant, or replaces it. Operators only.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    params(("tenant" = String, Path)),
    request_body = TenantBody,
    responses(
        (status = 200, description = "Replaced", body = TenantView),
        (status = 201, body = TenantView),
        (status = 409, description = "One of this name was deleted, and what was recorded for it is still kept"),
    ),
)]
pub(crate) async fn put(
    _: Operator,
    Id(id): Id<TenantId>,
    State(console): App,
    Body(body): Body<TenantBody>,
) -> Result<(StatusCode, Json<TenantView>), Refusal> {
    let display_name = label("display_name", body.display_name)?;
    let tenant = TenantRecord {
        id,
        display_name,
        decisions: body
            .decisions
            .check()
            .map_err(|error| Refusal::field("decisions.deadline_ms", error.to_string()))?,
        created_at: console.clock.now(),
    };
    let new = match console.tenants.put_tenant(&tenant).await? {
        Made::New => true,
        Made::Changed => false,
        Made::Resting { until } => {
            return Err(Refusal::TenantRests {
                id: tenant.id,
                until,
            });
        }
    };
    // What is kept of a replaced tenant (when it was made) only the table knows.
    let kept = if new {
        None
    } else {
        console.tenants.tenant(&tenant.id).await?
    };
    Ok((created(new), Json(kept.unwrap_or(tenant).into())))
}

/// One tenant. A tenant's key reads its own.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    params(("tenant" = String, Path)),
    responses((status = 200, body = TenantView)),
)]
pub(crate) async fn read(
    Within(id): Within,
    State(console): App,
) -> Result<Json<TenantView>, Refusal> {
    let tenant = console
        .tenants
        .tenant(&id)
        .await?
        .ok_or_else(|| Refusal::not_found("tenant", &id))?;
    Ok(Json(tenant.into()))
}

/// Removes a tenant with its keys, endpoints, wallet clients, billing accounts, publishers, and its anchor with the signing
/// keys. Operators only.
///
/// What was recorded stays until it expires, and the name can't be used again before.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    params(("tenant" = String, Path)),
    responses((status = 204)),
)]
pub(crate) async fn delete(
    _: Operator,
    Id(id): Id<TenantId>,
    State(console): App,
) -> Result<StatusCode, Refusal> {
    let now = console.clock.now();
    deleted(
        console.tenants.delete_tenant(&id, now).await?,
        "tenant",
        &id,
    )
}
