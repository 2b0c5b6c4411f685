//! One event: choose its endpoints, record it, queue its deliveries, let go.
//!
//! Recording is a conditional put, so one message wins. The winner's deliveries are plain; whoever finds the event
//! recorded sends the same deliveries marked `check`, because the winner may have died before it sent them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;
use shared::delivery::Endpoint;
use shared::event::{Chosen, Event, Maker, NoReceiver, Recipients, Role, Route, Told, route};
use shared::ids::{EndpointId, Round};
use shared::problem::chain;
use shared::queue::batch::rest;
use shared::queue::task::{DeliverTask, PublishTask};
use shared::queue::{Disposition, Handle, Message, Queue, Received, Task};
use shared::store::{
    Endpoints, EndpointsNow, EventRecord, Events, Read, Recorded, Saved, StoreError,
};
use shared::time::Clock;
use tracing::{error, info, warn};

use crate::choose::choose;

/// What the worker may use.
pub struct Fanout {
    /// Where events are recorded.
    pub events: Arc<dyn Events>,
    /// Who there is to hear of them, as of some seconds ago.
    pub endpoints: Arc<dyn Endpoints>,
    /// Who there is now: asked before an event is recorded as going to nobody, which is for good.
    pub endpoints_now: Arc<dyn EndpointsNow>,
    /// The time events are recorded at.
    pub clock: Arc<dyn Clock>,
}

/// Why an event has to come again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("others kept changing the event")]
    Contended,
}

impl Trouble {
    /// An outage explains every receipt; anything else is an accident of ours.
    fn explains(&self, received: &Received) -> u32 {
        match self {
            Self::Store(StoreError::Unavailable(_)) => received.count,
            Self::Store(StoreError::Corrupt { .. } | StoreError::TooLarge { .. })
            | Self::Contended => 0,
        }
    }
}

/// So often a lost race is run again before the message is put off.
const RACES: usize = 8;

#[async_trait]
impl Handle for Fanout {
    fn queue(&self) -> Queue {
        Queue::Fanout
    }

    async fn handle(&self, task: Task, received: &Received) -> Disposition {
        let Task::Publish(task) = task else {
            // The batch sets these aside already; they must never pass for done.
            return Disposition::Retry {
                after: rest(received.count),
                tries: 0,
            };
        };
        match self.publish(task).await {
            Ok(disposition) => disposition,
            Err(trouble) => {
                warn!(
                    message.id = received.id,
                    error = chain(&trouble),
                    "event put off"
                );
                Disposition::Retry {
                    after: rest(received.count),
                    tries: trouble.explains(received),
                }
            }
        }
    }
}

impl Fanout {
    async fn publish(&self, task: PublishTask) -> Result<Disposition, Trouble> {
        let Event {
            event_type, data, ..
        } = &task.event;
        let (told, endpoints, recipients) = match route(event_type, data, task.roles.as_ref()) {
            Route::To(told) => {
                let mut endpoints = self.endpoints.endpoints(&task.tenant).await?;
                let mut chosen = choose(&told, &endpoints, event_type);
                if lacks_somebody(&chosen) {
                    endpoints = self.endpoints_now.endpoints_now(&task.tenant).await?;
                    chosen = choose(&told, &endpoints, event_type);
                }
                (told, endpoints, Recipients::Chosen(chosen))
            }
            Route::SetAside(reason) => (Told::default(), Vec::new(), Recipients::SetAside(reason)),
        };
        match self
            .events
            .record(&task.tenant, &task.event, &recipients, self.clock.now())
            .await?
        {
            Recorded::New => {
                info!(
                    tenant = task.tenant.as_str(),
                    event.id = task.event.id.as_str(),
                    event.type = task.event.event_type.as_str(),
                    endpoints = recipients.endpoints().count(),
                    skipped = recipients.skipped(),
                    "event recorded"
                );
                let chosen: Vec<_> = recipients.endpoints().cloned().collect();
                let forward = deliveries(&task, &task.event, &chosen, false);
                Ok(Disposition::Forward(forward))
            }
            Recorded::Known(known) => self.again(&task, &told, &endpoints, *known).await,
        }
    }

