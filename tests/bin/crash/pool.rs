//! All copies of all functions: doors that take requests, workers fed from their queues as by Lambda's poller, sweep by its
//! clock; and who is killed next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::queue::sqs::SqsQueues;
use shared::queue::{Lease, Queue, Receipt, Received};
use tests::invocation::{self, Record};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::chance::Chance;
use crate::copy::{Copy, Ended, Order, Plan};
use crate::emulator::Emulator;
use crate::ledger::{Ledger, Mishap, Number, Topic};
use crate::pause;
use crate::proxy::{Hand, Proxy, Scissors};

/// Lambda's poller hands out so many messages at most.
const BATCH: usize = 10;
/// How long it waits for a first message.
const WAIT: SignedDuration = SignedDuration::from_secs(1);
/// How often sweep runs: each minute on AWS.
const SWEEP_EVERY: Duration = Duration::from_secs(3);

/// The doors, and how many copies there are of each.
const DOORS: [(&str, u32); 4] = [("publish", 2), ("ingest", 1), ("anchor", 1), ("console", 2)];
/// The workers, the queue that each reads, and how many copies there are of each.
const WORKERS: [(&str, Queue, u32); 4] = [
    ("recover", Queue::Recover, 2),
    ("fanout", Queue::Fanout, 2),
    ("deliver", Queue::Deliver, 3),
    ("deliver", Queue::DeliverOrdered, 1),
];
/// How many of a hundred kills each function gets.
const KILLS: [(&str, u64); 7] = [
    ("deliver", 35),
    ("fanout", 20),
    ("recover", 15),
    ("publish", 10),
    ("anchor", 10),
    ("ingest", 5),
    ("sweep", 5),
];

/// A request to a door, and who waits for its answer.
struct Asked {
    numbers: BTreeSet<Number>,
    payload: Vec<u8>,
    answer: oneshot::Sender<Option<Value>>,
}

/// What all of them share.
struct Common {
    ledger: Arc<Ledger>,
    queues: SqsQueues,
    over: AtomicBool,
    /// Which messages are in whose hands, by the queue's ids.
    out: Mutex<BTreeSet<String>>,
}

/// Who takes orders to be killed, by function.
type Victims = BTreeMap<&'static str, Vec<mpsc::UnboundedSender<Order>>>;

/// The running functions.
pub(super) struct Pool {
    common: Arc<Common>,
    doors: BTreeMap<&'static str, mpsc::UnboundedSender<Asked>>,
    victims: Victims,
    chance: Chance,
    tasks: Mutex<JoinSet<Result<()>>>,
}

/// Where the binaries are, where logs go, and what is drawn from.
pub(super) struct Ground {
    /// The folder with the functions' files.
    pub(super) binaries: PathBuf,
    /// The folder for their logs, if they are kept.
    pub(super) logs: Option<PathBuf>,
    /// The seed of kills.
    pub(super) seed: u64,
}

impl Pool {
    /// Starts all copies.
    pub(super) async fn start(
        ground: &Ground,
        emulator: &Emulator,
        ledger: Arc<Ledger>,
        scissors: Arc<Scissors>,
    ) -> Result<Self> {
        let common = Arc::new(Common {
            ledger: ledger.clone(),
            queues: emulator.queues()?,
            over: AtomicBool::new(false),
            out: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        let mut doors = BTreeMap::new();
        let mut victims: Victims = BTreeMap::new();
        let make = Make {
            ground,
            emulator,
            ledger,
            scissors,
        };
        for (function, copies) in DOORS {
            let (sender, asked) = mpsc::unbounded_channel();
            let asked = Arc::new(tokio::sync::Mutex::new(asked));
            doors.insert(function, sender);
            for number in 0..copies {
                let copy = make.copy(&mut victims, function, number).await?;
                tasks.spawn(door(copy, asked.clone()));
            }
        }
        for (function, queue, copies) in WORKERS {
            for number in 0..copies {
                let copy = make.copy(&mut victims, function, number).await?;
                let url = emulator.url(queue)?;
                let name = url.rsplit('/').next().unwrap_or(url).to_owned();
                tasks.spawn(work(copy, queue, name, common.clone()));
            }
        }
        let copy = make.copy(&mut victims, "sweep", 0).await?;
        tasks.spawn(sweep(copy, common.clone()));
        Ok(Self {
            common,
            doors,
            victims,
            chance: Chance::new(ground.seed, "kills"),
            tasks: Mutex::new(tasks),
        })
    }

    /// Asks a door; nothing if it was killed before it answered.
    pub(super) async fn ask(
        &self,
        function: &str,
        numbers: BTreeSet<Number>,
        payload: &Value,
    ) -> Result<Option<Value>> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked {
            numbers,
            payload: payload.to_string().into_bytes(),
            answer,
        };
        let door = self.doors.get(function).context("it is a door")?;
        let sent = door.send(asked);
        sent.map_err(|_| anyhow::anyhow!("{function} can't be started"))?;
        answered
            .await
            .with_context(|| format!("{function} can't be started"))
    }

    /// Has some copy of some function killed, at some moment of its next call.
    pub(super) fn kill_one(&self) {
        let mut drawn = self.chance.below(100);
        let mut chosen = KILLS.iter();
        let function = loop {
            match chosen.next() {
                Some((function, share)) if drawn < *share => break *function,
                Some((_, share)) => drawn -= share,
                None => return,
            }
        };
        let copies = self.victims.get(function).map_or(&[][..], Vec::as_slice);
        let most = u64::try_from(copies.len()).unwrap_or_default();
        let number = usize::try_from(self.chance.below(most)).unwrap_or_default();
        let moment = u32::try_from(self.chance.below(1_000)).unwrap_or_default();
        if let Some(copy) = copies.get(number) {
            // Whoever has ended can't be killed.
            let _ = copy.send(Order(moment));
        }
    }

    /// What ended before it should have, if anything did.
    pub(super) fn trouble(&self) -> Result<()> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        match tasks.try_join_next() {
            None => Ok(()),
            Some(ended) => ended?.and_then(|()| bail!("a function's keeper ended")),
        }
    }

