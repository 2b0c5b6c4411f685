//! Wires the worker to AWS.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use recover::handler::Recover;
use shared::aws::{Account, Clients};
use shared::config::{Settings, environment};
use shared::delivery::Vetting;
use shared::entropy::SystemEntropy;
use shared::queue::sqs::{SqsQueues, received, response};
use shared::queue::{Batch, Queue};
use shared::store::dynamo::DynamoStore;
use shared::store::{CachedRecoveryAccounts, CachedTerms};
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
    let queues = settings
        .queue(Queue::Recover)
        .zip(settings.queue(Queue::Fanout));
    let found = table.zip(keyring).zip(queues).zip(settings.retention());
    let (((table, keyring), (recover, fanout)), retention) = settings.finish(found)?;
    let account = Account::from_lookup(&environment)
        .map_err(|problem| anyhow!(problem))
        .context("AWS")?;
    let clients = Clients::new(account);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy = Arc::new(SystemEntropy);
    let store = Arc::new(DynamoStore::new(
        clients.dynamodb(),
        table,
        keyring,
        entropy,
        retention,
    ));
    let queues = Arc::new(SqsQueues::new(clients.sqs(), [recover, fanout]));
    let worker = Recover {
        intents: store.clone(),
        terms: Arc::new(CachedTerms::new(store.clone(), clock.clone())),
        events: store.clone(),
        accounts: Arc::new(CachedRecoveryAccounts::new(store.clone(), clock.clone())),
        enrichments: store.clone(),
        platforms: Arc::new(
            Https::new(vetting, clock.clone()).context("the client for platforms")?,
        ),
        clock: clock.clone(),
    };
    let batch = Batch::new(Arc::new(worker), queues.clone(), queues, store, clock);
    let handle = async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(response(batch.run(received(event.payload)?).await))
    };
    lambda_runtime::run(service_fn(handle))
        .await
        .map_err(|error| anyhow!(error))
}
