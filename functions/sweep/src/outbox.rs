//! Callbacks that were recorded and are not known to be on their queue: sent, and then noted as sent.
//!
//! Whoever recorded them sends them at once, and so only what it died over is left. Dying between the two sends one again in
//! the next minute; `deliver` sees by its record what is left to do.

use std::collections::HashSet;

use futures::future::join_all;
use jiff::SignedDuration;
use shared::ids::{EventId, TenantId};
use shared::queue::Task;
use shared::queue::task::{CallbackTask, send};
use shared::time::later;

use crate::handler::{AT_ONCE, Sweep, Trouble, note, set_aside};
use crate::pages::Pages;

/// So long after it was recorded, whoever recorded a callback will not send it any more.
const LEFT_AFTER: SignedDuration = SignedDuration::from_secs(30);

impl Sweep {
    /// Sends every callback that was left; how many those were.
    pub(crate) async fn send_all(&self, first: &mut Option<Trouble>) -> usize {
        let mut pages = Pages::new(self.clock.now());
        let (mut sent, mut seen) = (0, HashSet::new());
        loop {
            let before = later(self.clock.now(), -LEFT_AFTER);
            let left = match self.outbox.unsent(before, pages.size()).await {
                Ok(left) => left,
                Err(trouble) => {
                    note(trouble.into(), first);
                    return sent;
                }
            };
            // The index may still show what was sent a moment ago, and a message that is sent once more is one too many.
            let fresh: Vec<_> = left
                .iter()
                .filter(|it| seen.insert((*it).clone()))
                .collect();
            for some in fresh.chunks(AT_ONCE) {
                let work = some.iter().map(|(tenant, id)| self.send_left(tenant, id));
                for done in join_all(work).await {
                    match done {
                        Ok(done) => sent += usize::from(done),
                        Err(trouble) => set_aside(trouble, "a callback that was left", first),
                    }
                }
                if pages.over(self.clock.now()) {
                    return sent;
                }
            }
            if !pages.more(left.len(), fresh.len(), self.clock.now()) {
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
