//! The shapes of the answers. Secrets are not among them, but for those made on request, in the one answer that
//! tells them.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use shared::delivery::{
    Delivery, Endpoint, EndpointState, Failure, Filter, Policy, Scheme, State, Try,
};
use shared::event::{Chosen, EventType, Json, NoReceiver, Recipients, Role, Source};
use shared::ids::{
    ChargeKey, ConnectorAccountId, EndpointId, EventId, InvoiceId, KeyId, ProfileId, QuarantineId,
    Round, SignalId, TenantId,
};
use shared::money::Currency;
use shared::platform::Platform;
use shared::recovery::{Attempt, Fact, Intent, State as IntentState, Status, TriggeredBy};
use shared::secret::Secret;
use shared::signature::standard::SigningKey;
use shared::store::{
    AccountRecord, Cause, EventRecord, EventSummary, KeyRecord, PublisherRecord, Quarantined,
    TenantRecord,
};

use crate::openapi::schema;
use crate::standing::{Reason, Standing, latest, standing};

/// A list, or one page of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// What is on it.
    pub(crate) data: Vec<T>,
    /// Where the next page begins; `null` where there is none.
    pub(crate) next_cursor: Option<String>,
}

impl<T> List<T> {
    /// All there is.
    pub(crate) fn whole(data: Vec<T>) -> Self {
        Self {
            data,
            next_cursor: None,
        }
    }
}

/// A tenant.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"id": "acme", "display_name": "Acme Ltd", "created_at": "2026-11-22T09:00:00Z"}))]
pub(crate) struct TenantView {
    /// Its name.
    #[schema(value_type = String)]
    id: TenantId,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<TenantRecord> for TenantView {
    fn from(record: TenantRecord) -> Self {
        Self {
            id: record.id,
            display_name: record.display_name,
            created_at: record.created_at,
        }
    }
}

/// An API key: all of it but the key.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"id": "key_0c1e5f7a9b3d2e4f", "label": "backend", "created_at": "2026-11-22T09:00:00Z"}))]
pub(crate) struct KeyView {
    /// Its public name.
    #[schema(value_type = String)]
    id: KeyId,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<KeyRecord> for KeyView {
    fn from(record: KeyRecord) -> Self {
        Self {
            id: record.id,
            label: record.label,
            created_at: record.created_at,
        }
    }
}

/// A new API key, shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "key": "prk_vZ2f0n3mXkq8r1YtB6uW9cE4hJ7sLpDaGiOxQeRyTzU",
    "id": "key_0c1e5f7a9b3d2e4f",
    "label": "backend",
    "created_at": "2026-11-22T09:00:00Z",
}))]
pub(crate) struct NewKeyView {
    /// The key. Only its hash is kept: it can't be shown again.
    pub(crate) key: String,
    /// The rest.
    #[serde(flatten)]
    pub(crate) record: KeyView,
}

/// An endpoint. Its secrets are shown only in the answer to the request that had them made.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "shop",
    "url": "https://shop.example/hooks",
    "role": "merchant",
    "scheme": "standard-webhooks",
    "event_types": ["recovery.*"],
    "retry": {"policy": "ladder", "waits_s": [5, 300, 1800]},
    "timeout_ms": 15000,
    "useful_for_ms": null,
    "state": "enabled",
    "live_secrets": [{"public_key": null, "until": null}],
    "created_at": "2026-11-22T09:00:00Z",
    "secrets": ["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
}))]
pub(crate) struct EndpointView {
    /// Its name.
    #[schema(value_type = String)]
    id: EndpointId,
    /// Where deliveries are posted.
    url: String,
    /// What it is to the tenant.
    #[schema(schema_with = schema::role)]
    role: Role,
    /// How deliveries are written and signed.
    #[schema(schema_with = schema::scheme)]
    scheme: Scheme,
    /// The event types it wants, prefixes (`recovery.*`) and `*`; `null` wants all.
    #[schema(value_type = Option<Vec<String>>)]
    event_types: Option<Filter>,
    /// How failed tries are followed up.
    #[schema(schema_with = schema::policy)]
    retry: Policy,
    /// The deadline of a try, in milliseconds.
    timeout_ms: u64,
    /// How long after it happened an event is still worth a retry, in milliseconds; `null` leaves it to the type.
    useful_for_ms: Option<u64>,
    /// Whether it takes deliveries: `enabled`, `disabled`, or `gone` after it answered 410.
    #[schema(schema_with = schema::endpoint_state)]
    state: EndpointState,
    /// What is to be told of the secrets that sign now, the current one first.
    live_secrets: Vec<LiveSecretView>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The secrets that were made for this request. They can't be shown again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
}

