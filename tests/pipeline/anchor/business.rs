//! A business server that is played: it tells of customers what it was told to, in its own time, and remembers who asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use jiff::SignedDuration;
use shared::delivery::Failure;
use shared::time::ManualClock;
use shared::transport::{Answer, Call, Caller};
use tokio::sync::Notify;

/// What it answers.
pub(super) type Said = Result<Answer, Failure>;

/// A customer in a status, and nothing else.
pub(super) fn body(customer: &str, status: &str) -> String {
    format!(r#"{{"id":"{customer}","status":"{status}"}}"#)
}

/// It tells of a customer in a status.
pub(super) fn says(customer: &str, status: &str) -> Said {
    Ok(Answer::of(200, body(customer, status)))
}

/// It answers with a status and a body.
pub(super) fn answers(status: u16, body: &str) -> Said {
    Ok(Answer::of(status, body.to_owned()))
}

/// A call that waits, its answer in hand.
#[derive(Debug, Default)]
pub(super) struct Held {
    asked: Notify,
    goes_on: Notify,
}

impl Held {
    /// Waits until the call is made.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Lets the call go on.
    pub(super) fn go_on(&self) {
        self.goes_on.notify_one();
    }
}

/// The business server. Customers that it was not told of are unknown to it: 404.
#[derive(Default)]
pub(super) struct Business {
    inner: Mutex<Inner>,
    clock: OnceLock<Arc<ManualClock>>,
}

#[derive(Default)]
struct Inner {
    customers: HashMap<String, VecDeque<Said>>,
    calls: Vec<Call>,
    takes: SignedDuration,
    held: VecDeque<Arc<Held>>,
}

impl Business {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose time its answers take.
    pub(super) fn goes_by(&self, clock: Arc<ManualClock>) {
        // A scene has one clock.
        let _ = self.clock.set(clock);
    }

    /// What it answers from now on to questions about a customer, or about an account where no customer is named; the last
    /// answer repeats.
    pub(super) fn is(&self, whom: &str, answers: impl IntoIterator<Item = Said>) {
        let answers = answers.into_iter().collect();
        self.lock().customers.insert(whom.to_owned(), answers);
    }

    /// How long each of its answers takes from now on.
    pub(super) fn takes(&self, time: SignedDuration) {
        self.lock().takes = time;
    }

    /// The next call waits, its answer in hand, until it is let go on.
    pub(super) fn hold(&self) -> Arc<Held> {
        let held = Arc::new(Held::default());
        self.lock().held.push_back(held.clone());
        held
    }

    /// The calls so far, the oldest first.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The queries of the calls so far, as they were sent.
    pub(super) fn queries(&self) -> Vec<String> {
        let calls = self.calls().into_iter();
        calls
            .map(|call| call.url.split_once('?').map_or("", |it| it.1).to_owned())
            .collect()
    }

    fn answer(&self, call: Call) -> (Said, Option<Arc<Held>>) {
        let query = call.url.split_once('?').map_or("", |it| it.1);
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|pair| pair.0 == name).map(|pair| pair.1)
        };
        let whom = value("id").or(value("account")).unwrap_or_default();
        let mut inner = self.lock();
        let said = match inner.customers.get_mut(whom) {
            Some(script) if script.len() > 1 => script.pop_front(),
            Some(script) => script.front().cloned(),
            None => None,
        };
        let said = said.unwrap_or_else(|| answers(404, r#"{"error":"not found"}"#));
        let (takes, held) = (inner.takes, inner.held.pop_front());
        // As the way there has it: who is not answered in time waits no longer.
        let in_time = takes <= call.deadline;
        if let Some(clock) = self.clock.get() {
            clock.advance(takes.min(call.deadline));
        }
        inner.calls.push(call);
        (if in_time { said } else { Err(Failure::Timeout) }, held)
    }
}

#[async_trait]
impl Caller for Business {
    async fn call(&self, call: Call) -> Said {
        let (said, held) = self.answer(call);
        if let Some(held) = held {
            held.asked.notify_one();
            held.goes_on.notified().await;
        }
        said
    }
}
