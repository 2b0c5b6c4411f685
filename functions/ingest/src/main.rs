//! Wires the door to AWS.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use ingest::handler::{Ingest, router};
use jiff::SignedDuration;
use shared::aws::{Account, Clients};
use shared::config::{Settings, environment};
use shared::entropy::SystemEntropy;
use shared::queue::Queue;
use shared::queue::sqs::SqsQueues;
use shared::store::CachedAccounts;
use shared::store::dynamo::DynamoStore;
use shared::telemetry::{Style, init};
use shared::time::{Clock, SystemClock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    init(Style::Json);
    let mut settings = Settings::new(&environment);
    let (table, keyring, queue) = (
        settings.table(),
        settings.seal_keys(),
        settings.queue(Queue::Recover),
    );
    let ((table, keyring), queue) = settings.finish(table.zip(keyring).zip(queue))?;
    let account = Account::from_lookup(&environment)
        .map_err(|problem| anyhow!(problem))
        .context("AWS")?;
    let clients = Clients::new(account);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // The door only reads, so nothing is kept for any time.
    let entropy = Arc::new(SystemEntropy);
    let store = DynamoStore::new(
        clients.dynamodb(),
        table,
        keyring,
        entropy,
        SignedDuration::ZERO,
    );
    let door = Ingest {
        accounts: Arc::new(CachedAccounts::new(Arc::new(store), clock.clone())),
        queues: Arc::new(SqsQueues::new(clients.sqs(), [queue])),
        clock,
    };
    lambda_http::run(router(door))
        .await
        .map_err(|error| anyhow!(error))
}
