//! Wires the sweep to AWS.

use std::sync::Arc;

use anyhow::anyhow;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use shared::aws::{Account, Clients};
use shared::config::{Settings, environment};
use shared::entropy::SystemEntropy;
use shared::problem::chain;
use shared::queue::Queue;
use shared::queue::sqs::SqsQueues;
use shared::store::dynamo::DynamoStore;
use shared::telemetry::{Style, init};
use shared::time::SystemClock;
use sweep::handler::Sweep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    init(Style::Json);
    let mut settings = Settings::new(&environment);
    let (table, keyring) = (settings.table(), settings.seal_keys());
    let queues = settings
        .queue(Queue::Fanout)
        .zip(settings.queue(Queue::Deliver))
        .zip(settings.queue(Queue::DeliverOrdered))
        .map(|((fanout, deliver), ordered)| [fanout, deliver, ordered]);
    let dead = Queue::ALL.map(|queue| settings.dead_letters(queue));
    let dead: Option<Vec<_>> = dead.into_iter().collect();
    let found = table
        .zip(keyring)
        .zip(queues)
        .zip(dead)
        .zip(settings.retention());
    let ((((table, keyring), queues), dead), retention) = settings.finish(found)?;
    let account = Account::from_lookup(&environment).map_err(anyhow::Error::msg)?;
    let clients = Clients::new(account);
    let store = Arc::new(DynamoStore::new(
        clients.dynamodb(),
        table,
        keyring,
        Arc::new(SystemEntropy),
        retention,
    ));
    let sweep = Sweep {
        deliveries: store.clone(),
        breakers: store.clone(),
        backlogs: store.clone(),
        events: store.clone(),
        due_intents: store.clone(),
        intents: store.clone(),
        terms: store.clone(),
        outbox: store.clone(),
        queues: Arc::new(SqsQueues::new(clients.sqs(), queues)),
        dead: Arc::new(SqsQueues::new(clients.sqs(), dead)),
        quarantine: store,
        clock: Arc::new(SystemClock),
    };
    // What the schedule sends does not matter: a run does all that is to be done.
    let run = async |_: LambdaEvent<Value>| {
        sweep
            .run()
            .await
            .map_err(|trouble| Error::from(chain(&trouble)))
    };
    lambda_runtime::run(service_fn(run))
        .await
        .map_err(|error| anyhow!(error))
}
