//! Intents, as they are told: the invoice, where its retries stand, and what was done to it. Its charges are in
//! [`super::attempt`].

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use shared::event::Source;
use shared::ids::{ChargeKey, ConnectorAccountId, InvoiceId, KeyId, ProfileId, SignalId};
use shared::money::Currency;
use shared::recovery::{
    EndReason, Hold, Intent, Issue, Lever, Mode, Plan, Pull, RecordBack, Recording, Retry, Stage,
    State, Status, Terms,
};

use super::List;
use super::attempt::{AttemptView, DeclineView};
use crate::openapi::schema;

/// The intent of one invoice, or a list of intents.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum IntentAnswer {
    /// Of one invoice.
    One(Box<IntentView>),
    /// A list.
    List(List<IntentSummaryView>),
}

/// One invoice to collect, with its charges and its retries.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "profile_id": "pro_1",
    "connector_account_id": "mca_1",
    "invoice_id": "in_1",
    "source": "stripe",
    "amount": 2500,
    "amount_left": 2500,
    "currency": "USD",
    "state": "open",
    "since": "2026-11-22T08:59:59.000Z",
    "opened_at": "2026-11-22T09:00:00.000Z",
    "mode": "cascading",
    "tried": 1,
    "platform_retries_at": null,
    "first_failure": {"code": "card_declined", "message": "Your card was declined.", "network_code": "51"},
    "retry": {"stage": "planned", "told": 0, "at": "2026-11-22T11:59:59.000Z"},
    "attempts": [{
        "charge": "ch_1",
        "ids": [{"kind": "psp", "id": "ch_1"}],
        "triggered_by": "external",
        "status": "failed",
        "made_at": "2026-11-22T08:59:58.000Z",
        "decline": {"code": "card_declined", "message": "Your card was declined.", "network_code": "51"},
        "instrument": {
            "token_last4": "1Qbb",
            "customer": "cus_1",
            "method": "card",
            "card": {"network": "visa", "funding": "credit", "last4": "4242", "expiry_month": 12, "expiry_year": 2030},
        },
        "gateway": "gw_1",
        "payment_account": "mca_stripe_eu",
        "enrichment": "not_needed",
        "facts": [{
            "status": "failed",
            "at": "2026-11-22T08:59:59.000Z",
            "last_at": "2026-11-22T08:59:59.000Z",
            "signal": "evt_1",
            "amount": 2500,
            "currency": "USD",
            "transaction_id": "pi_1",
            "error_code": "card_declined",
            "error_message": "Your card was declined.",
        }],
    }],
    "pulls": [{"id": "pull_0c1e5f7a9b3d2e4f", "lever": "resume", "by": "key_1", "at": "2026-11-22T09:30:00.000Z"}],
    "signals": [{"id": "evt_1", "at": "2026-11-22T08:59:59.000Z"}],
}))]
pub(crate) struct IntentView {
    /// Which invoice it is, and how it stands.
    #[serde(flatten)]
    summary: IntentSummaryView,
    /// What is done with its retries: `monitoring` or `cascading`; `null` where the billing account is gone.
    #[schema(schema_with = schema::mode_or_null)]
    mode: Option<Mode>,
    /// When the platform said that it tries again itself.
    #[serde(serialize_with = "super::millis_or_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    platform_retries_at: Option<Timestamp>,
    /// Why the first charge that failed did so, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_failure: Option<DeclineView>,
    /// Its charges.
    attempts: Vec<AttemptView>,
    /// What was done to it by hand, the last ones.
    pulls: Vec<PullView>,
    /// How telling the platform of the success stands; absent where it is not to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    record_back: Option<RecordBackView>,
    /// The platform's notifications that were joined into it; those of the last 10 days are remembered.
    signals: Vec<SignalView>,
}

