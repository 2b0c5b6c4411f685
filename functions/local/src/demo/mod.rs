//! The demo tenant: names and secrets that are the same on every machine, so that commands in the README work as they
//! are written. They open nothing but an API on 127.0.0.1.

pub mod anchor;

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use shared::decision;
use shared::delivery::{BreakerPolicy, Endpoint, EndpointState, LiveSecret, Policy, Scheme};
use shared::event::Role;
use shared::ids::{ConnectorAccountId, EndpointId, KeyId, ProfileId, TenantId};
use shared::platform::account::{Locked, Settings};
use shared::platform::{BillingAccount, Platform};
use shared::secret::{Secret, key_hash};
use shared::signature::TOLERANCE;
use shared::signature::stellar::SignedHost;
use shared::store::dynamo::DynamoStore;
use shared::store::{
    Accounts, Claimed, EndpointAdmin, EndpointRecord, KeyRecord, Keys, Made, PublisherRecord,
    Publishers, Put, TenantRecord, Tenants,
};

/// The tenant.
pub const TENANT: &str = "demo";
/// Its API key.
pub const TENANT_KEY: &str = "prk_demo_tenant";
/// Its merchant endpoint, which is the demo receiver.
pub const ENDPOINT: &str = "demo-receiver";
/// The secret that deliveries to it are signed with.
pub const ENDPOINT_SECRET: &str = "whsec_cGF5cmVsYXktZGVtby1yZWNlaXZlci1zZWNyZXQhISE=";
/// Its endpoints of the `rafiki` scheme, with their roles: the demo receiver too, each at a path of its own.
pub const RAFIKI_ENDPOINTS: [(&str, Role); 3] = [
    ("demo-ase", Role::Ase),
    ("demo-pos", Role::Pos),
    ("demo-card", Role::Card),
];
/// The secret that deliveries to them are signed with.
pub const RAFIKI_SECRET: &str = "rafiki-demo-secret";
/// The secret that the tenant's Rafiki signs with (its `SIGNATURE_SECRET`).
pub const PUBLISHER_SECRET: &str = "rafiki-demo-publisher-secret";
/// The business profile of its billing account.
pub const PROFILE: &str = "pro_demo";
/// Its billing account at Stripe.
pub const ACCOUNT: &str = "mca_demo";
/// The secret that Stripe signs with.
pub const STRIPE_SECRET: &str = "whsec_demo_stripe";
/// Its billing account at Chargebee.
pub const CHARGEBEE_ACCOUNT: &str = "mca_chargebee";
/// The user and the password that Chargebee sends.
pub const CHARGEBEE_PAIR: &str = "demo:chargebee-demo-password";
/// Its billing account at Recurly.
pub const RECURLY_ACCOUNT: &str = "mca_recurly";
/// The secret that Recurly signs with.
pub const RECURLY_SECRET: &str = "recurly-demo-secret";
/// The key for the platforms' APIs, which the receiver's port stands in for, at [`PLATFORM_PATH`].
pub const PLATFORM_KEY: &str = "platform-demo-key";
/// Where that is.
pub const PLATFORM_PATH: &str = "/platform";
/// How long the endpoint's failed tries wait, in seconds: short at first, so that they can be watched.
const WAITS_S: [u32; 9] = [5, 10, 20, 30, 60, 120, 300, 600, 1200];

/// Where Stripe posts the webhooks of the demo account.
#[must_use]
pub fn webhook_path() -> String {
    webhook_path_of(ACCOUNT)
}

/// Where the webhooks of a billing account of the demo tenant go.
#[must_use]
pub fn webhook_path_of(account: &str) -> String {
    format!("/v2/webhooks/revenue_recovery/{PROFILE}/{account}")
}

/// Where the demo tenant's Rafiki posts its events (its `WEBHOOK_URL`).
#[must_use]
pub fn events_path() -> String {
    format!("/v1/tenants/{TENANT}/events")
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
            personal_data: false,
            created_at: now,
        };
        let hash = key_hash(&Secret::new(TENANT_KEY));
        ensure!(
            store.put_key(&record, &hash).await? == Put::New,
            "somebody else deleted the demo tenant; start again"
        );
    }
    let standard = Scheme::StandardWebhooks;
    let merchant = Endpoint {
        policy: Policy::Ladder {
            waits_s: WAITS_S.to_vec(),
        },
        ..endpoint(&tenant, ENDPOINT, Role::Merchant, standard, ENDPOINT_SECRET)?
    };
    seed_endpoint(store, merchant, receiver_port, "", now).await?;
    for (name, role) in RAFIKI_ENDPOINTS {
        let endpoint = endpoint(&tenant, name, role, Scheme::Rafiki, RAFIKI_SECRET)?;
        seed_endpoint(store, endpoint, receiver_port, role.as_str(), now).await?;
    }
    if store.rafiki(&tenant).await?.is_none() {
        let publisher = PublisherRecord {
            tenant: tenant.clone(),
            secrets: vec![Secret::new(PUBLISHER_SECRET)],
            tolerance: TOLERANCE,
            created_at: now,
        };
        made(store.put_rafiki(&publisher).await?)?;
    }
    let seeded = anchor::seed(store, &tenant, receiver_port, now).await;
    seeded.context("the demo anchor")?;
    let platform = format!("http://127.0.0.1:{receiver_port}{PLATFORM_PATH}");
    for account in accounts(&tenant, &platform)? {
        let name = account.connector_account_id.clone();
        let seeded = seed_account(store, account, now).await;
        seeded.with_context(|| format!("the demo billing account {name}"))?;
    }
    Ok(())
}

