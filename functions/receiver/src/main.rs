//! Wires the part that this function is to AWS. Your own [`receiver::account::Account`] goes where `Example` is.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use receiver::aws::{DynamoMemory, SqsQueue};
use receiver::example::Example;
use receiver::handler::{Door, router};
use receiver::settings::{Part, read};
use receiver::worker::Worker;
use shared::aws::{Account, Clients};
use shared::config::environment;
use shared::queue::sqs::{received, response};
use shared::telemetry::{Style, init};
use shared::time::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    init(Style::Json);
    let part = read(&environment)?;
    let account = Account::from_lookup(&environment)
        .map_err(|problem| anyhow!(problem))
        .context("AWS")?;
    let clients = Clients::new(account);
    let clock = Arc::new(SystemClock);
    let ended = match part {
        Part::Door(settings) => {
            let door = Door {
                secrets: Arc::new(settings.secrets),
                queue: Arc::new(SqsQueue::new(clients.sqs(), settings.queue)),
                clock,
            };
            lambda_http::run(router(door)).await
        }
        Part::Worker(settings) => {
            let worker = Worker {
                account: Arc::new(Example),
                memory: Arc::new(DynamoMemory::new(clients.dynamodb(), settings.table)),
                queue: Arc::new(SqsQueue::new(clients.sqs(), settings.queue)),
                remember: settings.remember,
                clock,
            };
            let handle = async |event: LambdaEvent<SqsEvent>| {
                Ok::<_, Error>(response(worker.run(received(event.payload)?).await))
            };
            lambda_runtime::run(service_fn(handle)).await
        }
    };
    ended.map_err(|error| anyhow!(error))
}
