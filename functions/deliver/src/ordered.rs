//! Deliveries that have to arrive in order.

use async_trait::async_trait;
use shared::queue::batch::rest;
use shared::queue::{Disposition, Handle, Queue, Received, Task};

/// What the worker may use.
pub struct DeliverOrdered;

#[async_trait]
impl Handle for DeliverOrdered {
    fn queue(&self) -> Queue {
        Queue::DeliverOrdered
    }

    async fn handle(&self, _: Task, received: &Received) -> Disposition {
        // The batch sets aside what is for another queue; it must never pass for done.
        Disposition::Retry {
            after: rest(received.count),
            tries: 0,
        }
    }
}