/// The billing accounts of the tenant, with the platforms' APIs at `platform`.
fn accounts(tenant: &TenantId, platform: &str) -> anyhow::Result<[BillingAccount; 3]> {
    let account = |name, platform, secret| {
        anyhow::Ok(BillingAccount {
            tenant: tenant.clone(),
            profile_id: ProfileId::parse(PROFILE)?,
            connector_account_id: ConnectorAccountId::parse(name)?,
            platform,
            webhook_secrets: vec![Secret::new(secret)],
            api_key: None,
            locked: Locked::default(),
            settings: Settings::default(),
        })
    };
    Ok([
        account(ACCOUNT, Platform::Stripe, STRIPE_SECRET)?,
        account(CHARGEBEE_ACCOUNT, Platform::Chargebee, CHARGEBEE_PAIR)?,
        BillingAccount {
            api_key: Some(Secret::new(PLATFORM_KEY)),
            settings: Settings {
                api_base_url: Some(platform.to_owned()),
                ..Settings::default()
            },
            ..account(RECURLY_ACCOUNT, Platform::Recurly, RECURLY_SECRET)?
        },
    ])
}

fn endpoint(
    tenant: &TenantId,
    name: &str,
    role: Role,
    scheme: Scheme,
    secret: &str,
) -> anyhow::Result<Endpoint> {
    Ok(Endpoint {
        tenant: tenant.clone(),
        id: EndpointId::parse(name)?,
        url: String::new(),
        role,
        scheme,
        secrets: vec![LiveSecret {
            secret: Secret::new(secret),
            until: None,
        }],
        locked: Vec::new(),
        filter: None,
        policy: Policy::default_for(scheme),
        deadline: scheme.deadline(),
        useful_for: None,
        signed_host: SignedHost::AsSent,
        breaker: BreakerPolicy::default(),
        decision_url: None,
        state: EndpointState::Enabled,
    })
}

/// Makes `endpoint`, or has the one that is there lead to `path` of the receiver.
async fn seed_endpoint(
    store: &DynamoStore,
    endpoint: Endpoint,
    receiver_port: u16,
    path: &str,
    now: Timestamp,
) -> anyhow::Result<()> {
    let url = format!("http://127.0.0.1:{receiver_port}/{path}");
    let known = store
        .endpoint_record(&endpoint.tenant, &endpoint.id)
        .await?;
    let read = known.as_ref().map(|read| read.version);
    let record = match known.map(|read| read.value) {
        Some(known) if known.endpoint.url == url => return Ok(()),
        Some(mut known) => {
            known.endpoint.url = url;
            known
        }
        None => EndpointRecord {
            created_at: now,
            endpoint: Endpoint { url, ..endpoint },
        },
    };
    made(store.put_endpoint(&record, read).await?)
}

/// What somebody else changes at the same time is not fought over.
fn made(put: Put) -> anyhow::Result<()> {
    match put {
        Put::New | Put::Replaced => Ok(()),
        Put::Lost | Put::NoTenant | Put::NameTaken => {
            bail!("somebody else changes the demo tenant; start again")
        }
    }
}

/// Makes `account`, or has the one that is there ask its platform where that is now.
async fn seed_account(
    store: &DynamoStore,
    account: BillingAccount,
    now: Timestamp,
) -> anyhow::Result<()> {
    let (tenant, profile) = (&account.tenant, &account.profile_id);
    let known = store
        .account(tenant, profile, &account.connector_account_id)
        .await?;
    let url = account.settings.api_base_url.clone();
    let account = match known.map(|record| record.account) {
        Some(known) if known.settings.api_base_url == url || url.is_none() => return Ok(()),
        Some(mut known) => {
            known.settings.api_base_url = url;
            known
        }
        None => account,
    };
    match store.put_account(&account, now).await? {
        Claimed::New | Claimed::Replaced => Ok(()),
        Claimed::NoTenant => bail!("somebody else deleted the demo tenant; start again"),
        Claimed::Taken => bail!("its pair of ids is another tenant's"),
    }
}
