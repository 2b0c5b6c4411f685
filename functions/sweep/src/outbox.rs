//! Callbacks that were recorded and are not known to be on their queue: sent, and then noted as sent.
//!
//! Whoever recorded them sends them at once, and so only what it died over is left. Dying between the two sends one again in
//! the next minute; `deliver` sees by its record what is left to do.

use std::collections::HashSet;

use futures::future::join_all;
use jiff::SignedDuration;
use shared::ids::{EventId, TenantId};
use shared::problem::chain;
use shared::queue::Task;
use shared::queue::task::{CallbackTask, send};
use shared::store::StoreError;
use shared::time::later;
use tracing::error;

use crate::handler::{Sweep, Trouble, note};

/// So long after it was recorded, whoever recorded a callback will not send it any more.
const LEFT_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// So many are taken from each shard at a time.
const PAGE: usize = 50;
/// At most so many, where none of fewer could be sent.
const PAGE_MOST: usize = 800;
/// So many of them are worked on at once.
const AT_ONCE: usize = 16;
/// A run ends after so long.
const TIME_MOST: SignedDuration = SignedDuration::from_secs(40);

impl Sweep {
    /// Sends every callback that was left; how many those were.
    pub(crate) async fn send_all(&self, first: &mut Option<Trouble>) -> usize {
        let began = self.clock.now();
        let (mut sent, mut page, mut seen) = (0, PAGE, HashSet::new());
        loop {
            let before = later(self.clock.now(), -LEFT_AFTER);
            let left = match self.outbox.unsent(before, page).await {
                Ok(left) => left,
                Err(trouble) => {
                    note(trouble.into(), first);
                    return sent;
                }
            };
            // The index may still show what was sent a moment ago, and shows what could not be.
            let fresh: Vec<_> = left
                .iter()
                .filter(|it| seen.insert((*it).clone()))
                .collect();
            for some in fresh.chunks(AT_ONCE) {
                let work = some.iter().map(|(tenant, id)| self.send_left(tenant, id));
                for done in join_all(work).await {
                    match done {
                        Ok(done) => sent += usize::from(done),
                        // No other run will read it either, and the others must go on.
                        Err(Trouble::Store(problem @ StoreError::Corrupt { .. })) => error!(
                            alarm = "unreadable",
                            error = chain(&problem),
                            "a callback that was left can't be read"
                        ),
                        Err(trouble) => note(trouble, first),
                    }
                }
            }
            // What is seen already must not hide what comes after it.
            let over = fresh.is_empty() && (left.len() < page || page >= PAGE_MOST);
            if fresh.is_empty() {
                page = page.saturating_mul(4);
            }
            if over || self.clock.now().duration_since(began) > TIME_MOST {
                return sent;
            }
        }
    }

    async fn send_left(&self, tenant: &TenantId, id: &EventId) -> Result<bool, Trouble> {
        // One that expired has left the outbox with it.
        let Some(read) = self.events.event(tenant, id).await? else {
            return Ok(false);
        };
        let task = CallbackTask::first(tenant, id, &read.value.recipients);
        let sends = task.is_some();
        send(self.queues.as_ref(), task.map(Task::Callback)).await?;
        self.outbox.note_sent(tenant, id).await?;
        Ok(sends)
    }
}
