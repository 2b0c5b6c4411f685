//! What everybody in a run shares: time, chance, faults, and the notes of what happened.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use shared::delivery::Request;
use shared::time::{Clock, later};
use tokio::time::Instant;

use crate::chance::Chance;
use crate::defects::Defect;
use crate::weather::{Fault, Weather};

/// When every run begins.
pub const BEGIN: i64 = 1_767_225_600;

/// The time of the run: that of the runtime's driven timers.
#[derive(Debug)]
pub struct SimClock {
    began: Instant,
}

impl SimClock {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            began: Instant::now(),
        }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let begin = Timestamp::from_second(BEGIN).unwrap_or(Timestamp::UNIX_EPOCH);
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        later(begin, passed)
    }
}

/// What was counted in a run.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Faults that struck, by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// What happened, by name.
    pub events: BTreeMap<&'static str, u64>,
    /// How often each law was checked.
    pub laws: BTreeMap<&'static str, u64>,
    /// Departures from a law that are known and explained, by name.
    pub exceptions: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        fn sum<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            for (name, count) in from {
                *into.entry(*name).or_default() += count;
            }
        }
        sum(&mut self.faults, &other.faults);
        sum(&mut self.events, &other.events);
        sum(&mut self.laws, &other.laws);
        sum(&mut self.exceptions, &other.exceptions);
    }
}

/// A law that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub law: &'static str,
    /// What was seen instead.
    pub seen: String,
}

/// What everybody shares.
#[derive(Debug)]
pub struct Nature {
    /// The time.
    pub clock: SimClock,
    /// Chance, for faults and waits.
    pub chance: Chance,
    /// The deliberate defect, if the run has one.
    pub defect: Option<Defect>,
    weather: Mutex<Weather>,
    calm: AtomicBool,
    interruptions: AtomicU64,
    writes: AtomicU64,
    counts: Mutex<Counts>,
    violations: Mutex<Vec<Violation>>,
    trace: Option<Mutex<String>>,
    first: Mutex<BTreeMap<(String, Bytes), Request>>,
    answers: Mutex<BTreeMap<String, (Timestamp, String)>>,
}

impl Nature {
    /// The nature of the run of `seed`.
    #[must_use]
    pub fn new(seed: u64, weather: Weather, defect: Option<Defect>, traced: bool) -> Self {
        Self {
            clock: SimClock::start(),
            chance: Chance::new(seed, 2),
            defect,
            weather: Mutex::new(weather),
            calm: AtomicBool::new(true),
            interruptions: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            counts: Mutex::default(),
            violations: Mutex::default(),
            trace: traced.then(Mutex::default),
            first: Mutex::default(),
            answers: Mutex::default(),
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// From now on faults strike, or none does.
    pub fn set_calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::SeqCst);
        self.tell(|| format!("-- faults {}", if calm { "end" } else { "begin" }));
    }

    /// Whether no fault strikes at the moment.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    /// Changes which faults strike.
    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Whether the run has no faults at all.
    #[must_use]
    pub fn is_fair(&self) -> bool {
        let weather = self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        weather.is_fair()
    }

    /// Whether the run has this defect.
    #[must_use]
    pub fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// Whether a fault of this kind may strike at some time.
    pub fn may_strike(&self, fault: Fault) -> bool {
        let weather = self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        weather.kinds().any(|kind| kind == fault)
    }

    /// Whether a fault of this kind strikes now.
    pub fn strikes(&self, fault: Fault) -> bool {
        let weather = self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        let struck = !self.is_calm() && weather.strikes(fault, &self.chance);
        drop(weather);
        if struck {
            *self.counts().faults.entry(fault).or_default() += 1;
            self.tell(|| format!("!! {}", fault.name()));
        }
        struck
    }

    /// Notes that work in hand was cut off: what was done may not have been written down.
    pub fn interrupted(&self) {
        self.interruptions.fetch_add(1, Ordering::SeqCst);
    }

    /// How often that was.
    #[must_use]
    pub fn interruptions(&self) -> u64 {
        self.interruptions.load(Ordering::SeqCst)
    }

    /// Notes that the table was written to.
    pub fn written(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// How often that was.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Counts something that happened.
    pub fn count(&self, what: &'static str, times: u64) {
        *self.counts().events.entry(what).or_default() += times;
    }

    /// Counts a departure from a law that is known and explained.
    pub fn except(&self, what: &'static str) {
        *self.counts().exceptions.entry(what).or_default() += 1;
    }

    /// Checks a law: notes that it was, and what was `seen` if it does not hold.
    pub fn check(&self, law: &'static str, holds: bool, seen: impl FnOnce() -> String) {
        *self.counts().laws.entry(law).or_default() += 1;
        if !holds {
            let seen = seen();
            self.tell(|| format!("## {law}: {seen}"));
            let mut violations = self
                .violations
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            violations.push(Violation { law, seen });
        }
    }

    /// The laws that did not hold.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let violations = self
            .violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        violations.clone()
    }

    /// The first request with this body to this URL.
    pub fn first_of(&self, request: Request) -> Request {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (request.url.clone(), request.body.clone());
        first.entry(key).or_insert(request).clone()
    }

    /// Keeps an answer.
    pub fn remember(&self, asked: &str, answer: &str) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(asked.to_owned(), (self.now(), answer.to_owned()));
    }

    /// What was answered to this last, if that was kept and is younger than `age`.
    #[must_use]
    pub fn recall(&self, asked: &str, age: SignedDuration) -> Option<String> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, answer) = answers.get(asked)?;
        (self.now().duration_since(*at) < age).then(|| answer.clone())
    }

    /// What was counted.
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every step is written down.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Adds a line to the trace, if there is one.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
            let _never_fails = writeln!(trace, "{:.3} {}", self.now(), line());
        }
    }

    /// The trace, if there is one.
    #[must_use]
    pub fn trace(&self) -> String {
        let trace = self.trace.as_ref();
        trace.map_or_else(String::new, |trace| {
            trace.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }
}

/// Lets time pass: the time of the run, which is driven, so that it takes none.
#[expect(
    clippy::disallowed_methods,
    reason = "the runtime's clock is driven: nothing is waited for"
)]
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
