//! Wires the worker to AWS.

use std::sync::Arc;

use anyhow::Context;
use aws_lambda_events::sqs::SqsEvent;
use deliver::{gate::Gate, handler::Deliver, ordered::DeliverOrdered, tries::Tries};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::aws::{Account, Clients};
use shared::config::{Settings, environment};
use shared::delivery::Vetting;
use shared::entropy::{Entropy, SystemEntropy};
use shared::queue::{Batch, Queue, sqs::SqsQueues};
use shared::store::CachedReceivers;
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
    let queues = settings
        .queue(Queue::Deliver)
        .zip(settings.queue(Queue::DeliverOrdered))
        .map(<[_; 2]>::from);
    let found = table.zip(keyring).zip(queues).zip(settings.retention());
    let (((name, keyring), queues), retention) = settings.finish(found)?;
    let account = Account::from_lookup(&environment).map_err(anyhow::Error::msg)?;
    let clients = Clients::new(account);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let table = clients.dynamodb();
    let store = DynamoStore::new(table, name, keyring, entropy.clone(), retention);
    let store = Arc::new(store);
    let queues = Arc::new(SqsQueues::new(clients.sqs(), queues));
    let transport = Https::new(vetting, clock.clone()).context("the client for endpoints")?;
    let tries = Tries {
        deliveries: store.clone(),
        transport: Arc::new(transport),
        clock: clock.clone(),
        entropy,
    };
    let gate = Arc::new(Gate::new(store.clone(), clock.clone()));
    let unordered = Deliver {
        receivers: Arc::new(CachedReceivers::new(store.clone(), clock.clone())),
        endpoints_now: store.clone(),
        intents: store.clone(),
        gate: gate.clone(),
        tries: tries.clone(),
    };
    let ordered = DeliverOrdered {
        events: store.clone(),
        lines: store.clone(),
        gate,
        tries,
    };
    let queue = queues.clone();
    let unordered = Batch::new(Arc::new(unordered), queue.clone(), queue, store, clock);
    let workers = [unordered.lift(Arc::new(ordered)), unordered];
    let handle = async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(queues.handle(&workers, event.payload).await?)
    };
    let run = lambda_runtime::run(service_fn(handle)).await;
    run.map_err(anyhow::Error::from_boxed)
}
