//! The demo tenant: names and secrets that are the same on every machine, so that commands in the README work as they
//! are written. They open nothing but an API on 127.0.0.1.

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use shared::decision;
use shared::delivery::{Endpoint, EndpointState, LiveSecret, Policy, Scheme};
use shared::event::Role;
use shared::ids::{ConnectorAccountId, EndpointId, KeyId, ProfileId, TenantId};
use shared::platform::{BillingAccount, Platform};
use shared::secret::{Secret, key_hash};
use shared::store::dynamo::DynamoStore;
use shared::store::{
    Accounts, Claimed, EndpointAdmin, EndpointRecord, KeyRecord, Keys, Made, Put, TenantRecord,
    Tenants,
};

/// The tenant.
pub const TENANT: &str = "demo";
/// Its API key.
pub const TENANT_KEY: &str = "prk_demo_tenant";
/// Its endpoint, which is the demo receiver.
pub const ENDPOINT: &str = "demo-receiver";
/// The secret that deliveries to it are signed with.
pub const ENDPOINT_SECRET: &str = "whsec_cGF5cmVsYXktZGVtby1yZWNlaXZlci1zZWNyZXQhISE=";
/// The secret that the receiver takes from endpoints of the `rafiki` scheme.
pub const RAFIKI_SECRET: &str = "rafiki-demo-secret";
/// The business profile of its billing account.
pub const PROFILE: &str = "pro_demo";
/// Its billing account.
pub const ACCOUNT: &str = "mca_demo";
/// The secret that the account's platform signs with.
pub const STRIPE_SECRET: &str = "whsec_demo_stripe";
/// How long the endpoint's failed tries wait, in seconds: short at first, so that they can be watched.
const WAITS_S: [u32; 9] = [5, 10, 20, 30, 60, 120, 300, 600, 1200];

/// Where the demo account's webhooks go.
#[must_use]
pub fn webhook_path() -> String {
    format!("/v2/webhooks/revenue_recovery/{PROFILE}/{ACCOUNT}")
}

/// Makes what is not there yet, and leaves the rest as it was left, but for the receiver's port.
///
/// # Errors
/// If the table does not answer, or another tenant has the account.
pub async fn seed(store: &DynamoStore, receiver_port: u16, now: Timestamp) -> anyhow::Result<()> {
    let tenant = TenantId::parse(TENANT)?;
    if store.tenant(&tenant).await?.is_none() {
        let record = TenantRecord {
            id: tenant.clone(),
            display_name: Some("Demo".to_owned()),
            decisions: decision::Policy::default(),
            created_at: now,
        };
        match store.put_tenant(&record).await? {
            Made::New | Made::Changed => {}
            Made::Resting { until } => {
                bail!(
                    "the demo tenant was deleted; it can be made anew after {until}, or without `--data` now"
                )
            }
        }
    }
    let key = KeyId::parse("demo")?;
    if !store
        .keys(&tenant)
        .await?
        .iter()
        .any(|known| known.id == key)
    {
        let record = KeyRecord {
            id: key,
            tenant: tenant.clone(),
            label: Some("Demo".to_owned()),
            created_at: now,
        };
        let hash = key_hash(&Secret::new(TENANT_KEY));
        ensure!(
            store.put_key(&record, &hash).await? == Put::New,
            "somebody else deleted the demo tenant; start again"
        );
    }
    seed_endpoint(store, &tenant, receiver_port, now).await?;
    seed_account(store, &tenant, now)
        .await
        .context("the demo billing account")
}

async fn seed_endpoint(
    store: &DynamoStore,
    tenant: &TenantId,
    receiver_port: u16,
    now: Timestamp,
) -> anyhow::Result<()> {
    let id = EndpointId::parse(ENDPOINT)?;
    let url = format!("http://127.0.0.1:{receiver_port}/");
    let scheme = Scheme::StandardWebhooks;
    let known = store.endpoint_record(tenant, &id).await?;
    let read = known.as_ref().map(|read| read.version);
    let record = match known.map(|read| read.value) {
        Some(known) if known.endpoint.url == url => return Ok(()),
        Some(mut known) => {
            known.endpoint.url = url;
            known
        }
        None => EndpointRecord {
            created_at: now,
            endpoint: Endpoint {
                tenant: tenant.clone(),
                id,
                url,
                role: Role::Merchant,
                scheme,
                secrets: vec![LiveSecret {
                    secret: Secret::new(ENDPOINT_SECRET),
                    until: None,
                }],
                locked: Vec::new(),
                filter: None,
                policy: Policy::Ladder {
                    waits_s: WAITS_S.to_vec(),
                },
                deadline: scheme.deadline(),
                useful_for: None,
                decision_url: None,
                state: EndpointState::Enabled,
            },
        },
    };
    match store.put_endpoint(&record, read).await? {
        Put::New | Put::Replaced => Ok(()),
        Put::Lost | Put::NoTenant => bail!("somebody else changes the demo tenant; start again"),
    }
}

async fn seed_account(
    store: &DynamoStore,
    tenant: &TenantId,
    now: Timestamp,
) -> anyhow::Result<()> {
    let profile_id = ProfileId::parse(PROFILE)?;
    let connector_account_id = ConnectorAccountId::parse(ACCOUNT)?;
    if store
        .account(tenant, &profile_id, &connector_account_id)
        .await?
        .is_some()
    {
        return Ok(());
    }
    let account = BillingAccount {
        tenant: tenant.clone(),
        profile_id,
        connector_account_id,
        platform: Platform::Stripe,
        webhook_secrets: vec![Secret::new(STRIPE_SECRET)],
        api_key: None,
        settings: shared::platform::account::Settings::default(),
    };
    match store.put_account(&account, now).await? {
        Claimed::New | Claimed::Replaced => Ok(()),
        Claimed::NoTenant => bail!("somebody else deleted the demo tenant; start again"),
        Claimed::Taken => bail!("{PROFILE}/{ACCOUNT} is another tenant's"),
    }
}
