//! One delivery, one try: is it to be made, make it, record it, say what follows.
//!
//! On the happy path nothing is read but the endpoint's cached configuration, and one item is written. The record is
//! read first when another message for the same delivery may exist: when the message says so (`check`), was received
//! before, or waited on its queue. Then one message at a time works on the delivery: it claims the record, and others
//! wait until its hold is over. Every write is conditional on what was read. The message is let go, or put off, only
//! after the write.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared::delivery::{
    Delivery, Endpoint, EndpointState, Failure, Guard, Outcome, SkipReason, State, Terms, Try,
    Verdict, request,
};
use shared::entropy::Entropy;
use shared::event::{Kind, useful_for};
use shared::problem::chain;
use shared::queue::batch::rest;
use shared::queue::task::DeliverTask;
use shared::queue::{Disposition, Handle, Queue, Received, Task};
use shared::store::{
    Deliveries, Endpoints, EndpointsNow, Intents, Read, Saved, StoreError, Version,
};
use shared::time::{Clock, later, until};
use shared::transport::Transport;
use tracing::{info, warn};

/// What the worker may use.
pub struct Deliver {
    /// Where deliveries go and how, as of some seconds ago.
    pub endpoints: Arc<dyn Endpoints>,
    /// The same now: asked before a delivery is closed because of its endpoint, which is for good.
    pub endpoints_now: Arc<dyn EndpointsNow>,
    /// The records of deliveries.
    pub deliveries: Arc<dyn Deliveries>,
    /// What guards are read from.
    pub intents: Arc<dyn Intents>,
    /// The way out.
    pub transport: Arc<dyn Transport>,
    /// The time of tries.
    pub clock: Arc<dyn Clock>,
    /// What jitter is drawn from.
    pub entropy: Arc<dyn Entropy>,
}

/// So often a lost race is run again before the message is put off.
const RACES: usize = 8;

/// A message taken up so soon after it was sent is ahead of every copy of it.
const PROMPT: SignedDuration = SignedDuration::from_secs(10);

/// What is known before a try.
enum Before {
    /// It is to be tried, on this record.
    Try(Box<Delivery>, Option<Version>),
    /// It is not its time yet.
    Wait(SignedDuration, u32),
    /// There is nothing left to do for this message.
    Over,
}

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
            Err(trouble) => {
                warn!(
                    message.id = received.id,
                    event.id = task.event.id.as_str(),
                    error = chain(&trouble),
                    "delivery put off"
                );
                // An outage explains its receipts, however many tries there were before; a broken item does not.
                let tries = match trouble {
                    StoreError::Unavailable(_) => received.count,
                    StoreError::Corrupt { .. } | StoreError::TooLarge { .. } => 0,
                };
                Disposition::Retry {
                    after: rest(received.count),
                    tries,
                }
            }
        }
    }
}

impl Deliver {
    async fn deliver(
        &self,
        task: &DeliverTask,
        received: &Received,
    ) -> Result<Disposition, StoreError> {
        let (mut delivery, version) = match self.before(task, received).await? {
            Before::Try(delivery, version) => (*delivery, version),
            Before::Wait(after, tries) => return Ok(Disposition::Retry { after, tries }),
            Before::Over => return Ok(Disposition::Done),
        };
        let (tenant, id) = (&task.tenant, &task.endpoint);
        let mut endpoint = self.endpoints.endpoint(tenant, id).await?;
        if skipped(endpoint.as_ref()).is_some() {
            endpoint = self.endpoints_now.endpoint_now(tenant, id).await?;
        }
        let skip = match (skipped(endpoint.as_ref()), &endpoint) {
            (Some(reason), _) => Some(State::Skipped { reason }),
            (None, Some(endpoint)) if delivery.tried() > 0 && self.too_late(task, endpoint) => {
                Some(State::Expired)
            }
            (None, _) => self.ends(task).await?,
        };
        match (skip, endpoint) {
            (None, Some(endpoint)) => {
                self.attempt(task, &endpoint, delivery, version, received)
                    .await
            }
            (Some(state), _) => {
                delivery.state = state;
                delivery.hold = None;
                self.close(delivery, version).await
            }
            (None, None) => Ok(Disposition::Done),
        }
    }

