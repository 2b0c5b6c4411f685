//! The breaker of an endpoint: when nothing more is tried, when it is probed, and when what waits is let go.
//!
//! ```text
//!                 failures in a row, or most of a window
//!        Closed ─────────────────────────────────────────▶ Open ◀───────────────┐
//!           ▲                                               │ its pause is over │ the probe failed: twice the pause
//!           │ nothing waits any more                        ▼                   │
//!        Releasing ◀──────────── the probe got through ── Probing ──────────────┘
//!           └─ failures in a row: Open again, for the pause there was
//! ```
//!
//! While it is open, deliveries are held in the table instead of being tried, and hold no message. One probe at a time
//! asks whether the endpoint is back: any delivery that comes, or the oldest of those that wait, which `sweep` sends.
//! Whoever claims the probe has it for a while; one that dies with its process is claimed again. Only the probe's own
//! outcome ends a probing: what was begun before, or on a view of some seconds ago, says nothing of how it is now.
//!
//! While releasing, the endpoint is tried as ever, and `sweep` lets go what waits: a few at first, twice as many with
//! each run, up to the rate its settings allow. It lasts until nothing waits any more, and for [`RELEASE_LEAST`]: whoever
//! still held a delivery on an old view has written that down by then, and the index has shown it to `sweep`. (A view is
//! 10 s old at most, a message is in hand for 30 s at most, and the index lags by seconds.) Should one be held even later,
//! it is found by its own time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use super::breaker_policy::{BreakerError, BreakerPolicy, BreakerSettings};
use crate::time::later;

/// Whoever claims the probe has so long for it: a try takes 20 s at most.
pub const PROBE_LEASE: SignedDuration = SignedDuration::from_secs(60);
/// A breaker goes on releasing for at least so long after it was closed.
pub const RELEASE_LEAST: SignedDuration = SignedDuration::from_mins(5);
/// The first run of `sweep` lets go so many.
const RELEASE_FIRST: u32 = 10;
/// So many failures in a row open it again while it is releasing.
const RELEASE_FAILURES: u32 = 3;

/// Who opened a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenedBy {
    /// The endpoint's failures. It is probed.
    Failures,
    /// The operator, who alone closes it.
    Operator,
}

/// How tries went of late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Failures in a row, up to now.
    pub run: u32,
    /// When the window began that the next two are counted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Tries that got through.
    #[serde(default)]
    pub through: u32,
    /// Tries that failed.
    #[serde(default)]
    pub failed: u32,
}

impl Count {
    fn add(&mut self, came: Came, settings: &BreakerSettings, now: Timestamp) {
        let over = |since| now >= later(since, settings.window());
        if self.since.is_none_or(over) {
            (self.since, self.through, self.failed) = (Some(now), 0, 0);
        }
        match came {
            Came::Through(tries) => {
                self.run = 0;
                self.through = self.through.saturating_add(tries);
            }
            Came::Failed => {
                self.run = self.run.saturating_add(1);
                self.failed = self.failed.saturating_add(1);
            }
        }
    }

    fn trips(&self, failures: u32, settings: &BreakerSettings) -> bool {
        let tries = u64::from(self.through) + u64::from(self.failed);
        let most = u64::from(self.failed) * 100 >= u64::from(settings.share_percent) * tries;
        self.run >= failures || (tries >= u64::from(settings.minimum) && most)
    }
}

/// What tries came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// So many got through, one after the other.
    Through(u32),
    /// One failed.
    Failed,
}

/// Whether a delivery may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Go,
    /// It may, by whoever claims the probe.
    Probe,
    /// It may not until the breaker lets one through.
    Hold,
}

/// A probe that was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Nobody else may claim one until then; which tells it from every other.
    pub until: Timestamp,
}

