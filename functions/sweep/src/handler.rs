//! One run: due deliveries to their queue, those of endpoints that are back or to be probed, due intents to `q:fanout`, callbacks that were left to
//! `q:deliver-ordered.fifo`, dead letters to quarantine.
//!
//! A delivery is sent before its record says so. Dying between the two sends it again in the next minute; the
//! message carries `check` and the record's hop, so `deliver` sees what is left to do.

use std::sync::Arc;

use futures::future::join_all;
use futures::join;
use jiff::{SignedDuration, Timestamp};
use shared::delivery::{Delivery, DeliveryKey, State};
use shared::problem::chain;
use shared::queue::task::send;
use shared::queue::{Enqueue, Lease, Queue, QueueError, Task};
use shared::store::{
    AccountTerms, Backlogs, Breakers, Cause, Deliveries, DueIntents, EventRecord, Events, Intents,
    Outbox, Quarantine, Quarantined, Read, StoreError, Version,
};
use shared::time::Clock;
use tracing::{error, info, warn};

use crate::pages::Pages;

/// What the function may use.
pub struct Sweep {
    /// Parked deliveries.
    pub deliveries: Arc<dyn Deliveries>,
    /// Breakers of endpoints.
    pub breakers: Arc<dyn Breakers>,
    /// What is held for endpoints.
    pub backlogs: Arc<dyn Backlogs>,
    /// The events that they carry.
    pub events: Arc<dyn Events>,
    /// Intents by the time that moves them on.
    pub due_intents: Arc<dyn DueIntents>,
    /// Intents, with the ledgers of their tokens.
    pub intents: Arc<dyn Intents>,
    /// What billing accounts agreed on.
    pub terms: Arc<dyn AccountTerms>,
    /// Callbacks that may not be on their queue.
    pub outbox: Arc<dyn Outbox>,
    /// Where due deliveries and events go.
    pub queues: Arc<dyn Enqueue>,
    /// What the queues gave up.
    pub dead: Arc<dyn Lease>,
    /// Where that goes.
    pub quarantine: Arc<dyn Quarantine>,
    /// What is due is judged by.
    pub clock: Arc<dyn Clock>,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Swept {
    /// Deliveries put back on their queue.
    pub unparked: usize,
    /// Held deliveries put back on their queue: as probes, because their endpoint is back, or because their time is over.
    pub released: usize,
    /// Intents that time moved on.
    pub advanced: usize,
    /// Callbacks that were left, put on their queue.
    pub unsent: usize,
    /// Dead letters moved to the table.
    pub dead_letters: usize,
}

/// Why a run stopped early; what it left, the next run takes up.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The table.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// So many of what is due are worked on at once.
pub(crate) const AT_ONCE: usize = 16;

impl Sweep {
    /// Does all that is to be done now.
    ///
    /// # Errors
    /// [`Trouble`] if the table or a queue fails; nothing is lost by it.
    pub async fn run(&self) -> Result<Swept, Trouble> {
        let (mut swept, mut first) = (Swept::default(), None);
        let (mut of_intents, mut of_callbacks) = (None, None);
        let (mut of_breakers, mut of_overdue) = (None, None);
        let (advanced, unsent, (), released, overdue) = join!(
            self.advance_all(&mut of_intents),
            self.send_all(&mut of_callbacks),
            self.unpark_all(&mut swept, &mut first),
            self.release_all(&mut of_breakers),
            self.end_overdue(&mut of_overdue),
        );
        (swept.advanced, swept.unsent) = (advanced, unsent);
        swept.released = released + overdue;
        first = first.or(of_intents).or(of_callbacks);
        first = first.or(of_breakers).or(of_overdue);
        for queue in Queue::ALL {
            match self.bury(queue).await {
                Ok(buried) => swept.dead_letters += buried,
                Err(trouble) => note(trouble, &mut first),
            }
        }
        if swept != Swept::default() {
            info!(
                unparked = swept.unparked,
                released = swept.released,
                advanced = swept.advanced,
                unsent = swept.unsent,
                dead_letters = swept.dead_letters,
                "swept"
            );
        }
        first.map_or(Ok(swept), Err)
    }