impl IntentView {
    /// An intent, with what was agreed on for it, where its billing account is still there.
    pub(crate) fn new(intent: &Intent, terms: Option<&Terms>) -> Self {
        let signals = intent
            .signals()
            .map(|(id, at)| SignalView { id: id.clone(), at });
        let mut signals: Vec<_> = signals.collect();
        signals.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
        let attempts = intent.attempts.iter();
        Self {
            mode: terms.map(|terms| terms.mode),
            platform_retries_at: intent.announced(),
            first_failure: first_failure(intent),
            attempts: attempts
                .map(|attempt| AttemptView::new(attempt, terms))
                .collect(),
            pulls: intent.pulls.iter().map(PullView::from).collect(),
            record_back: intent.record_back.as_ref().map(RecordBackView::from),
            signals,
            summary: IntentSummaryView::from(intent),
        }
    }
}

fn first_failure(intent: &Intent) -> Option<DeclineView> {
    let failures = intent
        .attempts
        .iter()
        .filter_map(|attempt| attempt.facts.get(&Status::Failed));
    let first = failures.min_by_key(|fact| &fact.first)?;
    first.details.decline.as_ref().map(DeclineView::from)
}

/// Which invoice, and how it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct IntentSummaryView {
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
    /// What of it is left to collect, in ISO 4217 minor units.
    amount_left: i64,
    /// The ISO 4217 currency.
    #[schema(value_type = String)]
    currency: Currency,
    /// How it stands.
    #[schema(schema_with = schema::intent_state)]
    state: State,
    /// Since when it stands so, by the platform's time.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    since: Timestamp,
    /// When it was first recorded.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    opened_at: Timestamp,
    /// How many charges were tried, by whomever: as many as we know of, or as the platform counts.
    tried: u32,
    /// Where its retries stand.
    retry: RetryView,
}

impl From<&Intent> for IntentSummaryView {
    fn from(intent: &Intent) -> Self {
        let key = intent.key.clone();
        Self {
            profile_id: key.profile_id,
            connector_account_id: key.connector_account_id,
            invoice_id: key.invoice_id,
            source: intent.source.clone(),
            amount: intent.amount.amount,
            amount_left: intent.left().amount,
            currency: intent.amount.currency,
            state: intent.state,
            since: intent.since(),
            opened_at: intent.opened_at,
            tried: intent.tried(),
            retry: RetryView::from(&intent.retry),
        }
    }
}

/// Where the retries of an invoice stand.
#[derive(Serialize, ToSchema)]
pub(crate) struct RetryView {
    /// `idle`: no charge failed. `platform_first`: the platform has not had its own tries yet. `held`: a charge is under
    /// way. `paused`: by hand. `planned`: the next one has its time, `at`. `missed`: in monitoring, it would have been due
    /// `at`, and nobody was told. `due`: the merchant is told to charge, until `deadline`. `unknown`: it was told, and
    /// nobody knows whether it did. `ended`: there will be no more, for the `reason`.
    #[schema(schema_with = schema::stage)]
    stage: &'static str,
    /// How many retries the merchant was told of.
    told: u32,
    /// When the one of this stage is, was or would have been due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "super::millis_or_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// Which retry the merchant is told of, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    /// How often it was told, always with the same idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    /// Until when the merchant may make it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "super::millis_or_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    deadline: Option<Timestamp>,
    /// Why there will be no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::end_reason)]
    reason: Option<EndReason>,
    /// What the latest notifications made of the timetable, the earliest first: in monitoring, what would have been done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plans: Vec<PlanView>,
    /// What was put on them by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::hold)]
    hold: Option<Hold>,
    /// Since when the next one is asked for at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "super::millis_or_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    hurried_at: Option<Timestamp>,
}

impl From<&Retry> for RetryView {
    fn from(retry: &Retry) -> Self {
        let Standing {
            stage,
            at,
            issue,
            reason,
        } = Standing::of(&retry.stage);
        Self {
            stage,
            told: retry.told,
            at,
            number: issue.map(|issue| issue.number),
            times: issue.map(|issue| issue.times),
            deadline: issue.map(|issue| issue.deadline),
            reason,
            plans: retry.plans.iter().map(PlanView::from).collect(),
            hold: retry.hold,
            hurried_at: retry.hurried.map(|hurry| hurry.at),
        }
    }
}