/// The breaker of an endpoint. One that has no record is closed, and never saw a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Breaker {
    /// Deliveries are tried.
    Closed {
        /// How that went.
        count: Count,
    },
    /// Deliveries are held.
    Open {
        /// Since when it has not been closed.
        since: Timestamp,
        /// Who opened it.
        by: OpenedBy,
        /// Failures in a row, up to now.
        run: u32,
        /// How long it waits for the next probe, in seconds.
        pause_s: u32,
        /// From when on it may be probed; never by itself if the operator opened it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        probe_at: Option<Timestamp>,
    },
    /// Deliveries are held, but for one that is tried at this moment.
    Probing {
        /// Since when it has not been closed.
        since: Timestamp,
        /// Failures in a row, up to now.
        run: u32,
        /// How long it waited for this probe, in seconds.
        pause_s: u32,
        /// From then on another probe may be claimed.
        until: Timestamp,
    },
    /// Deliveries are tried, and those that were held are let go little by little.
    Releasing {
        /// Since when.
        since: Timestamp,
        /// How tries went since then.
        count: Count,
        /// For how long it opens if they fail again, in seconds.
        pause_s: u32,
        /// So many are let go with the next run of `sweep`.
        batch: u32,
        /// And never more than so many.
        rate: u32,
        /// When `sweep` last let some go.
        swept: Timestamp,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed {
            count: Count::default(),
        }
    }
}

