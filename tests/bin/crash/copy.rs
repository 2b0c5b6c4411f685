//! One process of a function behind its own Runtime API and its own proxy, which is killed when it is told to be, and
//! started again.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::Bytes;
use tests::runtime::{Function, RuntimeApi};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::ledger::{Ledger, Mishap, Number, Topic};
use crate::proxy::{Hand, Proxy};

/// How long a call may take before the function is ended, as Lambda would: less than a message is hidden.
const CALL_MOST: Duration = Duration::from_secs(25);

/// A kill that is to be made: so many thousandths of a usual call after the next call began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order(pub(super) u32);

/// What came of a call.
pub(super) enum Ended {
    /// The function answered.
    Answered(Bytes),
    /// It failed.
    Failed(Bytes),
    /// It was killed meanwhile.
    Killed,
}

/// What a copy is started with.
pub(super) struct Plan {
    /// The function's name.
    pub(super) function: &'static str,
    /// Its file.
    pub(super) binary: PathBuf,
    /// Its environment.
    pub(super) env: Vec<(String, String)>,
    /// Where its log goes, if it is kept.
    pub(super) log: Option<PathBuf>,
}

/// A process of a function, and what stands around it.
pub(super) struct Copy {
    plan: Plan,
    ledger: Arc<Ledger>,
    hand: Hand,
    _proxy: Proxy,
    orders: mpsc::UnboundedReceiver<Order>,
    order: Option<Order>,
    usual: Duration,
    /// The process first: it must have ended before its Runtime API does.
    running: Option<(Function, RuntimeApi)>,
}

impl Copy {
    /// One that is not started yet, and starts with its first call.
    pub(super) fn new(
        mut plan: Plan,
        ledger: Arc<Ledger>,
        (hand, proxy): (Hand, Proxy),
        orders: mpsc::UnboundedReceiver<Order>,
    ) -> Self {
        plan.env.push(("AWS_ENDPOINT_URL".to_owned(), proxy.url()));
        Self {
            plan,
            ledger,
            hand,
            _proxy: proxy,
            orders,
            order: None,
            usual: Duration::from_millis(20),
            running: None,
        }
    }

    /// The function's name.
    pub(super) fn function(&self) -> &'static str {
        self.plan.function
    }

    async fn running(&mut self) -> Result<&RuntimeApi> {
        if self.running.is_none() {
            let api = RuntimeApi::start().await?;
            let log = match &self.plan.log {
                None => Stdio::null(),
                Some(path) => {
                    let file = File::options().create(true).append(true).open(path);
                    file.with_context(|| format!("opening {}", path.display()))?
                        .into()
                }
            };
            let env = self.plan.env.clone();
            let function = Function::spawn_logging(&self.plan.binary, env, &api, log)?;
            self.running = Some((function, api));
        }
        let (_, api) = self.running.as_ref().context("it was started above")?;
        Ok(api)
    }

    /// Calls it with what carries these events.
    ///
    /// # Errors
    /// If it can't be started, or does not even come up.
    pub(super) async fn call(
        &mut self,
        numbers: BTreeSet<Number>,
        payload: Vec<u8>,
    ) -> Result<Ended> {
        if self.order.is_none() {
            self.order = self.orders.try_recv().ok();
        }
        self.hand.take_up(numbers);
        let began = Instant::now();
        let answer = self.running().await?.invoke(payload);
        let wait = match self.order {
            Some(Order(per_mille)) => (self.usual * per_mille) / 1_000,
            None => CALL_MOST,
        };
        let answered = timeout(wait, answer).await;
        let numbers = self.hand.take_up(BTreeSet::new());
        let Ok(answer) = answered else {
            self.kill(&numbers);
            return Ok(Ended::Killed);
        };
        // It was quicker than the kill, which comes sooner in the next call then.
        self.order = self.order.map(|Order(per_mille)| Order(per_mille / 2));
        self.usual = (self.usual * 7 + began.elapsed()) / 8;
        let answer = answer.with_context(|| format!("{} is gone", self.plan.function))?;
        Ok(if answer.error {
            let what = format!("a call of {} failed", self.plan.function);
            self.ledger.count(Topic::Oddities, &what, 1);
            Ended::Failed(answer.body)
        } else {
            Ended::Answered(answer.body)
        })
    }

    /// Ends the process with SIGKILL. The next call starts another.
    fn kill(&mut self, numbers: &BTreeSet<Number>) {
        self.running = None;
        let function = self.plan.function;
        self.ledger.befell(numbers, Mishap::Killed(function));
        if self.order.take().is_some() {
            self.ledger.count(Topic::Kills, function, 1);
            self.ledger.count(Topic::InHand, function, numbers.len());
        } else {
            let what = format!("{function} ended for taking too long");
            self.ledger.count(Topic::Oddities, &what, 1);
        }
    }
}
