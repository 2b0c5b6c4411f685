//! Whether an endpoint is tried at all: its breaker, as it is asked before a try and told after it.
//!
//! What is known of a breaker comes with the endpoint's configuration, 10 s old at most, and costs nothing. Only where it
//! is not closed is it read anew. What tries come to is counted here and written down when one fails; successes of an
//! endpoint that is well are not written at all. Counts that die with the process are no loss: a dead endpoint fails on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use shared::delivery::breaker::{Came, Gate as Says, Probe};
use shared::delivery::{Breaker, BreakerPolicy, Endpoint};
use shared::ids::{EndpointId, TenantId};
use shared::problem::chain;
use shared::store::{Breakers, Saved, StoreError, Version};
use shared::time::Clock;
use tracing::{info, warn};

use crate::tries::RACES;

/// What was read or written here is believed for so long, as the endpoint's configuration is.
const FRESH_FOR: SignedDuration = SignedDuration::from_secs(10);
/// What was read here so short a time ago is not read again to hold a delivery.
const JUST_READ: SignedDuration = SignedDuration::from_secs(1);
/// When so many endpoints are known, all are forgotten: memory is bounded.
const KNOWN_MOST: usize = 4096;
/// So many changes of luck are remembered until they are written down.
const NOTES_MOST: usize = 64;

type Of = (TenantId, EndpointId);

/// Asks the breakers of endpoints, and tells them.
pub struct Gate {
    breakers: Arc<dyn Breakers>,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<Of, Arc<Known>>>,
}

/// What is known here of one endpoint.
#[derive(Default)]
struct Known {
    /// Its breaker, as it was read or written here last, and when.
    seen: Mutex<Option<(Timestamp, Breaker)>>,
    /// What tries came to and is not written down yet, and when the first of them ended.
    notes: Mutex<Option<(Timestamp, Vec<Came>)>>,
    /// Held while they are written down: who waits for it finds its own written as well.
    writing: tokio::sync::Mutex<()>,
}

/// Whether a delivery may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pass {
    /// It may.
    Go,
    /// It may, and what comes of it decides over the breaker.
    Probe(Probe),
    /// It may not: the breaker is open.
    Hold(Breaker),
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    /// What was read or written here within `age`.
    fn seen(&self, age: SignedDuration, now: Timestamp) -> Option<Breaker> {
        let seen = lock(&self.seen);
        let fresh = |(at, _): &&(Timestamp, Breaker)| now.duration_since(*at) < age;
        seen.as_ref()
            .filter(fresh)
            .map(|(_, breaker)| breaker.clone())
    }

    fn see(&self, breaker: &Breaker, now: Timestamp) {
        *lock(&self.seen) = Some((now, breaker.clone()));
    }

    fn note(&self, through: bool, policy: &BreakerPolicy, now: Timestamp) {
        let mut notes = lock(&self.notes);
        let (since, came) = notes.get_or_insert((now, Vec::new()));
        let old = now.duration_since(*since) >= policy.settings().window();
        if old || came.len() >= NOTES_MOST {
            (*since, *came) = (now, Vec::new());
        }
        match (came.last_mut(), through) {
            (Some(Came::Through(tries)), true) => *tries = tries.saturating_add(1),
            (_, true) => came.push(Came::Through(1)),
            (_, false) => came.push(Came::Failed),
        }
    }

    fn take_notes(&self) -> Vec<Came> {
        lock(&self.notes)
            .take()
            .map_or(Vec::new(), |(_, came)| came)
    }
}

impl Gate {
    /// The gate before all endpoints.
    #[must_use]
    pub fn new(breakers: Arc<dyn Breakers>, clock: Arc<dyn Clock>) -> Self {
        Self {
            breakers,
            clock,
            known: Mutex::default(),
        }
    }

    fn known(&self, tenant: &TenantId, endpoint: &EndpointId) -> Arc<Known> {
        let mut known = lock(&self.known);
        let of = (tenant.clone(), endpoint.clone());
        if known.len() >= KNOWN_MOST && !known.contains_key(&of) {
            known.clear();
        }
        known.entry(of).or_default().clone()
    }

    /// Takes a breaker that was read, consistently, by somebody else.
    pub(crate) fn saw(&self, endpoint: &Endpoint, breaker: &Breaker) {
        let known = self.known(&endpoint.tenant, &endpoint.id);
        known.see(breaker, self.clock.now());
    }

