//! A handler of one message, lifted to a batch: concurrent, one panic apart from the others, partial failures.
//!
//! Every message ends in one of four ways. *Done*: it is let go. *Forward*: it is let go once what it leads to is
//! durable on its queues; what a batch forwards is sent together, since requests are what is billed. *Retry*: its
//! visibility is set to the wait, as the last act, and it is reported as failed. *Quarantined*: it can't be decoded,
//! panicked three times, or came 20 times more often than its tries explain; it is written to the table and let go. An
//! endpoint's refusal never
//! ends there.
//!
//! On a FIFO queue the messages of a group are handled one after another, and groups side by side. Behind a message that
//! is to come again, the rest of its group is left as it is: it shows at once, and so waits for that message alone.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{join_all, try_join_all};
use jiff::{SignedDuration, Timestamp};
use tracing::{error, warn};

use super::{Defer, Enqueue, Message, Queue, Receipt, Received, Task};
use crate::problem::chain;
use crate::store::{Cause, Quarantine, Quarantined};
use crate::time::Clock;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Disposition {
    /// Its work is done.
    Done,
    /// Its work is done once these are sent.
    Forward(Vec<(Queue, Message)>),
    /// It is to come again.
    Retry {
        /// After so long; at least a second.
        after: SignedDuration,
        /// How many times it came for a good reason: what the store has counted.
        tries: u32,
    },
}

/// Handles one message.
#[async_trait]
pub trait Handle: Send + Sync {
    /// The queue whose messages it reads.
    fn queue(&self) -> Queue;

    /// Does the work of one message, all effects first.
    async fn handle(&self, task: Task, received: &Received) -> Disposition;
}

/// So many panics over one message make it an accident of ours.
const PANICS: u32 = 3;
/// So many receipts beyond what its tries explain, too.
const UNEXPLAINED: u32 = 20;
/// How long a message rests after a panic, or when it could not be quarantined.
const AFTER_ACCIDENT: SignedDuration = SignedDuration::from_secs(30);
/// So long after a batch began, the next message of a group may still be begun: what it takes has to fit in the
/// function's timeout as well.
const BEGUN_MOST: SignedDuration = SignedDuration::from_secs(5);
/// SQS: a message may stay hidden for so long in all.
const HIDDEN_MOST: SignedDuration = SignedDuration::from_hours(11);

/// Runs a handler over batches.
pub struct Batch {
    handler: Arc<dyn Handle>,
    enqueue: Arc<dyn Enqueue>,
    defer: Arc<dyn Defer>,
    quarantine: Arc<dyn Quarantine>,
    clock: Arc<dyn Clock>,
}

