//! The queue and the memory in this process, for `cargo local` and for tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared::ids::EventId;
use shared::queue::memory::{MemoryQueues, Spec};
use shared::queue::{Defer, Enqueue, Message, QueueError, Receipt};
use shared::time::Clock;

use crate::ports::{Memory, Queue, Unavailable};

/// Which of the in-process queues is used: they have the names of the bundle's, and one is all that it takes.
pub const LINE: shared::queue::Queue = shared::queue::Queue::Deliver;

/// As the receiver's template has its queue.
pub const SPEC: Spec = Spec {
    visibility: SignedDuration::from_secs(180),
    max_receive: 100,
    fifo: true,
};

/// The in-process queues, of which there is only the [`LINE`].
#[must_use]
pub fn queues(clock: Arc<dyn Clock>) -> MemoryQueues {
    MemoryQueues::with(clock, &[(LINE, SPEC)])
}

/// The [`LINE`] of in-process queues as the receiver's queue.
#[derive(Debug)]
pub struct InProcessQueue<Q>(pub Arc<Q>);

#[async_trait]
impl<Q: Enqueue + Defer> Queue for InProcessQueue<Q> {
    async fn send(&self, id: &EventId, body: String) -> Result<(), Unavailable> {
        let message = Message {
            group: Some(id.as_str().to_owned()),
            deduplication: Some(id.as_str().to_owned()),
            ..Message::new(body)
        };
        let sent = self.0.send(LINE, vec![message]).await;
        sent.map_err(unavailable)
    }

    async fn put_off(&self, receipt: &Receipt, wait: SignedDuration) -> Result<(), Unavailable> {
        let put_off = self.0.defer(LINE, vec![(receipt.clone(), wait)]).await;
        put_off.map_err(unavailable)
    }
}

fn unavailable(error: QueueError) -> Unavailable {
    Unavailable {
        part: "queue",
        source: Box::new(error),
    }
}

/// A memory that ends with the process.
#[derive(Debug, Default)]
pub struct InProcessMemory(Mutex<HashMap<EventId, Timestamp>>);

#[async_trait]
impl Memory for InProcessMemory {
    async fn handled(&self, id: &EventId) -> Result<Option<Timestamp>, Unavailable> {
        let handled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(handled.get(id).copied())
    }

    async fn note(&self, id: &EventId, until: Timestamp) -> Result<(), Unavailable> {
        let mut handled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        handled.insert(id.clone(), until);
        Ok(())
    }
}
