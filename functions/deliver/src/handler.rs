//! One delivery, one try: is it to be made, make it, record it, say what follows. One whose endpoint's breaker is open is held
//! in the table instead, and its message is let go.
//!
//! On the happy path nothing is read but the endpoint's cached configuration, and one item is written. The record is
//! read first when another message for the same delivery may exist: when the message says so (`check`), was received
//! before, or waited on its queue. Then one message at a time works on the delivery: it claims the record, and others
//! wait until its hold is over. Every write is conditional on what was read. The message is let go, or put off, only
//! after the write.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared::delivery::{Breaker, Delivery, End, Endpoint, Guard, State, Verdict};
use shared::event::{Kind, useful_for};
use shared::queue::batch::rest;
use shared::queue::task::DeliverTask;
use shared::queue::{Disposition, Handle, Queue, Received, Task};
use shared::store::{EndpointsNow, Intents, Receiver, Receivers, Saved, StoreError, Version};
use shared::time::later;

use crate::gate::{Gate, Pass};
use crate::tries::{Before, Tries, disposition, put_off, skipped, soon};

/// What the worker may use.
pub struct Deliver {
    /// Where deliveries go and how, and whether they are let through, as of some seconds ago.
    pub receivers: Arc<dyn Receivers>,
    /// The same now: asked before a delivery is closed because of its endpoint, which is for good.
    pub endpoints_now: Arc<dyn EndpointsNow>,
    /// What guards are read from.
    pub intents: Arc<dyn Intents>,
    /// Which endpoints are tried at all.
    pub gate: Arc<Gate>,
    /// What tries are made with.
    pub tries: Tries,
}

/// A message taken up so soon after it was sent is ahead of every copy of it.
const PROMPT: SignedDuration = SignedDuration::from_secs(10);

#[async_trait]
impl Handle for Deliver {
    fn queue(&self) -> Queue {
        Queue::Deliver
    }

    async fn handle(&self, task: Task, received: &Received) -> Disposition {
        let Task::Deliver(task) = task else {
            // The batch sets these aside already; they must never pass for done.
            return Disposition::Retry {
                after: rest(received.count),
                tries: 0,
            };
        };
        match self.deliver(&task, received).await {
            Ok(disposition) => disposition,
            Err(trouble) => put_off(&trouble, task.event.id.as_str(), received),
        }
    }
}

impl Deliver {
    async fn deliver(
        &self,
        task: &DeliverTask,
        received: &Received,
    ) -> Result<Disposition, StoreError> {
        let (delivery, version) = match self.before(task, received).await? {
            Before::Try(delivery, version) => (*delivery, version),
            Before::Wait(after, tries) => return Ok(Disposition::Retry { after, tries }),
            Before::Over => return Ok(Disposition::Done),
        };
        let (tenant, id) = (&task.tenant, &task.endpoint);
        let receiver = self.receivers.receiver(tenant, id).await?;
        let (mut endpoint, view) = match receiver {
            Some(Receiver { endpoint, breaker }) => (Some(endpoint), breaker),
            None => (None, Breaker::default()),
        };
        if skipped(endpoint.as_ref()).is_some() {
            endpoint = self.endpoints_now.endpoint_now(tenant, id).await?;
        }
        let skip = match (skipped(endpoint.as_ref()), &endpoint) {
            (Some(reason), _) => {
                if delivery.held_until.is_some() {
                    // So are all others that are held with it, and nothing else would end them soon.
                    self.gate.let_go(tenant, id).await?;
                }
                Some(State::Skipped { reason })
            }
            (None, Some(endpoint)) if delivery.is_late() && self.too_late(task, endpoint) => {
                Some(State::Expired)
            }
            (None, _) => self.ends(task).await?,
        };
        match (skip, endpoint) {
            (None, Some(endpoint)) => {
                let record = (delivery, version);
                self.gated(task, (&endpoint, &view), record, received).await
            }
            (Some(state), _) => self.close(delivery, version, state).await,
            (None, None) => Ok(Disposition::Done),
        }
    }

    async fn close(
        &self,
        delivery: Delivery,
        version: Option<Version>,
        state: State,
    ) -> Result<Disposition, StoreError> {
        let tries = delivery.tried();
        Ok(match self.tries.close(delivery, version, state).await? {
            Saved::Stored => Disposition::Done,
            // Somebody else wrote first: look again, and soon.
            Saved::Lost => soon(tries),
        })
    }

