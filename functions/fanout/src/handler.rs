//! One event: choose its endpoints, record it, queue its deliveries, let go.
//!
//! Recording is a conditional put, so one message wins. The winner's deliveries are plain; whoever finds the event
//! recorded sends the same deliveries marked `check`, because the winner may have died before it sent them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;
use shared::delivery::{Endpoint, EndpointState};
use shared::event::{Chosen, Event, NoReceiver, Recipients, Role, default_roles};
use shared::ids::{EndpointId, Round};
use shared::problem::chain;
use shared::queue::batch::rest;
use shared::queue::task::{DeliverTask, PublishTask};
use shared::queue::{Disposition, Handle, Message, Queue, Received, Task};
use shared::store::{Endpoints, EventRecord, Events, Read, Recorded, Saved, StoreError};
use shared::time::Clock;
use tracing::{info, warn};

/// What the worker may use.
pub struct Fanout {
    /// Where events are recorded.
    pub events: Arc<dyn Events>,
    /// Who there is to hear of them.
    pub endpoints: Arc<dyn Endpoints>,
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
            return Disposition::Done;
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
        let roles = task
            .roles
            .clone()
            .unwrap_or_else(|| default_roles(&task.event.event_type));
        let endpoints = self.endpoints.endpoints(&task.tenant).await?;
        let recipients = Recipients::Chosen(choose(&roles, &endpoints, &task.event));
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
                Ok(Disposition::Forward(deliveries(&task, &chosen, false)))
            }
            Recorded::Known(known) => self.again(&task, &roles, &endpoints, *known).await,
        }
    }

    /// The id is there already: what was chosen stays chosen, and only roles not yet chosen are added.
    async fn again(
        &self,
        task: &PublishTask,
        roles: &BTreeSet<Role>,
        endpoints: &[Endpoint],
        mut known: Read<EventRecord>,
    ) -> Result<Disposition, Trouble> {
        let (tenant, id) = (&task.tenant, &task.event.id);
        if known.value.event.event_type != task.event.event_type
            || known.value.event.data != task.event.data
        {
            warn!(
                tenant = tenant.as_str(),
                event.id = id.as_str(),
                "another payload under a known id; the first is kept"
            );
            self.events.note_conflict(tenant, id).await?;
            return Ok(Disposition::Done);
        }
        for _ in 0..RACES {
            let Recipients::Chosen(chosen) = &known.value.recipients else {
                return Ok(Disposition::Done);
            };
            let (ours, missing): (BTreeSet<_>, BTreeSet<_>) =
                roles.iter().partition(|role| chosen.contains_key(role));
            let known_before = endpoints_of(chosen, &ours).cloned().collect::<Vec<_>>();
            if missing.is_empty() {
                return Ok(Disposition::Forward(deliveries(task, &known_before, true)));
            }
            let added = choose(&missing, endpoints, &task.event);
            let new: Vec<_> = endpoints_of(&added, &missing).cloned().collect();
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
                    ?missing,
                    "recipients added to an event"
                );
                let mut forward = deliveries(task, &new, false);
                forward.extend(deliveries(task, &known_before, true));
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

/// A loser's deliveries come so much later than the winner's, which may be under way: longer than fanout may run, than a
/// prompt message may wait, and than a try may take.
const AFTER_THE_WINNER: SignedDuration = SignedDuration::from_secs(90);

fn deliveries(task: &PublishTask, endpoints: &[EndpointId], check: bool) -> Vec<(Queue, Message)> {
    let delivery = |endpoint: &EndpointId| {
        let task = Task::Deliver(DeliverTask {
            tenant: task.tenant.clone(),
            event: task.event.clone(),
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

fn endpoints_of<'a>(
    chosen: &'a BTreeMap<Role, Chosen>,
    roles: &BTreeSet<Role>,
) -> impl Iterator<Item = &'a EndpointId> {
    chosen
        .iter()
        .filter(|(role, _)| roles.contains(role))
        .flat_map(|(_, chosen)| match chosen {
            Chosen::Endpoints(endpoints) => endpoints.iter(),
            Chosen::Nobody(_) => [].iter(),
        })
}

/// Who of `endpoints` hears of `event` in each of `roles`, or why nobody does.
fn choose(roles: &BTreeSet<Role>, endpoints: &[Endpoint], event: &Event) -> BTreeMap<Role, Chosen> {
    let of_role = |role: Role| {
        let all: Vec<_> = endpoints
            .iter()
            .filter(|endpoint| endpoint.role == role)
            .collect();
        let enabled: Vec<_> = all
            .iter()
            .filter(|endpoint| endpoint.state == EndpointState::Enabled)
            .collect();
        let wanting: Vec<_> = enabled
            .iter()
            .filter(|endpoint| endpoint.wants(&event.event_type))
            .map(|e| e.id.clone())
            .collect();
        if !wanting.is_empty() {
            Chosen::Endpoints(wanting)
        } else if all.is_empty() {
            Chosen::Nobody(NoReceiver::NoEndpoint)
        } else if enabled.is_empty() {
            Chosen::Nobody(NoReceiver::EndpointDisabled)
        } else {
            Chosen::Nobody(NoReceiver::Filtered)
        }
    };
    roles.iter().map(|role| (*role, of_role(*role))).collect()
}

#[cfg(test)]
mod tests {
    use shared::delivery::{Filter, Policy, Scheme};
    use shared::event::{EventType, Json, Source};
    use shared::ids::{EventId, TenantId};

    use super::*;

    fn endpoint(id: &str, role: Role, state: EndpointState, filter: Option<&str>) -> Endpoint {
        Endpoint {
            tenant: TenantId::parse("acme").expect("a valid id"),
            id: EndpointId::parse(id).expect("a valid id"),
            url: "https://shop.example/hook".into(),
            role,
            scheme: Scheme::StandardWebhooks,
            secrets: vec![],
            filter: filter.map(|entry| Filter::parse(vec![entry.into()]).expect("a valid filter")),
            policy: Policy::default_for(Scheme::StandardWebhooks),
            deadline: Scheme::StandardWebhooks.deadline(),
            useful_for: None,
            state,
        }
    }

    fn event(event_type: &str) -> Event {
        Event {
            id: EventId::parse("evt_1").expect("a valid id"),
            event_type: EventType::parse(event_type).expect("a valid type"),
            data: Json::parse("{}".into()).expect("valid JSON"),
            at: jiff::Timestamp::UNIX_EPOCH,
            source: Source::new("stripe"),
            resource: None,
        }
    }

    #[test]
    fn endpoints_are_chosen_by_role_state_and_filter_or_the_reason_is_kept() {
        use EndpointState::{Disabled, Enabled, Gone};
        struct Case {
            name: &'static str,
            endpoints: Vec<Endpoint>,
            want: Result<Vec<&'static str>, NoReceiver>,
        }
        let merchant = |id, state, filter| endpoint(id, Role::Merchant, state, filter);
        let cases = [
            Case {
                name: "nobody at all",
                endpoints: vec![],
                want: Err(NoReceiver::NoEndpoint),
            },
            Case {
                name: "only another role",
                endpoints: vec![endpoint("a", Role::Ase, Enabled, None)],
                want: Err(NoReceiver::NoEndpoint),
            },
            Case {
                name: "two of the role, one of another",
                endpoints: vec![
                    merchant("a", Enabled, None),
                    endpoint("b", Role::Pos, Enabled, None),
                    merchant("c", Enabled, Some("recovery.*")),
                ],
                want: Ok(vec!["a", "c"]),
            },
            Case {
                name: "one filtered, one switched off",
                endpoints: vec![
                    merchant("a", Enabled, Some("other.*")),
                    merchant("b", Disabled, None),
                ],
                want: Err(NoReceiver::Filtered),
            },
            Case {
                name: "all switched off",
                endpoints: vec![merchant("a", Gone, None), merchant("b", Disabled, None)],
                want: Err(NoReceiver::EndpointDisabled),
            },
        ];
        for Case {
            name,
            endpoints,
            want,
        } in cases
        {
            let chosen = choose(
                &BTreeSet::from([Role::Merchant]),
                &endpoints,
                &event("recovery.recovered"),
            );
            let want = match want {
                Ok(ids) => Chosen::Endpoints(
                    ids.into_iter()
                        .map(|id| EndpointId::parse(id).expect("a valid id"))
                        .collect(),
                ),
                Err(reason) => Chosen::Nobody(reason),
            };
            assert_eq!(chosen, BTreeMap::from([(Role::Merchant, want)]), "{name}");
        }
    }
}
