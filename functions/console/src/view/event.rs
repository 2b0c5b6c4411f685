//! Events and what became of them, as they are told.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use shared::customer::is_personal;
use shared::delivery::{Delivery, Failure, State, Try};
use shared::event::{
    Callback, Chosen, EventType, Json, Line, NoReceiver, Recipients, Role, Source, Via,
};
use shared::ids::{EndpointId, EventId, Round};
use shared::store::{EventRecord, EventSummary};

use crate::auth::Caller;
use crate::openapi::schema;
use crate::standing::{Reason, Standing, latest, standing};

/// An event in a list.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "9a1c3c0e-6b7f-5c1e-9a55-0d1f2a3b4c5d",
    "type": "recovery.payment_failed",
    "state": "retrying",
    "resource": "in_1",
    "recorded_at": "2026-11-22T09:00:00.000Z",
}))]
pub(crate) struct EventSummaryView {
    /// Its id.
    #[schema(value_type = String)]
    id: EventId,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    event_type: EventType,
    /// What became of it: the worst of the latest rounds.
    state: Standing,
    /// Why, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::reason)]
    reason: Option<Reason>,
    /// What it is about.
    resource: Option<String>,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    recorded_at: Timestamp,
}

impl EventSummaryView {
    /// An event of a list, and what became of it.
    pub(crate) fn new(summary: EventSummary, (state, reason): (Standing, Option<Reason>)) -> Self {
        Self {
            id: summary.id,
            event_type: summary.event_type,
            state,
            reason,
            resource: summary.resource,
            recorded_at: summary.recorded_at,
        }
    }
}

/// An event with all that became of it.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "9a1c3c0e-6b7f-5c1e-9a55-0d1f2a3b4c5d",
    "type": "recovery.payment_failed",
    "source": "stripe",
    "resource": "in_1",
    "occurred_at": "2026-11-22T08:59:59.000Z",
    "recorded_at": "2026-11-22T09:00:00.000Z",
    "data": {"invoice_id": "in_1", "amount": 2500, "currency": "USD"},
    "state": "retrying",
    "conflicts": 0,
    "recipients": [{"role": "merchant", "endpoints": ["shop"]}],
    "deliveries": [{
        "endpoint": "shop",
        "round": 1,
        "state": "retrying",
        "next_try_at": "2026-11-22T09:00:06.000Z",
        "tries": [{"at": "2026-11-22T09:00:01.000Z", "took_ms": 41, "status": 500, "excerpt": "oops"}],
    }],
}))]
pub(crate) struct EventView {
    /// Its id, which receivers deduplicate by.
    #[schema(value_type = String)]
    id: EventId,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    event_type: EventType,
    /// Who told us.
    #[schema(value_type = String)]
    source: Source,
    /// What it is about.
    resource: Option<String>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    occurred_at: Timestamp,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    recorded_at: Timestamp,
    /// The payload, as the exact text it came with; absent where `data_withheld` says why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    data: Option<Json>,
    /// Why there is no `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_withheld: Option<Withheld>,
    /// What became of it: the worst of the latest rounds.
    state: Standing,
    /// Why, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::reason)]
    reason: Option<Reason>,
    /// How often another payload came under the same id, and was not taken.
    conflicts: u32,
    /// Who it goes to, role by role.
    recipients: Vec<RecipientView>,
    /// Where it stands among what a wallet client is told, if it goes to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<CallbackView>,
    /// Its deliveries, by endpoint and round; one that was never tried is queued and has no tries.
    deliveries: Vec<DeliveryView>,
}

impl EventView {
    /// An event with the deliveries of it that were tried, as `caller` may see it.
    pub(crate) fn new(record: EventRecord, deliveries: &[Delivery], caller: &Caller) -> Self {
        let withheld = Withheld::of(&record, caller);
        let (state, reason) = standing(&record.recipients, deliveries);
        let endpoints = record.recipients.endpoints();
        Self {
            deliveries: endpoints
                .flat_map(|endpoint| DeliveryView::rounds(endpoint, deliveries))
                .collect(),
            recipients: RecipientView::all(&record.recipients),
            id: record.event.id,
            event_type: record.event.event_type,
            source: record.event.source,
            resource: record.event.resource,
            occurred_at: record.event.at,
            recorded_at: record.recorded_at,
            data: withheld.is_none().then_some(record.event.data),
            data_withheld: withheld,
            callback: record.recipients.callback().map(CallbackView::from),
            state,
            reason,
            conflicts: record.conflicts,
        }
    }
}

/// Why the payload of an event is not shown.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Withheld {
    /// It is personal data, which the key has no right to.
    PersonalData,
    /// It was personal data, and was erased when it had been delivered.
    Erased,
}

impl Withheld {
    fn of(record: &EventRecord, caller: &Caller) -> Option<Self> {
        if !is_personal(&record.event.event_type) {
            None
        } else if record.event.is_erased() {
            Some(Self::Erased)
        } else {
            (!caller.sees_personal_data()).then_some(Self::PersonalData)
        }
    }
}

