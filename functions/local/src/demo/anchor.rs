//! The demo tenant as an anchor: its business server and its wallet are at the receiver's port.

use std::collections::BTreeSet;

use jiff::Timestamp;
use shared::customer::{
    AnchorSettings, BusinessAuth, BusinessServer, Callbacks, Client, ErasePayloads, Mapping,
    SigningKeys,
};
use shared::delivery::{BreakerPolicy, EndpointState, Policy, Scheme};
use shared::ids::{EndpointId, TenantId};
use shared::secret::Secret;
use shared::signature::stellar::SignedHost;
use shared::store::dynamo::DynamoStore;
use shared::store::{AnchorAdmin, Anchors};

use super::{WAITS_S, made};

/// Its wallet client.
pub const CLIENT: &str = "demo-wallet";
/// Where that wallet is, at the receiver's port.
pub const WALLET_PATH: &str = "/wallet";
/// The seed that callbacks are signed with. Everybody knows it.
pub const SIGNING_SEED: &str = "SAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6NKI";
/// Its public key.
pub const SIGNING_KEY: &str = "GAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZ6Q";
/// Where the business server is, at the receiver's port.
pub const BUSINESS_PATH: &str = "/business";
/// Its key.
pub const BUSINESS_KEY: &str = "business-demo-key";

/// Where the demo's JSON-RPC calls go.
#[must_use]
pub fn rpc_path() -> String {
    format!("/v1/tenants/{}/anchor/rpc", super::TENANT)
}

/// Makes what is not there yet, and leaves the rest as it was left, but for the receiver's port.
///
/// # Errors
/// If the table does not answer.
pub(super) async fn seed(
    store: &DynamoStore,
    tenant: &TenantId,
    receiver_port: u16,
    now: Timestamp,
) -> anyhow::Result<()> {
    let at = |path: &str| format!("http://127.0.0.1:{receiver_port}{path}");
    seed_settings(store, tenant, at(BUSINESS_PATH), now).await?;
    if store.signing_keys(tenant).await?.is_none() {
        let keys = SigningKeys {
            current: Secret::new(SIGNING_SEED),
            next: None,
        };
        made(store.put_signing_keys(tenant, &keys, None).await?)?;
    }
    seed_client(store, tenant, at(WALLET_PATH), now).await
}

async fn seed_settings(
    store: &DynamoStore,
    tenant: &TenantId,
    base_url: String,
    now: Timestamp,
) -> anyhow::Result<()> {
    let known = store.anchor(tenant).await?;
    let read = known.as_ref().map(|read| read.version);
    let settings = match known.map(|read| read.value) {
        Some(known) if known.business_server.base_url == base_url => return Ok(()),
        Some(mut known) => {
            known.business_server.base_url = base_url;
            known
        }
        None => AnchorSettings {
            tenant: tenant.clone(),
            business_server: BusinessServer {
                base_url,
                auth: BusinessAuth::ApiKey {
                    header: "X-Api-Key".to_owned(),
                    key: Secret::new(BUSINESS_KEY),
                },
            },
            rpc_secret: None,
            sep10: None,
            status_map: Mapping::default(),
            erase_payloads: ErasePayloads::default(),
            created_at: now,
        },
    };
    made(store.put_anchor(&settings, read).await?)
}

async fn seed_client(
    store: &DynamoStore,
    tenant: &TenantId,
    wallet: String,
    now: Timestamp,
) -> anyhow::Result<()> {
    let id = EndpointId::parse(CLIENT)?;
    let url = |sep: &str| Some(format!("{wallet}/{sep}"));
    let callbacks = Callbacks {
        sep6: url("sep6"),
        sep12: url("sep12"),
        sep24: url("sep24"),
        sep31: url("sep31"),
    };
    let known = store.client(tenant, &id).await?;
    let read = known.as_ref().map(|read| read.version);
    let client = match known.map(|read| read.value) {
        Some(known) if known.callbacks == callbacks => return Ok(()),
        Some(known) => Client { callbacks, ..known },
        None => Client {
            tenant: tenant.clone(),
            id,
            domains: BTreeSet::from(["wallet.example".to_owned()]),
            signing_keys: BTreeSet::new(),
            callbacks,
            signed_host: SignedHost::AsSent,
            latest_only: false,
            breaker: BreakerPolicy::default(),
            policy: Policy::Ladder {
                waits_s: WAITS_S.to_vec(),
            },
            deadline: Scheme::Stellar.deadline(),
            state: EndpointState::Enabled,
            created_at: now,
        },
    };
    made(store.put_client(&client, read).await?)
}
