//! Wires the door to AWS.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use ingest::handler::{Ingest, router};
use jiff::SignedDuration;
use shared::access::Access;
use shared::aws::{Account, Clients};
use shared::config::{Settings, environment};
use shared::entropy::SystemEntropy;
use shared::queue::Queue;
use shared::queue::sqs::SqsQueues;
use shared::store::dynamo::DynamoStore;
use shared::store::{CachedAccounts, CachedCredentials, CachedTenants};
use shared::telemetry::{Style, init};
use shared::time::{Clock, SystemClock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    init(Style::Json);
    let mut settings = Settings::new(&environment);
    let (table, keyring) = (settings.table(), settings.seal_keys());
    let (queue, operator) = (settings.queue(Queue::Recover), settings.operator_key_hash());
    let found = settings.finish(table.zip(keyring).zip(queue).zip(operator))?;
    let (((table, keyring), queue), operator_key_hash) = found;
    let account = Account::from_lookup(&environment)
        .map_err(|problem| anyhow!(problem))
        .context("AWS")?;
    let clients = Clients::new(account);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // The door only reads, so nothing is kept for any time.
    let entropy = Arc::new(SystemEntropy);
    let store = Arc::new(DynamoStore::new(
        clients.dynamodb(),
        table,
        keyring,
        entropy,
        SignedDuration::ZERO,
    ));
    let door = Ingest {
        access: Access {
            credentials: Arc::new(CachedCredentials::new(store.clone(), clock.clone())),
            tenants: Arc::new(CachedTenants::new(store.clone(), clock.clone())),
            operator_key_hash,
        },
        accounts: Arc::new(CachedAccounts::new(store, clock.clone())),
        queues: Arc::new(SqsQueues::new(clients.sqs(), [queue])),
        clock,
    };
    lambda_http::run(router(door))
        .await
        .map_err(|error| anyhow!(error))
}