    /// Whether a delivery to `endpoint` may be tried now; `view` is its breaker as of some seconds ago. Whoever gets a
    /// [`Pass::Probe`] has claimed it.
    pub(crate) async fn pass(
        &self,
        endpoint: &Endpoint,
        view: &Breaker,
    ) -> Result<Pass, StoreError> {
        let policy = &endpoint.breaker;
        let known = self.known(&endpoint.tenant, &endpoint.id);
        let says = |breaker: &Breaker| breaker.gate(policy, self.clock.now());
        let now = self.clock.now();
        let view = known.seen(FRESH_FOR, now).unwrap_or_else(|| view.clone());
        if says(&view) == Says::Go {
            return Ok(Pass::Go);
        }
        if let Some(seen) = known.seen(JUST_READ, now)
            && says(&seen) == Says::Hold
        {
            return Ok(Pass::Hold(seen));
        }
        let mut held = view;
        for _ in 0..RACES {
            let (mut breaker, version) = self.read(&endpoint.tenant, &endpoint.id).await?;
            let now = self.clock.now();
            known.see(&breaker, now);
            match breaker.gate(policy, now) {
                Says::Go => return Ok(Pass::Go),
                Says::Hold => return Ok(Pass::Hold(breaker)),
                Says::Probe => {}
            }
            if let Some(probe) = breaker.claim(policy, now)
                && self.save(endpoint, &breaker, version, now).await? == Saved::Stored
            {
                known.see(&breaker, now);
                return Ok(Pass::Probe(probe));
            }
            held = breaker;
        }
        Ok(Pass::Hold(held))
    }

    /// Tells the breaker what came of a try that had the `pass`. That it can't be told is no loss: the next failure tells it,
    /// and a probe that nobody tells of is claimed again.
    pub(crate) async fn came(
        &self,
        endpoint: &Endpoint,
        view: &Breaker,
        pass: &Pass,
        through: bool,
    ) {
        let known = self.known(&endpoint.tenant, &endpoint.id);
        let now = self.clock.now();
        let told = match pass {
            Pass::Hold(_) => return,
            Pass::Probe(probe) => {
                let probed = |breaker: &mut Breaker, now: Timestamp| {
                    breaker.probed(&endpoint.breaker, *probe, through, now);
                };
                self.change(endpoint, &known, probed).await
            }
            Pass::Go if endpoint.breaker == BreakerPolicy::Off => return,
            Pass::Go => {
                known.note(through, &endpoint.breaker, now);
                let view = known.seen(FRESH_FOR, now).unwrap_or_else(|| view.clone());
                // Of an endpoint that is well, no success is written down.
                if through && view.run() == 0 {
                    return;
                }
                self.write(endpoint, &known).await
            }
        };
        if let Err(trouble) = told {
            warn!(
                tenant = endpoint.tenant.as_str(),
                endpoint = endpoint.id.as_str(),
                error = chain(&trouble),
                "a breaker was not told of a try"
            );
        }
    }

    /// Closes the breaker of an endpoint that takes no deliveries any more, so that what is held for it ends.
    pub(crate) async fn let_go(
        &self,
        tenant: &TenantId,
        endpoint: &EndpointId,
    ) -> Result<(), StoreError> {
        for _ in 0..RACES {
            let now = self.clock.now();
            let (mut breaker, version) = self.read(tenant, endpoint).await?;
            let before = breaker.clone();
            breaker.close(&BreakerPolicy::default(), now);
            if breaker == before {
                return Ok(());
            }
            let saved = self
                .breakers
                .save_breaker(tenant, endpoint, &breaker, version, now)
                .await?;
            if saved == Saved::Stored {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes down what tries came to. Tries that end together are written together.
    async fn write(&self, endpoint: &Endpoint, known: &Known) -> Result<(), StoreError> {
        let _turn = known.writing.lock().await;
        let came = known.take_notes();
        if came.is_empty() {
            return Ok(());
        }
        let note = |breaker: &mut Breaker, now: Timestamp| {
            breaker.note(&endpoint.breaker, &came, now);
        };
        self.change(endpoint, known, note).await
    }

    async fn change(
        &self,
        endpoint: &Endpoint,
        known: &Known,
        change: impl Fn(&mut Breaker, Timestamp),
    ) -> Result<(), StoreError> {
        for _ in 0..RACES {
            let (mut breaker, version) = self.read(&endpoint.tenant, &endpoint.id).await?;
            let (before, now) = (breaker.clone(), self.clock.now());
            change(&mut breaker, now);
            if breaker == before
                || self.save(endpoint, &breaker, version, now).await? == Saved::Stored
            {
                known.see(&breaker, now);
                tell(endpoint, &before, &breaker);
                return Ok(());
            }
        }
        Ok(())
    }

    async fn read(
        &self,
        tenant: &TenantId,
        endpoint: &EndpointId,
    ) -> Result<(Breaker, Option<Version>), StoreError> {
        let read = self.breakers.breaker(tenant, endpoint).await?;
        Ok(match read {
            Some(read) => (read.value, Some(read.version)),
            None => (Breaker::default(), None),
        })
    }

    async fn save(
        &self,
        endpoint: &Endpoint,
        breaker: &Breaker,
        read: Option<Version>,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        self.breakers
            .save_breaker(&endpoint.tenant, &endpoint.id, breaker, read, now)
            .await
    }
}

fn tell(endpoint: &Endpoint, before: &Breaker, after: &Breaker) {
    if before.as_str() == after.as_str() {
        return;
    }
    info!(
        tenant = endpoint.tenant.as_str(),
        endpoint = endpoint.id.as_str(),
        breaker = after.as_str(),
        failures = after.run(),
        next_probe = after.next_probe_at().map(|at| at.to_string()),
        "breaker changed"
    );
}
