//! One run: the stage, the copies at work, what comes from outside, the calm after it, and the laws.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::SignedDuration;
use shared::time::{later, until};
use tokio::task::JoinSet;

use crate::acts::{self, Outsiders};
use crate::cluster::Cluster;
use crate::defects::Defect;
use crate::laws;
use crate::nature::{Counts, Nature, Violation, pass};
use crate::template::{Template, runtime};
use crate::weather::{Fault, Weather};

/// Everything has come to rest so long after faults end: the longest chain of waits and the longest hold of a message fit in,
/// which is that of what the operator held for a receiver that is down for good: a day, and until `sweep` ends it.
const REST_WITHIN: SignedDuration = SignedDuration::from_hours(25);

/// Which run, and what is left out of it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What everything is drawn from.
    pub seed: u64,
    /// Kinds of faults that are left out.
    pub without: BTreeSet<Fault>,
    /// Only so many of what comes from outside, the first ones.
    pub acts: Option<usize>,
    /// A deliberate defect.
    pub defect: Option<Defect>,
    /// Whether every step is written down.
    pub traced: bool,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which run.
    pub seed: u64,
    /// The laws that did not hold.
    pub violations: Vec<Violation>,
    /// What was counted.
    pub counts: Counts,
    /// How long it lasted in the time of the run.
    pub lasted: SignedDuration,
    /// How many acts there were to leave out.
    pub acts: usize,
    /// Every step, if it was to be written down.
    pub trace: String,
}

impl Report {
    /// That of a run that ended at once, by this.
    #[must_use]
    pub fn broken(seed: u64, by: Violation) -> Self {
        Self {
            seed,
            violations: vec![by],
            counts: Counts::default(),
            lasted: SignedDuration::ZERO,
            acts: 0,
            trace: String::new(),
        }
    }
}

/// Makes a run.
///
/// # Errors
/// If the machine fails; what the code under test does wrong is in the report.
pub fn run(options: &Options) -> Result<Report> {
    let template = Template::get()?;
    fastrand::seed(options.seed);
    runtime()?.block_on(play(options, template))
}

async fn play(options: &Options, template: &Template) -> Result<Report> {
    let seed = options.seed;
    let weather = Weather::draw(seed, &options.without);
    let nature = Arc::new(Nature::new(seed, weather, options.defect, options.traced));
    let began = nature.now();
    let cluster = Cluster::start(seed, nature.clone()).await?;
    template.copy_to(&cluster.database)?;
    let stage = Arc::new(template.stage.clone().begin(&cluster, seed));
    let mut copies = JoinSet::new();
    for copy in 0..2 {
        copies.spawn(cluster.clone().live(copy, 2));
    }
    nature.set_calm(false);
    let for_faults = until(nature.now(), stage.calm);
    let for_faults = u64::try_from(for_faults.as_millis()).unwrap_or_default();
    let mut plan = acts::plan(seed, for_faults);
    let acts = plan.len();
    plan.truncate(options.acts.unwrap_or(usize::MAX));
    let mut outsiders = Outsiders::new(seed, &cluster, &stage);
    for act in plan {
        outsiders.begin(act);
    }
    pass(Duration::from_millis(for_faults)).await;
    nature.set_calm(true);
    let rest = later(nature.now(), REST_WITHIN);
    outsiders.done().await;
    let mut pause = Duration::from_secs(20);
    while !(cluster.is_settled()? && outsiders.are_idle()) && nature.now() < rest {
        pass(pause).await;
        pause = (pause * 2).min(Duration::from_secs(600));
    }
    laws::check(&cluster, &stage, &outsiders).await?;
    let lasted = nature.now().duration_since(began);
    copies.shutdown().await;
    let counts = nature.counts().clone();
    Ok(Report {
        seed,
        violations: nature.violations(),
        counts,
        lasted,
        acts,
        trace: nature.trace(),
    })
}
