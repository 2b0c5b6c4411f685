//! Events in great number, put on their queue without a door, and when they arrive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use shared::event::{Event, EventType, Json, Source};
use shared::ids::{EventId, TenantId};
use shared::queue::task::PublishTask;
use shared::queue::{Queue, Task};

use crate::cluster::Cluster;
use crate::nature::pass;

/// A stream of events of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Whose events.
    pub tenant: &'static str,
    /// What their ids begin with.
    pub prefix: &'static str,
    /// How many.
    pub events: u64,
    /// How long after each other; all at once if it is nothing.
    pub every: Duration,
}

impl Load {
    /// Sends the events.
    ///
    /// # Errors
    /// If a queue refuses them.
    pub async fn send(self, cluster: Arc<Cluster>) -> Result<()> {
        let tenant = TenantId::parse(self.tenant)?;
        for number in 0..self.events {
            let event = Event {
                id: EventId::parse(format!("{}-{number}", self.prefix))?,
                event_type: EventType::parse("grant.revoked")?,
                data: Json::parse(format!(
                    r#"{{"id":"d3c90812-8b2c-4f4e-9c73-{number:012}","of":"{}"}}"#,
                    self.tenant
                ))?,
                at: cluster.nature.now(),
                source: Source::new("rafiki"),
                resource: None,
            };
            let task = Task::Publish(PublishTask {
                tenant: tenant.clone(),
                event,
                roles: None,
                guard: None,
            });
            cluster.put(Queue::Fanout, vec![task.encode()]).await?;
            if !self.every.is_zero() {
                pass(self.every).await;
            }
        }
        Ok(())
    }
}

/// When what was sent arrived first, at any receiver of each URL.
pub struct Felt(BTreeMap<(String, String), Timestamp>);

impl Felt {
    /// What has arrived by now.
    #[must_use]
    pub fn by(cluster: &Cluster) -> Self {
        let mut first = BTreeMap::new();
        for arrival in cluster.outside.arrivals() {
            let header = arrival.headers.get("webhook-id");
            let id = header.and_then(|id| id.to_str().ok()).map(str::to_owned);
            if let (Some(id), true) = (id, arrival.taken) {
                first.entry((arrival.url, id)).or_insert(arrival.at);
            }
        }
        Self(first)
    }

    /// How many events of a stream arrived at a URL.
    #[must_use]
    pub fn arrived(&self, url: &str, prefix: &str) -> usize {
        let prefix = format!("{prefix}-");
        let here = |(to, id): &&(String, String)| to == url && id.starts_with(&prefix);
        self.0.keys().filter(here).count()
    }

    /// How long the events of an even stream that began at `began` took to a URL, the quickest first, in milliseconds.
    #[must_use]
    pub fn waits(&self, url: &str, load: Load, began: Timestamp) -> Vec<i128> {
        let mut waits = Vec::new();
        for number in 0..load.events {
            let key = (url.to_owned(), format!("{}-{number}", load.prefix));
            let after = load
                .every
                .saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
            let sent = began + SignedDuration::try_from(after).unwrap_or_default();
            if let Some(at) = self.0.get(&key) {
                waits.push(at.duration_since(sent).as_millis());
            }
        }
        waits.sort_unstable();
        waits
    }
}

/// What 99 of 100 do not exceed.
#[must_use]
pub fn p99(sorted: &[i128]) -> i128 {
    let place = sorted.len().saturating_mul(99) / 100;
    let last = sorted.len().saturating_sub(1);
    sorted.get(place.min(last)).copied().unwrap_or_default()
}
