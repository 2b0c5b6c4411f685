//! Many runs: over all cores, for a time or a number of seeds, with the figures of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::time::{Clock, SystemClock, later};

use crate::nature::Violation;
use crate::run::{Options, Report, run};
use crate::weather::Fault;

/// A line is shown every so often.
const PROGRESS: SignedDuration = SignedDuration::from_secs(10);

/// What to run.
pub struct Campaign {
    /// What all runs have in common.
    pub options: Options,
    /// The first seed.
    pub from: Option<u64>,
    /// How many seeds.
    pub seeds: Option<u64>,
    /// For how long.
    pub time: Option<Duration>,
    /// How many at once.
    pub threads: usize,
    /// Where the figures are kept.
    pub figures: Option<PathBuf>,
    /// Whether nothing is run after a failure.
    pub stop_at_failure: bool,
}

/// What came of many runs.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// How many runs.
    pub runs: u64,
    /// The seed that comes next.
    pub next: u64,
    /// How long they lasted in their own time, in seconds.
    pub lasted_s: u64,
    /// The seeds that broke a law, the lowest first.
    pub failed: BTreeSet<u64>,
    /// The laws that they broke.
    pub violated: BTreeSet<String>,
    /// What was counted, by part and name.
    pub counts: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Figures {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.next = self.next.max(report.seed + 1);
        self.lasted_s += u64::try_from(report.lasted.as_secs()).unwrap_or_default();
        if !report.violations.is_empty() {
            self.failed.insert(report.seed);
        }
        let laws = report.violations.iter().map(|it| it.law.to_owned());
        self.violated.extend(laws);
        let counts = &report.counts;
        let mut sum = |part: &str, name: &str, count: u64| {
            let part = self.counts.entry(part.to_owned()).or_default();
            *part.entry(name.to_owned()).or_default() += count;
        };
        for (fault, count) in &counts.faults {
            sum("faults injected", fault.name(), *count);
        }
        for (part, counts) in [
            ("what happened", &counts.events),
            ("laws checked", &counts.laws),
            ("known exceptions", &counts.exceptions),
        ] {
            for (name, count) in counts {
                sum(part, name, *count);
            }
        }
    }

    fn read(path: &Path) -> Result<Self> {
        let Ok(text) = std::fs::read_to_string(path) else {
            return Ok(Self::default());
        };
        let kept: Value = serde_json::from_str(&text).context("the file of figures")?;
        let number = |name: &str| kept.get(name).and_then(Value::as_u64).unwrap_or_default();
        let list = |name: &str| kept.get(name).cloned().unwrap_or_default();
        Ok(Self {
            runs: number("runs"),
            next: number("next"),
            lasted_s: number("lasted_s"),
            failed: serde_json::from_value(list("failed")).unwrap_or_default(),
            violated: serde_json::from_value(list("violated")).unwrap_or_default(),
            counts: serde_json::from_value(list("counts")).unwrap_or_default(),
        })
    }

    fn write(&self, path: &Path) -> Result<()> {
        let kept = json!({
            "runs": self.runs, "next": self.next, "lasted_s": self.lasted_s,
            "failed": self.failed, "violated": self.violated, "counts": self.counts,
        });
        std::fs::write(path, format!("{kept:#}\n")).context("the file of figures")
    }

    /// The figures as a table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = String::from("| what | how often |\n|---|---|\n");
        let mut row = |name: &str, count: u64| {
            let _never_fails = writeln!(table, "| {name} | {count} |");
        };
        row("seeds run", self.runs);
        row(
            "seeds that broke a law",
            u64::try_from(self.failed.len()).unwrap_or_default(),
        );
        row("hours in the time of the runs", self.lasted_s / 3600);
        for (part, counts) in &self.counts {
            row(&format!("**{part}**"), counts.values().sum());
            for (name, count) in counts {
                row(name, *count);
            }
        }
        for law in &self.violated {
            let _never_fails = writeln!(table, "broken: {law}");
        }
        table
    }
}

