//! One queue with its dead letters, either in this process on a driven clock or in SQS, with the same controls.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use jiff::SignedDuration;
use shared::aws::{Account, Clients};
use shared::config::environment;
use shared::queue::memory::{MemoryQueues, Spec};
use shared::queue::sqs::SqsQueues;
use shared::queue::{Defer, Enqueue, Lease, Message, Queue, QueueError, Receipt, Received};
use shared::time::ManualClock;

use crate::sample::at;
use crate::table::{ENDPOINT, random};

/// The queue that is looked at; which one of its kind makes no difference.
fn queue(spec: Spec) -> Queue {
    match spec.fifo {
        true => Queue::DeliverOrdered,
        false => Queue::Deliver,
    }
}

/// Which adapter of the port is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    /// The queues in this process.
    Memory,
    /// SQS, at the endpoint that `PAYRELAY_CONTRACT_ENDPOINT` names.
    Sqs,
}

/// What the adapters need not have in common. SQS itself promises nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// A receipt that a later one has replaced still deletes the message, and may still put it off. In this process it
    /// does neither.
    StaleReceiptsStillWork,
}

impl Difference {
    /// Every difference that is allowed.
    pub const ALL: [Self; 1] = [Self::StaleReceiptsStillWork];

    /// Which adapter departs from the rule.
    #[must_use]
    pub fn of(self) -> Adapter {
        match self {
            Self::StaleReceiptsStillWork => Adapter::Sqs,
        }
    }
}

/// A queue, its dead letters, and the time they live in.
pub struct Bench {
    adapter: Adapter,
    queue: Queue,
    clock: Option<Arc<ManualClock>>,
    send: Arc<dyn Enqueue>,
    lease: Arc<dyn Lease>,
    defer: Arc<dyn Defer>,
    dead: Arc<dyn Lease>,
}

impl Bench {
    /// A fresh queue.
    ///
    /// # Errors
    /// For SQS, if the environment names no endpoint or the queue can't be made there.
    pub async fn start(adapter: Adapter, spec: Spec) -> Result<Self> {
        let queue = queue(spec);
        match adapter {
            Adapter::Memory => {
                let clock = Arc::new(ManualClock::new(at(0)));
                let queues = MemoryQueues::with(clock.clone(), &[(queue, spec)]);
                let dead = Arc::new(queues.dead_letters());
                let queues = Arc::new(queues);
                Ok(Self {
                    adapter,
                    queue,
                    clock: Some(clock),
                    send: queues.clone(),
                    lease: queues.clone(),
                    defer: queues,
                    dead,
                })
            }
            Adapter::Sqs => {
                let Some(endpoint) = environment(ENDPOINT) else {
                    bail!(
                        "{ENDPOINT} is not set: infra/contract-test.sh starts an emulator and sets it"
                    );
                };
                let client = Clients::new(Account::local(endpoint)).sqs();
                let (work, dead) = make(&client, spec).await.context("making the queue")?;
                let queues = Arc::new(SqsQueues::new(client.clone(), [(queue, work)]));
                Ok(Self {
                    adapter,
                    queue,
                    clock: None,
                    send: queues.clone(),
                    lease: queues.clone(),
                    defer: queues,
                    dead: Arc::new(SqsQueues::new(client, [(queue, dead)])),
                })
            }
        }
    }

    /// Whether the adapter departs from the rule here, as it may.
    #[must_use]
    pub fn differs(&self, difference: Difference) -> bool {
        difference.of() == self.adapter
    }

    /// Lets time pass: by moving the clock, or by waiting, with something to spare.
    #[expect(
        clippy::disallowed_methods,
        reason = "an emulator's clock can't be driven"
    )]
    pub async fn pass(&self, time: SignedDuration) {
        match &self.clock {
            Some(clock) => clock.advance(time),
            None => {
                let time = Duration::try_from(time).unwrap_or_default();
                tokio::time::sleep(time + Duration::from_millis(400)).await;
            }
        }
    }

    /// Whether time passes as fast as it is told to, so that minutes of it cost nothing.
    #[must_use]
    pub fn is_driven(&self) -> bool {
        self.clock.is_some()
    }

    /// Sends messages.
    ///
    /// # Errors
    /// The port's.
    pub async fn send(&self, messages: Vec<Message>) -> Result<(), QueueError> {
        self.send.send(self.queue, messages).await
    }

    /// What one request receives.
    ///
    /// # Errors
    /// The port's.
    pub async fn receive(&self, most: usize) -> Result<Vec<Received>, QueueError> {
        self.lease
            .receive(self.queue, most, SignedDuration::ZERO)
            .await
    }

    /// What requests receive until one receives nothing.
    ///
    /// # Errors
    /// The port's.
    pub async fn receive_all(&self) -> Result<Vec<Received>, QueueError> {
        all(self.lease.as_ref(), self.queue).await
    }

    /// The dead letters.
    ///
    /// # Errors
    /// The port's.
    pub async fn dead_letters(&self) -> Result<Vec<Received>, QueueError> {
        all(self.dead.as_ref(), self.queue).await
    }

    /// Lets go of messages.
    ///
    /// # Errors
    /// The port's.
    pub async fn delete(&self, messages: &[Received]) -> Result<(), QueueError> {
        let receipts = messages
            .iter()
            .map(|message| message.receipt.clone())
            .collect();
        self.lease.delete(self.queue, receipts).await
    }

    /// Puts messages off.
    ///
    /// # Errors
    /// The port's.
    pub async fn defer(&self, leases: Vec<(Receipt, SignedDuration)>) -> Result<(), QueueError> {
        self.defer.defer(self.queue, leases).await
    }
}

async fn all(lease: &dyn Lease, queue: Queue) -> Result<Vec<Received>, QueueError> {
    let mut all = Vec::new();
    loop {
        let some = lease.receive(queue, 10, SignedDuration::ZERO).await?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

/// Makes a queue and its dead letters in SQS; answers their URLs.
async fn make(client: &Client, spec: Spec) -> Result<(String, String)> {
    let suffix = if spec.fifo { ".fifo" } else { "" };
    let name = format!("payrelay-{}", random());
    let mut attributes = HashMap::new();
    if spec.fifo {
        // As the template has it.
        for (name, value) in [
            (QueueAttributeName::FifoQueue, "true"),
            (QueueAttributeName::DeduplicationScope, "messageGroup"),
            (QueueAttributeName::FifoThroughputLimit, "perMessageGroupId"),
        ] {
            attributes.insert(name, value.to_owned());
        }
    }
    let dead = client
        .create_queue()
        .queue_name(format!("{name}-dead{suffix}"))
        .set_attributes(Some(attributes.clone()))
        .send()
        .await?
        .queue_url
        .context("a queue has a URL")?;
    let arn = client
        .get_queue_attributes()
        .queue_url(&dead)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await?
        .attributes
        .and_then(|mut attributes| attributes.remove(&QueueAttributeName::QueueArn))
        .context("a queue has an ARN")?;
    let redrive = format!(
        r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{}}}"#,
        spec.max_receive
    );
    attributes.insert(QueueAttributeName::RedrivePolicy, redrive);
    let visibility = spec.visibility.as_secs().to_string();
    attributes.insert(QueueAttributeName::VisibilityTimeout, visibility);
    let work = client
        .create_queue()
        .queue_name(format!("{name}{suffix}"))
        .set_attributes(Some(attributes))
        .send()
        .await?
        .queue_url
        .context("a queue has a URL")?;
    Ok((work, dead))
}
