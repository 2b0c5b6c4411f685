//! A receiver that is down while thousands of events wait for it: what it holds, and what it costs the others.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use serde_json::Value;
use shared::queue::Queue;
use shared::time::later;

use crate::cluster::Cluster;
use crate::defects::Defect;
use crate::load::{Felt, Load, p99};
use crate::nature::{Nature, pass};
use crate::outside::Mood;
use crate::stage::Receiver;
use crate::template::{Template, runtime};
use crate::weather::Weather;

/// Batches that are worked on at once by each of the two copies.
const WORKERS: usize = 200;
/// An event for the receiver that is down comes so often.
const EVERY_MS: u64 = 100;
/// So many messages may be in flight at most, however many events wait.
pub const IN_FLIGHT_MOST: usize = 500;
/// One in so many events is for a receiver that is well.
const SHARE: u64 = 10;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Events for the receiver that is down.
    pub waiting: u64,
    /// The most messages of the delivery queue that were in flight at once.
    pub most_in_flight: usize,
    /// How long 99 of 100 events for the others took, in milliseconds.
    pub others_p99_ms: i128,
    /// Requests that reached the receiver while it was down.
    pub requests: usize,
    /// How many arrived once it was back.
    pub arrived: usize,
    /// How long that took.
    pub caught_up: SignedDuration,
}

impl Measured {
    /// The promises that do not hold, compared with what is measured with a receiver that is well.
    #[must_use]
    pub fn broken(&self, well: &Self) -> Vec<&'static str> {
        let slower = self.others_p99_ms * 100 > well.others_p99_ms * 105;
        let lost = u64::try_from(self.arrived).is_ok_and(|arrived| arrived < self.waiting);
        [
            (slower, "the others are slower by at most 5 %"),
            (
                self.most_in_flight > IN_FLIGHT_MOST,
                "a few hundred messages are in flight at most",
            ),
            (lost, "what waited arrives in the end"),
        ]
        .into_iter()
        .filter_map(|(broken, promise)| broken.then_some(promise))
        .collect()
    }
}

/// Measures it with a receiver that hangs, or, to compare, with one that is well.
///
/// # Errors
/// If the machine fails, or events of the others are lost.
pub fn measure(events: u64, hangs: bool, defect: Option<Defect>) -> Result<Measured> {
    let template = Template::get()?;
    runtime()?.block_on(play(template, events, hangs, defect))
}

async fn play(
    template: &Template,
    events: u64,
    hangs: bool,
    defect: Option<Defect>,
) -> Result<Measured> {
    let nature = Arc::new(Nature::new(1, Weather::default(), defect, false));
    let cluster = Cluster::start(1, nature.clone()).await?;
    template.copy_to(&cluster.database)?;
    let of = |tenant| {
        let receivers = template.stage.receivers.iter();
        let mut found = receivers.filter(|it| it.tenant == tenant && it.endpoint == "ledger");
        found.next().context("it takes part")
    };
    let (down, well) = (of("amber")?, of("birch")?);
    // It is retried for days, so that nothing is given up meanwhile; and its tenant has no other.
    let patient = Receiver {
        waits_s: vec![5, 300, 3_600, 36_000, 86_400, 86_400],
        ..down.clone()
    };
    let path = "/v1/tenants/amber/endpoints";
    let settings = patient.settings();
    cluster
        .operator("PUT", &format!("{path}/ledger"), &settings)
        .await?;
    cluster
        .operator("DELETE", &format!("{path}/bank"), &Value::Null)
        .await?;
    if hangs {
        cluster.outside.set(&down.url, Mood::Hangs);
    }
    for copy in 0..2 {
        tokio::spawn(cluster.clone().live(copy, WORKERS));
    }
    pass(Duration::from_secs(1)).await;
    let began = nature.now();
    let load = |tenant, prefix, events, every| Load {
        tenant,
        prefix,
        events,
        every: Duration::from_millis(every),
    };
    let dying = load("amber", "dying", events, EVERY_MS);
    let others = load("birch", "others", events / SHARE, EVERY_MS * SHARE);
    let sent = [dying, others].map(|load| tokio::spawn(load.send(cluster.clone())));
    let mut most_in_flight = 0;
    let mut look = || {
        let glance = cluster.lines.queues.glance(Queue::Deliver);
        most_in_flight = most_in_flight.max(glance.in_flight);
    };
    while sent.iter().any(|sent| !sent.is_finished()) {
        pass(Duration::from_secs(1)).await;
        look();
    }
    for sent in sent {
        sent.await??;
    }
    pass(Duration::from_secs(60)).await;
    let felt = Felt::by(&cluster);
    let waits = felt.waits(&well.url, others, began);
    ensure!(
        u64::try_from(waits.len())? == others.events,
        "{} of {} events for the others arrived",
        waits.len(),
        others.events
    );
    let arrivals = cluster.outside.arrivals();
    let requests = arrivals.iter().filter(|it| it.url == down.url).count();
    cluster.outside.set(&down.url, Mood::Well);
    let back = nature.now();
    let limit = later(back, SignedDuration::from_hours(48));
    while !cluster.is_settled()? && nature.now() < limit {
        pass(Duration::from_secs(60)).await;
        look();
    }
    let arrivals = cluster.outside.arrivals();
    let arrived = Felt::by(&cluster).arrived(&down.url, dying.prefix);
    let last = arrivals.last().map_or(back, |it| it.at);
    Ok(Measured {
        waiting: events,
        most_in_flight,
        others_p99_ms: p99(&waits),
        requests,
        arrived,
        caught_up: last.max(back).duration_since(back),
    })
}
