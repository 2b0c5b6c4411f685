//! Too much at once, and hardly anything left to do it with: a great backlog, a table that throttles nine of ten requests,
//! queues that take nothing, a function without concurrency. The doors say so, nothing is lost, and the alarms go off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use axum::body::Body;
use http::Request;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::queue::Queue;
use shared::time::{later, until};
use tests::alarms::{FrontDoor, Metric, Metrics, ours};

use crate::cluster::Cluster;
use crate::load::{Felt, Load};
use crate::nature::{Nature, pass};
use crate::stage::Stage;
use crate::template::{Template, runtime};
use crate::weather::{Fault, Weather};

const WORKERS: usize = 20;
/// A backend publishes every so often.
const PUBLISHED_EVERY: Duration = Duration::from_secs(5);
/// The tenant of the backlog, and of the backend.
const TENANT: &str = "birch";

/// What was measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Messages that waited at the beginning.
    pub backlog: u64,
    /// What the door answered, by status.
    pub answers: BTreeMap<u16, u64>,
    /// Events that were accepted, those of the backlog included.
    pub accepted: u64,
    /// How many of them arrived, at each of two receivers.
    pub arrived: u64,
    /// How long after the end of the trouble everything had come to rest.
    pub rest: SignedDuration,
    /// The alarms that went off, and after how long.
    pub alarms: BTreeMap<String, SignedDuration>,
}

/// Measures it with a backlog of so many messages.
///
/// # Errors
/// If the machine fails, or it does not come to rest.
pub fn measure(backlog: u64) -> Result<Measured> {
    let template = Template::get()?;
    runtime()?.block_on(play(template, backlog))
}

/// Publishes one event through the door; what was answered.
async fn publish(cluster: &Cluster, stage: &Stage, number: u64) -> u16 {
    let body = json!({
        "id": format!("door-{number}"), "type": "grant.revoked",
        "data": {
            "id": format!("d3c90812-8b2c-4f4e-9c73-{number:012}"), "of": TENANT,
            "revokedAt": "2026-08-17T12:00:00.000Z",
        },
    });
    let key = stage.keys.last().map_or("", String::as_str);
    let request = Request::builder()
        .method("POST")
        .uri(format!("/v1/tenants/{TENANT}/events"))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {key}"))
        .body(Body::from(body.to_string()));
    let Ok(request) = request else {
        return 0;
    };
    cluster
        .send(request)
        .await
        .map_or(0, |answer| answer.status.as_u16())
}

/// A backend that publishes an event until it is accepted, and then the next, until `end`. How many were accepted, and what
/// was answered.
async fn backend(cluster: Arc<Cluster>, stage: Stage, end: Timestamp) -> (u64, BTreeMap<u16, u64>) {
    let (mut number, mut answers) = (0, BTreeMap::<u16, u64>::new());
    while cluster.nature.now() < end {
        let status = publish(&cluster, &stage, number).await;
        *answers.entry(status).or_default() += 1;
        number += u64::from(status == 200);
        pass(PUBLISHED_EVERY).await;
    }
    // The last one may have been accepted without an answer, or not.
    loop {
        let status = publish(&cluster, &stage, number).await;
        *answers.entry(status).or_default() += 1;
        if ![0, 503].contains(&status) {
            return (number + u64::from(status == 200), answers);
        }
        pass(PUBLISHED_EVERY).await;
    }
}

