//! Queues in this process, on an injected clock, that obey what SQS documents of visibility, delay, receive
//! counts, groups, deduplication and dead letters. A port adapter, not a server: no HTTP, no MD5.
//!
//! `receive` never waits: whoever drives the clock knows when the next message shows ([`MemoryQueues::next_visible`]).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{
    Defer, Enqueue, Lease, MESSAGE_MOST, Message, Queue, QueueError, Receipt, Received, partly,
};
use crate::time::{Clock, later};

/// SQS: so many messages of a queue may be in flight.
const IN_FLIGHT_MOST: usize = 120_000;
/// SQS: messages of a group with one deduplication id within this time are one.
const DEDUPLICATED_FOR: SignedDuration = SignedDuration::from_mins(5);
/// SQS: a batch has at most so many entries.
const BATCH_MOST: usize = 10;

/// SQS: a message that was received so often no longer counts for the age of a standard queue's oldest.
const AGED: u32 = 3;

/// What a queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Glance {
    /// Messages that can be received now, taken ones that nobody let go of included.
    pub visible: usize,
    /// Messages in flight.
    pub in_flight: usize,
    /// When the oldest was sent, those left out that SQS leaves out.
    pub oldest: Option<Timestamp>,
}

/// How a queue behaves.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// How long a received message stays hidden.
    pub visibility: SignedDuration,
    /// After so many receipts a message goes to the dead letters.
    pub max_receive: u32,
    /// Whether it keeps the order within a group and drops duplicates.
    pub fifo: bool,
}

impl Default for Spec {
    /// As the template has the work queues.
    fn default() -> Self {
        Self {
            visibility: SignedDuration::from_secs(180),
            max_receive: 1000,
            fifo: false,
        }
    }
}

impl Spec {
    /// As the template has this queue.
    #[must_use]
    pub fn of(queue: Queue) -> Self {
        Self {
            fifo: queue.is_fifo(),
            ..Self::default()
        }
    }
}

#[derive(Debug)]
struct Stored {
    id: String,
    message: Message,
    sent: Timestamp,
    count: u32,
    visible_at: Timestamp,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    stored: BTreeMap<u64, Stored>,
    by_time: BTreeSet<(Timestamp, u64)>,
    /// Those of them that are in flight, or were until they showed again.
    out: BTreeSet<(Timestamp, u64)>,
    /// When what was sent to a group under an id was taken.
    deduplicated: HashMap<(Option<String>, String), Timestamp>,
}

/// One queue, and where its dead letters go.
#[derive(Debug)]
struct Line {
    name: String,
    spec: Spec,
    dead: Option<Arc<Line>>,
    state: Mutex<State>,
}

impl Line {
    fn new(name: String, spec: Spec, dead: Option<Arc<Line>>) -> Arc<Self> {
        Arc::new(Self {
            name,
            spec,
            dead,
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it takes no such message, if it takes none.
    fn refuses(&self, message: &Message) -> Option<&'static str> {
        match message {
            _ if !self.spec.fifo => None,
            Message { group: None, .. } => Some("a message for a FIFO queue names no group"),
            Message {
                deduplication: None,
                ..
            } => Some("a message for a FIFO queue has no deduplication id"),
            Message { .. } => None,
        }
    }

    fn push(&self, message: Message, now: Timestamp) {
        let mut state = self.lock();
        if self.spec.fifo && !state.is_new(&message, now) {
            return;
        }
        let id = format!("{}-{}", self.name, state.next);
        let visible_at = match self.spec.fifo {
            true => now,
            false => later(now, message.delay),
        };
        state.store(Stored {
            id,
            message,
            sent: now,
            count: 0,
            visible_at,
        });
    }

    fn receive(&self, most: usize, now: Timestamp) -> Vec<Received> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        state.come_back(now);
        let out = state.groups_out(self.spec.fifo);
        let mut from = 0;
        while taken.len() < most.min(BATCH_MOST) && state.out.len() < IN_FLIGHT_MOST {
            let next = match self.spec.fifo {
                true => state.next_in_order(from, &out, now),
                false => state.first_visible(now),
            };
            let Some((key, mut stored)) = next.and_then(|key| Some((key, state.take(key)?))) else {
                break;
            };
            from = key + 1;
            if stored.count >= self.spec.max_receive
                && let Some(dead) = &self.dead
            {
                let mut dead = dead.lock();
                stored.visible_at = now;
                dead.store(stored);
                continue;
            }
            stored.count += 1;
            stored.visible_at = later(now, self.spec.visibility);
            taken.push(Received {
                id: stored.id.clone(),
                receipt: Receipt(format!("{key}:{}", stored.count)),
                body: stored.message.body.clone(),
                count: stored.count,
                sent: stored.sent,
                group: stored.message.group.clone(),
            });
            state.hide(key, stored);
        }
        taken
    }

    fn with_leased(&self, receipt: &Receipt, then: impl FnOnce(&mut State, u64, Stored)) -> bool {
        let Some((key, count)) = receipt.0.split_once(':') else {
            return false;
        };
        let (Ok(key), Ok(count)) = (key.parse(), count.parse::<u32>()) else {
            return false;
        };
        let mut state = self.lock();
        let current = state
            .stored
            .get(&key)
            .is_some_and(|stored| stored.count == count);
        match current.then(|| state.take(key)).flatten() {
            Some(stored) => {
                then(&mut state, key, stored);
                true
            }
            None => false,
        }
    }
}

impl State {
    fn store(&mut self, stored: Stored) {
        let key = self.next;
        self.next += 1;
        self.put_back(key, stored);
    }