impl Campaign {
    /// Makes the runs. `draw` draws the first seed where none is given or kept.
    ///
    /// # Errors
    /// If the machine fails, or a file of figures can't be read or written.
    pub fn go(&self, draw: impl FnOnce() -> u64) -> Result<Figures> {
        let kept = match &self.figures {
            Some(path) => Figures::read(path)?,
            None => Figures::default(),
        };
        let first = match (kept.next, self.from) {
            (0, Some(from)) => from,
            (0, None) => draw(),
            (next, _) => next,
        };
        let begin = self.from.unwrap_or(first);
        let end = self
            .seeds
            .map_or(u64::MAX, |seeds| begin.saturating_add(seeds));
        let clock = SystemClock;
        let until = self.time.map_or(Timestamp::MAX, |time| {
            later(
                clock.now(),
                SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX),
            )
        });
        let (next, stop) = (AtomicU64::new(first), AtomicBool::new(false));
        let shown = Mutex::new((kept, clock.now()));
        let work = || -> Result<()> {
            while !stop.load(Ordering::SeqCst) && clock.now() < until {
                let seed = next.fetch_add(1, Ordering::SeqCst);
                if seed >= end {
                    break;
                }
                let report = caught(&Options {
                    seed,
                    ..self.options.clone()
                })?;
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                let (figures, at) = &mut *shown;
                figures.add(&report);
                if self.stop_at_failure && !report.violations.is_empty() {
                    stop.store(true, Ordering::SeqCst);
                }
                if clock.now().duration_since(*at) > PROGRESS {
                    *at = clock.now();
                    eprintln!(
                        "{} seeds, {} broke a law",
                        figures.runs,
                        figures.failed.len()
                    );
                    if let Some(path) = &self.figures {
                        figures.write(path)?;
                    }
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(work)).collect();
            let ended = threads.into_iter().map(|thread| match thread.join() {
                Ok(ended) => ended,
                Err(_) => bail!("a thread panicked"),
            });
            ended.collect::<Result<Vec<()>>>()
        })?;
        let (figures, _) = shown.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.figures {
            figures.write(path)?;
        }
        Ok(figures)
    }
}

/// A run whose panic breaks a law, too.
///
/// # Errors
/// If the machine fails.
pub fn caught(options: &Options) -> Result<Report> {
    match catch_unwind(AssertUnwindSafe(|| run(options))) {
        Ok(report) => report,
        Err(_) => Ok(Report::broken(
            options.seed,
            Violation {
                law: "nothing panics",
                seen: "a panic, shown above".to_owned(),
            },
        )),
    }
}

/// The command that makes a run step by step.
#[must_use]
pub fn command(options: &Options) -> String {
    let mut command = format!("cargo sim --replay {}", options.seed);
    for fault in &options.without {
        command.push_str(&format!(" --without {}", fault.name()));
    }
    if let Some(acts) = options.acts {
        command.push_str(&format!(" --acts {acts}"));
    }
    if let Some(defect) = options.defect {
        command.push_str(&format!(" --defect {}", defect.name()));
    }
    command
}

/// The runs that failed once, in the words of [`command`], as `regressions.txt` has them.
///
/// # Errors
/// If a line is no such command.
pub fn regressions() -> Result<Vec<Options>> {
    let lines = include_str!("../regressions.txt").lines();
    let lines = lines.map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(parse).collect()
}

fn parse(line: &str) -> Result<Options> {
    let mut options = Options::default();
    let words: Vec<_> = line.split_whitespace().collect();
    let Some(words) = words.strip_prefix(["cargo", "sim"].as_slice()) else {
        bail!("`{line}` is no command of the simulation");
    };
    for pair in words.chunks(2) {
        match pair {
            ["--replay", seed] => options.seed = seed.parse().context("a seed")?,
            ["--acts", acts] => options.acts = Some(acts.parse().context("a number of acts")?),
            ["--without", name] => {
                let fault = Fault::parse(name).with_context(|| format!("a fault `{name}`"))?;
                options.without.insert(fault);
            }
            _ => bail!("`{line}` has something else than a seed, faults and acts"),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_as_it_is_written() {
        let options = Options {
            seed: 7,
            without: BTreeSet::from([Fault::Late, Fault::TimesOut]),
            acts: Some(3),
            ..Options::default()
        };
        let read = parse(&command(&options)).expect("it is a command");
        assert_eq!(command(&read), command(&options));
        for wrong in [
            "cargo test",
            "cargo sim --replay x",
            "cargo sim --without rain",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_failed_once_can_be_run_again() {
        assert!(regressions().is_ok());
    }
}
