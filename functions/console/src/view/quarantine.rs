//! Messages set aside, as they are told.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use shared::ids::{EndpointId, EventId, QuarantineId, TenantId};
use shared::queue::Task;
use shared::store::{Cause, Quarantined};

use crate::openapi::schema;

/// A message set aside, without its body.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "deliver-1f2e3d4c5b6a79880a1b2c3d",
    "queue": "deliver",
    "cause": "panicked",
    "tenant": "acme",
    "event": "14cc9e1d-00da-5692-ac4a-e47359ad604c",
    "endpoint": "shop",
    "at": "2026-11-22T09:00:00Z",
    "received": 3,
    "size": 912,
}))]
pub(crate) struct QuarantinedView {
    /// Its name.
    #[schema(value_type = String)]
    id: QuarantineId,
    /// The queue it came from.
    #[schema(schema_with = schema::queue)]
    queue: &'static str,
    /// Why it was set aside.
    #[schema(schema_with = schema::cause)]
    cause: Cause,
    /// Whose it is, where that could be read.
    #[schema(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// The event that it is about, where that could be read.
    #[schema(value_type = Option<String>)]
    event: Option<EventId>,
    /// The endpoint that it was to be delivered to, if it is a delivery.
    #[schema(value_type = Option<String>)]
    endpoint: Option<EndpointId>,
    /// When it was set aside.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// How often it had been received.
    received: u32,
    /// How long its body is, in bytes. The body itself is never shown.
    size: usize,
}

impl From<Quarantined> for QuarantinedView {
    fn from(entry: Quarantined) -> Self {
        let (event, endpoint) = match Task::decode(entry.body.expose()) {
            Ok(Task::Publish(task)) => (Some(task.event.id), None),
            Ok(Task::Deliver(task)) => (Some(task.event.id), Some(task.endpoint)),
            Ok(Task::Signal(_) | Task::Ignored(_)) | Err(_) => (None, None),
        };
        Self {
            id: entry.id,
            queue: entry.queue.as_str(),
            cause: entry.cause,
            tenant: entry.tenant,
            event,
            endpoint,
            at: entry.at,
            received: entry.count,
            size: entry.body.expose().len(),
        }
    }
}

/// A message that was sent back to its queue.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"id": "deliver-1f2e3d4c5b6a79880a1b2c3d", "queue": "deliver"}))]
pub(crate) struct RedrivenView {
    /// Its name here, which is gone now.
    #[schema(value_type = String)]
    pub(crate) id: QuarantineId,
    /// The queue.
    #[schema(schema_with = schema::queue)]
    pub(crate) queue: &'static str,
}
