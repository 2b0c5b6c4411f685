//! The worker: an event off the queue, handled once, noted, let go. Each step may be the last before a crash.
//!
//! ```text
//! noted already? ── yes ──▶ let go
//!       │ no
//!    method ──▶ note ──▶ let go        a crash after `method` repeats it; after `note` the repeat is dropped
//! ```

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;
use jiff::SignedDuration;
use shared::problem::chain;
use shared::queue::Received;
use shared::queue::batch::rest;
use shared::time::{Clock, later};
use tracing::{error, info, warn};

use crate::account::{Account, Failed, tell};
use crate::event::Event;
use crate::ports::{Memory, Queue, Unavailable};

/// What the worker may use.
pub struct Worker {
    /// What is done about events.
    pub account: Arc<dyn Account>,
    /// What was handled.
    pub memory: Arc<dyn Memory>,
    /// Where messages are put off.
    pub queue: Arc<dyn Queue>,
    /// How long a handled id is remembered: longer than any sender tries and any message waits.
    pub remember: SignedDuration,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why a message has to come again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("its method failed")]
    Failed(#[source] Failed),
    #[error("its method panicked")]
    Panicked,
}

impl Worker {
    /// Handles a batch; answers the ids of the messages that are to come again.
    ///
    /// Events are handled side by side, messages of one event one after the other, so that the second finds the first's note.
    pub async fn run(&self, messages: Vec<Received>) -> Vec<String> {
        let mut events = BTreeMap::<String, Vec<(Event, &Received)>>::new();
        let mut again = Vec::new();
        for message in &messages {
            match Event::decode(&message.body) {
                Ok(event) => {
                    let id = event.id.as_str().to_owned();
                    events.entry(id).or_default().push((event, message));
                }
                Err(_) => {
                    // Somebody else than the door sent it. It ends among the dead letters, where it can be looked at.
                    error!(message.id, "a message that is no event");
                    again.push(self.again(message).await);
                }
            }
        }
        let handled = join_all(events.into_values().map(|same| self.one_by_one(same))).await;
        again.extend(handled.into_iter().flatten());
        again
    }

    async fn one_by_one(&self, same: Vec<(Event, &Received)>) -> Vec<String> {
        let mut again = Vec::new();
        for (event, message) in same {
            let done = if again.is_empty() {
                self.one(&event, message).await
            } else {
                // What just failed is not tried again at once.
                false
            };
            if !done {
                again.push(self.again(message).await);
            }
        }
        again
    }

    async fn one(&self, event: &Event, message: &Received) -> bool {
        match self.handle(event).await {
            Ok(outcome) => {
                info!(
                    event.type = event.event_type.as_str(),
                    event.id = event.id.as_str(),
                    "{outcome}"
                );
                true
            }
            Err(trouble) => {
                warn!(
                    event.type = event.event_type.as_str(),
                    event.id = event.id.as_str(),
                    received = message.count,
                    error = chain(&trouble),
                    "put off"
                );
                false
            }
        }
    }

    async fn handle(&self, event: &Event) -> Result<&'static str, Trouble> {
        let now = self.clock.now();
        if self
            .memory
            .handled(&event.id)
            .await?
            .is_some_and(|until| until > now)
        {
            return Ok("duplicate, dropped");
        }
        // A panic over one event must not take the others of its batch with it.
        AssertUnwindSafe(tell(self.account.as_ref(), event))
            .catch_unwind()
            .await
            .map_err(|_| Trouble::Panicked)?
            .map_err(Trouble::Failed)?;
        let until = later(self.clock.now(), self.remember);
        self.memory.note(&event.id, until).await?;
        Ok("handled")
    }

    async fn again(&self, message: &Received) -> String {
        if let Err(problem) = self
            .queue
            .put_off(&message.receipt, rest(message.count))
            .await
        {
            warn!(
                message.id,
                error = chain(&problem),
                "could not set the wait of a message"
            );
        }
        message.id.clone()
    }
}
