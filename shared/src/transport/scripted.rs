//! Far sides that play what they are told and remember what they were asked: receivers, and an API.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use bytes::Bytes;

use super::{Answer, Call, Caller, Transport};
use crate::delivery::{Failure, Outcome, Request};

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

/// Answers each URL with its script, the last line of which repeats; URLs without one answer 404.
#[derive(Debug, Default)]
pub struct ScriptedApi {
    inner: Mutex<Played>,
}

#[derive(Debug, Default)]
struct Played {
    scripts: HashMap<String, VecDeque<Result<Answer, Failure>>>,
    calls: Vec<Call>,
}

impl ScriptedApi {
    fn lock(&self) -> MutexGuard<'_, Played> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what `url` answers from now on, one answer per call.
    pub fn script(&self, url: &str, answers: impl IntoIterator<Item = Result<Answer, Failure>>) {
        self.lock()
            .scripts
            .insert(url.to_owned(), answers.into_iter().collect());
    }

    /// The calls made so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }
}

#[async_trait]
impl Caller for ScriptedApi {
    async fn call(&self, call: Call) -> Result<Answer, Failure> {
        let mut inner = self.lock();
        let answer = match inner.scripts.get_mut(&call.url) {
            Some(script) if script.len() > 1 => script.pop_front(),
            Some(script) => script.front().cloned(),
            None => None,
        };
        inner.calls.push(call);
        answer.unwrap_or_else(|| Ok(Answer::of(404, Bytes::new())))
    }
}
