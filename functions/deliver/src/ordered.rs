//! One callback, one try: is it its turn, make it, record it, settle its line, and wake what comes next.
//!
//! A message is a nudge: what is to be done is read from the record of the delivery and from the cursor of its line, so
//! messages that come twice, late or early do no harm. What comes before its turn is noted in the cursor and let go;
//! whoever settles what is before it sends a message for it. The queue keeps the order of a line as well, which spares
//! most of that; the cursor is what decides.
//!
//! ```text
//! settled already? ── yes ─────────────────────────────────┐
//!       │ no                                               │
//!    its turn? ── no: note it, let go                      │
//!       │ yes                                              ▼
//!    claim ─▶ target ─▶ gate ─▶ post ─▶ record ── it is over ─▶ settle the line ─▶ wake the next
//!                         │                │
//!                         └── held         └── retry, or parked: its successors wait
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared::delivery::{Cursor, Delivery, End, Overtaken, SkipReason, State, Turn};
use shared::event::{Callback, Event, Line};
use shared::ids::{EndpointId, Round, TenantId};
use shared::queue::batch::rest;
use shared::queue::task::CallbackTask;
use shared::queue::{Disposition, Handle, Message, Queue, Received, Task};
use shared::store::{CallbackTarget, Events, Lines, Read, Saved, StoreError, Version};
use shared::time::until;
use tracing::warn;

use crate::gate::{Gate, Pass};
use crate::tries::{Before, RACES, Tries, disposition, put_off, skipped, soon};

/// Two clocks may be so far apart.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);
/// What should have been tried so long ago has no message any more.
const LEFT: SignedDuration = SignedDuration::from_hours(1);

/// What the worker may use.
pub struct DeliverOrdered {
    /// What is told.
    pub events: Arc<dyn Events>,
    /// How far lines are settled, and where they lead to.
    pub lines: Arc<dyn Lines>,
    /// Which wallet clients are tried at all.
    pub gate: Arc<Gate>,
    /// What tries are made with.
    pub tries: Tries,
}

#[async_trait]
impl Handle for DeliverOrdered {
    fn queue(&self) -> Queue {
        Queue::DeliverOrdered
    }

    async fn handle(&self, task: Task, received: &Received) -> Disposition {
        let Task::Callback(task) = task else {
            // The batch sets these aside already; they must never pass for done.
            return Disposition::Retry {
                after: rest(received.count),
                tries: 0,
            };
        };
        match self.deliver(&task, received).await {
            Ok(disposition) => disposition,
            Err(trouble) => put_off(&trouble, task.event.as_str(), received),
        }
    }
}

/// Where a callback stands: which one of its line, and which time round.
#[derive(Clone, Copy)]
struct Place<'a> {
    tenant: &'a TenantId,
    /// The client of the message at hand.
    client: &'a EndpointId,
    line: &'a Line,
    number: u64,
    round: Round,
}

/// Another one of a line.
struct Known {
    /// The message for it.
    task: CallbackTask,
    /// How its delivery stands, once it was tried.
    state: Option<State>,
    /// When it was recorded, if its event can be read.
    recorded_at: Option<Timestamp>,
}

impl Known {
    /// A message for it, sent because of what is known of `other`; no copy of those that were sent before.
    fn message(self, other: Place<'_>) -> Message {
        let because = other.line.event(other.tenant, other.number);
        let after = Some(format!("{because}#{}", other.round));
        Task::Callback(CallbackTask { after, ..self.task }).encode()
    }
}

fn forward(message: Message) -> Disposition {
    Disposition::Forward(vec![(Queue::DeliverOrdered, message)])
}

