//! One signal: join it into its intent, store that if it changed, send the events, let go.
//!
//! The write is conditional on the version read, so of two signals of one invoice at once one reads again. Events
//! are sent after the write and before the message is let go, and a replay that finds the write done sends them again under the same ids: dying on
//! any line loses nothing and tells nothing twice.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use shared::event::{Event, EventType, Json, Recipients, SetAside};
use shared::ids::{EventId, SignalId, TenantId};
use shared::platform::Ignored;
use shared::problem::chain;
use shared::queue::batch::rest;
use shared::queue::task::{IgnoredTask, PublishTask, SignalTask};
use shared::queue::{Disposition, Handle, Queue, Received, Task};
use shared::recovery::join;
use shared::store::{AccountTerms, Events, IntentStep, Intents, Saved, StoreError};
use shared::time::Clock;
use tracing::{info, warn};

/// What the worker may use.
pub struct Recover {
    /// Intents, with their attempts.
    pub intents: Arc<dyn Intents>,
    /// What billing accounts agreed on.
    pub terms: Arc<dyn AccountTerms>,
    /// Where notifications of no interest are recorded.
    pub events: Arc<dyn Events>,
    /// The time signals are remembered by.
    pub clock: Arc<dyn Clock>,
}

/// Why a signal has to come again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("others kept changing the intent")]
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
impl Handle for Recover {
    fn queue(&self) -> Queue {
        Queue::Recover
    }

    async fn handle(&self, task: Task, received: &Received) -> Disposition {
        let done = match task {
            Task::Signal(task) => self.signal(task).await,
            Task::Ignored(task) => self.ignored(task).await,
            Task::Thin(_)
            | Task::Lever(_)
            | Task::RecordBack(_)
            | Task::Publish(_)
            | Task::Deliver(_) => Ok(Disposition::Done),
        };
        match done {
            Ok(disposition) => disposition,
            Err(trouble) => {
                warn!(
                    message.id = received.id,
                    error = chain(&trouble),
                    "signal put off"
                );
                Disposition::Retry {
                    after: rest(received.count),
                    tries: trouble.explains(received),
                }
            }
        }
    }
}

impl Recover {
    async fn signal(
        &self,
        SignalTask { tenant, signal }: SignalTask,
    ) -> Result<Disposition, Trouble> {
        for _ in 0..RACES {
            let now = self.clock.now();
            let read = self.intents.intent(&tenant, &signal.intent).await?;
            let version = read.as_ref().map(|read| read.version);
            let joined = join(read.map(|read| read.value), &signal, now);
            let key = &signal.intent;
            let terms = self
                .terms
                .terms(&tenant, &key.profile_id, &key.connector_account_id)
                .await?
                .unwrap_or_default();
            let step = joined.finish(&tenant, &signal, &terms, None, now);
            if let Some(intent) = step.intent.as_ref().filter(|_| step.changed)
                && self
                    .intents
                    .save_step(&tenant, &IntentStep::alone(intent, version), now)
                    .await?
                    == Saved::Lost
            {
                continue;
            }
            info!(
                tenant = tenant.as_str(),
                signal = signal.id.as_str(),
                invoice = signal.intent.invoice_id.as_str(),
                action = step.action.as_str(),
                seen_before = !step.changed,
                events = step.events.len(),
                "signal joined"
            );
            let publish = |event| {
                let task = PublishTask {
                    tenant: tenant.clone(),
                    event,
                    roles: None,
                    guard: None,
                };
                (Queue::Fanout, Task::Publish(task).encode())
            };
            return Ok(Disposition::Forward(
                step.events.into_iter().map(publish).collect(),
            ));
        }
        Err(Trouble::Contended)
    }

    async fn ignored(
        &self,
        IgnoredTask { tenant, ignored }: IgnoredTask,
    ) -> Result<Disposition, Trouble> {
        let event = event_of(&tenant, &ignored);
        let nobody = Recipients::SetAside(SetAside::NotHandled);
        let _recorded = self
            .events
            .record(&tenant, &event, &nobody, self.clock.now())
            .await?;
        info!(
            tenant = tenant.as_str(),
            signal = ignored.id.as_str(),
            event.id = event.id.as_str(),
            event.type = event.event_type.as_str(),
            "notification recorded as ignored"
        );
        Ok(Disposition::Done)
    }
}

/// What is kept of a notification of no interest: that it came, not what it held.
#[derive(Serialize)]
struct Notification<'a> {
    notification_id: &'a SignalId,
    platform_type: &'a EventType,
    occurred_at: Timestamp,
}

fn event_of(tenant: &TenantId, ignored: &Ignored) -> Event {
    let source = ignored.source.as_str();
    let data = Notification {
        notification_id: &ignored.id,
        platform_type: &ignored.platform_type,
        occurred_at: ignored.at,
    };
    Event {
        id: EventId::derive(tenant, source, ignored.id.as_str(), "ignored"),
        event_type: ignored.platform_type.clone(),
        data: Json::of(&data).expect("ids, types and times always have a JSON form"),
        at: ignored.at,
        source: ignored.source.clone(),
        resource: None,
    }
}
