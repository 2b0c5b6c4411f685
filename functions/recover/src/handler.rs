//! One message of `q:recover`: a signal joined, a lever pulled, a notification of no interest recorded.
//!
//! A write is conditional on the version read, so of two signals of one invoice at once one reads again. Events are sent
//! after the write and before the message is let go, and a replay that finds the write done sends them again under the
//! same ids: dying on any line loses nothing and tells nothing twice.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use shared::event::{Event, EventType, Json, Recipients, SetAside};
use shared::ids::{EventId, SignalId, TenantId};
use shared::platform::Ignored;
use shared::problem::chain;
use shared::queue::batch::rest;
use shared::queue::task::IgnoredTask;
use shared::queue::{Disposition, Handle, Queue, Received, Task};
use shared::store::{AccountTerms, Enrichments, Events, Intents, RecoveryAccounts, StoreError};
use shared::time::Clock;
use shared::transport::Caller;
use tracing::{info, warn};

/// What the worker may use.
pub struct Recover {
    /// Intents, with their attempts.
    pub intents: Arc<dyn Intents>,
    /// What billing accounts agreed on.
    pub terms: Arc<dyn AccountTerms>,
    /// Where notifications of no interest are recorded.
    pub events: Arc<dyn Events>,
    /// Billing accounts, with the keys for their platforms' APIs.
    pub accounts: Arc<dyn RecoveryAccounts>,
    /// What platforms told of thin notifications.
    pub enrichments: Arc<dyn Enrichments>,
    /// The way to the platforms.
    pub platforms: Arc<dyn Caller>,
    /// The time signals are remembered by.
    pub clock: Arc<dyn Clock>,
}

/// Why a signal has to come again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("others kept changing the intent")]
    Contended,
    #[error("the key for the platform's API can't be opened")]
    Locked,
}

impl Trouble {
    /// An outage explains every receipt; anything else is an accident of ours.
    fn explains(&self, received: &Received) -> u32 {
        match self {
            Self::Store(StoreError::Unavailable(_)) => received.count,
            Self::Store(StoreError::Corrupt { .. } | StoreError::TooLarge { .. })
            | Self::Contended
            | Self::Locked => 0,
        }
    }
}

/// So often a lost race is run again before the message is put off.
pub(crate) const RACES: usize = 8;

#[async_trait]
impl Handle for Recover {
    fn queue(&self) -> Queue {
        Queue::Recover
    }

    async fn handle(&self, task: Task, received: &Received) -> Disposition {
        let done = match task {
            Task::Signal(task) => self.signal(task).await,
            Task::Ignored(task) => self.ignored(task).await,
            Task::Lever(task) => self.lever(task).await,
            Task::Thin(task) => self.thin(task, received).await,
            Task::RecordBack(task) => self.record_back(task, received).await,
            // The batch sets these aside already; they must never pass for done.
            Task::Publish(_) | Task::Deliver(_) | Task::Callback(_) => Ok(Disposition::Retry {
                after: rest(received.count),
                tries: 0,
            }),
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
    pub(crate) async fn ignored(
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
