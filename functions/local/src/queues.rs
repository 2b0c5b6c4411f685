//! The in-process queues with the long poll of SQS: whoever receives waits for the first message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use jiff::SignedDuration;
use shared::entropy::Entropy;
use shared::queue::memory::MemoryQueues;
use shared::queue::{Defer, Enqueue, Lease, Message, Queue, QueueError, Receipt, Received};
use shared::time::{Clock, later, until};
use tokio::sync::Notify;

/// Everything that can be done with queues.
pub trait Queues: Enqueue + Lease + Defer {}

impl<T: Enqueue + Lease + Defer> Queues for T {}

/// No wait is shorter: timers are no finer.
const TICK: Duration = Duration::from_millis(1);

/// [`MemoryQueues`], waited for on the machine's clock. One task receives from a queue, however many send to it.
pub struct LongPoll {
    inner: MemoryQueues,
    clock: Arc<dyn Clock>,
    /// Rung when a queue changes.
    bells: BTreeMap<Queue, Notify>,
    /// Tells the messages of this run from those of another: the table may remember their ids for longer.
    run: String,
}

impl LongPoll {
    /// Waits for the messages of `inner`, whose clock is `clock`.
    #[must_use]
    pub fn new(inner: MemoryQueues, clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        Self {
            inner,
            clock,
            bells: Queue::ALL.map(|queue| (queue, Notify::new())).into(),
            run: HEXLOWER.encode(&entropy.bytes::<6>()),
        }
    }

    fn ring(&self, queue: Queue) {
        if let Some(bell) = self.bells.get(&queue) {
            bell.notify_one();
        }
    }

    async fn rung(&self, queue: Queue) {
        match self.bells.get(&queue) {
            Some(bell) => bell.notified().await,
            None => std::future::pending().await,
        }
    }

    fn named(&self, received: Received) -> Received {
        Received {
            id: format!("{}-{}", self.run, received.id),
            ..received
        }
    }
}

#[async_trait]
impl Enqueue for LongPoll {
    async fn send(&self, queue: Queue, messages: Vec<Message>) -> Result<(), QueueError> {
        self.inner.send(queue, messages).await?;
        self.ring(queue);
        Ok(())
    }
}

#[async_trait]
impl Lease for LongPoll {
    async fn receive(
        &self,
        queue: Queue,
        most: usize,
        wait: SignedDuration,
    ) -> Result<Vec<Received>, QueueError> {
        let end = later(self.clock.now(), wait);
        loop {
            let received = self
                .inner
                .receive(queue, most, SignedDuration::ZERO)
                .await?;
            let now = self.clock.now();
            if !received.is_empty() || now >= end {
                return Ok(received
                    .into_iter()
                    .map(|received| self.named(received))
                    .collect());
            }
            let next = self
                .inner
                .next_visible(queue)
                .map_or(end, |next| next.min(end));
            let pause = Duration::try_from(until(now, next))
                .unwrap_or_default()
                .max(TICK);
            let _rung_or_not = tokio::time::timeout(pause, self.rung(queue)).await;
        }
    }

    async fn delete(&self, queue: Queue, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        self.inner.delete(queue, receipts).await?;
        // What is let go of no longer holds its group back.
        self.ring(queue);
        Ok(())
    }
}

#[async_trait]
impl Defer for LongPoll {
    async fn defer(
        &self,
        queue: Queue,
        leases: Vec<(Receipt, SignedDuration)>,
    ) -> Result<(), QueueError> {
        let deferred = self.inner.defer(queue, leases).await;
        self.ring(queue);
        deferred
    }
}

#[cfg(test)]
mod tests {
    use shared::entropy::SeededEntropy;
    use shared::time::SystemClock;

    use super::*;

    const LONG: SignedDuration = SignedDuration::from_secs(20);

    fn queues(seed: u64) -> Arc<LongPoll> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let inner = MemoryQueues::new(clock.clone());
        Arc::new(LongPoll::new(inner, clock, &SeededEntropy::new(seed)))
    }

    async fn bodies(queues: &LongPoll, wait: SignedDuration) -> Vec<String> {
        let received = queues
            .receive(Queue::Deliver, 10, wait)
            .await
            .expect("it is there");
        received.into_iter().map(|received| received.body).collect()
    }

    #[tokio::test]
    async fn a_message_sent_meanwhile_ends_the_wait() {
        let queues = queues(1);
        let waiting = tokio::spawn({
            let queues = queues.clone();
            async move { bodies(&queues, LONG).await }
        });
        tokio::task::yield_now().await;
        queues
            .send(Queue::Deliver, vec![Message::new("a")])
            .await
            .expect("it is there");
        assert_eq!(waiting.await.expect("no panic"), ["a"]);
    }

    #[tokio::test]
    async fn a_delayed_message_ends_the_wait_when_it_shows() {
        let queues = queues(1);
        let delay = SignedDuration::from_millis(30);
        let message = Message {
            delay,
            ..Message::new("a")
        };
        let began = SystemClock.now();
        queues
            .send(Queue::Deliver, vec![message])
            .await
            .expect("it is there");
        assert_eq!(bodies(&queues, LONG).await, ["a"]);
        assert!(SystemClock.now().duration_since(began) >= delay);
    }

    #[tokio::test]
    async fn nothing_within_the_wait_is_no_message() {
        let queues = queues(1);
        assert_eq!(
            bodies(&queues, SignedDuration::from_millis(5)).await,
            [""; 0]
        );
        assert_eq!(bodies(&queues, SignedDuration::ZERO).await, [""; 0]);
    }

    #[tokio::test]
    async fn two_runs_never_name_a_message_alike() {
        let mut ids = Vec::new();
        for seed in [1, 2] {
            let queues = queues(seed);
            queues
                .send(Queue::Deliver, vec![Message::new("a")])
                .await
                .expect("it is there");
            ids.extend(
                queues
                    .receive(Queue::Deliver, 1, LONG)
                    .await
                    .expect("it is there")
                    .pop()
                    .map(|m| m.id),
            );
        }
        assert_eq!(ids.len(), 2);
        assert_ne!(ids.first(), ids.last());
    }
}
