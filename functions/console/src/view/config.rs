//! Tenants, keys, billing accounts and publishers, as they are told.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use shared::decision::Policy;
use shared::ids::{ConnectorAccountId, KeyId, ProfileId, TenantId};
use shared::platform::Platform;
use shared::recovery::{Mode, Terms};
use shared::store::{AccountRecord, KeyRecord, PublisherRecord, TenantRecord};

use crate::openapi::schema;
use crate::reply::ACCOUNT_LOCKED;

/// A tenant.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "acme",
    "display_name": "Acme Ltd",
    "decisions": {"on_failure": "reject", "deadline_ms": 1500},
    "created_at": "2026-11-22T09:00:00.000Z",
}))]
pub(crate) struct TenantView {
    /// Its name.
    #[schema(value_type = String)]
    id: TenantId,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// What becomes of an incoming payment when the tenant's ASE does not decide, and how long it is waited for.
    #[schema(schema_with = schema::decisions)]
    decisions: Policy,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    created_at: Timestamp,
}

impl From<TenantRecord> for TenantView {
    fn from(record: TenantRecord) -> Self {
        Self {
            id: record.id,
            display_name: record.display_name,
            decisions: record.decisions,
            created_at: record.created_at,
        }
    }
}

/// An API key: all of it but the key.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"id": "key_0c1e5f7a9b3d2e4f", "label": "backend", "personal_data": false, "created_at": "2026-11-22T09:00:00.000Z"}))]
pub(crate) struct KeyView {
    /// Its public name.
    #[schema(value_type = String)]
    id: KeyId,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// Whether it is shown personal data.
    personal_data: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    created_at: Timestamp,
}

impl From<KeyRecord> for KeyView {
    fn from(record: KeyRecord) -> Self {
        Self {
            id: record.id,
            label: record.label,
            personal_data: record.personal_data,
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
    "personal_data": false,
    "created_at": "2026-11-22T09:00:00.000Z",
}))]
pub(crate) struct NewKeyView {
    /// The key. Only its hash is kept: it can't be shown again.
    pub(crate) key: String,
    /// The rest.
    #[serde(flatten)]
    pub(crate) record: KeyView,
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
    "mode": "cascading",
    "retry_threshold": 3,
    "ladder_s": [86400, 172800, 259200],
    "max_retry_count": 3,
    "grace_period_s": null,
    "retry_window_s": 7200,
    "hard_declines": ["fraudulent"],
    "payment_accounts": {"gw_stripe_eu": "mca_stripe_eu"},
    "record_back": false,
    "created_at": "2026-11-22T09:00:00.000Z",
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
    /// How many webhook secrets, or pairs of user and password, are live, those of a `broken` account that can't be opened not among them.
    webhook_secret_count: usize,
    /// Whether a key for the platform's API is kept.
    has_api_key: bool,
    /// Where the platform's API is, if not at its usual place.
    api_base_url: Option<String>,
    /// Whether the timetable of retries is kept and shown, or the merchant told to charge.
    #[schema(schema_with = schema::mode)]
    mode: Mode,
    /// How many tries the platform has before ours begin.
    retry_threshold: u32,
    /// The waits after the first failed charge, the second, and so on, in seconds.
    ladder_s: Vec<u32>,
    /// An invoice is charged at most so often, by whomever; `null`: the end of the ladder is the only one.
    max_retry_count: Option<u32>,
    /// No charge so many seconds after the first one failed; `null`: there is no such end.
    grace_period_s: Option<u32>,
    /// How many seconds a merchant has for a retry.
    retry_window_s: i64,
    /// Codes of declines after which a card is never charged again, beside those that are known here.
    hard_declines: BTreeSet<String>,
    /// Which payment account is behind each gateway of the platform.
    payment_accounts: BTreeMap<String, String>,
    /// Whether the platform is told of a success that it does not know.
    record_back: bool,
    /// What is wrong with it and what to do, where a secret of it can't be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<&'static str>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    created_at: Timestamp,
}

impl From<AccountRecord> for AccountView {
    fn from(
        AccountRecord {
            account,
            created_at,
        }: AccountRecord,
    ) -> Self {
        let terms = account.settings.terms;
        let retry_window_s = terms.retry_window().as_secs();
        Self {
            profile_id: account.profile_id,
            connector_account_id: account.connector_account_id,
            platform: account.platform,
            webhook_secret_count: account.webhook_secrets.len(),
            has_api_key: account.api_key.is_some() || account.locked.api_key,
            api_base_url: account.settings.api_base_url,
            mode: terms.mode,
            retry_threshold: terms.retry_threshold,
            ladder_s: terms.ladder_s.unwrap_or_else(|| Terms::LADDER.to_vec()),
            max_retry_count: terms.max_retry_count,
            grace_period_s: terms.grace_period_s,
            retry_window_s,
            hard_declines: terms.hard_declines,
            payment_accounts: terms.payment_accounts,
            record_back: terms.record_back,
            broken: account.locked.any().then_some(ACCOUNT_LOCKED),
            created_at,
        }
    }
}

/// A payment backend that may publish events, without its secrets.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"publisher": "rafiki", "secret_count": 2, "tolerance_seconds": 300, "created_at": "2026-11-22T09:00:00.000Z"}))]
pub(crate) struct PublisherView {
    /// What it is: `rafiki`.
    publisher: &'static str,
    /// How many secrets are live.
    secret_count: usize,
    /// How far a signature's timestamp may lie from our clock, either way, in seconds.
    tolerance_seconds: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    created_at: Timestamp,
}

impl From<PublisherRecord> for PublisherView {
    fn from(record: PublisherRecord) -> Self {
        Self {
            publisher: "rafiki",
            secret_count: record.secrets.len(),
            tolerance_seconds: record.tolerance.as_secs(),
            created_at: record.created_at,
        }
    }
}