/// What is to be told of a secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct LiveSecretView {
    /// What receivers verify with, for a secret that is a private key (`whsk_`).
    public_key: Option<String>,
    /// It signs until then; `null` for a current one.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl EndpointView {
    /// An endpoint at `now`, with the secrets that were `made` for this request.
    pub(crate) fn new(
        endpoint: Endpoint,
        created_at: Timestamp,
        made: &[Secret],
        now: Timestamp,
    ) -> Self {
        let live = endpoint
            .secrets
            .iter()
            .filter(|live| live.until.is_none_or(|until| now < until));
        Self {
            live_secrets: live
                .map(|live| LiveSecretView {
                    public_key: SigningKey::parse(&live.secret)
                        .ok()
                        .and_then(|key| key.public()),
                    until: live.until,
                })
                .collect(),
            id: endpoint.id,
            url: endpoint.url,
            role: endpoint.role,
            scheme: endpoint.scheme,
            event_types: endpoint.filter,
            retry: endpoint.policy,
            timeout_ms: u64::try_from(endpoint.deadline.as_millis()).unwrap_or_default(),
            useful_for_ms: endpoint
                .useful_for
                .and_then(|window| u64::try_from(window.as_millis()).ok()),
            state: endpoint.state,
            created_at,
            secrets: made
                .iter()
                .map(|secret| secret.expose().to_owned())
                .collect(),
        }
    }
}

/// A billing account, without its secrets.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "profile_id": "pro_1",
    "connector_account_id": "mca_1",
    "platform": "stripe",
    "webhook_secret_count": 1,
    "has_api_key": true,
    "api_base_url": null,
    "retry_threshold": 3,
    "created_at": "2026-11-22T09:00:00Z",
}))]
pub(crate) struct AccountView {
    /// The business profile.
    #[schema(value_type = String)]
    profile_id: ProfileId,
    /// The billing account.
    #[schema(value_type = String)]
    connector_account_id: ConnectorAccountId,
    /// The platform.
    #[schema(schema_with = schema::platform)]
    platform: Platform,
    /// How many webhook secrets are live.
    webhook_secret_count: usize,
    /// Whether a key for the platform's API is kept.
    has_api_key: bool,
    /// Where the platform's API is, if not at its usual place.
    api_base_url: Option<String>,
    /// How many tries the platform has before ours begin.
    retry_threshold: Option<u32>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<AccountRecord> for AccountView {
    fn from(
        AccountRecord {
            account,
            created_at,
        }: AccountRecord,
    ) -> Self {
        Self {
            profile_id: account.profile_id,
            connector_account_id: account.connector_account_id,
            platform: account.platform,
            webhook_secret_count: account.webhook_secrets.len(),
            has_api_key: account.api_key.is_some(),
            api_base_url: account.settings.api_base_url,
            retry_threshold: account.settings.retry_threshold,
            created_at,
        }
    }
}

/// A payment backend that may publish events, without its secrets.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"publisher": "rafiki", "secret_count": 2, "created_at": "2026-11-22T09:00:00Z"}))]
pub(crate) struct PublisherView {
    /// What it is: `rafiki`.
    publisher: &'static str,
    /// How many secrets are live.
    secret_count: usize,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<PublisherRecord> for PublisherView {
    fn from(record: PublisherRecord) -> Self {
        Self {
            publisher: "rafiki",
            secret_count: record.secrets.len(),
            created_at: record.created_at,
        }
    }
}

/// An event in a list.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "9a1c3c0e-6b7f-5c1e-9a55-0d1f2a3b4c5d",
    "type": "recovery.payment_failed",
    "state": "retrying",
    "resource": "in_1",
    "recorded_at": "2026-11-22T09:00:00Z",
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
    "occurred_at": "2026-11-22T08:59:59Z",
    "recorded_at": "2026-11-22T09:00:00Z",
    "data": {"invoice_id": "in_1", "amount": 2500, "currency": "USD"},
    "state": "retrying",
    "conflicts": 0,
    "recipients": [{"role": "merchant", "endpoints": ["shop"]}],
    "deliveries": [{
        "endpoint": "shop",
        "round": 1,
        "state": "retrying",
        "next_try_at": "2026-11-22T09:00:06Z",
        "tries": [{"at": "2026-11-22T09:00:01Z", "took_ms": 41, "status": 500, "excerpt": "oops"}],
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
    occurred_at: Timestamp,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// The payload, as the exact text it came with.
    #[schema(value_type = serde_json::Value)]
    data: Json,
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
    /// Its deliveries, by endpoint and round; one that was never tried is queued and has no tries.
    deliveries: Vec<DeliveryView>,
}

impl EventView {
    /// An event with the deliveries of it that were tried.
    pub(crate) fn new(record: EventRecord, deliveries: &[Delivery]) -> Self {
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
            data: record.event.data,
            state,
            reason,
            conflicts: record.conflicts,
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

/// One request and what came of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct TryView {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
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

/// One invoice to collect, with its charges.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "profile_id": "pro_1",
    "connector_account_id": "mca_1",
    "invoice_id": "in_1",
    "source": "stripe",
    "amount": 2500,
    "currency": "USD",
    "state": "open",
    "since": "2026-11-22T08:59:59Z",
    "attempts": [{
        "charge": "ch_1",
        "triggered_by": "external",
        "status": "failed",
        "facts": [{
            "status": "failed",
            "at": "2026-11-22T08:59:59Z",
            "last_at": "2026-11-22T08:59:59Z",
            "signal": "evt_1",
            "amount": 2500,
            "currency": "USD",
            "transaction_id": "pi_1",
            "error_code": "card_declined",
            "error_message": "Your card was declined.",
        }],
    }],
    "signals": [{"id": "evt_1", "at": "2026-11-22T08:59:59Z"}],
}))]
pub(crate) struct IntentView {
    /// The business profile.
    #[schema(value_type = String)]
    profile_id: ProfileId,
    /// The billing account.
    #[schema(value_type = String)]
    connector_account_id: ConnectorAccountId,
    /// The platform's invoice id.
    #[schema(value_type = String)]
    invoice_id: InvoiceId,
    /// The platform.
    #[schema(value_type = String)]
    source: Source,
    /// What it asks for, in ISO 4217 minor units.
    amount: i64,
    /// The ISO 4217 currency.
    #[schema(value_type = String)]
    currency: Currency,
    /// How it stands.
    #[schema(schema_with = schema::intent_state)]
    state: IntentState,
    /// Since when it stands so, by the platform's time.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Its charges.
    attempts: Vec<AttemptView>,
    /// The platform's notifications that were joined into it; those of the last 10 days are remembered.
    signals: Vec<SignalView>,
}

impl From<Intent> for IntentView {
    fn from(intent: Intent) -> Self {
        let signals = intent
            .signals()
            .map(|(id, at)| SignalView { id: id.clone(), at });
        let mut signals: Vec<_> = signals.collect();
        signals.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
        Self {
            signals,
            since: intent.since(),
            attempts: intent.attempts.iter().map(AttemptView::from).collect(),
            profile_id: intent.key.profile_id,
            connector_account_id: intent.key.connector_account_id,
            invoice_id: intent.key.invoice_id,
            source: intent.source,
            amount: intent.amount.amount,
            currency: intent.amount.currency,
            state: intent.state,
        }
    }
}

/// One charge of an invoice.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptView {
    /// What tells it from the invoice's other charges.
    #[schema(value_type = String)]
    charge: ChargeKey,
    /// Who made it: `internal` (we) or `external` (the billing platform or somebody else).
    #[schema(schema_with = schema::triggered_by)]
    triggered_by: TriggeredBy,
    /// How it stands; absent while nothing was said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::charge_status)]
    status: Option<Status>,
    /// What was said of it, status by status.
    facts: Vec<FactView>,
}

