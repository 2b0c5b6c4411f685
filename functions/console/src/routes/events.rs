//! Events, what became of them, and replaying a delivery.
//!
//! An event's state is not kept anywhere: it is worked out from the event's recipients and deliveries when it is
//! asked for, which costs two reads an event here and no write anywhere else.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures::future::try_join_all;
use serde::Deserialize;
use utoipa::IntoParams;

use shared::decision::is_decision;
use shared::delivery::{Delivery, DeliveryKey, State as DeliveryState, Turn};
use shared::event::{Callback, EventType};
use shared::ids::{EndpointId, EventId, TenantId};
use shared::queue::Task;
use shared::queue::task::{self, CallbackTask, DeliverTask};
use shared::store::{Cursor, EventQuery, EventRecord, EventSummary, StoreError};

use super::App;
use crate::auth::{Existing, Within, WithinBy};
use crate::cursor::{read_event, write_event};
use crate::handler::{Console, Route};
use crate::reply::Refusal;
use crate::request::{Id, Query, bad_cursor, given, limit, time};
use crate::standing::{Reason, Standing, latest, standing};
use crate::view::{EventSummaryView, EventView, List, ReplayView};

/// So many events are looked at for one page; the next page goes on from there.
const SCAN_MOST: usize = 500;
/// So many are read from the index at once while most may not match.
const SCAN_PAGE: usize = 100;
/// So many events have their state worked out at the same time.
const AT_ONCE: usize = 16;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("/v1/tenants/{tenant}/events", get(list).post(elsewhere)),
        ("/v1/tenants/{tenant}/events/{event}", get(read)),
        (
            "/v1/tenants/{tenant}/events/{event}/deliveries/{endpoint}/replay",
            post(replay),
        ),
    ]
}

/// Events are posted to `publish`, which shares the path. This is reached behind function URLs only, and by mistake.
async fn elsewhere(_: Within) -> Refusal {
    Refusal::Elsewhere {
        function: "publish",
    }
}

/// Which events to list.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsAsked {
    /// Only of this type.
    #[serde(rename = "type")]
    #[param(required = false, example = "recovery.payment_failed")]
    event_type: String,
    /// Only in this state. At most 500 events are looked at for one page, so a page may be short, or empty, and still
    /// have a `next_cursor`.
    #[param(required = false, value_type = Standing, example = "failed")]
    state: String,
    /// Only about this.
    #[param(required = false)]
    resource: String,
    /// Only recorded at or after this time (RFC 3339).
    #[param(required = false, format = DateTime, example = "2026-11-22T00:00:00Z")]
    since: String,
    /// Only recorded before this time (RFC 3339).
    #[param(required = false, format = DateTime)]
    until: String,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// At most so many: 1 to 100, 50 if left out.
    #[param(required = false, value_type = u8, minimum = 1, maximum = 100)]
    limit: String,
}

impl EventsAsked {
    fn read(&self) -> Result<(EventQuery, Option<Standing>), Refusal> {
        let event_type = given(&self.event_type).map(EventType::parse).transpose();
        let state = given(&self.state)
            .map(|name| Standing::parse(name).ok_or_else(unknown_state))
            .transpose()?;
        let query = EventQuery {
            event_type: event_type
                .map_err(|error| Refusal::parameter("type", error.to_string()))?,
            resource: given(&self.resource).map(str::to_owned),
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            cursor: given(&self.cursor)
                .map(|cursor| read_event(cursor).ok_or_else(bad_cursor))
                .transpose()?,
            limit: limit(&self.limit)?,
        };
        Ok((query, state))
    }
}

fn unknown_state() -> Refusal {
    Refusal::parameter(
        "state",
        format!(
            "must be one of {}",
            Standing::ALL.map(Standing::as_str).join(", ")
        ),
    )
}

type Found = (EventRecord, Vec<Delivery>);

async fn find(
    console: &Console,
    tenant: &TenantId,
    id: &EventId,
) -> Result<Option<Found>, StoreError> {
    let (event, deliveries) = futures::try_join!(
        console.events.event(tenant, id),
        console.deliveries.deliveries(tenant, id)
    )?;
    Ok(event.map(|event| (event.value, deliveries)))
}

type Judged = (EventSummary, (Standing, Option<Reason>));

/// What became of an event of the list; `None` for one that expired meanwhile.
async fn judge(
    console: &Console,
    tenant: &TenantId,
    summary: EventSummary,
) -> Result<Option<Judged>, StoreError> {
    let found = find(console, tenant, &summary.id).await?;
    Ok(found.map(|(record, deliveries)| (summary, standing(&record.recipients, &deliveries))))
}

async fn judge_all(
    console: &Console,
    tenant: &TenantId,
    summaries: &[EventSummary],
) -> Result<Vec<Option<Judged>>, StoreError> {
    let mut judged = Vec::with_capacity(summaries.len());
    for some in summaries.chunks(AT_ONCE) {
        judged.extend(
            try_join_all(
                some.iter()
                    .map(|summary| judge(console, tenant, summary.clone())),
            )
            .await?,
        );
    }
    Ok(judged)
}

