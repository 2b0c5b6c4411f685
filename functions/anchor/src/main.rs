//! Wires the door to AWS.

use std::sync::Arc;

use anchor::handler::{Anchor, router};
use anyhow::{Context, anyhow};
use shared::access::Access;
use shared::aws::{Account, Clients};
use shared::config::{Settings, environment};
use shared::delivery::Vetting;
use shared::entropy::SystemEntropy;
use shared::queue::Queue;
use shared::queue::sqs::SqsQueues;
use shared::store::dynamo::DynamoStore;
use shared::store::{CachedCredentials, CachedTenants};
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
    let queue = settings.queue(Queue::DeliverOrdered);
    let found = settings.finish(table.zip(keyring).zip(retention).zip(operator).zip(queue))?;
    let ((((table, keyring), retention), operator_key_hash), queue) = found;
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
    let door = Anchor {
        access: Access {
            credentials: Arc::new(CachedCredentials::new(store.clone(), clock.clone())),
            tenants: Arc::new(CachedTenants::new(store.clone(), clock.clone())),
            operator_key_hash,
        },
        anchors: store.clone(),
        transactions: store.clone(),
        registrations: store.clone(),
        outbox: store,
        queues: Arc::new(SqsQueues::new(clients.sqs(), [queue])),
        business: Arc::new(
            Https::new(vetting.clone(), clock.clone())
                .context("the client for business servers")?,
        ),
        vetting,
        clock,
    };
    lambda_http::run(router(door))
        .await
        .map_err(|error| anyhow!(error))
}
