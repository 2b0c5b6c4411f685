//! Wires the operator's API to AWS.

use std::sync::Arc;

use anyhow::Error;
use console::handler::{Console, router};
use shared::aws::{Account, Clients};
use shared::config::{Settings, environment};
use shared::delivery::Vetting;
use shared::entropy::SystemEntropy;
use shared::queue::Queue;
use shared::queue::sqs::SqsQueues;
use shared::store::dynamo::DynamoStore;
use shared::telemetry::{Style, init};
use shared::time::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    init(Style::Json);
    let mut settings = Settings::new(&environment);
    let (table, keyring) = (settings.table(), settings.seal_keys());
    let store = table.zip(keyring).zip(settings.retention());
    let queues = Queue::ALL
        .map(|queue| settings.queue(queue))
        .into_iter()
        .collect::<Option<Vec<_>>>();
    let vetting =
        Vetting::new(settings.allow_targets(), settings.runtime_api()).beside(settings.own_hosts());
    let operator = settings.operator_key_hash();
    let found = settings.finish(store.zip(queues).zip(operator))?;
    let ((((table, keyring), kept), queues), operator_key_hash) = found;
    let account = Account::from_lookup(&environment).map_err(Error::msg)?;
    let clients = Clients::new(account);
    let entropy = Arc::new(SystemEntropy);
    let store = DynamoStore::new(clients.dynamodb(), table, keyring, entropy.clone(), kept);
    let store = Arc::new(store);
    let console = Console {
        tenants: store.clone(),
        keys: store.clone(),
        credentials: store.clone(),
        endpoints: store.clone(),
        breakers: store.clone(),
        accounts: store.clone(),
        publishers: store.clone(),
        anchors: store.clone(),
        anchor_admin: store.clone(),
        lines: store.clone(),
        events: store.clone(),
        deliveries: store.clone(),
        intents: store.clone(),
        intent_list: store.clone(),
        quarantine: store,
        queues: Arc::new(SqsQueues::new(clients.sqs(), queues)),
        clock: Arc::new(SystemClock),
        entropy,
        vetting,
        operator_key_hash,
    };
    let run = lambda_http::run(router(console)).await;
    run.map_err(Error::from_boxed)
}
