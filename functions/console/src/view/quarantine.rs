//! Messages set aside, as they are told.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use shared::event::{Event, EventType};
use shared::ids::{EndpointId, EventId, QuarantineId, SignalId, TenantId};
use shared::queue::Task;
use shared::queue::task::{LeverTask, RecordBackTask};
use shared::store::{Cause, Quarantined};

use crate::openapi::schema;
use crate::reply::MESSAGE_LOCKED;

/// A message set aside, without its body.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "deliver-1f2e3d4c5b6a79880a1b2c3d",
    "queue": "deliver",
    "cause": "panicked",
    "tenant": "acme",
    "event": "14cc9e1d-00da-5692-ac4a-e47359ad604c",
    "type": "recovery.payment_failed",
    "signal": null,
    "resource": "in_1",
    "endpoint": "shop",
    "at": "2026-11-22T09:00:00.000Z",
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
    /// The type of that event, or of the platform's notification that is of no interest.
    #[serde(rename = "type")]
    #[schema(value_type = Option<String>)]
    event_type: Option<EventType>,
    /// The platform's notification that it carries, if it is one.
    #[schema(value_type = Option<String>)]
    signal: Option<SignalId>,
    /// What the event or the notification is about.
    resource: Option<String>,
    /// The endpoint that it was to be delivered to, if it is a delivery.
    #[schema(value_type = Option<String>)]
    endpoint: Option<EndpointId>,
    /// When it was set aside.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    at: Timestamp,
    /// How often it had been received.
    received: u32,
    /// How long its body is, in bytes; 0 if it is `broken`. The body itself is never shown.
    size: usize,
    /// What is wrong with it and what to do, where its body can't be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<&'static str>,
}

/// What can be told of a message's content without showing it.
#[derive(Default)]
struct About {
    event: Option<EventId>,
    event_type: Option<EventType>,
    signal: Option<SignalId>,
    resource: Option<String>,
    endpoint: Option<EndpointId>,
}

impl About {
    fn event(event: Event) -> Self {
        Self {
            event: Some(event.id),
            event_type: Some(event.event_type),
            resource: event.resource,
            ..Self::default()
        }
    }

    fn of(body: &str) -> Self {
        match Task::decode(body) {
            Ok(Task::Publish(task)) => Self::event(task.event),
            Ok(Task::Deliver(task)) => Self {
                endpoint: Some(task.endpoint),
                ..Self::event(task.event)
            },
            Ok(Task::Callback(task)) => Self {
                event: Some(task.event),
                endpoint: Some(task.client),
                ..Self::default()
            },
            Ok(Task::Signal(task)) => Self {
                signal: Some(task.signal.id),
                resource: Some(task.signal.intent.invoice_id.as_str().to_owned()),
                ..Self::default()
            },
            Ok(Task::Thin(task)) => Self {
                signal: Some(task.thin.id),
                resource: task
                    .thin
                    .told
                    .map(|told| told.intent.invoice_id.as_str().to_owned()),
                ..Self::default()
            },
            Ok(
                Task::Lever(LeverTask { intent, .. })
                | Task::RecordBack(RecordBackTask { intent, .. }),
            ) => Self {
                resource: Some(intent.invoice_id.as_str().to_owned()),
                ..Self::default()
            },
            Ok(Task::Ignored(task)) => Self {
                signal: Some(task.ignored.id),
                event_type: Some(task.ignored.platform_type),
                ..Self::default()
            },
            Err(_) => Self::default(),
        }
    }
}

impl From<Quarantined> for QuarantinedView {
    fn from(entry: Quarantined) -> Self {
        let about = About::of(entry.body.expose());
        Self {
            id: entry.id,
            queue: entry.queue.as_str(),
            cause: entry.cause,
            tenant: entry.tenant,
            event: about.event,
            event_type: about.event_type,
            signal: about.signal,
            resource: about.resource,
            endpoint: about.endpoint,
            at: entry.at,
            received: entry.count,
            size: entry.body.expose().len(),
            broken: entry.locked.then_some(MESSAGE_LOCKED),
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
