//! What is held for endpoints whose breakers opened: probes for those that may be back, the backlog of those that are, and
//! an end for what was held for too long.
//!
//! A probe is the oldest delivery that waits, sent as any other: `deliver` claims the probe, and holds the delivery again
//! if somebody else did. A backlog is let go oldest first, a few at a time, each endpoint in its turn; between portions the
//! breaker is read anew, so that one that opened again keeps the rest. As everywhere here, a message is sent before the
//! record says so, and dying between the two sends it again.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::SignedDuration;
use shared::delivery::{Breaker, Delivery, DeliveryKey, State};
use shared::ids::{EndpointId, TenantId};
use shared::queue::{Message, Queue};
use shared::store::{Read, Saved, Version};
use shared::time::later;
use tracing::info;

use crate::handler::{AT_ONCE, Sweep, Trouble, note, set_aside};
use crate::pages::{Pages, TIME_MOST};

/// An endpoint's turn ends after so many.
const PORTION: usize = 100;
/// So many are sent together: what a request to a queue takes.
const TOGETHER: usize = 10;
/// So many of the oldest are looked at in a turn for one that can be a probe.
const CANDIDATES: usize = 10;
/// What a run lets go is spread over so long, so that it comes to the endpoint evenly: a little less than a run lasts.
const SPREAD: SignedDuration = SignedDuration::from_secs(50);
/// A run ends so many at most of what was held for too long: their messages must not crowd out others.
const OVERDUE_MOST: usize = 2_000;

/// What is worked on here, for whoever reads of trouble with it.
const HELD: &str = "what is held for an endpoint";

/// An endpoint that is being served.
struct Turn {
    tenant: TenantId,
    endpoint: EndpointId,
    /// Where the last portion ended.
    after: Option<String>,
    /// How many were let go in this run.
    released: usize,
    /// Whether there is anything left to do for it in this run.
    open: bool,
    /// What went wrong with one of its deliveries.
    trouble: Option<Trouble>,
}

impl Sweep {
    /// Serves every endpoint whose breaker wants somebody; how many deliveries were sent.
    pub(crate) async fn release_all(&self, first: &mut Option<Trouble>) -> usize {
        let began = self.clock.now();
        let due = match self.backlogs.due_breakers(began).await {
            Ok(due) => due,
            Err(trouble) => {
                note(trouble.into(), first);
                return 0;
            }
        };
        let mut turns: Vec<Turn> = due
            .into_iter()
            .map(|(tenant, endpoint)| Turn {
                tenant,
                endpoint,
                after: None,
                released: 0,
                open: true,
                trouble: None,
            })
            .collect();
        let mut released = 0;
        while !turns.is_empty() {
            for some in turns.chunks_mut(AT_ONCE) {
                for done in join_all(some.iter_mut().map(|turn| self.serve(turn))).await {
                    match done {
                        Ok(sent) => released += sent,
                        Err(trouble) => set_aside(trouble, HELD, first),
                    }
                }
                for turn in some {
                    if let Some(trouble) = turn.trouble.take() {
                        first.get_or_insert(trouble);
                    }
                }
                if self.clock.now().duration_since(began) > TIME_MOST {
                    return released;
                }
            }
            turns.retain(|turn| turn.open);
        }
        released
    }

    /// One turn of an endpoint; how many deliveries were sent.
    async fn serve(&self, turn: &mut Turn) -> Result<usize, Trouble> {
        // Whatever goes wrong with it, the others have their turns.
        turn.open = false;
        let read = self.breakers.breaker(&turn.tenant, &turn.endpoint).await?;
        let Some(Read {
            value: breaker,
            version,
        }) = read
        else {
            return Ok(0);
        };
        let now = self.clock.now();
        match &breaker {
            Breaker::Closed { .. } => Ok(0),
            Breaker::Open { .. } | Breaker::Probing { .. } => {
                if breaker.due().is_none_or(|due| due > now) {
                    return Ok(0);
                }
                self.probe(turn).await
            }
            Breaker::Releasing { batch, .. } => {
                let batch = usize::try_from(*batch).unwrap_or(usize::MAX);
                self.portion(turn, &breaker, version, batch).await
            }
        }
    }

    /// Sends the oldest delivery that waits for the endpoint, in one of the next turns where none of those at hand could be.
    async fn probe(&self, turn: &mut Turn) -> Result<usize, Trouble> {
        let (tenant, endpoint) = (&turn.tenant, &turn.endpoint);
        let entries = self
            .backlogs
            .held(tenant, endpoint, turn.after.as_deref(), CANDIDATES)
            .await?;
        for entry in &entries {
            // The index may still show what waits no more.
            let oldest = [(&entry.key, SignedDuration::ZERO)];
            if self.release(&oldest, &mut turn.trouble).await? > 0 {
                return Ok(1);
            }
        }
        turn.open = entries.len() == CANDIDATES && turn.trouble.is_none();
        turn.after = entries.last().map(|last| last.place.clone());
        Ok(0)
    }

