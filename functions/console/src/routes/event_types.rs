//! The catalogue of event types: what there is to hear of, and what it asks of its receiver.

use axum::Json;
use axum::routing::get;
use shared::event::{EventType, Kind};

use crate::auth::Caller;
use crate::handler::Route;
use crate::reply::Refusal;
use crate::request::Id;
use crate::view::{EventTypeView, List};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("/v1/event-types", get(list)),
        ("/v1/event-types/{type}", get(read)),
    ]
}

/// The event types that we know. Others are accepted too, and go to endpoints whose `event_types` ask for them.
#[utoipa::path(
    get,
    path = "/v1/event-types",
    tag = "event types",
    responses((status = 200, body = List<EventTypeView>)),
)]
pub(crate) async fn list(_: Caller) -> Json<List<EventTypeView>> {
    let views = Kind::ALL.iter().copied().map(EventTypeView::new);
    Json(List::whole(views.collect()))
}

/// One event type.
#[utoipa::path(
    get,
    path = "/v1/event-types/{type}",
    tag = "event types",
    params(("type" = String, Path)),
    responses((status = 200, body = EventTypeView)),
)]
pub(crate) async fn read(
    _: Caller,
    Id(event_type): Id<EventType>,
) -> Result<Json<EventTypeView>, Refusal> {
    match Kind::of(&event_type) {
        Some(kind) => Ok(Json(EventTypeView::new(kind))),
        None => Err(Refusal::not_found("event type", &event_type)),
    }
}