    /// Reads the record where another message may have been at work, and claims the delivery if nobody holds it.
    async fn before(&self, task: &DeliverTask, message: &Received) -> Result<Before, StoreError> {
        let fresh = || Delivery::new(task.key(), task.guard.clone());
        // A copy for the case that the winner of fanout died comes later than this, and finds what we wrote.
        let prompt = self.clock.now().duration_since(message.sent) <= PROMPT;
        if !task.check && message.count <= 1 && prompt {
            return Ok(Before::Try(Box::new(fresh()), None));
        }
        for _ in 0..RACES {
            let (mut delivery, version) = match self.deliveries.delivery(&task.key()).await? {
                Some(Read { value, version }) => (value, Some(version)),
                None => (fresh(), None),
            };
            let now = self.clock.now();
            if delivery.state.settled() || task.hop < delivery.hop {
                return Ok(Before::Over);
            }
            let free_at = delivery
                .held_from(&message.id, now)
                .max(delivery.state.due());
            if let Some(free_at) = free_at.filter(|free_at| *free_at > now) {
                return Ok(Before::Wait(until(now, free_at), delivery.tried()));
            }
            if delivery.holds_for_a_try(&message.id, now) {
                return Ok(Before::Try(Box::new(delivery), version));
            }
            delivery.claim(&message.id, now);
            let _raced = self
                .deliveries
                .save_delivery(&delivery, version, now)
                .await?;
        }
        Ok(Before::Wait(SignedDuration::from_secs(1), 0))
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
        Ok(guard.ends(read.as_ref().map(|read| &read.value), self.clock.now()))
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
        Self::useful_until(task, endpoint).is_some_and(|until| self.clock.now() > until)
    }

    async fn attempt(
        &self,
        task: &DeliverTask,
        endpoint: &Endpoint,
        mut delivery: Delivery,
        mut version: Option<Version>,
        received: &Received,
    ) -> Result<Disposition, StoreError> {
        let began = self.clock.now();
        let outcome = match request::build(&task.event, endpoint, began) {
            Ok(request) => self.transport.post(request).await,
            Err(request::Unsigned) if endpoint.is_locked(began) => Outcome::Failed(Failure::Locked),
            Err(request::Unsigned) => Outcome::Failed(Failure::Unsigned),
        };
        let now = self.clock.now();
        let tried = Try::new(began, now, &outcome);
        let verdict = endpoint.scheme.judge(&outcome);
        let terms = Terms {
            policy: &endpoint.policy,
            useful_until: Self::useful_until(task, endpoint),
            per_mille: self.entropy.per_mille(),
        };
        if verdict == Verdict::Gone && endpoint.scheme.gone_ends_all() {
            self.endpoints.mark_gone(endpoint).await?;
        }
        for _ in 0..RACES {
            delivery.settle(tried.clone(), &outcome, verdict, terms, now);
            delivery.keep(&received.id);
            let saved = self
                .deliveries
                .save_delivery(&delivery, version, now)
                .await?;
            if saved == Saved::Stored {
                tell(task, &delivery, &tried);
                return Ok(disposition(&delivery, received, now));
            }
            (delivery, version) = match self.deliveries.delivery(&delivery.key).await? {
                Some(read) => (read.value, Some(read.version)),
                None => (Delivery::new(task.key(), task.guard.clone()), None),
            };
        }
        Ok(Disposition::Retry {
            after: SignedDuration::from_secs(1),
            tries: received.count,
        })
    }

    /// Records that no try is made any more.
    async fn close(
        &self,
        delivery: Delivery,
        version: Option<Version>,
    ) -> Result<Disposition, StoreError> {
        let now = self.clock.now();
        let tries = delivery.tried();
        match self
            .deliveries
            .save_delivery(&delivery, version, now)
            .await?
        {
            Saved::Stored => {
                info!(
                    tenant = delivery.key.tenant.as_str(),
                    event.id = delivery.key.event.as_str(),
                    endpoint = delivery.key.endpoint.as_str(),
                    state = delivery.state.as_str(),
                    "delivery closed without a try"
                );
                Ok(Disposition::Done)
            }
            // Somebody else wrote first: look again, and soon.
            Saved::Lost => Ok(Disposition::Retry {
                after: SignedDuration::from_secs(1),
                tries,
            }),
        }
    }
}

/// Why a delivery to this endpoint is not tried, if it is not.
fn skipped(endpoint: Option<&Endpoint>) -> Option<SkipReason> {
    match endpoint {
        None => Some(SkipReason::EndpointDeleted),
        Some(endpoint) if endpoint.state != EndpointState::Enabled => {
            Some(SkipReason::EndpointDisabled)
        }
        Some(_) => None,
    }
}

/// A try that was made and recorded explains every receipt before it: a refusal never ends in quarantine.
fn disposition(delivery: &Delivery, received: &Received, now: Timestamp) -> Disposition {
    match delivery.state {
        State::Retrying { due } => Disposition::Retry {
            after: until(now, due),
            tries: received.count,
        },
        State::Queued
        | State::Parked { .. }
        | State::Delivered
        | State::GivenUp { .. }
        | State::Superseded
        | State::Expired
        | State::Skipped { .. }
        | State::Quarantined { .. } => Disposition::Done,
    }
}

fn tell(task: &DeliverTask, delivery: &Delivery, tried: &Try) {
    info!(
        tenant = task.tenant.as_str(),
        event.id = task.event.id.as_str(),
        event.type = task.event.event_type.as_str(),
        endpoint = task.endpoint.as_str(),
        round = task.round.number(),
        tries = delivery.tried(),
        status = tried.status,
        failure = tried.failure.map(Failure::as_str),
        took_ms = tried.took_ms,
        state = delivery.state.as_str(),
        next = delivery.state.due().map(|due| due.to_string()),
        "delivery tried"
    );
}