impl DeliverOrdered {
    async fn deliver(
        &self,
        task: &CallbackTask,
        received: &Received,
    ) -> Result<Disposition, StoreError> {
        let read = self.events.event(&task.tenant, &task.event).await?;
        let record = read.map(|read| read.value);
        let callback = record
            .as_ref()
            .and_then(|record| record.recipients.callback());
        let (Some(record), Some(callback)) = (&record, callback) else {
            return self.gone(task, received).await;
        };
        let place = Place {
            tenant: &task.tenant,
            client: &callback.client,
            line: &callback.line,
            number: callback.number,
            round: task.round,
        };
        let (event, now) = (&record.event, self.tries.clock.now());
        let key = task.key();
        let known = self.tries.deliveries.delivery(&key).await?;
        match known.map(|read| read.value.state) {
            Some(state) if state.settled() => {
                let erase = state == State::Delivered && self.erases(place, callback).await?;
                return self.over(place, event, state, erase, received).await;
            }
            Some(State::Parked { due }) if due > now => {
                let after = until(now, due);
                // `sweep` sends a message when it is due, by a clock that may be ahead of this one.
                if after > AHEAD {
                    return Ok(Disposition::Done);
                }
                let tries = received.count;
                return Ok(Disposition::Retry { after, tries });
            }
            Some(_) | None => {}
        }
        let turn = match self.turn(place).await? {
            Some(Turn::Wait) => return self.nudge(place, received).await,
            Some(turn) => turn,
            None => return Ok(soon(received.count)),
        };
        let (delivery, version) = match self.tries.claim(&key, None, received, |_| false).await? {
            Before::Try(delivery, version) => (*delivery, version),
            // Whatever is waited for explains that the message comes again.
            Before::Wait(after, _) => {
                let tries = received.count;
                return Ok(Disposition::Retry { after, tries });
            }
            Before::Over => return Ok(soon(received.count)),
        };
        let target = self
            .lines
            .callback_target(place.tenant, callback, now)
            .await?;
        let end = match turn {
            Turn::Overtaken => Some(State::Superseded),
            Turn::Now | Turn::Wait => self.ends(callback, place, event, target.as_ref()).await?,
        };
        let (None, Some(target)) = (end, &target) else {
            let reason = SkipReason::EndpointDeleted;
            let state = end.unwrap_or(State::Skipped { reason });
            if delivery.held_until.is_some() && matches!(state, State::Skipped { .. }) {
                // So are all others that are held with it, and nothing else would end them soon.
                self.gate.let_go(place.tenant, place.client).await?;
            }
            return self.close(place, delivery, version, state, received).await;
        };
        let (endpoint, view) = (&target.endpoint, &target.breaker);
        self.gate.saw(endpoint, view);
        let pass = self.gate.pass(endpoint, view).await?;
        if let Pass::Hold(breaker) = &pass {
            let now = self.tries.clock.now();
            let until = delivery.holds_until(breaker, &endpoint.policy, None, now);
            if until <= now {
                let reason = End::EndpointDown;
                let state = State::GivenUp { reason };
                return self.close(place, delivery, version, state, received).await;
            }
            // What follows it in its line waits, as behind what is parked.
            return Ok(
                match self.tries.hold_back(delivery, version, until).await? {
                    Saved::Stored => Disposition::Done,
                    Saved::Lost => soon(received.count),
                },
            );
        }
        let made = self.tries.post(event, endpoint).await;
        let terms = (endpoint, None);
        let recorded = self
            .tries
            .record(&made, &event.event_type, delivery, version, terms, received)
            .await?;
        if let Some(through) = made.got_through() {
            self.gate.came(endpoint, view, &pass, through).await;
        }
        match recorded {
            Some(delivery) if delivery.state.settled() => {
                let erase = target.erase && delivery.state == State::Delivered;
                self.over(place, event, delivery.state, erase, received)
                    .await
            }
            Some(delivery) => Ok(disposition(&delivery, received, self.tries.clock.now())),
            None => Ok(soon(received.count)),
        }
    }

    /// Records that it ends without a try; its line goes on.
    async fn close(
        &self,
        place: Place<'_>,
        delivery: Delivery,
        version: Option<Version>,
        state: State,
        received: &Received,
    ) -> Result<Disposition, StoreError> {
        match self.tries.close(delivery, version, state).await? {
            Saved::Stored => self.settle(place, false, received).await,
            // Somebody else wrote first: look again, and soon.
            Saved::Lost => Ok(soon(received.count)),
        }
    }

