//! What a kept table shows as unfinished goes back on the queue, which was only in memory.
//!
//! Events and tries are in the table, so every delivery that is not settled can be told from it. What was still on its
//! way to `recover` or `fanout` when the process was killed is not: the table knows nothing of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use shared::delivery::{Delivery, DeliveryKey, State, VISIBILITY_MOST};
use shared::ids::{EndpointId, EventId, Round, TenantId};
use shared::queue::{Enqueue, Message, Task};
use shared::store::dynamo::DynamoStore;
use shared::store::{Deliveries, EventQuery, Events, Tenants};
use shared::time::until;

/// So many events are listed in one request.
const PAGE: usize = 100;
/// So many events are looked at at once.
const AT_ONCE: usize = 16;

/// Queues the unfinished deliveries of every tenant. How many there are; `looked_at` counts the events meanwhile.
///
/// # Errors
/// If the table or the queue fails.
pub async fn run(
    store: &DynamoStore,
    queues: &dyn Enqueue,
    now: Timestamp,
    looked_at: &AtomicUsize,
) -> anyhow::Result<usize> {
    let mut queued = 0;
    for tenant in store.tenants().await.context("the tenants")? {
        let mut query = EventQuery {
            limit: PAGE,
            ..EventQuery::default()
        };
        loop {
            let page = store
                .events(&tenant.id, &query)
                .await
                .context("the events")?;
            queued += futures::stream::iter(&page.items)
                .map(|event| unfinished(store, queues, &tenant.id, &event.id, now))
                .buffer_unordered(AT_ONCE)
                .inspect(|_| {
                    looked_at.fetch_add(1, Ordering::Relaxed);
                })
                .try_fold(0, async |sum, queued| Ok(sum + queued))
                .await?;
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
    }
    Ok(queued)
}

async fn unfinished(
    store: &DynamoStore,
    queues: &dyn Enqueue,
    tenant: &TenantId,
    event: &EventId,
    now: Timestamp,
) -> anyhow::Result<usize> {
    let Some(read) = store.event(tenant, event).await.context("an event")? else {
        return Ok(0);
    };
    let tried = store
        .deliveries(tenant, event)
        .await
        .context("its deliveries")?;
    let chosen = read.value.recipients.endpoints().cloned();
    let mut queued = 0;
    for (endpoint, mut delivery) in latest(chosen, tried) {
        release(store, delivery.as_mut(), now).await?;
        let due = match delivery.as_ref().map(|delivery| delivery.state) {
            // `sweep` finds it in the table when it is due; what was set aside waits for the operator.
            Some(State::Parked { .. } | State::Held { .. } | State::Quarantined { .. }) => continue,
            Some(state) if state.settled() => continue,
            Some(state) => state.due(),
            None => None,
        };
        let fresh = || {
            let key = DeliveryKey {
                tenant: tenant.clone(),
                event: event.clone(),
                endpoint,
                round: Round::FIRST,
            };
            Delivery::new(key, None)
        };
        let delivery = delivery.unwrap_or_else(fresh);
        let record = &read.value;
        let task = Task::resume(&delivery, record.event.clone(), &record.recipients);
        let queue = task.queue();
        let delay = due
            .filter(|_| !queue.is_fifo())
            .map(|due| until(now, due).min(VISIBILITY_MOST))
            .unwrap_or_default();
        let message = Message {
            delay,
            ..task.encode()
        };
        queues.send(queue, vec![message]).await?;
        queued += 1;
    }
    Ok(queued)
}

/// The message that held a delivery is gone with the process.
async fn release(
    store: &DynamoStore,
    delivery: Option<&mut Delivery>,
    now: Timestamp,
) -> anyhow::Result<()> {
    let Some(delivery) = delivery.filter(|delivery| delivery.hold.is_some()) else {
        return Ok(());
    };
    let Some(mut read) = store.delivery(&delivery.key).await.context("a delivery")? else {
        return Ok(());
    };
    read.value.hold = None;
    // Nobody else runs yet.
    let _saved = store
        .save_delivery(&read.value, Some(read.version), now)
        .await
        .context("a delivery")?;
    *delivery = read.value;
    Ok(())
}

/// The last round of every endpoint that an event is for; `None` where it was never tried.
fn latest(
    chosen: impl Iterator<Item = EndpointId>,
    tried: Vec<Delivery>,
) -> BTreeMap<EndpointId, Option<Delivery>> {
    let mut latest: BTreeMap<_, _> = chosen.map(|endpoint| (endpoint, None)).collect();
    for delivery in tried {
        let known = latest
            .entry(delivery.key.endpoint.clone())
            .or_insert(None::<Delivery>);
        if known
            .as_ref()
            .is_none_or(|known| known.key.round < delivery.key.round)
        {
            *known = Some(delivery);
        }
    }
    latest
}
