//! A function that makes one request to AWS and nothing else: with the bare one beside it, what a request takes of a
//! function's CPU time, whatever the function is for.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use shared::aws::{Account, Clients};
use shared::config::{Settings, environment};
use shared::queue::sqs::SqsQueues;
use shared::queue::{Enqueue, Message, Queue};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut settings = Settings::new(&environment);
    let queue = settings.queue(Queue::Recover);
    let queue = settings.finish(queue)?;
    let account = Account::from_lookup(&environment)
        .map_err(|problem| anyhow!(problem))
        .context("AWS")?;
    let queues = Arc::new(SqsQueues::new(Clients::new(account).sqs(), [queue]));
    lambda_runtime::run(service_fn(move |event| request(queues.clone(), event)))
        .await
        .map_err(|error| anyhow!(error))
}

async fn request(queues: Arc<SqsQueues>, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let body = event
        .payload
        .get("body")
        .and_then(Value::as_str)
        .unwrap_or("empty");
    queues
        .send(Queue::Recover, vec![Message::new(body)])
        .await?;
    Ok(json!({ "message": "sent" }))
}