    /// Ends all of them.
    pub(super) fn end(&self) {
        self.common.over.store(true, Ordering::Relaxed);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
    }
}

/// What copies are made of.
struct Make<'a> {
    ground: &'a Ground,
    emulator: &'a Emulator,
    ledger: Arc<Ledger>,
    scissors: Arc<Scissors>,
}

impl Make<'_> {
    async fn copy(
        &self,
        victims: &mut Victims,
        function: &'static str,
        number: u32,
    ) -> Result<Copy> {
        let (order, orders) = mpsc::unbounded_channel();
        victims.entry(function).or_default().push(order);
        let hand = Hand::default();
        let upstream = self.emulator.address()?.to_owned();
        let proxy = Proxy::start(upstream, function, self.scissors.clone(), hand.clone()).await?;
        let given = self.emulator.env().iter();
        let plan = Plan {
            function,
            binary: self.ground.binaries.join(function),
            env: given
                .filter(|(name, _)| *name != "AWS_ENDPOINT_URL")
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            log: self
                .ground
                .logs
                .as_ref()
                .map(|folder| folder.join(format!("{function}-{number}.log"))),
        };
        Ok(Copy::new(plan, self.ledger.clone(), (hand, proxy), orders))
    }
}

async fn door(
    mut copy: Copy,
    asked: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Asked>>>,
) -> Result<()> {
    loop {
        let Some(asked) = asked.lock().await.recv().await else {
            return Ok(());
        };
        let answer = match copy.call(asked.numbers, asked.payload).await? {
            Ended::Answered(body) => Some(serde_json::from_slice(&body)?),
            Ended::Failed(_) | Ended::Killed => None,
        };
        // Whoever asked may have given up.
        let _ = asked.answer.send(answer);
    }
}

async fn sweep(mut copy: Copy, common: Arc<Common>) -> Result<()> {
    while !common.over.load(Ordering::Relaxed) {
        pause(SWEEP_EVERY).await;
        if let Ended::Failed(body) = copy.call(BTreeSet::new(), b"{}".to_vec()).await? {
            let what = format!("sweep failed: {}", String::from_utf8_lossy(&body));
            common.ledger.count(Topic::Oddities, &what, 1);
        }
    }
    Ok(())
}

/// Lambda's event source mapping: receive, call, let go of what did not fail. Of what a killed function had in hand nothing
/// is let go, so it comes again when its visibility timeout is over.
async fn work(mut copy: Copy, queue: Queue, name: String, common: Arc<Common>) -> Result<()> {
    while !common.over.load(Ordering::Relaxed) {
        // The emulator is not what is tested: a poll that fails is made again.
        let Ok(messages) = common.queues.receive(queue, BATCH, WAIT).await else {
            common.ledger.count(Topic::Oddities, "a poll failed", 1);
            continue;
        };
        if messages.is_empty() {
            continue;
        }
        let in_hand = take_up(&messages, &copy, &common);
        let records: Vec<Record<'_>> = messages.iter().map(Record::of).collect();
        let payload = invocation::sqs(&name, &records).to_string().into_bytes();
        let ended = copy.call(in_hand, payload).await?;
        let done: Vec<Receipt> = match ended {
            Ended::Killed | Ended::Failed(_) => Vec::new(),
            Ended::Answered(body) => {
                let failed = failures(&body)?;
                let done = messages.iter().filter(|it| !failed.contains(&it.id));
                done.map(|message| message.receipt.clone()).collect()
            }
        };
        put_down(&messages, &common);
        if !done.is_empty() && common.queues.delete(queue, done).await.is_err() {
            common.ledger.count(Topic::Oddities, "a delete failed", 1);
        }
    }
    Ok(())
}

/// Notes who has these messages, and which of them somebody else has still.
fn take_up(messages: &[Received], copy: &Copy, common: &Common) -> BTreeSet<Number> {
    let mut out = common.out.lock().unwrap_or_else(PoisonError::into_inner);
    let mut in_hand = BTreeSet::new();
    for message in messages {
        let named = common.ledger.about(&message.body);
        if named.is_empty() {
            let what = "a message was about no event that was sent";
            common.ledger.count(Topic::Oddities, what, 1);
        }
        if !out.insert(message.id.clone()) {
            common.ledger.count(
                Topic::Oddities,
                "a message was handed out twice at a time",
                1,
            );
            let mishap = Mishap::Overdue(copy.function());
            common.ledger.befell(&named, mishap);
        }
        in_hand.extend(named);
    }
    in_hand
}

fn put_down(messages: &[Received], common: &Common) {
    let mut out = common.out.lock().unwrap_or_else(PoisonError::into_inner);
    for message in messages {
        out.remove(&message.id);
    }
}

/// The ids of the messages that an answer says have failed.
fn failures(body: &[u8]) -> Result<BTreeSet<String>> {
    let answer: Value = serde_json::from_slice(body)?;
    let failures = answer.get("batchItemFailures").and_then(Value::as_array);
    let failures = failures.with_context(|| format!("{answer} is no answer to a batch"))?;
    failures
        .iter()
        .map(|failure| {
            let id = failure.get("itemIdentifier").and_then(Value::as_str);
            let id = id.with_context(|| format!("{} names no message", json!(failure)))?;
            Ok(id.to_owned())
        })
        .collect()
}