/// Reads pages of the index until `query.limit` events are `wanted`, the list has ended, or enough were looked at.
async fn page(
    console: &Console,
    tenant: &TenantId,
    mut query: EventQuery,
    wanted: Option<Standing>,
) -> Result<List<EventSummaryView>, StoreError> {
    let limit = query.limit;
    let mut data = Vec::with_capacity(limit);
    let mut scanned = 0_usize;
    loop {
        query.limit = if wanted.is_some() {
            SCAN_PAGE
        } else {
            limit - data.len()
        };
        let found = console.events.events(tenant, &query).await?;
        let judged = judge_all(console, tenant, &found.items).await?;
        let count = judged.len();
        scanned += count;
        for (index, judged) in judged.into_iter().enumerate() {
            let Some((summary, stands)) = judged else {
                continue;
            };
            if wanted.is_some_and(|wanted| wanted != stands.0) {
                continue;
            }
            let here = Cursor {
                at: summary.recorded_at,
                id: summary.id.clone(),
            };
            data.push(EventSummaryView::new(summary, stands));
            if data.len() == limit {
                let more = index + 1 < count || found.next.is_some();
                return Ok(List {
                    data,
                    next_cursor: more.then(|| write_event(&here)),
                });
            }
        }
        match found.next {
            Some(next) if scanned < SCAN_MOST => query.cursor = Some(next),
            next => {
                return Ok(List {
                    data,
                    next_cursor: next.as_ref().map(write_event),
                });
            }
        }
    }
}

/// The events of a tenant, newest first, each with what became of it.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/events",
    tag = "events",
    params(("tenant" = String, Path), EventsAsked),
    responses((status = 200, body = List<EventSummaryView>)),
)]
pub(crate) async fn list(
    Within(tenant): Within,
    State(console): App,
    Query(asked): Query<EventsAsked>,
) -> Result<Json<List<EventSummaryView>>, Refusal> {
    let (query, wanted) = asked.read()?;
    Ok(Json(page(&console, &tenant, query, wanted).await?))
}

/// One event with its deliveries and their tries.
///
/// What wallets are told is personal data: `data` is shown to a key with that right alone.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/events/{event}",
    tag = "events",
    params(("tenant" = String, Path), ("event" = String, Path)),
    responses((status = 200, body = EventView)),
)]
pub(crate) async fn read(
    WithinBy { tenant, caller }: WithinBy,
    Id(id): Id<EventId>,
    State(console): App,
) -> Result<Json<EventView>, Refusal> {
    let found = find(&console, &tenant, &id).await?;
    let (record, deliveries) = found.ok_or_else(|| Refusal::not_found("event", &id))?;
    Ok(Json(EventView::new(record, &deliveries, &caller)))
}

/// Begins a new round of a delivery whose latest round is over. The rounds before it stay visible.
///
/// A round whose message was set aside (`quarantined`) is not over: it is taken up again, under its own number, so that
/// redriving that message as well sends nothing twice.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/events/{event}/deliveries/{endpoint}/replay",
    tag = "events",
    params(("tenant" = String, Path), ("event" = String, Path), ("endpoint" = String, Path)),
    responses(
        (status = 202, description = "The round is queued", body = ReplayView),
        (status = 409, description = "The latest round is not over, the event is a decision, or it is a callback of which a newer state was delivered or the text was erased"),
    ),
)]
pub(crate) async fn replay(
    Existing(tenant): Existing,
    Id(id): Id<EventId>,
    Id(endpoint): Id<EndpointId>,
    State(console): App,
) -> Result<(StatusCode, Json<ReplayView>), Refusal> {
    let found = find(&console, &tenant, &id).await?;
    let (record, deliveries) = found.ok_or_else(|| Refusal::not_found("event", &id))?;
    if !record
        .recipients
        .endpoints()
        .any(|chosen| *chosen == endpoint)
    {
        return Err(Refusal::not_found(
            "delivery of the event to endpoint",
            &endpoint,
        ));
    }
    let (round, hop, guard) = match latest(&deliveries, &endpoint) {
        // What had to hold for it before has to hold for it now.
        Some(delivery) if delivery.state.settled() => {
            (delivery.key.round.next(), 0, delivery.guard.clone())
        }
        Some(delivery) if matches!(delivery.state, DeliveryState::Quarantined { .. }) => {
            (delivery.key.round, delivery.hop, delivery.guard.clone())
        }
        Some(delivery) => {
            return Err(Refusal::NotSettled {
                state: delivery.state.as_str(),
            });
        }
        None => {
            return Err(Refusal::NotSettled {
                state: Standing::Queued.as_str(),
            });
        }
    };
    if is_decision(&record.event) {
        return Err(Refusal::Decided);
    }
    if let Some(callback) = record.recipients.callback() {
        let key = DeliveryKey {
            tenant,
            event: id,
            endpoint: endpoint.clone(),
            round,
        };
        let task = told_again(&console, &record, callback, key, hop).await?;
        task::send(&*console.queues, [Task::Callback(task)]).await?;
        return Ok((StatusCode::ACCEPTED, Json(ReplayView { endpoint, round })));
    }
    // A replay asked for twice makes two messages for one round: whoever comes second has to look.
    let task = DeliverTask {
        tenant,
        event: record.event,
        endpoint: endpoint.clone(),
        round,
        hop,
        check: true,
        guard,
    };
    task::send(&*console.queues, [Task::Deliver(task)]).await?;
    Ok((StatusCode::ACCEPTED, Json(ReplayView { endpoint, round })))
}

/// The message that tells a callback once more, in its turn; never an older state after a newer one.
async fn told_again(
    console: &Console,
    record: &EventRecord,
    callback: &Callback,
    key: DeliveryKey,
    hop: u32,
) -> Result<CallbackTask, Refusal> {
    if record.event.is_erased() {
        return Err(Refusal::Erased);
    }
    let read = console.lines.cursor(&key.tenant, &callback.line).await?;
    if read.is_some_and(|read| read.value.turn(callback.number) == Turn::Overtaken) {
        return Err(Refusal::Overtaken);
    }
    Ok(CallbackTask {
        tenant: key.tenant,
        event: key.event,
        client: key.endpoint,
        line: callback.line.clone(),
        round: key.round,
        hop,
        // No copy of what was sent before, which the queue would drop.
        after: Some(format!("replay at {}", console.clock.now())),
    })
}