    /// Tries it if the endpoint's breaker lets it through. If not, it is held: its message is let go.
    async fn gated(
        &self,
        task: &DeliverTask,
        (endpoint, view): (&Endpoint, &Breaker),
        (delivery, version): (Delivery, Option<Version>),
        received: &Received,
    ) -> Result<Disposition, StoreError> {
        let pass = self.gate.pass(endpoint, view).await?;
        let Pass::Hold(breaker) = &pass else {
            let (disposition, through) = self
                .attempt(task, endpoint, delivery, version, received)
                .await?;
            if let Some(through) = through {
                self.gate.came(endpoint, view, &pass, through).await;
            }
            return Ok(disposition);
        };
        let now = self.tries.clock.now();
        let useful = Self::useful_until(task, endpoint);
        let until = delivery.holds_until(breaker, &endpoint.policy, useful, now);
        if until > now {
            let tries = delivery.tried();
            return Ok(
                match self.tries.hold_back(delivery, version, until).await? {
                    Saved::Stored => Disposition::Done,
                    Saved::Lost => soon(tries),
                },
            );
        }
        let state = if useful.is_some_and(|useful| useful <= now) {
            State::Expired
        } else {
            State::GivenUp {
                reason: End::EndpointDown,
            }
        };
        self.close(delivery, version, state).await
    }

    /// Reads the record where another message may have been at work, and claims the delivery if nobody holds it.
    async fn before(&self, task: &DeliverTask, message: &Received) -> Result<Before, StoreError> {
        // A copy for the case that the winner of fanout died comes later than this, and finds what we wrote.
        let prompt = self.tries.clock.now().duration_since(message.sent) <= PROMPT;
        if !task.check && message.count <= 1 && prompt {
            let fresh = Delivery::new(task.key(), task.guard.clone());
            return Ok(Before::Try(Box::new(fresh), None));
        }
        let earlier = |delivery: &Delivery| task.hop < delivery.hop;
        self.tries
            .claim(&task.key(), task.guard.as_ref(), message, earlier)
            .await
    }

    /// How the delivery ends without a try because of what it says, if it does.
    async fn ends(&self, task: &DeliverTask) -> Result<Option<State>, StoreError> {
        let Some(guard) = &task.guard else {
            // Nobody is told to charge without asking whether that is still so, whoever sent the message.
            let unguarded = Kind::of(&task.event.event_type) == Some(Kind::RecoveryRetryDue);
            return Ok(unguarded.then_some(State::Superseded));
        };
        let Guard::RetryDue { intent, .. } = guard;
        let read = self.intents.intent(&task.tenant, intent).await?;
        Ok(guard.ends(
            read.as_ref().map(|read| &read.value),
            self.tries.clock.now(),
        ))
    }

    fn useful_until(task: &DeliverTask, endpoint: &Endpoint) -> Option<Timestamp> {
        let window = endpoint
            .useful_for
            .or_else(|| useful_for(&task.event.event_type));
        let window = window.map(|window| later(task.event.at, window));
        let deadline = task.guard.as_ref().map(Guard::deadline);
        window.into_iter().chain(deadline).min()
    }

    fn too_late(&self, task: &DeliverTask, endpoint: &Endpoint) -> bool {
        Self::useful_until(task, endpoint).is_some_and(|until| self.tries.clock.now() > until)
    }

    /// Makes a try. Says, too, whether the endpoint is well, as far as the try tells.
    async fn attempt(
        &self,
        task: &DeliverTask,
        endpoint: &Endpoint,
        delivery: Delivery,
        version: Option<Version>,
        received: &Received,
    ) -> Result<(Disposition, Option<bool>), StoreError> {
        let made = self.tries.post(&task.event, endpoint).await;
        if made.verdict == Verdict::Gone {
            self.receivers.mark_gone(endpoint).await?;
        }
        let terms = (endpoint, Self::useful_until(task, endpoint));
        let event_type = &task.event.event_type;
        let recorded = self
            .tries
            .record(&made, event_type, delivery, version, terms, received)
            .await?;
        let disposition = match recorded {
            Some(delivery) => disposition(&delivery, received, self.tries.clock.now()),
            None => soon(received.count),
        };
        Ok((disposition, made.got_through()))
    }
}