impl Batch {
    /// Lifts `handler`.
    #[must_use]
    pub fn new(
        handler: Arc<dyn Handle>,
        enqueue: Arc<dyn Enqueue>,
        defer: Arc<dyn Defer>,
        quarantine: Arc<dyn Quarantine>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            handler,
            enqueue,
            defer,
            quarantine,
            clock,
        }
    }

    /// Lifts another handler, with the same means.
    #[must_use]
    pub fn lift(&self, handler: Arc<dyn Handle>) -> Self {
        Self {
            handler,
            enqueue: self.enqueue.clone(),
            defer: self.defer.clone(),
            quarantine: self.quarantine.clone(),
            clock: self.clock.clone(),
        }
    }

    /// The queue whose messages it reads.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.handler.queue()
    }

    /// Handles a batch; answers the ids of the messages that are to come again.
    pub async fn run(&self, messages: Vec<Received>) -> Vec<String> {
        let dispositions = match self.queue().is_fifo() {
            true => self.by_groups(&messages).await,
            false => join_all(messages.iter().map(|message| self.one(message))).await,
        };
        let dispositions = self.forward(&messages, dispositions).await;
        let again: Vec<(&Received, SignedDuration)> = messages
            .iter()
            .zip(dispositions)
            .filter_map(|(message, disposition)| match disposition {
                Disposition::Done | Disposition::Forward(_) => None,
                Disposition::Retry { after, .. } => Some((message, after)),
            })
            .collect();
        let leases: Vec<(Receipt, SignedDuration)> = again
            .iter()
            .map(|(message, after)| (message.receipt.clone(), *after))
            .collect();
        if !leases.is_empty()
            && let Err(problem) = self.defer.defer(self.queue(), leases).await
        {
            // The messages are still ours; they come again after the queue's own visibility timeout.
            warn!(queue = self.queue().as_str(), error = %problem, "could not set the wait of messages");
        }
        again
            .into_iter()
            .map(|(message, _)| message.id.clone())
            .collect()
    }

    /// Handles the messages of each group in their order.
    async fn by_groups(&self, messages: &[Received]) -> Vec<Disposition> {
        let began = self.clock.now();
        let mut groups = BTreeMap::<&str, Vec<(usize, &Received)>>::new();
        for (place, message) in messages.iter().enumerate() {
            let group = message.group.as_deref().unwrap_or(&message.id);
            groups.entry(group).or_default().push((place, message));
        }
        let groups = groups.into_values();
        let handled = join_all(groups.map(|group| self.one_by_one(group, began))).await;
        let mut handled = handled.concat();
        handled.sort_by_key(|(place, _)| *place);
        let dispositions = handled.into_iter().map(|(_, disposition)| disposition);
        dispositions.collect()
    }

    async fn one_by_one(
        &self,
        group: Vec<(usize, &Received)>,
        began: Timestamp,
    ) -> Vec<(usize, Disposition)> {
        let mut handled: Vec<(usize, Disposition)> = Vec::new();
        for (place, message) in group {
            let held = matches!(handled.last(), Some((_, Disposition::Retry { .. })));
            let late = self.clock.now().duration_since(began) > BEGUN_MOST;
            let disposition = match held || (late && !handled.is_empty()) {
                true => Disposition::Retry {
                    after: SignedDuration::ZERO,
                    tries: message.count,
                },
                false => self.one(message).await,
            };
            handled.push((place, disposition));
        }
        handled
    }

    /// Sends what the messages lead to, a request for each queue. If that fails, all who had a part in it come again:
    /// what may have been sent is sent once more, and its readers know it.
    async fn forward(
        &self,
        messages: &[Received],
        dispositions: Vec<Disposition>,
    ) -> Vec<Disposition> {
        let mut sends = BTreeMap::<Queue, Vec<Message>>::new();
        let mut settled = Vec::new();
        for disposition in dispositions {
            settled.push(match disposition {
                Disposition::Forward(forward) => {
                    for (queue, message) in forward {
                        sends.entry(queue).or_default().push(message);
                    }
                    None
                }
                Disposition::Done | Disposition::Retry { .. } => Some(disposition),
            });
        }
        let sent = try_join_all(
            sends
                .into_iter()
                .map(|(queue, batch)| self.enqueue.send(queue, batch)),
        )
        .await;
        if let Err(problem) = &sent {
            warn!(
                queue = self.queue().as_str(),
                error = chain(problem),
                "could not send what messages lead to"
            );
        }
        let settle = async |(message, disposition): (&Received, Option<Disposition>)| match (
            disposition,
            &sent,
        ) {
            (Some(disposition), _) => disposition,
            (None, Ok(_)) => Disposition::Done,
            // What stood before a message in its group explains its receipts, too.
            (None, Err(_)) if message.count > UNEXPLAINED && !self.queue().is_fifo() => {
                let tenant = Task::decode(&message.body)
                    .ok()
                    .map(|task| task.tenant().clone());
                self.quarantine(message, Cause::Stuck, tenant).await
            }
            (None, Err(_)) => Disposition::Retry {
                after: rest(message.count),
                tries: 0,
            },
        };
        join_all(messages.iter().zip(settled).map(settle)).await
    }

    async fn one(&self, message: &Received) -> Disposition {
        let task = match Task::decode(&message.body) {
            Ok(task) if task.queue() == self.queue() => task,
            Ok(task) => {
                error!(
                    message.id,
                    task = task.queue().as_str(),
                    "a task on the wrong queue"
                );
                let tenant = Some(task.tenant().clone());
                return self.quarantine(message, Cause::Undecodable, tenant).await;
            }
            Err(problem) => {
                error!(message.id, error = %problem, "a message that is no task");
                return self.quarantine(message, Cause::Undecodable, None).await;
            }
        };
        let tenant = task.tenant().clone();
        let disposition = match AssertUnwindSafe(self.handler.handle(task, message))
            .catch_unwind()
            .await
        {
            Ok(disposition) => disposition,
            Err(_) => return self.panicked(message, tenant).await,
        };
        match disposition {
            Disposition::Retry { tries, .. }
                if message.count > tries.saturating_add(UNEXPLAINED) =>
            {
                self.quarantine(message, Cause::Stuck, Some(tenant)).await
            }
            Disposition::Retry { after, tries } => Disposition::Retry {
                after: after.clamp(SignedDuration::from_secs(1), HIDDEN_MOST),
                tries,
            },
            Disposition::Forward(_) | Disposition::Done => disposition,
        }
    }

    async fn panicked(&self, message: &Received, tenant: crate::ids::TenantId) -> Disposition {
        error!(message.id, tenant = tenant.as_str(), "the handler panicked");
        match self
            .quarantine
            .count_panic(self.queue(), &message.id, self.clock.now())
            .await
        {
            Ok(panics) if panics >= PANICS => {
                self.quarantine(message, Cause::Panicked, Some(tenant))
                    .await
            }
            Ok(_) => Disposition::Retry {
                after: AFTER_ACCIDENT,
                tries: 0,
            },
            Err(problem) => {
                warn!(message.id, error = %problem, "could not count a panic");
                Disposition::Retry {
                    after: AFTER_ACCIDENT,
                    tries: 0,
                }
            }
        }
    }

    async fn quarantine(
        &self,
        message: &Received,
        cause: Cause,
        tenant: Option<crate::ids::TenantId>,
    ) -> Disposition {
        let entry = Quarantined::new(self.queue(), message, cause, tenant, self.clock.now());
        match self.quarantine.quarantine(&entry).await {
            Ok(()) => {
                error!(
                    message.id,
                    quarantine.id = entry.id.as_str(),
                    cause = cause.as_str(),
                    "quarantined"
                );
                Disposition::Done
            }
            Err(problem) => {
                warn!(message.id, error = %problem, "could not quarantine a message");
                Disposition::Retry {
                    after: AFTER_ACCIDENT,
                    tries: message.count,
                }
            }
        }
    }
}

/// How long to rest after `count` receipts when something we depend on fails: 2, 4, 8 s and so on, 15 minutes at most.
#[must_use]
pub fn rest(count: u32) -> SignedDuration {
    SignedDuration::from_secs(2_i64.saturating_pow(count.clamp(1, 10)).min(900))
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
