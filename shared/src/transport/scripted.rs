//! A far side that plays what it is told and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::Transport;
use crate::delivery::{Outcome, Request};

/// Answers each URL with its script, the last line of which repeats; URLs without one answer 200.
#[derive(Debug, Default)]
pub struct Scripted {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    scripts: HashMap<String, VecDeque<Outcome>>,
    requests: Vec<Request>,
}

impl Scripted {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what `url` answers from now on, one outcome per request.
    pub fn script(&self, url: &str, outcomes: impl IntoIterator<Item = Outcome>) {
        self.lock()
            .scripts
            .insert(url.to_owned(), outcomes.into_iter().collect());
    }

    /// The requests made so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn post(&self, request: Request) -> Outcome {
        let mut inner = self.lock();
        let outcome = match inner.scripts.get_mut(&request.url) {
            Some(script) if script.len() > 1 => script.pop_front(),
            Some(script) => script.front().cloned(),
            None => None,
        };
        inner.requests.push(request);
        outcome.unwrap_or_else(|| Outcome::answered(200))
    }
}