impl Breaker {
    /// The wire name of the state.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::Probing { .. } => "probing",
            Self::Releasing { .. } => "releasing",
        }
    }

    /// Failures in a row, up to now.
    #[must_use]
    pub fn run(&self) -> u32 {
        match self {
            Self::Closed { count } | Self::Releasing { count, .. } => count.run,
            Self::Open { run, .. } | Self::Probing { run, .. } => *run,
        }
    }

    /// Since when it has stood so, if that is known: since when deliveries are held, or let go.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { since, .. }
            | Self::Probing { since, .. }
            | Self::Releasing { since, .. } => Some(*since),
        }
    }

    /// Who opened it, if it is not closed.
    #[must_use]
    pub fn opened_by(&self) -> Option<OpenedBy> {
        match self {
            Self::Closed { .. } | Self::Releasing { .. } => None,
            Self::Open { by, .. } => Some(*by),
            Self::Probing { .. } => Some(OpenedBy::Failures),
        }
    }

    /// From when on the next probe may be claimed, if one is to come by itself.
    #[must_use]
    pub fn next_probe_at(&self) -> Option<Timestamp> {
        match self {
            Self::Closed { .. } | Self::Releasing { .. } => None,
            Self::Open { probe_at, .. } => *probe_at,
            Self::Probing { until, .. } => Some(*until),
        }
    }

    /// When `sweep` is to look after it next, if ever: to send a probe, or to let go what waits.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { probe_at, .. } => *probe_at,
            Self::Probing { until, .. } => Some(*until),
            Self::Releasing { swept, .. } => Some(*swept),
        }
    }

    /// Whether a delivery may be tried at `now`. An endpoint without a breaker's rules is held back by its operator alone.
    #[must_use]
    pub fn gate(&self, policy: &BreakerPolicy, now: Timestamp) -> Gate {
        let by_failures = self.opened_by() == Some(OpenedBy::Failures);
        match self {
            Self::Closed { .. } | Self::Releasing { .. } => Gate::Go,
            Self::Open { .. } | Self::Probing { .. }
                if by_failures && *policy == BreakerPolicy::Off =>
            {
                Gate::Go
            }
            Self::Open { .. } | Self::Probing { .. } => {
                if self.next_probe_at().is_some_and(|at| at <= now) {
                    Gate::Probe
                } else {
                    Gate::Hold
                }
            }
        }
    }

    /// Notes what tries that were no probes came to, oldest first. One that is open, or being probed, takes no notice.
    pub fn note(&mut self, policy: &BreakerPolicy, came: &[Came], now: Timestamp) {
        let BreakerPolicy::On(settings) = policy else {
            return;
        };
        for came in came {
            let (count, failures, pause_s) = match self {
                Self::Closed { count } => (count, settings.failures, settings.pause_s),
                Self::Releasing { count, pause_s, .. } => (
                    count,
                    settings.failures.min(RELEASE_FAILURES),
                    (*pause_s).max(settings.pause_s).min(settings.pause_most_s),
                ),
                Self::Open { .. } | Self::Probing { .. } => return,
            };
            count.add(*came, settings, now);
            let run = count.run;
            if *came == Came::Failed && count.trips(failures, settings) {
                *self = open(now, run, pause_s, now);
            }
        }
    }

    /// Claims the probe at `now`, if one may be claimed.
    pub fn claim(&mut self, policy: &BreakerPolicy, now: Timestamp) -> Option<Probe> {
        if self.gate(policy, now) != Gate::Probe {
            return None;
        }
        let (since, run, pause_s) = match self {
            Self::Closed { .. } | Self::Releasing { .. } => return None,
            Self::Open {
                since,
                run,
                pause_s,
                ..
            }
            | Self::Probing {
                since,
                run,
                pause_s,
                ..
            } => (*since, *run, *pause_s),
        };
        let until = later(now, PROBE_LEASE);
        *self = Self::Probing {
            since,
            run,
            pause_s,
            until,
        };
        Some(Probe { until })
    }

    /// Notes whether a probe got through. One that was claimed again by another since, or ended by the operator, changes
    /// nothing.
    pub fn probed(&mut self, policy: &BreakerPolicy, probe: Probe, through: bool, now: Timestamp) {
        let Self::Probing {
            since,
            run,
            pause_s,
            until,
        } = *self
        else {
            return;
        };
        if until != probe.until {
            return;
        }
        let settings = policy.settings();
        *self = if through {
            release(now, pause_s, settings.release_per_minute)
        } else {
            let pause_s = pause_s
                .saturating_mul(2)
                .max(settings.pause_s)
                .min(settings.pause_most_s);
            open(since, run.saturating_add(1), pause_s, now)
        };
    }

    /// The operator opens it: deliveries are held until the operator closes it.
    pub fn open(&mut self, now: Timestamp) {
        let (since, pause_s) = match self {
            Self::Open { since, pause_s, .. } | Self::Probing { since, pause_s, .. } => {
                (*since, *pause_s)
            }
            Self::Closed { .. } => (now, 0),
            Self::Releasing { pause_s, .. } => (now, *pause_s),
        };
        *self = Self::Open {
            since,
            by: OpenedBy::Operator,
            run: self.run(),
            pause_s,
            probe_at: None,
        };
    }

    /// Closes it, whoever opened it: what waits is let go. So does the operator, and whoever finds that the endpoint is
    /// another one now, or none.
    pub fn close(&mut self, policy: &BreakerPolicy, now: Timestamp) {
        let rate = policy.settings().release_per_minute;
        match self {
            Self::Closed { .. } | Self::Releasing { .. } => {}
            Self::Open { pause_s, .. } | Self::Probing { pause_s, .. } => {
                *self = release(now, *pause_s, rate);
            }
        }
    }

    /// Notes that `sweep` let go what it may at `now`, or found that nothing waits.
    pub fn swept(&mut self, waits: bool, now: Timestamp) {
        let Self::Releasing {
            since,
            count,
            batch,
            rate,
            swept,
            ..
        } = self
        else {
            return;
        };
        if !waits && now > later(*since, RELEASE_LEAST) {
            *self = Self::Closed { count: *count };
        } else {
            *batch = batch.saturating_mul(2).min(*rate).max(1);
            *swept = now;
        }
    }
}

fn open(since: Timestamp, run: u32, pause_s: u32, now: Timestamp) -> Breaker {
    let pause = SignedDuration::from_secs(i64::from(pause_s));
    Breaker::Open {
        since,
        by: OpenedBy::Failures,
        run,
        pause_s,
        probe_at: Some(later(now, pause)),
    }
}

fn release(now: Timestamp, pause_s: u32, rate: u32) -> Breaker {
    Breaker::Releasing {
        since: now,
        count: Count::default(),
        pause_s,
        batch: RELEASE_FIRST.min(rate),
        rate,
        swept: now,
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
