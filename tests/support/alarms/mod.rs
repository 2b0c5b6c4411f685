//! The template's alarms, evaluated over a series of metric values by CloudWatch's rules.
//!
//! A test puts what it counted into [`Metrics`], under the names that CloudWatch has for it, and asks each [`Alarm`] whether
//! and when it would have gone off. Names are the template's, so an alarm that watches nothing is seen.
//!
//! # Which metric comes from where
//! | namespace, name | of | value |
//! |---|---|---|
//! | `AWS/SQS` `ApproximateAgeOfOldestMessage` | `<Queue>Queue` | Once a minute: seconds since the first send of the oldest message that was received fewer than three times. SQS leaves the others out, on a standard queue ([`ageing`]). |
//! | `AWS/SQS` `ApproximateNumberOfMessagesVisible` | `<Queue>Queue`, `<Queue>DeadQueue` | Once a minute: messages that can be received now. |
//! | `AWS/SQS` `ApproximateNumberOfMessagesNotVisible` | `<Queue>Queue` | Once a minute: messages in flight, which includes those that wait out a visibility timeout. |
//! | `AWS/SQS` `NumberOfMessagesReceived` | `<Queue>DeadQueue` | Each receive by sweep: how many messages it got. |
//! | `AWS/Lambda` `Invocations` | `<Function>Function` | Each call that ran, 1. What was throttled did not run. |
//! | `AWS/Lambda` `Errors` | `<Function>Function` | Each call that ran, 1 if it failed as a whole or timed out, else 0. A batch that reports failures of single messages is no error. |
//! | `AWS/Lambda` `Throttles` | `<Function>Function` | Each call that was refused for want of concurrency, 1. |
//! | `AWS/ApiGateway` `5xx` | `HttpApi` | Each request to any door, 1 if it was answered 5xx, else 0. |
//! | `AWS/Lambda` `Url5xxCount` | `<Door>Function` | The same behind function URLs, of each door. |
//! | `AWS/DynamoDB` `ReadThrottleEvents`, `WriteThrottleEvents` | `Table`, `Table/time`, `Table/due` | Each read or write that was throttled, 1; of an index, by its name. |
//! | `Payrelay` `Quarantined`, `NeedsSomebody`, `RefusedWebhooks`, `RefusedEvents`, `NotEnriched`, `NotRecorded` | nothing | Each line of the logs that the metric filter of this name fits, 1. |
//!
//! # The rules
//! From "Using Amazon CloudWatch alarms" in the CloudWatch user guide. An alarm is evaluated every minute, over windows that
//! end then (a sliding window, the default). It looks at more data points than it has evaluation periods: the guide does not
//! say how many, and its examples look at two more, as here. The most recent that are there decide; only if they are fewer
//! than the evaluation periods are missing ones filled in. In an expression a missing value is 0, a division by zero is
//! missing, and so is a point of which no metric has a value.

mod template;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

/// How often an alarm is evaluated.
const EVERY: SignedDuration = SignedDuration::from_mins(1);

/// How many more data points than evaluation periods an alarm looks at.
const MORE: u16 = 2;

/// A metric, named as in the template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// Who publishes it, such as `AWS/SQS`; what metric filters count is in `Payrelay`.
    pub namespace: String,
    /// Its name there.
    pub name: String,
    /// The template's name of what it tells of, and of the part of that, after a slash; empty for metric filters.
    pub of: String,
}

impl Metric {
    /// Names one.
    #[must_use]
    pub fn new(namespace: &str, name: &str, of: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            of: of.to_owned(),
        }
    }
}

/// Whether SQS lets a message count for the age of the oldest one in a standard queue.
///
/// One that was received three times or more without being deleted is left out, so a queue whose reader fails at each
/// message looks young.
#[must_use]
pub fn ageing(receives: u32) -> bool {
    receives < 3
}

/// What was put at one moment: the sum and the largest value.
#[derive(Debug, Clone, Copy)]
struct Sample {
    sum: i64,
    most: i64,
}

/// Values of metrics over time, counts or seconds.
#[derive(Debug, Clone, Default)]
pub struct Metrics(BTreeMap<Metric, BTreeMap<Timestamp, Sample>>);

impl Metrics {
    /// Puts a value.
    pub fn put(&mut self, metric: Metric, at: Timestamp, value: i64) {
        let first = Sample {
            sum: 0,
            most: value,
        };
        let sample = self.0.entry(metric).or_default().entry(at).or_insert(first);
        sample.sum += value;
        sample.most = sample.most.max(value);
    }