    /// What there is to do about a callback whose event is not there any more: nobody should wait for it.
    async fn gone(
        &self,
        task: &CallbackTask,
        received: &Received,
    ) -> Result<Disposition, StoreError> {
        warn!(
            tenant = task.tenant.as_str(),
            event.id = task.event.as_str(),
            "a callback without its event"
        );
        let newest = self.lines.newest(&task.tenant, &task.line).await?;
        let is_it = |number: &u64| task.line.event(&task.tenant, *number) == task.event;
        let Some(number) = (1..=newest).find(is_it) else {
            return Ok(Disposition::Done);
        };
        let place = Place {
            tenant: &task.tenant,
            client: &task.client,
            line: &task.line,
            number,
            round: task.round,
        };
        match self.turn(place).await? {
            Some(Turn::Wait) => Ok(Disposition::Done),
            Some(Turn::Now | Turn::Overtaken) => self.settle(place, false, received).await,
            None => Ok(soon(received.count)),
        }
    }

    /// Whether it is its turn; nothing after too many lost races. What comes before its turn is noted, so that it is woken;
    /// so is what is told once more, so that what follows waits for it.
    async fn turn(&self, place: Place<'_>) -> Result<Option<Turn>, StoreError> {
        for _ in 0..RACES {
            let (cursor, version) = self.cursor(place).await?;
            let mut noted = cursor.clone();
            if place.round > Round::FIRST {
                self.catch_up(place, &mut noted).await?;
            }
            let opened = noted.reopened.get(&place.number);
            if place.round > Round::FIRST
                && opened.is_none_or(|round| *round < place.round)
                && noted.reopen(place.number, place.round) == Err(Overtaken)
            {
                return Ok(Some(Turn::Overtaken));
            }
            let turn = noted.turn(place.number);
            if turn == Turn::Wait {
                noted.wait(place.number);
            }
            if self.note(place, &cursor, &noted, version).await? == Saved::Stored {
                return Ok(Some(turn));
            }
        }
        Ok(None)
    }

    /// Whoever told something may have died before the cursor knew of it. What is told once more is judged by what was
    /// told, so the records are asked of all that may be told now.
    async fn catch_up(&self, place: Place<'_>, cursor: &mut Cursor) -> Result<(), StoreError> {
        let mut open = cursor.reopened.clone();
        open.insert(cursor.settled.saturating_add(1), Round::FIRST);
        for (number, round) in open {
            let other = Place {
                number,
                round,
                ..place
            };
            let known = self.known(other).await?;
            if let Some(state) = known.and_then(|known| known.state)
                && state.settled()
            {
                cursor.settle(number, round, state == State::Delivered);
            }
        }
        Ok(())
    }

    /// Another one of the line, if its event is there.
    async fn known(&self, place: Place<'_>) -> Result<Option<Known>, StoreError> {
        let event = place.line.event(place.tenant, place.number);
        let (client, recorded_at) = match self.events.event(place.tenant, &event).await {
            Ok(Some(read)) => match read.value.recipients.callback() {
                Some(callback) => (callback.client.clone(), Some(read.value.recorded_at)),
                None => return Ok(None),
            },
            Ok(None) => return Ok(None),
            // Its own message is set aside for that; what is before it must not be.
            Err(StoreError::Corrupt { .. }) => (place.client.clone(), None),
            Err(trouble) => return Err(trouble),
        };
        let mut task = CallbackTask {
            tenant: place.tenant.clone(),
            event,
            client,
            line: place.line.clone(),
            round: place.round,
            hop: 0,
            after: None,
        };
        let delivery = self.tries.deliveries.delivery(&task.key()).await?;
        let delivery = delivery.map(|read| read.value);
        task.hop = delivery.as_ref().map_or(0, |delivery| delivery.hop);
        Ok(Some(Known {
            task,
            state: delivery.map(|delivery| delivery.state),
            recorded_at,
        }))
    }

    /// It is not its turn: what it waits for is looked at, lest it waits for what nobody does any more.
    async fn nudge(
        &self,
        place: Place<'_>,
        received: &Received,
    ) -> Result<Disposition, StoreError> {
        let (cursor, _) = self.cursor(place).await?;
        let (number, round) = cursor.first();
        if number >= place.number {
            // It was settled meanwhile, by somebody who knows that this one waits.
            return Ok(Disposition::Done);
        }
        let before = Place {
            number,
            round,
            ..place
        };
        let Some(other) = self.known(before).await? else {
            return self.settle(before, false, received).await;
        };
        let left_at = match other.state {
            Some(state) if state.settled() => {
                let delivered = state == State::Delivered;
                return self.settle(before, delivered, received).await;
            }
            // `sweep` has it, or the operator.
            Some(State::Parked { .. } | State::Held { .. } | State::Quarantined { .. }) => {
                return Ok(Disposition::Done);
            }
            Some(state) => state.due().or(other.recorded_at),
            None => other.recorded_at,
        };
        let now = self.tries.clock.now();
        if left_at.is_none_or(|left_at| now.duration_since(left_at) < LEFT) {
            return Ok(Disposition::Done);
        }
        Ok(forward(other.message(place)))
    }

