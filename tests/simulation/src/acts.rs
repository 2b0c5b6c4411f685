//! What comes from outside in a run, of all kinds, in one order: a run can be cut short anywhere, and stays the same until
//! then.

use std::sync::Arc;

use anyhow::Result;
use tokio::task::JoinSet;

use crate::anchor::{self, Business, Stories};
use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::laws::Arrivals;
use crate::operator::{self, Orders};
use crate::publish::{self, Log};
use crate::recovery::{self, Books};
use crate::stage::Stage;

/// Something that somebody outside does.
#[derive(Debug, Clone)]
pub enum Act {
    /// A payment backend publishes an event.
    Publish(publish::Meant),
    /// The operator changes a receiver, or has an event sent once more.
    Order(operator::Order),
    /// Something happens to an invoice at its billing platform.
    Bill(recovery::Billed),
    /// A business server says something of a customer, or puts a transaction.
    Tell(anchor::Step),
}

impl Act {
    fn after_ms(&self) -> u64 {
        match self {
            Self::Publish(meant) => meant.after_ms,
            Self::Order(order) => order.after_ms,
            Self::Bill(billed) => billed.after_ms,
            Self::Tell(step) => step.after_ms,
        }
    }
}

/// What is done in a run, in its order. Most runs have one kind of work, so that they are small, and most of them the one that
/// takes the fewest requests; some have all.
#[must_use]
pub fn plan(seed: u64, calm_ms: u64) -> Vec<Act> {
    let chance = Chance::new(seed, 5);
    let (publish, recovery, anchor) = match chance.between(0, 99) {
        0..80 => (true, false, false),
        80..88 => (false, true, false),
        88..98 => (false, false, true),
        _ => (true, true, true),
    };
    let mut acts = Vec::new();
    if publish {
        let meant = publish::plan(seed, calm_ms);
        let orders = operator::plan(seed, &meant, calm_ms);
        acts.extend(orders.into_iter().map(Act::Order));
        acts.extend(meant.into_iter().map(Act::Publish));
    }
    if recovery {
        let holds = operator::holds(seed, &["shop"], calm_ms);
        acts.extend(holds.into_iter().map(Act::Order));
        let billed = recovery::plan(seed, calm_ms).into_iter();
        acts.extend(billed.map(Act::Bill));
    }
    if anchor {
        let holds = operator::holds(seed, &anchor::CLIENTS, calm_ms);
        acts.extend(holds.into_iter().map(Act::Order));
        acts.extend(anchor::plan(seed, calm_ms).into_iter().map(Act::Tell));
    }
    acts.sort_by_key(Act::after_ms);
    acts
}

/// Everybody outside, with the notes of what they did.
pub struct Outsiders {
    cluster: Arc<Cluster>,
    stage: Arc<Stage>,
    log: Arc<Log>,
    orders: Arc<Orders>,
    books: Arc<Books>,
    business: Arc<Business>,
    stories: Arc<Stories>,
    acting: JoinSet<()>,
}

impl Outsiders {
    /// Nobody has done anything yet; who only reacts is at work.
    #[must_use]
    pub fn new(seed: u64, cluster: &Arc<Cluster>, stage: &Arc<Stage>) -> Self {
        let books = Arc::new(Books::new(seed, cluster.nature.clone()));
        recovery::open(cluster, stage, &books);
        let business = Arc::new(Business::new(cluster.nature.clone()));
        cluster.outside.serve("https://business.", business.clone());
        Self {
            cluster: cluster.clone(),
            stage: stage.clone(),
            log: Arc::default(),
            orders: Arc::default(),
            books,
            business,
            stories: Arc::default(),
            acting: JoinSet::new(),
        }
    }

    /// Has somebody do this in its time.
    pub fn begin(&mut self, act: Act) {
        let (cluster, stage) = (self.cluster.clone(), self.stage.clone());
        match act {
            Act::Publish(meant) => {
                let log = self.log.clone();
                self.acting
                    .spawn(publish::publish(cluster, stage, log, meant));
            }
            Act::Order(order) => {
                let orders = self.orders.clone();
                self.acting
                    .spawn(operator::carry_out(cluster, stage, orders, order));
            }
            Act::Bill(billed) => {
                let books = self.books.clone();
                self.acting
                    .spawn(recovery::bill(cluster, stage, books, billed));
            }
            Act::Tell(step) => {
                let (business, stories) = (self.business.clone(), self.stories.clone());
                self.acting
                    .spawn(anchor::tell(cluster, stage, business, stories, step));
            }
        }
    }

    /// Waits until all that was planned is done.
    pub async fn done(&mut self) {
        while self.acting.join_next().await.is_some() {}
    }

    /// Whether nobody reacts to anything at the moment.
    #[must_use]
    pub fn are_idle(&self) -> bool {
        self.books.is_idle()
    }

    /// Checks what came of it all.
    ///
    /// # Errors
    /// If the table can't be read.
    pub async fn check(&self) -> Result<Arrivals> {
        let (cluster, stage) = (&self.cluster, &self.stage);
        let all = cluster.outside.arrivals();
        let mut arrivals = Arrivals::sorted(&cluster.nature, stage, &self.orders, &all);
        publish::check(cluster, stage, &mut arrivals, &self.log, &self.orders).await?;
        recovery::check(cluster, stage, &mut arrivals, &self.books).await?;
        anchor::check(cluster, stage, &mut arrivals, &self.stories).await?;
        Ok(arrivals)
    }
}
