//! Messages set aside because of an accident of ours: to be looked at, sent back to their queue, or forgotten.
//!
//! Their bodies are never shown: they may hold payloads, and nobody needs them to decide.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use utoipa::IntoParams;

use shared::ids::{QuarantineId, TenantId};
use shared::queue::{Message, Task};
use shared::store::Quarantined;

use super::{App, deleted};
use crate::auth::{Caller, Operator, Within};
use crate::cursor;
use crate::handler::{Console, Route};
use crate::reply::Refusal;
use crate::request::{Id, PathId, Query, from_cursor, given, limit};
use crate::view::{List, QuarantinedView, RedrivenView};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("/v1/quarantine", get(list)),
        ("/v1/quarantine/{message}", get(read).delete(delete)),
        ("/v1/quarantine/{message}/redrive", post(redrive)),
        ("/v1/tenants/{tenant}/quarantine", get(list_of_tenant)),
    ]
}

/// Which messages to list.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessagesAsked {
    /// Only of this tenant.
    #[param(required = false)]
    tenant: String,
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// At most so many: 1 to 100, 50 if left out.
    #[param(required = false, value_type = u8, minimum = 1, maximum = 100)]
    limit: String,
}

/// Which messages of a tenant to list.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct TenantMessagesAsked {
    /// The `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
    /// At most so many: 1 to 100, 50 if left out.
    #[param(required = false, value_type = u8, minimum = 1, maximum = 100)]
    limit: String,
}

async fn page(
    console: &Console,
    tenant: Option<&TenantId>,
    cursor: &str,
    most: &str,
) -> Result<Json<List<QuarantinedView>>, Refusal> {
    let after = given(cursor).map(from_cursor).transpose()?;
    let page = console
        .quarantine
        .quarantined(tenant, after.as_deref(), limit(most)?)
        .await?;
    let data = page.items.into_iter().map(QuarantinedView::from).collect();
    Ok(Json(List {
        data,
        next_cursor: page.next.as_deref().map(cursor::write),
    }))
}

/// Messages set aside, newest first. Operators only.
#[utoipa::path(
    get,
    path = "/v1/quarantine",
    tag = "quarantine",
    params(MessagesAsked),
    responses((status = 200, body = List<QuarantinedView>)),
)]
pub(crate) async fn list(
    _: Operator,
    State(console): App,
    Query(asked): Query<MessagesAsked>,
) -> Result<Json<List<QuarantinedView>>, Refusal> {
    let tenant = given(&asked.tenant)
        .map(|tenant| TenantId::read(tenant.to_owned()))
        .transpose()?;
    page(&console, tenant.as_ref(), &asked.cursor, &asked.limit).await
}

/// Messages of a tenant set aside, newest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/quarantine",
    tag = "quarantine",
    params(("tenant" = String, Path), TenantMessagesAsked),
    responses((status = 200, body = List<QuarantinedView>)),
)]
pub(crate) async fn list_of_tenant(
    Within(tenant): Within,
    State(console): App,
    Query(asked): Query<TenantMessagesAsked>,
) -> Result<Json<List<QuarantinedView>>, Refusal> {
    page(&console, Some(&tenant), &asked.cursor, &asked.limit).await
}

async fn find(console: &Console, id: &QuarantineId) -> Result<Quarantined, Refusal> {
    let found = console.quarantine.find_quarantined(id).await?;
    found.ok_or_else(|| Refusal::not_found("message", id))
}

/// One message set aside, without its body. A tenant's key reads its own.
#[utoipa::path(
    get,
    path = "/v1/quarantine/{message}",
    tag = "quarantine",
    params(("message" = String, Path)),
    responses((status = 200, body = QuarantinedView)),
)]
pub(crate) async fn read(
    caller: Caller,
    Id(id): Id<QuarantineId>,
    State(console): App,
) -> Result<Json<QuarantinedView>, Refusal> {
    let entry = match find(&console, &id).await {
        // What is not there and what is another's look the same to a tenant.
        Err(Refusal::NotFound { .. }) if !caller.is_operator() => return Err(Refusal::Forbidden),
        found => found?,
    };
    if caller.is_operator()
        || entry
            .tenant
            .as_ref()
            .is_some_and(|tenant| caller.reaches(tenant.as_str()))
    {
        Ok(Json(entry.into()))
    } else {
        Err(Refusal::Forbidden)
    }
}

/// The message as it goes back to its queue. It may be a copy of one that was worked on already, so a delivery is
/// marked to be checked; what can't be read goes back as it is.
fn again(entry: &Quarantined) -> Message {
    let message = match Task::decode(entry.body.expose()) {
        Ok(Task::Deliver(mut task)) => {
            task.check = true;
            Task::Deliver(task).encode()
        }
        Ok(task) => task.encode(),
        Err(_) => Message::new(entry.body.expose()),
    };
    // A FIFO queue would drop what looks like the message that was set aside, and takes none without a group.
    let name = || Some(entry.id.as_str().to_owned());
    Message {
        group: message.group.or_else(name),
        deduplication: name(),
        ..message
    }
}

/// Sends a message back to its queue and forgets it. Operators only.
#[utoipa::path(
    post,
    path = "/v1/quarantine/{message}/redrive",
    tag = "quarantine",
    params(("message" = String, Path)),
    responses(
        (status = 202, description = "It is back on its queue", body = RedrivenView),
        (status = 409, description = "Its body can't be opened"),
    ),
)]
pub(crate) async fn redrive(
    _: Operator,
    Id(id): Id<QuarantineId>,
    State(console): App,
) -> Result<(StatusCode, Json<RedrivenView>), Refusal> {
    let entry = find(&console, &id).await?;
    if entry.locked {
        return Err(Refusal::MessageLocked);
    }
    console
        .queues
        .send(entry.queue, vec![again(&entry)])
        .await?;
    // Whether somebody else forgot it meanwhile does not matter: it was sent.
    let _there = console.quarantine.forget_quarantined(&id).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(RedrivenView {
            id,
            queue: entry.queue.as_str(),
        }),
    ))
}

/// Forgets a message for good. Operators only.
#[utoipa::path(
    delete,
    path = "/v1/quarantine/{message}",
    tag = "quarantine",
    params(("message" = String, Path)),
    responses((status = 204)),
)]
pub(crate) async fn delete(
    _: Operator,
    Id(id): Id<QuarantineId>,
    State(console): App,
) -> Result<StatusCode, Refusal> {
    deleted(
        console.quarantine.forget_quarantined(&id).await?,
        "message",
        &id,
    )
}