impl From<(&ChargeKey, &Attempt)> for AttemptView {
    fn from((charge, attempt): (&ChargeKey, &Attempt)) -> Self {
        Self {
            charge: charge.clone(),
            triggered_by: attempt.triggered_by,
            status: attempt.status(),
            facts: attempt.facts.iter().map(FactView::from).collect(),
        }
    }
}

/// What was said of a charge in one status.
#[derive(Serialize, ToSchema)]
pub(crate) struct FactView {
    /// The status.
    #[schema(schema_with = schema::charge_status)]
    status: Status,
    /// When the platform first said so.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// When it last said so.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
    /// The notification that first said so.
    #[schema(value_type = String)]
    signal: SignalId,
    /// What was charged, in ISO 4217 minor units.
    amount: i64,
    /// The ISO 4217 currency.
    #[schema(value_type = String)]
    currency: Currency,
    /// The payment service provider's transaction, where the platform names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<String>,
    /// The decline's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    /// The decline's text for humans.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

impl From<(&Status, &Fact)> for FactView {
    fn from((status, fact): (&Status, &Fact)) -> Self {
        Self {
            status: *status,
            at: fact.first.at,
            last_at: fact.last.at,
            signal: fact.first.id.clone(),
            amount: fact.amount.amount,
            currency: fact.amount.currency,
            transaction_id: fact.transaction_id.clone(),
            error_code: fact.decline.as_ref().map(|decline| decline.code.clone()),
            error_message: fact
                .decline
                .as_ref()
                .and_then(|decline| decline.message.clone()),
        }
    }
}

/// A notification of the billing platform.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignalView {
    /// The platform's id of it.
    #[schema(value_type = String)]
    id: SignalId,
    /// When the platform says that it happened.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// A message set aside, without its body.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "deliver-1f2e3d4c5b6a79880a1b2c3d",
    "queue": "deliver",
    "cause": "panicked",
    "tenant": "acme",
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
        Self {
            id: entry.id,
            queue: entry.queue.as_str(),
            cause: entry.cause,
            tenant: entry.tenant,
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
