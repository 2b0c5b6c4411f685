//! What is outside: receivers that answer, fail, hang, lie and recover as the seed has it, and a log of all they were asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use shared::delivery::{Failure, Outcome, Request};
use shared::transport::{Answer, Call, Caller, Transport};
use tokio::sync::mpsc::UnboundedSender;

use crate::chance::Chance;
use crate::defects::Defect;
use crate::nature::{Nature, pass};
use crate::process::Process;

/// How a receiver behaves for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It takes what comes.
    Well,
    /// It answers this status.
    Answers(u16),
    /// It answers 503 and asks for a wait of so many seconds.
    AsksToWait(u16),
    /// It does not answer within any deadline.
    Hangs,
    /// It takes what comes, and the connection ends before its answer.
    Lies,
    /// Nothing listens.
    Refuses,
    /// It fails every other request.
    Flickers,
}

/// A request that reached a receiver, or did not.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// When it was made.
    pub at: Timestamp,
    /// Where to.
    pub url: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Whether the receiver has it, whatever was answered.
    pub taken: bool,
    /// The status that was answered, if one was.
    pub status: Option<u16>,
    /// How long it asked us to wait, in seconds.
    pub asked_s: u16,
}

/// A receiver: its moods, each from a moment on.
#[derive(Debug, Clone, Default)]
struct Receiver {
    moods: Vec<(Timestamp, Mood)>,
    asked: u64,
}

