//! Wires the worker to AWS.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use aws_lambda_events::sqs::SqsEvent;
use deliver::handler::Deliver;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::aws::{Account, Clients};
use shared::config::{Settings, environment};
use shared::delivery::Vetting;
use shared::entropy::{Entropy, SystemEntropy};
use shared::queue::sqs::{SqsQueues, received, response};
use shared::queue::{Batch, Queue};
use shared::store::CachedEndpoints;
use shared::store::dynamo::DynamoStore;
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
    let queue = settings.queue(Queue::Deliver);
    let found = table.zip(keyring).zip(queue).zip(settings.retention());
    let (((table, keyring), deliver), retention) = settings.finish(found)?;
    let account = Account::from_lookup(&environment)
        .map_err(|problem| anyhow!(problem))
        .context("AWS")?;
    let clients = Clients::new(account);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let store = Arc::new(DynamoStore::new(
        clients.dynamodb(),
        table,
        keyring,
        entropy.clone(),
        retention,
    ));
    let queues = Arc::new(SqsQueues::new(clients.sqs(), [deliver]));
    let worker = Deliver {
        endpoints: Arc::new(CachedEndpoints::new(store.clone(), &clock)),
        endpoints_now: store.clone(),
        deliveries: store.clone(),
        intents: store.clone(),
        transport: Arc::new(
            Https::new(vetting, clock.clone()).context("the client for endpoints")?,
        ),
        clock: clock.clone(),
        entropy,
    };
    let batch = Batch::new(Arc::new(worker), queues.clone(), queues, store, clock);
    let handle = async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(response(batch.run(received(event.payload)?).await))
    };
    lambda_runtime::run(service_fn(handle))
        .await
        .map_err(|error| anyhow!(error))
}
