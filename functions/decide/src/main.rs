//! Wires the door to AWS.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use decide::handler::{Decide, router};
use shared::access::Access;
use shared::aws::{Account, Clients};
use shared::config::{Settings, environment};
use shared::delivery::Vetting;
use shared::entropy::SystemEntropy;
use shared::store::dynamo::DynamoStore;
use shared::store::{CachedCredentials, CachedEndpoints, CachedTenants};
use shared::telemetry::{Style, init};
use shared::time::{Clock, SystemClock};
use shared::transport::https::Https;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    init(Style::Json);
    let mut settings = Settings::new(&environment);
    let (table, keyring) = (settings.table(), settings.seal_keys());
    let vetting =
        Vetting::new(settings.allow_targets(), settings.runtime_api()).beside(settings.own_hosts());
    let (retention, operator) = (settings.retention(), settings.operator_key_hash());
    let found = settings.finish(table.zip(keyring).zip(retention).zip(operator))?;
    let (((table, keyring), retention), operator_key_hash) = found;
    let account = Account::from_lookup(&environment)
        .map_err(|problem| anyhow!(problem))
        .context("AWS")?;
    let clients = Clients::new(account);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Arc::new(DynamoStore::new(
        clients.dynamodb(),
        table,
        keyring,
        Arc::new(SystemEntropy),
        retention,
    ));
    let door = Decide {
        access: Access {
            credentials: Arc::new(CachedCredentials::new(store.clone(), clock.clone())),
            tenants: Arc::new(CachedTenants::new(store.clone(), clock.clone())),
            operator_key_hash,
        },
        tenants: store.clone(),
        endpoints: Arc::new(CachedEndpoints::new(store.clone(), &clock)),
        endpoints_now: store.clone(),
        events: store.clone(),
        decisions: store,
        transport: Arc::new(Https::new(vetting, clock.clone()).context("the client for the ASE")?),
        clock,
    };
    lambda_http::run(router(door))
        .await
        .map_err(|error| anyhow!(error))
}
