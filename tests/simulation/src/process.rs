//! One running process of the functions, and the gate that each of its effects passes: there it waits, fails, and dies.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use crate::nature::{Nature, pass};
use crate::weather::Fault;

/// A process. What it has in hand is gone when it dies; table and queues are not.
#[derive(Debug)]
pub struct Process {
    /// Which one.
    pub name: String,
    /// What it shares with everybody.
    pub nature: Arc<Nature>,
    dead: watch::Sender<bool>,
}

impl Process {
    /// A process that has just started.
    #[must_use]
    pub fn start(name: String, nature: Arc<Nature>) -> Arc<Self> {
        nature.tell(|| format!("{name} starts"));
        Arc::new(Self {
            name,
            nature,
            dead: watch::Sender::new(false),
        })
    }

    /// Waits until it is dead.
    pub async fn death(&self) {
        let mut dead = self.dead.subscribe();
        // It can't be closed: the sender is here.
        let _dead = dead.wait_for(|dead| *dead).await;
    }

    /// Does `work` unless it dies before that is done.
    pub async fn living<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.death() => None,
            done = work => Some(done),
        }
    }

    /// Dies here: nothing of it gets past this line.
    pub async fn die(&self) {
        self.nature.tell(|| format!("{} dies", self.name));
        self.nature.interrupted();
        self.nature.count("processes that died", 1);
        self.dead.send_replace(true);
        std::future::pending::<()>().await;
    }

    /// On the way to an effect.
    pub async fn before(&self, what: &str) {
        if *self.dead.borrow() {
            std::future::pending::<()>().await;
        }
        if self.nature.strikes(Fault::DiesBefore) {
            self.nature.tell(|| format!("{} before {what}", self.name));
            self.die().await;
        }
        let nature = &self.nature;
        pass(nature.chance.millis(1, 4)).await;
    }

    /// On the way back from an effect, which has happened.
    pub async fn after(&self, what: &str) {
        if self.nature.strikes(Fault::DiesAfter) {
            self.nature.tell(|| format!("{} after {what}", self.name));
            self.die().await;
        }
        pass(self.nature.chance.millis(0, 4)).await;
    }

    /// Adds a line to the trace.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        self.nature.tell(|| format!("{} {}", self.name, line()));
    }
}