/// The place of a callback among what its wallet client is told.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallbackView {
    /// The wallet client.
    #[schema(value_type = String)]
    client: EndpointId,
    /// Through which URL: the client's own for a SEP (`static`), one put for the customer (`registered`), or that of the
    /// transaction (`transaction`).
    via: &'static str,
    /// The customer that it tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    /// The type that the customer's status is of.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// The transaction that it tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<String>,
    /// Its place in the order, from 1: an earlier one of the same customer and type, or transaction, is settled first.
    number: u64,
}

impl From<&Callback> for CallbackView {
    fn from(callback: &Callback) -> Self {
        let (customer, kind, transaction) = match &callback.line {
            Line::Customer { customer, kind, .. } => (
                Some(customer.to_string()),
                kind.as_ref().map(ToString::to_string),
                None,
            ),
            Line::Transaction { id } => (None, None, Some(id.to_string())),
        };
        Self {
            client: callback.client.clone(),
            via: match callback.via {
                Via::Static { .. } => "static",
                Via::Registered { .. } => "registered",
                Via::Transaction { .. } => "transaction",
            },
            customer,
            kind,
            transaction,
            number: callback.number,
        }
    }
}

/// What was chosen for one role.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecipientView {
    /// The role.
    #[schema(schema_with = schema::role)]
    role: Role,
    /// The endpoints it goes to; absent where it goes to nobody of the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<String>)]
    endpoints: Option<Vec<EndpointId>>,
    /// Why it goes to nobody of the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::reason)]
    reason: Option<NoReceiver>,
}

impl RecipientView {
    fn all(recipients: &Recipients) -> Vec<Self> {
        let Recipients::Chosen(roles) = recipients else {
            return Vec::new();
        };
        let view = |(role, chosen): (&Role, &Chosen)| match chosen {
            Chosen::Endpoints(endpoints) => Self {
                role: *role,
                endpoints: Some(endpoints.clone()),
                reason: None,
            },
            Chosen::Nobody(reason) => Self {
                role: *role,
                endpoints: None,
                reason: Some(*reason),
            },
        };
        roles.iter().map(view).collect()
    }
}

/// An event on its way to one endpoint, in one round.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    /// The receiver.
    #[schema(value_type = String)]
    endpoint: EndpointId,
    /// The round: 1 at first, one more with every replay.
    #[schema(value_type = u32)]
    round: Round,
    /// Where it stands.
    #[schema(schema_with = schema::delivery_state)]
    state: &'static str,
    /// Why, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::reason)]
    reason: Option<Reason>,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis_or_none")]
    next_try_at: Option<Timestamp>,
    /// The requests made, oldest first.
    tries: Vec<TryView>,
}

impl DeliveryView {
    fn new(endpoint: &EndpointId, round: Round, state: State, tries: &[Try]) -> Self {
        Self {
            endpoint: endpoint.clone(),
            round,
            state: state.as_str(),
            reason: Reason::of(state),
            next_try_at: state.due(),
            tries: tries.iter().map(TryView::from).collect(),
        }
    }

    /// Every round to an endpoint, oldest first.
    fn rounds(endpoint: &EndpointId, deliveries: &[Delivery]) -> Vec<Self> {
        if latest(deliveries, endpoint).is_none() {
            return vec![Self::new(endpoint, Round::FIRST, State::Queued, &[])];
        }
        let mut rounds: Vec<_> = deliveries
            .iter()
            .filter(|delivery| delivery.key.endpoint == *endpoint)
            .collect();
        rounds.sort_by_key(|delivery| delivery.key.round);
        rounds
            .iter()
            .map(|it| Self::new(endpoint, it.key.round, it.state, &it.tries))
            .collect()
    }
}

/// A delivery of an endpoint that did not get through.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "event": "9a1c3c0e-6b7f-5c1e-9a55-0d1f2a3b4c5d",
    "endpoint": "shop",
    "round": 1,
    "state": "given_up",
    "reason": "retries_exhausted",
    "tries": [{"at": "2026-11-22T09:00:01.000Z", "took_ms": 12, "status": 500}],
}))]
pub(crate) struct EndpointDeliveryView {
    /// The event.
    #[schema(value_type = String)]
    event: EventId,
    /// Its delivery.
    #[serde(flatten)]
    delivery: DeliveryView,
}

impl From<&Delivery> for EndpointDeliveryView {
    fn from(delivery: &Delivery) -> Self {
        let Delivery {
            key, state, tries, ..
        } = delivery;
        Self {
            event: key.event.clone(),
            delivery: DeliveryView::new(&key.endpoint, key.round, *state, tries),
        }
    }
}

/// One request and what came of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct TryView {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    at: Timestamp,
    /// How long it took, in milliseconds.
    took_ms: u32,
    /// The HTTP status of the answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Why there was no answer, if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::failure)]
    failure: Option<Failure>,
    /// The beginning of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<String>,
}

impl From<&Try> for TryView {
    fn from(tried: &Try) -> Self {
        Self {
            at: tried.at,
            took_ms: tried.took_ms,
            status: tried.status,
            failure: tried.failure,
            excerpt: (!tried.excerpt.is_empty()).then(|| tried.excerpt.clone()),
        }
    }
}

/// A replay that was begun.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"endpoint": "shop", "round": 2}))]
pub(crate) struct ReplayView {
    /// The receiver.
    #[schema(value_type = String)]
    pub(crate) endpoint: EndpointId,
    /// The round that was begun.
    #[schema(value_type = u32)]
    pub(crate) round: Round,
}