    async fn unpark_all(&self, swept: &mut Swept, first: &mut Option<Trouble>) {
        let mut pages = Pages::new(self.clock.now());
        loop {
            let due = match self.deliveries.due(self.clock.now(), pages.size()).await {
                Ok(due) => due,
                Err(trouble) => return note(trouble.into(), first),
            };
            let before = swept.unparked;
            for keys in due.chunks(AT_ONCE) {
                for unparked in join_all(keys.iter().map(|key| self.unpark(key))).await {
                    match unparked {
                        Ok(unparked) => swept.unparked += usize::from(unparked),
                        Err(trouble) => set_aside(trouble, "a parked delivery", first),
                    }
                }
                if pages.over(self.clock.now()) {
                    return;
                }
            }
            if !pages.more(due.len(), swept.unparked - before, self.clock.now()) {
                return;
            }
        }
    }

    async fn unpark(&self, key: &DeliveryKey) -> Result<bool, Trouble> {
        let now = self.clock.now();
        // It may have been parked anew since the index showed it: a message that comes too early is let go.
        let parked = |state| match state {
            State::Parked { due } if due <= now => Some(due),
            _ => None,
        };
        let Some((delivery, version, task)) = self.wake(key, parked).await? else {
            return Ok(false);
        };
        send(self.queues.as_ref(), [task]).await?;
        self.note_sent(&delivery, version).await?;
        Ok(true)
    }

    /// The message for a delivery that waits in the table, if it still does, and its record as it is to be once that is
    /// sent: `waits` tells by its state whether it does, and when it is to be tried. One whose event is not there any more is
    /// over.
    pub(crate) async fn wake(
        &self,
        key: &DeliveryKey,
        waits: impl Fn(State) -> Option<Timestamp>,
    ) -> Result<Option<(Delivery, Version, Task)>, Trouble> {
        // The index lags behind the table: only the record says what is so.
        let Some(Read {
            value: mut delivery,
            version,
        }) = self.deliveries.delivery(key).await?
        else {
            return Ok(None);
        };
        let Some(due) = waits(delivery.state) else {
            return Ok(None);
        };
        let Some(read) = self.events.event(&key.tenant, &key.event).await? else {
            // Expired with its retention: there is nothing left to deliver.
            warn!(
                tenant = key.tenant.as_str(),
                event.id = key.event.as_str(),
                "a delivery that waits, without its event"
            );
            delivery.state = State::Expired;
            self.note_sent(&delivery, version).await?;
            return Ok(None);
        };
        let EventRecord {
            event, recipients, ..
        } = read.value;
        let task = Task::resume(&delivery, event, &recipients);
        delivery.state = State::Retrying { due };
        Ok(Some((delivery, version, task)))
    }

    /// Records what became of a delivery that waited; whoever changed it meanwhile knows better.
    pub(crate) async fn note_sent(
        &self,
        delivery: &Delivery,
        read: Version,
    ) -> Result<(), Trouble> {
        let _raced = self
            .deliveries
            .save_delivery(delivery, Some(read), self.clock.now())
            .await?;
        Ok(())
    }

    async fn bury(&self, queue: Queue) -> Result<usize, Trouble> {
        let mut buried = 0;
        loop {
            let letters = self.dead.receive(queue, 10, SignedDuration::ZERO).await?;
            if letters.is_empty() {
                return Ok(buried);
            }
            for letter in letters {
                let tenant = Task::decode(&letter.body)
                    .ok()
                    .map(|task| task.tenant().clone());
                let entry =
                    Quarantined::new(queue, &letter, Cause::DeadLetter, tenant, self.clock.now());
                match self.quarantine.quarantine(&entry).await {
                    Ok(()) => {
                        error!(
                            message.id = letter.id,
                            quarantine.id = entry.id.as_str(),
                            "dead letter quarantined"
                        );
                        self.dead.delete(queue, vec![letter.receipt]).await?;
                        buried += 1;
                    }
                    Err(problem) => {
                        warn!(
                            message.id = letter.id,
                            error = chain(&problem),
                            "could not quarantine a dead letter"
                        );
                        return Err(problem.into());
                    }
                }
            }
        }
    }
}

/// Logs every trouble and keeps the first, which the run ends with.
pub(crate) fn note(trouble: Trouble, first: &mut Option<Trouble>) {
    warn!(
        error = chain(&trouble),
        "part of a sweep was left for the next one"
    );
    first.get_or_insert(trouble);
}

/// Notes what goes wrong with one of many, which are `what`: it stops none of the others. What can't be read, no other run
/// will read either: it must not fail them all.
pub(crate) fn set_aside(trouble: Trouble, what: &'static str, first: &mut Option<Trouble>) {
    match trouble {
        Trouble::Store(problem @ StoreError::Corrupt { .. }) => error!(
            alarm = "unreadable",
            what,
            error = chain(&problem),
            "what is due can't be read"
        ),
        trouble => note(trouble, first),
    }
}