    /// How it ends without a try, if it does.
    async fn ends(
        &self,
        callback: &Callback,
        place: Place<'_>,
        event: &Event,
        target: Option<&CallbackTarget>,
    ) -> Result<Option<State>, StoreError> {
        if let Some(reason) = skipped(target.map(|target| &target.endpoint)) {
            return Ok(Some(State::Skipped { reason }));
        }
        // It was delivered before, and erased then.
        if event.is_erased() {
            return Ok(Some(State::Expired));
        }
        if target.is_some_and(|target| target.latest_only) {
            let newest = self.lines.newest(place.tenant, place.line).await?;
            if newest > place.number {
                // What goes elsewhere overtakes nothing: a URL that was put for one customer is to hear the verdict.
                let event = place.line.event(place.tenant, newest);
                let read = self.events.event(place.tenant, &event).await?;
                let overtaken = read.is_some_and(|read| {
                    let newest = read.value.recipients.callback();
                    newest.is_some_and(|it| it.client == callback.client && it.via == callback.via)
                });
                return Ok(overtaken.then_some(State::Superseded));
            }
        }
        Ok(None)
    }

    /// Whether the text of what was delivered is to be erased.
    async fn erases(&self, place: Place<'_>, callback: &Callback) -> Result<bool, StoreError> {
        let now = self.tries.clock.now();
        let target = self
            .lines
            .callback_target(place.tenant, callback, now)
            .await?;
        Ok(target.is_some_and(|target| target.erase))
    }

    /// What follows when a round is over: its line goes on.
    async fn over(
        &self,
        place: Place<'_>,
        event: &Event,
        state: State,
        erase: bool,
        received: &Received,
    ) -> Result<Disposition, StoreError> {
        if erase && !event.is_erased() {
            self.lines.erase(place.tenant, &event.id).await?;
        }
        self.settle(place, state == State::Delivered, received)
            .await
    }

    /// Notes that a round is over, and sends a message for what was let go before its turn and is next now.
    async fn settle(
        &self,
        place: Place<'_>,
        delivered: bool,
        received: &Received,
    ) -> Result<Disposition, StoreError> {
        for _ in 0..RACES {
            let (cursor, version) = self.cursor(place).await?;
            let mut noted = cursor.clone();
            noted.settle(place.number, place.round, delivered);
            let mut wakes = None;
            while let (None, Some((number, round))) = (&wakes, noted.next()) {
                let next = Place {
                    number,
                    round,
                    ..place
                };
                wakes = self.known(next).await?;
                if wakes.is_none() {
                    // Its event is not there any more.
                    noted.settle(next.number, next.round, false);
                }
            }
            if self.note(place, &cursor, &noted, version).await? == Saved::Stored {
                let wakes = wakes.map(|known| forward(known.message(place)));
                return Ok(wakes.unwrap_or(Disposition::Done));
            }
        }
        Ok(soon(received.count))
    }

    async fn cursor(&self, place: Place<'_>) -> Result<(Cursor, Option<Version>), StoreError> {
        Ok(match self.lines.cursor(place.tenant, place.line).await? {
            Some(Read { value, version }) => (value, Some(version)),
            None => (Cursor::default(), None),
        })
    }

    /// Writes what is to be noted, if that is anything new.
    async fn note(
        &self,
        place: Place<'_>,
        cursor: &Cursor,
        noted: &Cursor,
        version: Option<Version>,
    ) -> Result<Saved, StoreError> {
        if cursor == noted {
            return Ok(Saved::Stored);
        }
        let (tenant, line) = (place.tenant, place.line);
        let now = self.tries.clock.now();
        self.lines
            .save_cursor(tenant, line, noted, version, now)
            .await
    }
}