/// Writes down every minute what CloudWatch would.
async fn watch(cluster: Arc<Cluster>, metrics: Arc<std::sync::Mutex<Metrics>>) {
    let names = [
        (Queue::Recover, "RecoverQueue"),
        (Queue::Fanout, "FanoutQueue"),
        (Queue::Deliver, "DeliverQueue"),
        (Queue::DeliverOrdered, "DeliverOrderedQueue"),
    ];
    let (mut throttled, mut answered) = (0, 0);
    loop {
        pass(Duration::from_secs(60)).await;
        let now = cluster.nature.now();
        let mut metrics = metrics
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut put = |namespace, name, of: &str, value: i64| {
            metrics.put(Metric::new(namespace, name, of), now, value);
        };
        for (queue, of) in names {
            let glance = cluster.lines.queues.glance(queue);
            let age = glance.oldest.map_or(0, |sent| until(sent, now).as_secs());
            put("AWS/SQS", "ApproximateAgeOfOldestMessage", of, age);
            let visible = i64::try_from(glance.visible).unwrap_or(i64::MAX);
            put("AWS/SQS", "ApproximateNumberOfMessagesVisible", of, visible);
            let hidden = i64::try_from(glance.in_flight).unwrap_or(i64::MAX);
            put(
                "AWS/SQS",
                "ApproximateNumberOfMessagesNotVisible",
                of,
                hidden,
            );
        }
        if cluster.is_stopped(Queue::Deliver) {
            put("AWS/Lambda", "Throttles", "DeliverFunction", 1);
        }
        put("AWS/Lambda", "Invocations", "SweepFunction", 1);
        put("AWS/Lambda", "Errors", "SweepFunction", 0);
        let counts = cluster.nature.counts();
        let so_far = |fault| counts.faults.get(&fault).copied().unwrap_or_default();
        let all = so_far(Fault::TableThrottled);
        let fresh = i64::try_from(all - throttled).unwrap_or(i64::MAX);
        put("AWS/DynamoDB", "WriteThrottleEvents", "Table", fresh);
        throttled = all;
        let refused = counts
            .events
            .get("answers 5xx")
            .copied()
            .unwrap_or_default();
        let fresh = i64::try_from(refused - answered).unwrap_or(i64::MAX);
        put("AWS/ApiGateway", "5xx", "HttpApi", fresh);
        answered = refused;
    }
}

async fn play(template: &Template, backlog: u64) -> Result<Measured> {
    let nature = Arc::new(Nature::new(1, Weather::default(), None, false));
    let cluster = Cluster::start(1, nature.clone()).await?;
    template.copy_to(&cluster.database)?;
    let load = Load {
        tenant: TENANT,
        prefix: "backlog",
        events: backlog,
        every: Duration::ZERO,
    };
    load.send(cluster.clone()).await?;
    let began = nature.now();
    let mut metrics = Metrics::default();
    for minutes in 0..60 {
        // It ran before the trouble, too.
        let at = later(began, SignedDuration::from_mins(-minutes));
        metrics.put(
            Metric::new("AWS/Lambda", "Invocations", "SweepFunction"),
            at,
            1,
        );
    }
    let metrics = Arc::new(std::sync::Mutex::new(metrics));
    let watching = tokio::spawn(watch(cluster.clone(), metrics.clone()));
    for copy in 0..2 {
        tokio::spawn(cluster.clone().live(copy, WORKERS));
    }
    pass(Duration::from_secs(1)).await;
    let trouble = SignedDuration::from_mins(100);
    let end = later(began, trouble);
    let backend = tokio::spawn(backend(cluster.clone(), template.stage.clone(), end));
    nature.set_calm(false);
    cluster.stop(Some(Queue::Deliver));
    for weather in [
        Weather::of(&[(Fault::TableThrottled, 900_000)]),
        Weather::of(&[(Fault::SendLost, 1_000_000)]),
        Weather::of(&[(Fault::TableThrottled, 900_000), (Fault::SendLost, 500_000)]),
    ] {
        nature.set_weather(weather);
        pass(Duration::from_secs(20 * 60)).await;
    }
    // The hour without concurrency is over; the table throttles on.
    cluster.stop(None);
    nature.set_weather(Weather::of(&[(Fault::TableThrottled, 900_000)]));
    pass(Duration::try_from(until(nature.now(), end)).unwrap_or_default()).await;
    nature.set_calm(true);
    let (published, answers) = backend.await?;
    let limit = later(end, SignedDuration::from_hours(24));
    while !cluster.is_settled()? && nature.now() < limit {
        pass(Duration::from_secs(30)).await;
    }
    ensure!(
        cluster.is_settled()?,
        "it does not come to rest: {}",
        cluster.unrest()
    );
    watching.abort();
    let rest = until(end, nature.now());
    let felt = Felt::by(&cluster);
    let url = |endpoint| {
        let receivers = template.stage.receivers.iter();
        let mut found = receivers.filter(|it| it.tenant == TENANT && it.endpoint == endpoint);
        found.next().map(|it| it.url.clone()).unwrap_or_default()
    };
    let arrived = felt.arrived(&url("ledger"), "backlog") + felt.arrived(&url("ledger"), "door");
    let metrics = metrics
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut alarms = BTreeMap::new();
    for alarm in ours(FrontDoor::HttpApi)? {
        if let Some(at) = alarm.first(&metrics, later(began, SignedDuration::from_mins(1)), end) {
            alarms.insert(alarm.name.clone(), at.duration_since(began));
        }
    }
    Ok(Measured {
        backlog,
        answers,
        accepted: backlog + published,
        arrived: u64::try_from(arrived)?,
        rest,
        alarms,
    })
}
