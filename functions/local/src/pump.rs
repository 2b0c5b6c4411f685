//! Moves messages along in real time: what Lambda's event source mappings and the schedule do on AWS.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use shared::problem::chain;
use shared::queue::Queue;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

use crate::world::World;

/// How often the schedule runs.
const MINUTE: Duration = Duration::from_secs(60);
/// How long batches in hand may still take when all is to end: the timeout of the functions.
const ENDING_MOST: Duration = Duration::from_secs(30);
/// The first rest when a queue can't be reached, in seconds; it doubles, to [`REST_MOST_S`].
const REST_S: i64 = 1;
const REST_MOST_S: i64 = 30;

/// How many batches of a queue are in hand at once. Deliveries wait for others, so there are more of them.
fn at_once(queue: Queue) -> usize {
    match queue {
        Queue::Recover | Queue::Fanout => 4,
        Queue::Deliver | Queue::DeliverOrdered => 32,
    }
}

/// Turns true when all is to end.
pub type Stop = watch::Receiver<bool>;

/// Runs the workers of all queues, and `sweep`, until told to stop and what is in hand is done.
///
/// `poll` is how long a request for messages waits for the first one.
pub async fn run(world: &Arc<World>, poll: SignedDuration, stop: &Stop) {
    let mut lines = JoinSet::new();
    for queue in Queue::ALL {
        lines.spawn(work(world.clone(), queue, poll, stop.clone()));
    }
    lines.spawn(sweep(world.clone(), stop.clone()));
    while let Some(ended) = lines.join_next().await {
        if let Err(problem) = ended {
            error!(error = %problem, "a worker ended");
        }
    }
}

async fn work(world: Arc<World>, queue: Queue, poll: SignedDuration, mut stop: Stop) {
    let slots = Arc::new(Semaphore::new(at_once(queue)));
    let mut batches = JoinSet::new();
    let mut rest_s = REST_S;
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, world.receive(queue, poll).await)
        };
        let (slot, received) = tokio::select! {
            () = told(&mut stop) => break,
            next = next => next,
        };
        while batches.try_join_next().is_some() {}
        match received {
            Ok(messages) => {
                rest_s = REST_S;
                if !messages.is_empty() {
                    let world = world.clone();
                    batches.spawn(async move {
                        world.handle(queue, messages).await;
                        drop(slot);
                    });
                }
            }
            Err(problem) => {
                warn!(
                    queue = queue.as_str(),
                    error = chain(&problem),
                    rest_s,
                    "no messages"
                );
                tokio::select! {
                    () = told(&mut stop) => break,
                    () = pause(SignedDuration::from_secs(rest_s)) => {}
                }
                rest_s = rest_s.saturating_mul(2).min(REST_MOST_S);
            }
        }
    }
    while batches.try_join_next().is_some() {}
    if !batches.is_empty() {
        info!(
            queue = queue.as_str(),
            batches = batches.len(),
            "finishing what is in hand"
        );
    }
    let ending = async { while batches.join_next().await.is_some() {} };
    if tokio::time::timeout(ENDING_MOST, ending).await.is_err() {
        warn!(queue = queue.as_str(), "left unfinished");
    }
}

async fn sweep(world: Arc<World>, stop: Stop) {
    each_minute(stop, || async {
        if let Err(problem) = world.sweep().await {
            warn!(error = chain(&problem), "the sweep stopped early");
        }
    })
    .await;
}

/// Does `work` at once and once a minute, as the schedule in the template does, until told to stop.
pub async fn each_minute<W: Future<Output = ()>>(mut stop: Stop, work: impl Fn() -> W) {
    let mut minutes = tokio::time::interval(MINUTE);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = told(&mut stop) => break,
            _tick = minutes.tick() => work().await,
        }
    }
}

/// Works on what doors have accepted until it is recorded, or until whatever keeps it from that keeps on.
///
/// Deliveries can be told from what is recorded, so they are left.
pub async fn record_accepted(world: &World) {
    let recording =
        async { while world.work(Queue::Recover).await + world.work(Queue::Fanout).await > 0 {} };
    if tokio::time::timeout(ENDING_MOST, recording).await.is_err() {
        warn!("not all that was accepted is recorded");
    }
}

/// Waits until told to stop.
pub async fn told(stop: &mut Stop) {
    // Whoever could tell is gone: that is the end, too.
    let _gone = stop.wait_for(|stop| *stop).await;
}

/// Ctrl-C and SIGTERM, which end nothing by themselves any more once somebody listens.
pub struct Interruptions {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Interruptions {
    /// Listens from now on.
    ///
    /// # Errors
    /// If the system lets nobody listen for signals.
    pub fn listen() -> std::io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for the next one.
    ///
    /// # Errors
    /// If the system lets nobody listen for signals.
    pub async fn next(&mut self) -> std::io::Result<()> {
        #[cfg(unix)]
        tokio::select! {
            _signal = self.interrupt.recv() => Ok(()),
            _signal = self.terminate.recv() => Ok(()),
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await
    }
}

/// Does `work`, and calls `tell` whenever another `every` has passed meanwhile.
pub async fn with_progress<T>(
    every: SignedDuration,
    work: impl Future<Output = T>,
    tell: impl Fn(),
) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = pause(every) => tell(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is where messages are waited for"
)]
async fn pause(wait: SignedDuration) {
    tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
}