    /// The statistic of what was put from `since` on and before `until`, if anything was.
    fn of(
        &self,
        metric: &Metric,
        statistic: Statistic,
        since: Timestamp,
        until: Timestamp,
    ) -> Option<i64> {
        let within = self.0.get(metric)?.range(since..until);
        let values = within.map(|(_, sample)| sample);
        match statistic {
            Statistic::Sum => values.map(|sample| sample.sum).reduce(|sum, it| sum + it),
            Statistic::Maximum => values.map(|sample| sample.most).max(),
        }
    }
}

/// Where callers come in, which the template's parameter of this name chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrontDoor {
    /// One HTTP API for all doors.
    HttpApi,
    /// A function URL for each.
    FunctionUrl,
}

/// What an alarm says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All is well as far as it can see.
    Ok,
    /// Its action is taken when it gets here.
    Alarm,
}

/// How the values within a period become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statistic {
    Sum,
    Maximum,
}

/// One of the metrics that an alarm watches.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Series {
    metric: Metric,
    statistic: Statistic,
    period: SignedDuration,
}

/// What an alarm compares with its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expression {
    /// The only metric, or the sum of all.
    Sum,
    /// The first in percent of the second.
    Percent,
}

/// How a value must compare with the threshold to be breaching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
}

/// A number of hundredths or of whole ones: what it takes to compare without rounding.
#[derive(Debug, Clone, Copy)]
struct Fraction {
    over: i128,
    under: i128,
}

/// An alarm of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name, without the stack's.
    pub name: String,
    series: Vec<Series>,
    expression: Expression,
    comparison: Comparison,
    threshold: i64,
    periods: u16,
    to_alarm: usize,
    /// Whether a missing data point is a breaching one.
    missing_breaches: bool,
}

/// The alarms of `infra/template.yaml` behind a front door.
///
/// # Errors
/// If one can't be evaluated here: it uses a statistic, an expression, a comparison or a treatment of missing data that no
/// alarm used so far. It has to be taught.
pub fn ours(door: FrontDoor) -> Result<Vec<Alarm>> {
    template::alarms(include_str!("../../../infra/template.yaml"), door)
}

impl Alarm {
    /// The metrics it watches.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.series.iter().map(|series| &series.metric)
    }

    /// What it says at a moment, evaluated then.
    #[must_use]
    pub fn at(&self, metrics: &Metrics, now: Timestamp) -> State {
        let looked_at = (0..self.periods + MORE).filter_map(|back| self.point(metrics, now, back));
        let real: Vec<bool> = looked_at.take(self.periods.into()).collect();
        let breaching = real.iter().filter(|breaching| **breaching).count();
        let filled = usize::from(self.periods) - real.len();
        let filled = if self.missing_breaches { filled } else { 0 };
        if breaching + filled >= self.to_alarm {
            State::Alarm
        } else {
            State::Ok
        }
    }

    /// When it first goes off, evaluated every minute from `since` to `until`.
    #[must_use]
    pub fn first(
        &self,
        metrics: &Metrics,
        since: Timestamp,
        until: Timestamp,
    ) -> Option<Timestamp> {
        let minutes = std::iter::successors(Some(since), |at| at.checked_add(EVERY).ok())
            .take_while(|at| *at <= until);
        minutes
            .into_iter()
            .find(|at| self.at(metrics, *at) == State::Alarm)
    }

    /// Whether the data point of the window that ended `back` periods before `now` is breaching; none if it is missing.
    fn point(&self, metrics: &Metrics, now: Timestamp, back: u16) -> Option<bool> {
        let values: Vec<Option<i64>> = self
            .series
            .iter()
            .map(|series| {
                let until = now.checked_sub(series.period * i32::from(back)).ok()?;
                let since = until.checked_sub(series.period).ok()?;
                metrics.of(&series.metric, series.statistic, since, until)
            })
            .collect();
        if values.iter().all(Option::is_none) {
            return None;
        }
        let mut values = values.iter().map(|value| i128::from(value.unwrap_or(0)));
        let value = match self.expression {
            Expression::Sum => Fraction {
                over: values.sum(),
                under: 1,
            },
            Expression::Percent => Fraction {
                over: values.next()? * 100,
                under: values.next()?,
            },
        };
        if value.under == 0 {
            return None;
        }
        let ordering = value.over.cmp(&(i128::from(self.threshold) * value.under));
        Some(match self.comparison {
            Comparison::Greater => ordering == Ordering::Greater,
            Comparison::GreaterOrEqual => ordering != Ordering::Less,
            Comparison::Less => ordering == Ordering::Less,
        })
    }
}
