//! The queues as one process sees them: the in-process ones, and what SQS and the network may do to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::Either;
use jiff::SignedDuration;
use shared::queue::memory::{MemoryQueues, Spec};
use shared::queue::{Defer, Enqueue, Lease, Message, Queue, QueueError, Receipt, Received};
use shared::time::Clock;
use tokio::sync::Notify;

use crate::defects::Defect;
use crate::nature::{Nature, pass};
use crate::process::Process;
use crate::weather::Fault;

/// The queues, and who waits for their messages.
#[derive(Clone)]
pub struct Lines {
    /// The queues.
    pub queues: MemoryQueues,
    bells: Arc<BTreeMap<Queue, Notify>>,
}

impl Lines {
    /// Every queue, on the clock of a run.
    #[must_use]
    pub fn new(nature: &Arc<Nature>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ClockOf(nature.clone()));
        let specs = Queue::ALL.map(|queue| {
            let spec = Spec::of(queue);
            match nature.has(Defect::ReceiptsCountedAsTries) {
                true => (
                    queue,
                    Spec {
                        max_receive: 4,
                        ..spec
                    },
                ),
                false => (queue, spec),
            }
        });
        Self {
            queues: MemoryQueues::with(clock, &specs),
            bells: Arc::new(Queue::ALL.map(|queue| (queue, Notify::new())).into()),
        }
    }

    /// Tells everybody who waits that the queue has changed.
    pub fn ring(&self, queue: Queue) {
        if let Some(bell) = self.bells.get(&queue) {
            bell.notify_waiters();
        }
    }

    /// The next change of the queue, from this call on, whenever it is waited for.
    pub fn changes(&self, queue: Queue) -> impl Future<Output = ()> + '_ {
        match self.bells.get(&queue) {
            Some(bell) => Either::Left(bell.notified()),
            None => Either::Right(std::future::pending()),
        }
    }
}

/// The clock of a run, for who holds a clock of his own.
pub struct ClockOf(pub Arc<Nature>);

impl Clock for ClockOf {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }
}

/// The queues for one process.
pub struct Faulty {
    lines: Lines,
    process: Arc<Process>,
}

impl Faulty {
    /// The queues of `lines` as `process` sees them.
    #[must_use]
    pub fn new(lines: Lines, process: Arc<Process>) -> Self {
        Self { lines, process }
    }

    fn strikes(&self, fault: Fault) -> bool {
        self.process.nature.strikes(fault)
    }

    /// Splits what a request in part carries out from the places of what it does not.
    fn in_part<T>(&self, all: Vec<T>, fault: Fault) -> (Vec<T>, Vec<usize>) {
        if all.len() < 2 || !self.strikes(fault) {
            return (all, Vec::new());
        }
        let mut refused = Vec::new();
        let mut taken = Vec::new();
        for (place, it) in all.into_iter().enumerate() {
            match self.process.nature.chance.percent(50) {
                true => refused.push(place),
                false => taken.push(it),
            }
        }
        (taken, refused)
    }
}

fn down() -> QueueError {
    QueueError::Unavailable("out of order".into())
}

fn partly(sent: usize, refused: Vec<usize>) -> Result<(), QueueError> {
    match refused.is_empty() {
        true => Ok(()),
        false => Err(QueueError::Partly { sent, refused }),
    }
}

#[async_trait]
impl Enqueue for Faulty {
    async fn send(&self, queue: Queue, messages: Vec<Message>) -> Result<(), QueueError> {
        let nature = self.process.nature.clone();
        if nature.has(Defect::AnsweredBeforeSent) {
            // It goes out some time later, unless the process is gone by then.
            let (lines, process) = (self.lines.clone(), self.process.clone());
            tokio::spawn(async move {
                let late = pass(nature.chance.millis(1, 2_000));
                if process.living(late).await.is_some() {
                    let _nobody_asks = lines.queues.send(queue, messages).await;
                    lines.ring(queue);
                }
            });
            return Ok(());
        }
        self.process.before("send").await;
        if self.strikes(Fault::SendLost) {
            return match nature.has(Defect::SendErrorsIgnored) {
                true => Ok(()),
                false => Err(down()),
            };
        }
        let sent = messages.len();
        let (messages, refused) = self.in_part(messages, Fault::SendPartly);
        let mut all = Vec::new();
        for message in messages {
            let mut message = Defect::bend_message(&self.process, queue, message);
            if self.strikes(Fault::Late) {
                message.delay = SignedDuration::from_secs(
                    i64::try_from(nature.chance.between(1, 240)).unwrap_or_default(),
                );
            }
            if self.strikes(Fault::SentTwice) {
                all.push(message.clone());
            }
            all.push(message);
        }
        self.process
            .tell(|| format!("sends {} to {}", all.len(), queue.as_str()));
        self.lines.queues.send(queue, all).await?;
        self.lines.ring(queue);
        self.process.after("send").await;
        if self.strikes(Fault::SendUnanswered) {
            return Err(down());
        }
        match nature.has(Defect::PartialSendsTakenForWhole) {
            true => Ok(()),
            false => partly(sent, refused),
        }
    }
}

#[async_trait]
impl Lease for Faulty {
    async fn receive(
        &self,
        queue: Queue,
        most: usize,
        wait: SignedDuration,
    ) -> Result<Vec<Received>, QueueError> {
        self.process.before("receive").await;
        let received = self.lines.queues.receive(queue, most, wait).await?;
        if !received.is_empty() && self.strikes(Fault::ReceiveUnanswered) {
            return Err(down());
        }
        let mut again = Vec::new();
        for message in &received {
            if self.strikes(Fault::ShowsAgain) {
                let after = self.process.nature.chance.between(0, 3);
                let after = SignedDuration::from_secs(i64::try_from(after).unwrap_or_default());
                again.push((message.receipt.clone(), after));
            }
        }
        if !again.is_empty() {
            self.lines.queues.defer(queue, again).await?;
            self.lines.ring(queue);
        }
        if !received.is_empty() {
            self.process.tell(|| {
                let ids: Vec<_> = received
                    .iter()
                    .map(|it| format!("{}x{}", it.id, it.count))
                    .collect();
                format!("receives {}", ids.join(" "))
            });
        }
        self.process.after("receive").await;
        Ok(received)
    }

    async fn delete(&self, queue: Queue, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        self.process.before("delete").await;
        if self.strikes(Fault::DeleteLost) {
            return Err(down());
        }
        let sent = receipts.len();
        let (receipts, refused) = self.in_part(receipts, Fault::DeletePartly);
        self.process
            .tell(|| format!("lets go of {} of {}", receipts.len(), queue.as_str()));
        self.lines.queues.delete(queue, receipts).await?;
        self.lines.ring(queue);
        self.process.after("delete").await;
        partly(sent, refused)
    }
}

#[async_trait]
impl Defer for Faulty {
    async fn defer(
        &self,
        queue: Queue,
        leases: Vec<(Receipt, SignedDuration)>,
    ) -> Result<(), QueueError> {
        self.process.before("defer").await;
        if self.strikes(Fault::DeferLost) {
            return Err(down());
        }
        let sent = leases.len();
        let (leases, refused) = self.in_part(leases, Fault::DeferPartly);
        let deferred = self.lines.queues.defer(queue, leases).await;
        self.lines.ring(queue);
        self.process.after("defer").await;
        deferred.and(partly(sent, refused))
    }
}