    /// The id is there already: what was chosen stays chosen, and only roles not yet chosen are added. Copies are not
    /// among those: who gets one is settled when the event is recorded. What is sent is the event as it was recorded.
    async fn again(
        &self,
        task: &PublishTask,
        told: &Told,
        endpoints: &[Endpoint],
        mut known: Read<EventRecord>,
    ) -> Result<Disposition, Trouble> {
        let (tenant, id) = (&task.tenant, &task.event.id);
        if !known.value.event.tells_the_same(&task.event) {
            let (kept, refused) = (&known.value.event.event_type, &task.event.event_type);
            if Maker::of(kept) == Maker::of(refused) {
                warn!(
                    tenant = tenant.as_str(),
                    event.id = id.as_str(),
                    "another payload under a known id; the first is kept"
                );
            } else {
                // Ids of ours can be computed, so whoever holds a key of the tenant may sit on one.
                error!(
                    tenant = tenant.as_str(),
                    event.id = id.as_str(),
                    kept = kept.as_str(),
                    refused = refused.as_str(),
                    "an event of ours and one that was published have the same id; the first is kept"
                );
            }
            self.events.note_conflict(tenant, id).await?;
            return Ok(Disposition::Done);
        }
        for _ in 0..RACES {
            let Recipients::Chosen(chosen) = &known.value.recipients else {
                return Ok(Disposition::Done);
            };
            let event = &known.value.event;
            let missing = told.without(|role| chosen.contains_key(&role));
            let known_before = endpoints_of(chosen)
                .filter(|(role, _)| told.roles.contains(role) || told.copies.contains(role))
                .map(|(_, endpoint)| endpoint.clone())
                .collect::<Vec<_>>();
            if missing.is_empty() {
                let forward = deliveries(task, event, &known_before, true);
                return Ok(Disposition::Forward(forward));
            }
            let added = choose(&missing, endpoints, &event.event_type);
            let new: Vec<_> = endpoints_of(&added)
                .map(|(_, endpoint)| endpoint.clone())
                .collect();
            let all = chosen.clone().into_iter().chain(added).collect();
            if self
                .events
                .set_recipients(tenant, id, &Recipients::Chosen(all), known.version)
                .await?
                == Saved::Stored
            {
                info!(
                    tenant = tenant.as_str(),
                    event.id = id.as_str(),
                    missing = ?missing.roles,
                    "recipients added to an event"
                );
                let mut forward = deliveries(task, event, &new, false);
                forward.extend(deliveries(task, event, &known_before, true));
                return Ok(Disposition::Forward(forward));
            }
            known = self
                .events
                .event(tenant, id)
                .await?
                .ok_or(Trouble::Contended)?;
        }
        Err(Trouble::Contended)
    }
}

/// Whether a role has nobody for whom an endpoint could have been made, or switched on, a moment ago.
fn lacks_somebody(chosen: &BTreeMap<Role, Chosen>) -> bool {
    chosen.values().any(|chosen| match chosen {
        Chosen::Nobody(reason) => *reason != NoReceiver::CardOnly,
        Chosen::Endpoints(_) => false,
    })
}

/// A loser's deliveries come so much later than the winner's, which may be under way: longer than fanout may run, than a
/// prompt message may wait, and than a try may take.
const AFTER_THE_WINNER: SignedDuration = SignedDuration::from_secs(90);

fn deliveries(
    task: &PublishTask,
    event: &Event,
    endpoints: &[EndpointId],
    check: bool,
) -> Vec<(Queue, Message)> {
    let delivery = |endpoint: &EndpointId| {
        let task = Task::Deliver(DeliverTask {
            tenant: task.tenant.clone(),
            event: event.clone(),
            endpoint: endpoint.clone(),
            round: Round::FIRST,
            hop: 0,
            check,
            guard: task.guard.clone(),
        });
        let delay = if check {
            AFTER_THE_WINNER
        } else {
            SignedDuration::ZERO
        };
        (
            Queue::Deliver,
            Message {
                delay,
                ..task.encode()
            },
        )
    };
    endpoints.iter().map(delivery).collect()
}

fn endpoints_of(chosen: &BTreeMap<Role, Chosen>) -> impl Iterator<Item = (&Role, &EndpointId)> {
    chosen.iter().flat_map(|(role, chosen)| {
        let endpoints = match chosen {
            Chosen::Endpoints(endpoints) => endpoints.as_slice(),
            Chosen::Nobody(_) => &[],
        };
        endpoints.iter().map(move |endpoint| (role, endpoint))
    })
}