/// A stage, taken apart.
struct Standing<'a> {
    stage: &'static str,
    at: Option<Timestamp>,
    issue: Option<&'a Issue>,
    reason: Option<EndReason>,
}

impl<'a> Standing<'a> {
    fn of(stage: &'a Stage) -> Self {
        let (stage, at, issue, reason) = match stage {
            Stage::Idle => ("idle", None, None, None),
            Stage::PlatformFirst => ("platform_first", None, None, None),
            Stage::Held => ("held", None, None, None),
            Stage::Paused => ("paused", None, None, None),
            Stage::Planned { at } => ("planned", Some(*at), None, None),
            Stage::Missed { at } => ("missed", Some(*at), None, None),
            Stage::Due(issue) => ("due", Some(issue.at), Some(issue), None),
            Stage::Unknown(issue) => ("unknown", Some(issue.at), Some(issue), None),
            Stage::Ended { reason } => ("ended", None, None, Some(*reason)),
        };
        Self {
            stage,
            at,
            issue,
            reason,
        }
    }
}

/// What a notification made of the timetable.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanView {
    /// The notification.
    #[schema(value_type = String)]
    signal: SignalId,
    /// Which retry was the next one then, counted from 1.
    retry: u32,
    /// `planned` or `ended`.
    #[schema(schema_with = schema::stage)]
    stage: &'static str,
    /// When the retry was to be due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "super::millis_or_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// Why there was to be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::end_reason)]
    reason: Option<EndReason>,
}

impl From<&Plan> for PlanView {
    fn from(plan: &Plan) -> Self {
        let standing = Standing::of(&plan.stage);
        Self {
            signal: plan.signal.clone(),
            retry: plan.retry,
            stage: standing.stage,
            at: standing.at,
            reason: standing.reason,
        }
    }
}

/// What was done to an intent by hand.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "pull_0c1e5f7a9b3d2e4f",
    "lever": "pause",
    "by": "key_0c1e5f7a9b3d2e4f",
    "at": "2026-11-22T09:30:00.000Z",
}))]
pub(crate) struct PullView {
    /// Its name.
    id: String,
    /// What was done.
    #[schema(schema_with = schema::lever)]
    lever: Lever,
    /// The public name of the key that it was done with; `null` for the operator's key of the environment.
    #[schema(value_type = Option<String>)]
    by: Option<KeyId>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    at: Timestamp,
    /// Why it moved nothing, where something came before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl From<&Pull> for PullView {
    fn from(pull: &Pull) -> Self {
        Self {
            id: pull.id.clone(),
            lever: pull.lever,
            by: pull.by.clone(),
            at: pull.at,
            refused: pull.refused.clone(),
        }
    }
}

/// How telling the platform of a success stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordBackView {
    /// `waiting`, `recorded`, or `failed`: the platform does not take it, and somebody must look.
    #[schema(schema_with = schema::recording)]
    state: Recording,
    /// The charge by which the invoice was collected.
    #[schema(value_type = String)]
    charge: ChargeKey,
    /// How often the platform was asked.
    tries: u32,
    /// Since when it stands so.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    at: Timestamp,
    /// The HTTP status of the platform's last answer; `null` where there was none.
    status: Option<u16>,
    /// The platform's own id of what it recorded.
    platform_id: Option<String>,
}

impl From<&RecordBack> for RecordBackView {
    fn from(record: &RecordBack) -> Self {
        Self {
            state: record.state,
            charge: record.charge.clone(),
            tries: record.tries,
            at: record.at,
            status: record.status,
            platform_id: record.platform_id.clone(),
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
    #[serde(serialize_with = "super::millis")]
    at: Timestamp,
}