    /// Lets go some of what waits for an endpoint that is back, and notes that if it was the last of this run.
    async fn portion(
        &self,
        turn: &mut Turn,
        breaker: &Breaker,
        version: Version,
        batch: usize,
    ) -> Result<usize, Trouble> {
        let wanted = batch.saturating_sub(turn.released).min(PORTION);
        let (tenant, endpoint) = (&turn.tenant, &turn.endpoint);
        let entries = self
            .backlogs
            .held(tenant, endpoint, turn.after.as_deref(), wanted)
            .await?;
        let mut sent = 0;
        for some in entries.chunks(TOGETHER) {
            let before = turn.released + sent;
            let numbered = some.iter().zip(before..);
            let some: Vec<_> = numbered
                .map(|(entry, number)| (&entry.key, spread(number, batch)))
                .collect();
            sent += self.release(&some, &mut turn.trouble).await?;
        }
        if sent == 0 && turn.trouble.is_some() {
            // Nobody knows whether something waits.
            return Ok(0);
        }
        turn.released += sent;
        turn.after = entries.last().map(|last| last.place.clone());
        turn.open = entries.len() == wanted && turn.released < batch;
        if !turn.open {
            self.end_turn(turn, breaker, version).await?;
        }
        Ok(sent)
    }

    /// Notes what this run let go, so that the next one lets go more, or that nothing waits any more.
    async fn end_turn(
        &self,
        turn: &Turn,
        breaker: &Breaker,
        version: Version,
    ) -> Result<(), Trouble> {
        let (mut swept, now) = (breaker.clone(), self.clock.now());
        swept.swept(turn.released > 0, now);
        let (tenant, endpoint) = (&turn.tenant, &turn.endpoint);
        let saved = self
            .breakers
            .save_breaker(tenant, endpoint, &swept, Some(version), now)
            .await?;
        // Lost: somebody noted a failure meanwhile, and the next run goes on from there.
        if saved == Saved::Stored && swept.as_str() != breaker.as_str() {
            info!(
                tenant = tenant.as_str(),
                endpoint = endpoint.as_str(),
                breaker = swept.as_str(),
                "breaker changed"
            );
        }
        Ok(())
    }

    /// Sends what was held for too long, whatever its endpoint's breaker says: `deliver` ends it, if it is open.
    pub(crate) async fn end_overdue(&self, first: &mut Option<Trouble>) -> usize {
        let (mut ended, mut pages) = (0, Pages::new(self.clock.now()));
        loop {
            let now = self.clock.now();
            let overdue = match self.backlogs.overdue(now, pages.size()).await {
                Ok(overdue) => overdue,
                Err(trouble) => {
                    note(trouble.into(), first);
                    return ended;
                }
            };
            let before = ended;
            for some in overdue.chunks(TOGETHER) {
                let some: Vec<_> = some.iter().map(|key| (key, SignedDuration::ZERO)).collect();
                match self.release(&some, first).await {
                    Ok(sent) => ended += sent,
                    Err(trouble) => set_aside(trouble, HELD, first),
                }
                if ended >= OVERDUE_MOST || pages.over(self.clock.now()) {
                    return ended;
                }
            }
            if !pages.more(overdue.len(), ended - before, self.clock.now()) {
                return ended;
            }
        }
    }

    /// Sends held deliveries, each after its delay; how many of them still waited. What goes wrong with one stops none of the
    /// others.
    async fn release(
        &self,
        some: &[(&DeliveryKey, SignedDuration)],
        first: &mut Option<Trouble>,
    ) -> Result<usize, Trouble> {
        let now = self.clock.now();
        let woken = join_all(some.iter().map(|(key, delay)| async move {
            let held = |state| match state {
                State::Held { .. } => Some(later(now, *delay)),
                _ => None,
            };
            Ok::<_, Trouble>(self.wake(key, held).await?.map(|woken| (woken, *delay)))
        }))
        .await;
        let mut messages: BTreeMap<Queue, Vec<Message>> = BTreeMap::new();
        let mut records: Vec<(Delivery, Version)> = Vec::new();
        for woken in woken {
            match woken {
                Ok(Some(((delivery, version, task), delay))) => {
                    let message = Message {
                        delay,
                        ..task.encode()
                    };
                    messages.entry(task.queue()).or_default().push(message);
                    records.push((delivery, version));
                }
                Ok(None) => {}
                Err(trouble) => set_aside(trouble, HELD, first),
            }
        }
        for (queue, messages) in messages {
            self.queues.send(queue, messages).await?;
        }
        let notes = records
            .iter()
            .map(|(delivery, version)| self.note_sent(delivery, *version));
        for noted in join_all(notes).await {
            noted.unwrap_or_else(|trouble| set_aside(trouble, HELD, first));
        }
        Ok(records.len())
    }
}

/// When the message of a run's so-manyth of `batch` is to show: in whole seconds, as queues have it.
fn spread(number: usize, batch: usize) -> SignedDuration {
    let (number, batch) = (i64::try_from(number), i64::try_from(batch.max(1)));
    let (number, batch) = (number.unwrap_or(i64::MAX), batch.unwrap_or(i64::MAX));
    SignedDuration::from_secs(SPREAD.as_secs().saturating_mul(number) / batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_lets_go_is_spread_evenly() {
        let secs = |number, batch| spread(number, batch).as_secs();
        assert_eq!([secs(0, 10), secs(1, 10), secs(9, 10)], [0, 5, 45]);
        assert_eq!([secs(599, 600), secs(0, 0), secs(11, 600)], [49, 0, 0]);
    }
}
