//! Copies of the whole `World` side by side over one table and one set of queues: they work, die, and start anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use axum::body::Body;
use dynoxide::Database;
use futures::StreamExt;
use futures::future::{join, join_all};
use futures::stream::FuturesUnordered;
use http::{HeaderMap, Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use local::world::{Parts, World};
use serde_json::Value;
use shared::delivery::Vetting;
use shared::queue::{Enqueue, Message, Queue, Received};
use shared::secret::{Keyring, Secret, key_hash};
use shared::store::dynamo::{DynamoStore, create_table};
use shared::time::until;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::chance::Chance;
use crate::defects::Defect;
use crate::nature::{Nature, pass};
use crate::outside::{Outside, Reached};
use crate::process::Process;
use crate::queues::{ClockOf, Faulty, Lines};
use crate::table::{self, TABLE};
use crate::weather::Fault;

/// The operator's key.
pub const OPERATOR: &str = "prk_the_operator_of_the_simulation";
/// How long what was recorded is kept, longer than any run.
const RETENTION: SignedDuration = SignedDuration::from_hours(60 * 24);
/// As the template has it for the workers.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(60);
/// So long a caller waits for a door.
const PATIENCE: Duration = Duration::from_secs(30);
/// `sweep` runs once a minute, whoever runs it: two copies do so half as often each.
const SWEEP_EVERY: Duration = Duration::from_secs(120);

/// What a door answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A process and what it runs.
struct Instance {
    process: Arc<Process>,
    world: World,
}

/// The copies, and what they stand on.
pub struct Cluster {
    /// What everybody shares.
    pub nature: Arc<Nature>,
    /// The table's engine.
    pub database: Database,
    /// The queues.
    pub lines: Lines,
    /// What is outside.
    pub outside: Arc<Outside>,
    seed: u64,
    /// Which instance each copy runs at the moment, if one.
    running: Mutex<BTreeMap<usize, Arc<Instance>>>,
    /// When the next item of the table is due, and after how many writes that was so.
    due: Mutex<(u64, Option<Timestamp>)>,
    /// The queue whose worker has no concurrency, if one has none.
    stopped: watch::Sender<Option<Queue>>,
}

impl Cluster {
    /// An empty table, empty queues, and one copy that runs without faults, to set the stage.
    ///
    /// # Errors
    /// If the embedded table does not start.
    pub async fn start(seed: u64, nature: Arc<Nature>) -> Result<Arc<Self>> {
        let cluster = Self {
            database: Database::memory().context("the embedded database")?,
            lines: Lines::new(&nature),
            outside: Arc::new(Outside::new(nature.clone())),
            nature,
            seed,
            running: Mutex::default(),
            due: Mutex::new((u64::MAX, None)),
            stopped: watch::Sender::new(None),
        };
        let setter = cluster.instance(0, 0)?;
        create_table(&table::client(&cluster.database, &setter.process), TABLE).await?;
        cluster.set_running(0, Some(Arc::new(setter)));
        Ok(Arc::new(cluster))
    }

    fn instance(&self, copy: usize, generation: u64) -> Result<Instance> {
        let nature = &self.nature;
        let process = Process::start(format!("p{copy}.{generation}"), nature.clone());
        let queues = Arc::new(Faulty::new(self.lines.clone(), process.clone()));
        let reached = Arc::new(Reached::new(self.outside.clone(), process.clone()));
        let purpose = 1_000 + generation * 16 + u64::try_from(copy).unwrap_or_default();
        let world = World::new(Parts {
            clock: Arc::new(ClockOf(nature.clone())),
            entropy: Arc::new(Chance::new(self.seed, purpose)),
            dynamodb: table::client(&self.database, &process),
            table: TABLE.to_owned(),
            queues,
            dead: Arc::new(self.lines.queues.dead_letters()),
            transport: reached.clone(),
            platforms: reached.clone(),
            business: reached,
            keyring: Arc::new(Keyring::parse(
                "sim:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            )?),
            vetting: Vetting::new(Vec::new(), None),
            operator_key_hash: key_hash(&Secret::new(OPERATOR)),
            retention: RETENTION,
        });
        Ok(Instance { process, world })
    }

    fn set_running(&self, copy: usize, instance: Option<Arc<Instance>>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match instance {
            Some(instance) => running.insert(copy, instance),
            None => running.remove(&copy),
        };
    }

    fn anybody(&self) -> Option<Arc<Instance>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = running.values().cloned().collect();
        self.nature.chance.pick(&all).cloned()
    }

    /// The store of a copy that runs, if one does.
    pub(crate) fn any_store(&self) -> Option<Arc<DynamoStore>> {
        Some(self.anybody()?.world.store().clone())
    }

    /// Sends a request to the doors of any copy. `None`: the connection ended before the answer.
    pub async fn send(&self, request: Request<Body>) -> Option<Answer> {
        let instance = self.anybody()?;
        let api = instance.world.api();
        let asked = async {
            let (parts, body) = api.oneshot(request).await.ok()?.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.ok()?;
            Some(Answer {
                status: parts.status,
                headers: parts.headers,
                body: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        let answer = timeout(PATIENCE, instance.process.living(asked)).await;
        let answer = answer.ok().flatten().flatten()?;
        if answer.status.is_server_error() {
            self.nature.count("answers 5xx", 1);
        }
        match self.nature.strikes(Fault::DoorUnanswered) {
            true => None,
            false => Some(answer),
        }
    }

    /// Calls the operator API once.
    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Option<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {OPERATOR}"));
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        self.send(request.body(body).ok()?).await
    }

    /// Calls the operator API and expects success.
    ///
    /// # Errors
    /// If it was none.
    pub async fn operator(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let answer = self.call(method, path, body).await;
        let answer = answer.ok_or_else(|| anyhow!("{method} {path}: no answer"))?;
        ensure!(
            answer.status.is_success(),
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        Ok(answer.json())
    }

    /// Puts messages on a queue, past every fault.
    ///
    /// # Errors
    /// If it takes no such message.
    pub async fn put(&self, queue: Queue, messages: Vec<Message>) -> Result<()> {
        self.lines.queues.send(queue, messages).await?;
        self.lines.ring(queue);
        Ok(())
    }

    /// Takes all concurrency from the worker of a queue, or gives it back.
    pub fn stop(&self, queue: Option<Queue>) {
        self.stopped.send_replace(queue);
    }

    /// Whether the worker of a queue has no concurrency.
    #[must_use]
    pub fn is_stopped(&self, queue: Queue) -> bool {
        *self.stopped.borrow() == Some(queue)
    }

    /// One copy's life: it works until it dies, and starts anew some time later.
    pub async fn live(self: Arc<Self>, copy: usize, workers: usize) {
        for generation in 1.. {
            let Ok(instance) = self.instance(copy, generation) else {
                return;
            };
            let instance = Arc::new(instance);
            self.set_running(copy, Some(instance.clone()));
            let work = Queue::ALL.map(|queue| self.work(&instance, queue, workers));
            let work = join_all(work);
            let both = join(work, self.sweep(&instance));
            let _died = instance.process.living(both).await;
            self.set_running(copy, None);
            pass(self.nature.chance.millis(100, 5_000)).await;
        }
    }

    /// Handles the messages of a queue, at most so many batches at a time.
    async fn work(&self, instance: &Instance, queue: Queue, most: usize) {
        let mut stopped = self.stopped.subscribe();
        let mut batches = FuturesUnordered::new();
        loop {
            if batches.len() >= most {
                batches.next().await;
                continue;
            }
            let changed = self.lines.changes(queue);
            let received = async {
                // It can't be closed: the sender is here.
                drop(stopped.wait_for(|stopped| *stopped != Some(queue)).await);
                instance.world.receive(queue, SignedDuration::ZERO).await
            };
            match beside(&mut batches, received).await {
                Ok(messages) if messages.is_empty() => {
                    let shows = self.lines.queues.next_visible(queue);
                    let shown = async {
                        match shows {
                            Some(at) => sleep_until(&self.nature, at).await,
                            None => std::future::pending().await,
                        }
                    };
                    let either = async {
                        tokio::select! {
                            biased;
                            () = changed => {}
                            () = shown => {}
                        }
                    };
                    beside(&mut batches, either).await;
                }
                Ok(messages) => batches.push(self.handle(instance, queue, messages)),
                Err(_) => {
                    let pause = pass(self.nature.chance.millis(100, 2_000));
                    beside(&mut batches, pause).await;
                }
            }
        }
    }

    async fn handle(&self, instance: &Instance, queue: Queue, messages: Vec<Received>) {
        let nature = &self.nature;
        if nature.has(Defect::ReleasedBeforeDone) {
            let receipts = messages.iter().map(|it| it.receipt.clone()).collect();
            let _gone = instance.world.queues().delete(queue, receipts).await;
        }
        let limit = match nature.strikes(Fault::TimesOut) {
            true => nature.chance.millis(1, 3_000),
            false => FUNCTION_TIMEOUT,
        };
        let handled = timeout(limit, instance.world.handle(queue, messages)).await;
        if handled.is_err() {
            nature.interrupted();
            nature.count("functions that timed out", 1);
        }
    }

    /// Runs `sweep` every other minute. A run that would find nothing is left out: it would only read.
    async fn sweep(&self, instance: &Instance) {
        pass(self.nature.chance.millis(0, 120_000)).await;
        loop {
            let due = self.next_due().unwrap_or(None);
            let dead = !self.lines.queues.dead_letters().is_empty();
            if dead || due.is_some_and(|due| due <= self.nature.now()) {
                self.nature.count("runs of sweep", 1);
                let ran = timeout(FUNCTION_TIMEOUT, instance.world.sweep()).await;
                if ran.is_err() {
                    self.nature.interrupted();
                }
            }
            pass(SWEEP_EVERY).await;
        }
    }

    /// When the next item of the table is due, if any waits for its time.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn next_due(&self) -> Result<Option<Timestamp>> {
        let mut known = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let writes = self.nature.writes();
        if known.0 != writes {
            *known = (writes, self.look_for_due()?);
        }
        Ok(known.1)
    }

    fn look_for_due(&self) -> Result<Option<Timestamp>> {
        let entries = table::look(&self.database, Some("due"))?;
        let partition = |entry: &Value| Some(entry.pointer("/dpk/S")?.as_str()?.to_owned());
        let begins = |entry: &Value, with| partition(entry).is_some_and(|it| it.starts_with(with));
        // An open breaker has nothing to do while nothing is held by it.
        let held = entries.iter().any(|entry| begins(entry, "HELD#"));
        let due = entries.iter().filter_map(|entry| {
            if begins(entry, "BRK") && !held {
                return None;
            }
            let time = entry.pointer("/dsk/S")?.as_str()?.get(..15)?;
            Timestamp::from_millisecond(time.parse().ok()?).ok()
        });
        Ok(due.min())
    }

    /// What is left to do, in words.
    #[must_use]
    pub fn unrest(&self) -> String {
        let queues = &self.lines.queues;
        let dead = queues.dead_letters();
        let left = Queue::ALL.map(|queue| {
            let (name, alive, dead) = (queue.as_str(), queues.len(queue), dead.len(queue));
            format!("{name} {alive} and {dead} dead")
        });
        format!("{left:?}, next due {:?}", self.next_due())
    }

    /// Whether nothing is left to do: no message, nothing that waits for its time.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn is_settled(&self) -> Result<bool> {
        let quiet = self.lines.queues.is_empty() && self.lines.queues.dead_letters().is_empty();
        Ok(quiet && self.next_due()?.is_none())
    }
}

async fn sleep_until(nature: &Nature, at: Timestamp) {
    let wait = Duration::try_from(until(nature.now(), at)).unwrap_or_default();
    pass(wait.max(Duration::from_millis(10))).await;
}

/// Does `work` while the batches go on.
async fn beside<T>(
    batches: &mut FuturesUnordered<impl Future<Output = ()>>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            Some(()) = batches.next() => {}
        }
    }
}