/// Everything that is outside.
pub struct Outside {
    nature: Arc<Nature>,
    receivers: Mutex<BTreeMap<String, Receiver>>,
    arrivals: Mutex<Vec<Arrival>>,
    apis: Mutex<Vec<(String, Arc<dyn Caller>)>>,
    ears: Mutex<BTreeMap<String, UnboundedSender<Arrival>>>,
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outside {
    /// Nobody is there yet; who is asked all the same is well.
    #[must_use]
    pub fn new(nature: Arc<Nature>) -> Self {
        Self {
            nature,
            receivers: Mutex::default(),
            arrivals: Mutex::default(),
            apis: Mutex::default(),
            ears: Mutex::default(),
        }
    }

    /// Has calls to URLs that begin so answered by `api`.
    pub fn serve(&self, prefix: &str, api: Arc<dyn Caller>) {
        lock(&self.apis).push((prefix.to_owned(), api));
    }

    /// Hands on what the receiver at this URL takes, so that somebody acts on it.
    pub fn hear(&self, url: &str, ear: UnboundedSender<Arrival>) {
        lock(&self.ears).insert(url.to_owned(), ear);
    }

    fn api(&self, url: &str) -> Option<Arc<dyn Caller>> {
        let apis = lock(&self.apis);
        let api = apis.iter().find(|(prefix, _)| url.starts_with(prefix));
        api.map(|(_, api)| api.clone())
    }

    /// Gives a receiver moods until `calm`, and from then on `end`.
    pub fn place(&self, url: &str, chance: &Chance, calm: Timestamp, end: Mood) {
        let mut moods = Vec::new();
        let mut at = self.nature.now();
        if !self.nature.is_fair() {
            while at < calm {
                // The longer one is waited for in the table.
                let asks = if moods.len() % 2 == 0 { 60 } else { 1_200 };
                let mood = [
                    Mood::Well,
                    Mood::Well,
                    Mood::Well,
                    Mood::Answers(500),
                    Mood::Answers(404),
                    Mood::AsksToWait(asks),
                    Mood::Hangs,
                    Mood::Lies,
                    Mood::Refuses,
                    Mood::Flickers,
                ];
                let mood = chance.pick(&mood).copied().unwrap_or(Mood::Well);
                moods.push((at, mood));
                at += SignedDuration::from_secs(
                    i64::try_from(chance.between(5, 300)).unwrap_or_default(),
                );
            }
        }
        moods.push((calm, end));
        let receiver = Receiver { moods, asked: 0 };
        lock(&self.receivers).insert(url.to_owned(), receiver);
    }

    /// Sets the mood of a receiver from now on.
    pub fn set(&self, url: &str, mood: Mood) {
        let now = self.nature.now();
        let receiver = Receiver {
            moods: vec![(now, mood)],
            asked: 0,
        };
        lock(&self.receivers).insert(url.to_owned(), receiver);
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        lock(&self.arrivals).clone()
    }

    fn mood(&self, url: &str) -> Mood {
        let now = self.nature.now();
        let mut receivers = lock(&self.receivers);
        let Some(receiver) = receivers.get_mut(url) else {
            return Mood::Well;
        };
        receiver.asked += 1;
        let mood = receiver.moods.iter().rev().find(|(from, _)| *from <= now);
        match mood.map_or(Mood::Well, |(_, mood)| *mood) {
            Mood::Flickers if receiver.asked % 2 == 0 => Mood::Well,
            Mood::Flickers => Mood::Answers(502),
            mood => mood,
        }
    }

    async fn ask(&self, request: &Request) -> Outcome {
        let at = self.nature.now();
        let mood = self.mood(&request.url);
        let note = |taken, status| {
            let arrival = Arrival {
                at,
                url: request.url.clone(),
                headers: request.headers.clone(),
                body: request.body.clone(),
                taken,
                status,
                asked_s: match mood {
                    Mood::AsksToWait(seconds) => seconds,
                    _ => 0,
                },
            };
            if let Some(ear) = lock(&self.ears).get(&request.url).filter(|_| taken) {
                let _nobody_listens = ear.send(arrival.clone());
            }
            lock(&self.arrivals).push(arrival);
            self.nature.tell(|| {
                let id = request
                    .headers
                    .get("webhook-id")
                    .and_then(|id| id.to_str().ok());
                let body = String::from_utf8_lossy(&request.body);
                let body: String = body.chars().take(40).collect();
                format!("{} {mood:?} {}", request.url, id.unwrap_or(&body))
            });
        };
        pass(self.nature.chance.millis(5, 80)).await;
        match mood {
            Mood::Well | Mood::Flickers => {
                note(true, Some(200));
                Outcome::answered(200)
            }
            Mood::Answers(status) => {
                note(false, Some(status));
                Outcome::answered(status)
            }
            Mood::AsksToWait(seconds) => {
                note(false, Some(503));
                Outcome::Answered {
                    status: 503,
                    retry_after: Some(SignedDuration::from_secs(seconds.into())),
                    excerpt: String::new(),
                }
            }
            Mood::Hangs => {
                note(false, None);
                pass(request.deadline.try_into().unwrap_or_default()).await;
                Outcome::Failed(Failure::Timeout)
            }
            Mood::Lies => {
                note(true, None);
                Outcome::Failed(Failure::Closed)
            }
            Mood::Refuses => {
                note(false, None);
                Outcome::Failed(Failure::Refused)
            }
        }
    }
}

/// What is outside, as one process reaches it.
pub struct Reached {
    outside: Arc<Outside>,
    process: Arc<Process>,
}

impl Reached {
    /// `outside` as `process` reaches it.
    #[must_use]
    pub fn new(outside: Arc<Outside>, process: Arc<Process>) -> Self {
        Self { outside, process }
    }
}

#[async_trait]
impl Transport for Reached {
    async fn post(&self, request: Request) -> Outcome {
        self.process.before("post").await;
        let request = Defect::bend_request(&self.process, request);
        let outcome = self.outside.ask(&request).await;
        self.process.after("post").await;
        Defect::bend_outcome(&self.process, outcome)
    }
}

#[async_trait]
impl Caller for Reached {
    async fn call(&self, call: Call) -> Result<Answer, Failure> {
        self.process.before("call").await;
        let answer = match self.outside.api(&call.url) {
            Some(api) => api.call(call).await,
            None => Ok(Answer::of(404, Bytes::new())),
        };
        self.process.after("call").await;
        answer
    }
}
