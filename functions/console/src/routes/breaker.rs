//! The breaker of an endpoint or wallet client: opened and closed by hand, or by what makes its failures a thing of the past.

use axum::Json;
use axum::extract::State;
use axum::routing::post;
use serde::Deserialize;
use tracing::info;
use utoipa::ToSchema;

use shared::delivery::{Breaker, BreakerPolicy, OpenedBy};
use shared::ids::{EndpointId, TenantId};
use shared::store::{Read, Saved};

use super::endpoints::{find, may_change};
use super::{App, RACES};
use crate::auth::Reached;
use crate::handler::{Console, Route};
use crate::reply::Refusal;
use crate::request::{Body, Id};
use crate::view::BreakerView;

pub(crate) fn routes() -> Vec<Route> {
    vec![(
        "/v1/tenants/{tenant}/endpoints/{endpoint}/breaker",
        post(turn),
    )]
}

/// What the operator sets a breaker to.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BreakerSwitch {
    /// Deliveries are held until it is closed.
    Open,
    /// Deliveries are tried, and those that were held are let go.
    Closed,
}

/// A breaker to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"state": "open"}))]
pub(crate) struct BreakerBody {
    /// `open`: deliveries are held until it is closed by hand. `closed`: deliveries are tried, and those that were held are let
    /// go little by little.
    pub(super) state: BreakerSwitch,
}

/// Opens or closes the breaker of an endpoint.
///
/// One that is opened by hand stays open until it is closed by hand: for the maintenance of the receiver, say. Deliveries that
/// come meanwhile are held for 24 hours at least, and are not lost by it. Closing one that its failures opened has it tried at
/// once. The workers know of it within 10 seconds.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/endpoints/{endpoint}/breaker",
    tag = "endpoints",
    params(("tenant" = String, Path), ("endpoint" = String, Path)),
    request_body = BreakerBody,
    responses((status = 200, body = BreakerView), (status = 409, description = "Others kept changing it at the same time")),
)]
pub(crate) async fn turn(
    Reached { tenant, caller }: Reached,
    Id(id): Id<EndpointId>,
    State(console): App,
    Body(body): Body<BreakerBody>,
) -> Result<Json<BreakerView>, Refusal> {
    let endpoint = find(&console, &tenant, &id).await?.value.endpoint;
    may_change(&caller, endpoint.role)?;
    let breaker = turn_to(&console, &tenant, &id, body.state, &endpoint.breaker).await?;
    Ok(Json(BreakerView::from(&breaker)))
}

/// How a breaker stands.
pub(super) async fn current(
    console: &Console,
    tenant: &TenantId,
    id: &EndpointId,
) -> Result<Breaker, Refusal> {
    let read = console.breakers.breaker(tenant, id).await?;
    Ok(read.map(|read| read.value).unwrap_or_default())
}

/// What a change did to an endpoint or wallet client.
#[derive(Clone, Copy)]
pub(super) struct Changed {
    /// Whether it takes deliveries.
    pub(super) enabled: bool,
    /// Whether it is new, is called elsewhere than before, or was switched on or off.
    pub(super) another: bool,
}

/// After an endpoint or wallet client was changed: closes its breaker where its failures say nothing of it any more, and where it takes no
/// deliveries, or has no breaker any more, so that those that are held end or go. What the operator opened otherwise stays open.
pub(super) async fn after_change(
    console: &Console,
    tenant: &TenantId,
    id: &EndpointId,
    policy: &BreakerPolicy,
    Changed { enabled, another }: Changed,
) -> Result<Breaker, Refusal> {
    let breaker = current(console, tenant, id).await?;
    let closes = match breaker.opened_by() {
        None => false,
        Some(OpenedBy::Failures) => another || !enabled || *policy == BreakerPolicy::Off,
        Some(OpenedBy::Operator) => !enabled,
    };
    if closes {
        return turn_to(console, tenant, id, BreakerSwitch::Closed, policy).await;
    }
    Ok(breaker)
}

/// Sets a breaker; answers how it is then.
pub(super) async fn turn_to(
    console: &Console,
    tenant: &TenantId,
    id: &EndpointId,
    to: BreakerSwitch,
    policy: &BreakerPolicy,
) -> Result<Breaker, Refusal> {
    for _ in 0..RACES {
        let (mut breaker, version) = match console.breakers.breaker(tenant, id).await? {
            Some(Read { value, version }) => (value, Some(version)),
            None => (Breaker::default(), None),
        };
        let (before, now) = (breaker.clone(), console.clock.now());
        match to {
            BreakerSwitch::Open => breaker.open(now),
            BreakerSwitch::Closed => breaker.close(policy, now),
        }
        if breaker == before {
            return Ok(breaker);
        }
        let saved = console
            .breakers
            .save_breaker(tenant, id, &breaker, version, now)
            .await?;
        if saved == Saved::Stored {
            info!(
                tenant = tenant.as_str(),
                endpoint = id.as_str(),
                breaker = breaker.as_str(),
                "breaker changed"
            );
            return Ok(breaker);
        }
    }
    Err(Refusal::Contended)
}
