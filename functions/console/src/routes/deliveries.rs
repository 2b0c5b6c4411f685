//! Deliveries of an endpoint that did not get through: what to look at, and replay, after it was away.

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use serde::Deserialize;
use utoipa::IntoParams;

use shared::ids::EndpointId;
use shared::store::{Undelivered, UndeliveredQuery};

use super::App;
use crate::auth::Within;
use crate::cursor;
use crate::handler::Route;
use crate::reply::Refusal;
use crate::request::{Id, Query, from_cursor, given, limit, time};
use crate::view::{EndpointDeliveryView, List};

pub(crate) fn routes() -> Vec<Route> {
    vec![(
        "/v1/tenants/{tenant}/endpoints/{endpoint}/deliveries",
        get(undelivered),
    )]
}

/// Which deliveries to list.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveriesAsked {
    /// Only in this state: `parked`, `given_up`, `expired`, `skipped` or `quarantined`.
    #[param(required = false, example = "given_up")]
    state: String,
    /// Only first tried at or after this time (RFC 3339); of one never tried, when its message was set aside counts.
    #[param(required = false, format = DateTime, example = "2026-11-22T00:00:00Z")]
    since: String,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// At most so many: 1 to 100, 50 if left out. A page may be short, or empty, and still have a `next_cursor`.
    #[param(required = false, value_type = u8, minimum = 1, maximum = 100)]
    limit: String,
}

impl DeliveriesAsked {
    fn read(&self) -> Result<UndeliveredQuery, Refusal> {
        let unknown = || {
            let names = Undelivered::ALL.map(Undelivered::as_str).join(", ");
            Refusal::parameter("state", format!("must be one of {names}"))
        };
        Ok(UndeliveredQuery {
            state: given(&self.state)
                .map(|name| Undelivered::parse(name).ok_or_else(unknown))
                .transpose()?,
            since: time("since", &self.since)?,
            after: given(&self.cursor).map(from_cursor).transpose()?,
            limit: limit(&self.limit)?,
        })
    }
}

/// The deliveries of an endpoint that did not get through (parked, given up, expired, skipped, quarantined), those tried
/// first last come first. One that was begun anew in a later round is shown by that round alone.
///
/// Each can be looked up with its event, and replayed there, unless it was a question to be decided or is still parked.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/endpoints/{endpoint}/deliveries",
    tag = "endpoints",
    params(("tenant" = String, Path), ("endpoint" = String, Path), DeliveriesAsked),
    responses((status = 200, body = List<EndpointDeliveryView>)),
)]
pub(crate) async fn undelivered(
    Within(tenant): Within,
    Id(endpoint): Id<EndpointId>,
    State(console): App,
    Query(asked): Query<DeliveriesAsked>,
) -> Result<Json<List<EndpointDeliveryView>>, Refusal> {
    let query = asked.read()?;
    let page = console
        .deliveries
        .undelivered(&tenant, &endpoint, &query)
        .await?;
    Ok(Json(List {
        data: page.items.iter().map(EndpointDeliveryView::from).collect(),
        next_cursor: page.next.as_deref().map(cursor::write),
    }))
}