    fn put_back(&mut self, key: u64, stored: Stored) {
        self.by_time.insert((stored.visible_at, key));
        self.stored.insert(key, stored);
    }

    /// Puts back what is in flight until it shows again.
    fn hide(&mut self, key: u64, stored: Stored) {
        self.out.insert((stored.visible_at, key));
        self.put_back(key, stored);
    }

    fn take(&mut self, key: u64) -> Option<Stored> {
        let stored = self.stored.remove(&key)?;
        self.by_time.remove(&(stored.visible_at, key));
        self.out.remove(&(stored.visible_at, key));
        Some(stored)
    }

    /// What shows again is not in flight any more.
    fn come_back(&mut self, now: Timestamp) {
        while self.out.first().is_some_and(|(at, _)| *at <= now) {
            self.out.pop_first();
        }
    }

    /// Whether nothing was sent to its group under its id lately. What comes again does not make that any later.
    fn is_new(&mut self, message: &Message, now: Timestamp) -> bool {
        self.deduplicated
            .retain(|_, at| now.duration_since(*at) < DEDUPLICATED_FOR);
        let Some(id) = &message.deduplication else {
            return true;
        };
        match self.deduplicated.entry((message.group.clone(), id.clone())) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(now);
                true
            }
        }
    }

    fn first_visible(&self, now: Timestamp) -> Option<u64> {
        let (at, key) = self.by_time.first()?;
        (*at <= now).then_some(*key)
    }

    /// The groups of a FIFO queue that are held back: any of their messages is out, an earlier or a later one.
    fn groups_out(&self, fifo: bool) -> HashSet<Option<String>> {
        let out = fifo.then(|| self.out.iter());
        out.into_iter()
            .flatten()
            .filter_map(|(_, key)| Some(self.stored.get(key)?.message.group.clone()))
            .collect()
    }

    /// The first message from `from` on that shows and whose group is not in `out`.
    fn next_in_order(
        &self,
        from: u64,
        out: &HashSet<Option<String>>,
        now: Timestamp,
    ) -> Option<u64> {
        let mut stored = self.stored.range(from..);
        let ready =
            |stored: &Stored| stored.visible_at <= now && !out.contains(&stored.message.group);
        stored
            .find(|(_, stored)| ready(stored))
            .map(|(key, _)| *key)
    }

    /// When the next message can be received. A group of a FIFO queue shows when the last that is out comes back.
    fn next_visible(&self, fifo: bool) -> Option<Timestamp> {
        if !fifo {
            return self.by_time.first().map(|(at, _)| *at);
        }
        let mut groups = HashMap::<Option<&str>, Timestamp>::new();
        for (at, key) in &self.by_time {
            if let Some(stored) = self.stored.get(key) {
                groups.insert(stored.message.group.as_deref(), *at);
            }
        }
        groups.into_values().min()
    }
}

/// Queues in this process.
#[derive(Clone)]
pub struct MemoryQueues {
    clock: Arc<dyn Clock>,
    lines: Arc<BTreeMap<Queue, Arc<Line>>>,
}

impl MemoryQueues {
    /// Every queue as the template has it, with its dead letters.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with(clock, &Queue::ALL.map(|queue| (queue, Spec::of(queue))))
    }

    /// The queues of `specs`, each with its dead letters.
    #[must_use]
    pub fn with(clock: Arc<dyn Clock>, specs: &[(Queue, Spec)]) -> Self {
        let line = |(queue, spec): &(Queue, Spec)| {
            let dead = Line::new(format!("{}-dead", queue.as_str()), *spec, None);
            (
                *queue,
                Line::new(queue.as_str().to_owned(), *spec, Some(dead)),
            )
        };
        Self {
            clock,
            lines: Arc::new(specs.iter().map(line).collect()),
        }
    }

    /// The dead letters of every queue, as queues.
    #[must_use]
    pub fn dead_letters(&self) -> Self {
        let dead = |(queue, line): (&Queue, &Arc<Line>)| Some((*queue, line.dead.clone()?));
        Self {
            clock: self.clock.clone(),
            lines: Arc::new(self.lines.iter().filter_map(dead).collect()),
        }
    }

    /// When the next message can be received, if any is stored; a time that has passed means now.
    #[must_use]
    pub fn next_visible(&self, queue: Queue) -> Option<Timestamp> {
        let line = self.lines.get(&queue)?;
        line.lock().next_visible(line.spec.fifo)
    }

    /// What a queue holds at this moment, as its metrics tell.
    #[must_use]
    pub fn glance(&self, queue: Queue) -> Glance {
        let now = self.clock.now();
        let Some(line) = self.lines.get(&queue) else {
            return Glance::default();
        };
        let mut state = line.lock();
        state.come_back(now);
        let young = state.stored.values().filter(|stored| stored.count < AGED);
        let visible = state.by_time.iter().take_while(|(at, _)| *at <= now);
        Glance {
            visible: visible.count(),
            in_flight: state.out.len(),
            oldest: young.map(|stored| stored.sent).min(),
        }
    }

    /// How many messages a queue holds, hidden ones included.
    #[must_use]
    pub fn len(&self, queue: Queue) -> usize {
        self.lines
            .get(&queue)
            .map_or(0, |line| line.lock().stored.len())
    }

    /// Whether no queue holds a message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines
            .values()
            .all(|line| line.lock().stored.is_empty())
    }

    fn line(&self, queue: Queue) -> Result<&Line, QueueError> {
        let missing =
            || QueueError::Unavailable(format!("there is no queue `{}`", queue.as_str()).into());
        self.lines
            .get(&queue)
            .map(AsRef::as_ref)
            .ok_or_else(missing)
    }
}

#[async_trait]
impl Enqueue for MemoryQueues {
    async fn send(&self, queue: Queue, messages: Vec<Message>) -> Result<(), QueueError> {
        let line = self.line(queue)?;
        if let Some(size) = messages
            .iter()
            .map(Message::size)
            .find(|size| *size > MESSAGE_MOST)
        {
            return Err(QueueError::TooLarge { size });
        }
        if let Some(why) = messages.iter().find_map(|message| line.refuses(message)) {
            return Err(QueueError::Unavailable(why.into()));
        }
        let now = self.clock.now();
        for message in messages {
            line.push(message, now);
        }
        Ok(())
    }
}

#[async_trait]
impl Lease for MemoryQueues {
    async fn receive(
        &self,
        queue: Queue,
        most: usize,
        _wait: SignedDuration,
    ) -> Result<Vec<Received>, QueueError> {
        Ok(self.line(queue)?.receive(most, self.clock.now()))
    }

    async fn delete(&self, queue: Queue, receipts: Vec<Receipt>) -> Result<(), QueueError> {
        let line = self.line(queue)?;
        for receipt in &receipts {
            // An old receipt deletes nothing, and SQS says so to nobody.
            let _current = line.with_leased(receipt, |_, _, _| ());
        }
        Ok(())
    }
}

#[async_trait]
impl Defer for MemoryQueues {
    async fn defer(
        &self,
        queue: Queue,
        leases: Vec<(Receipt, SignedDuration)>,
    ) -> Result<(), QueueError> {
        let line = self.line(queue)?;
        let now = self.clock.now();
        let gone = leases.iter().enumerate().filter(|(_, (receipt, wait))| {
            !line.with_leased(receipt, |state, key, mut stored| {
                stored.visible_at = later(now, *wait);
                match *wait > SignedDuration::ZERO {
                    true => state.hide(key, stored),
                    false => state.put_back(key, stored),
                }
            })
        });
        let refused = gone.map(|(index, _)| index).collect();
        partly(leases.len(), refused)
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
