//! One try and its record, in order or not: claim the delivery, post, write down what came of it.
//!
//! Every write is conditional on what was read. One message at a time works on a delivery: it claims the record, and others
//! wait until its hold is over.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use shared::delivery::{
    Delivery, DeliveryKey, Endpoint, EndpointState, Failure, Guard, Holder, Outcome, SkipReason,
    State, Terms, Try, Verdict, request,
};
use shared::entropy::Entropy;
use shared::event::{Event, EventType};
use shared::problem::chain;
use shared::queue::batch::rest;
use shared::queue::{Disposition, Received};
use shared::store::{Deliveries, Read, Saved, StoreError, Version};
use shared::time::{Clock, until};
use shared::transport::Transport;
use tracing::{info, warn};

/// What tries are made with.
#[derive(Clone)]
pub struct Tries {
    /// The records of deliveries.
    pub deliveries: Arc<dyn Deliveries>,
    /// The way out.
    pub transport: Arc<dyn Transport>,
    /// The time of tries.
    pub clock: Arc<dyn Clock>,
    /// What jitter is drawn from.
    pub entropy: Arc<dyn Entropy>,
}

/// So often a lost race is run again before the message is put off.
pub(crate) const RACES: usize = 8;

/// What is known before a try.
pub(crate) enum Before {
    /// It is to be tried, on this record.
    Try(Box<Delivery>, Option<Version>),
    /// It is not its time yet.
    Wait(SignedDuration, u32),
    /// There is nothing left to do for this message.
    Over,
}

/// A try that was made and is not recorded yet.
pub(crate) struct Made {
    tried: Try,
    outcome: Outcome,
    /// What its outcome means.
    pub(crate) verdict: Verdict,
}

impl Made {
    /// Whether the endpoint is well, as far as this try tells; nothing if it was not asked, for a reason of ours.
    pub(crate) fn got_through(&self) -> Option<bool> {
        match (&self.outcome, self.verdict) {
            (Outcome::Failed(Failure::Unsigned | Failure::Locked), _) => None,
            (_, Verdict::Delivered | Verdict::Gone) => Some(true),
            (_, Verdict::Failed) => Some(false),
        }
    }
}

impl Tries {
    /// Reads the record and claims the delivery for `message`, if nobody holds it and it is time. It is over where the round
    /// is, or where `stale` says so.
    pub(crate) async fn claim(
        &self,
        key: &DeliveryKey,
        guard: Option<&Guard>,
        message: &Received,
        stale: impl Fn(&Delivery) -> bool,
    ) -> Result<Before, StoreError> {
        let holder = holder(message);
        for _ in 0..RACES {
            let (mut delivery, version) = match self.deliveries.delivery(key).await? {
                Some(Read { value, version }) => (value, Some(version)),
                None => (Delivery::new(key.clone(), guard.cloned()), None),
            };
            let now = self.clock.now();
            if delivery.state.settled() || stale(&delivery) {
                return Ok(Before::Over);
            }
            let free_at = delivery.held_from(holder, now).max(delivery.state.due());
            if let Some(free_at) = free_at.filter(|free_at| *free_at > now) {
                return Ok(Before::Wait(until(now, free_at), delivery.tried()));
            }
            if delivery.holds_for_a_try(holder, now) {
                return Ok(Before::Try(Box::new(delivery), version));
            }
            delivery.claim(holder, now);
            let _raced = self
                .deliveries
                .save_delivery(&delivery, version, now)
                .await?;
        }
        Ok(Before::Wait(SignedDuration::from_secs(1), 0))
    }

    /// Makes a try.
    pub(crate) async fn post(&self, event: &Event, endpoint: &Endpoint) -> Made {
        let began = self.clock.now();
        let outcome = match request::build(event, endpoint, began) {
            Ok(request) => self.transport.post(request).await,
            Err(request::Unsigned) if endpoint.is_locked(began) => Outcome::Failed(Failure::Locked),
            Err(request::Unsigned) => Outcome::Failed(Failure::Unsigned),
        };
        Made {
            tried: Try::new(began, self.clock.now(), &outcome),
            verdict: endpoint.scheme.judge(&outcome),
            outcome,
        }
    }

    /// Records a try. Answers the record as it is then, or nothing after too many lost races.
    pub(crate) async fn record(
        &self,
        made: &Made,
        event_type: &EventType,
        mut delivery: Delivery,
        mut version: Option<Version>,
        (endpoint, useful_until): (&Endpoint, Option<Timestamp>),
        message: &Received,
    ) -> Result<Option<Delivery>, StoreError> {
        let now = self.clock.now();
        let terms = Terms {
            policy: &endpoint.policy,
            useful_until,
            per_mille: self.entropy.per_mille(),
            hop: delivery.hop,
            holder: holder(message),
        };
        for _ in 0..RACES {
            if delivery.settle(made.tried.clone(), &made.outcome, made.verdict, terms, now) {
                delivery.keep(&message.id);
            }
            let saved = self
                .deliveries
                .save_delivery(&delivery, version, now)
                .await?;
            if saved == Saved::Stored {
                tell(event_type, &delivery, &made.tried);
                return Ok(Some(delivery));
            }
            (delivery, version) = match self.deliveries.delivery(&delivery.key).await? {
                // The answer to our write was lost, and somebody else wrote before it was repeated.
                Some(read) if read.value.tries.contains(&made.tried) => {
                    tell(event_type, &read.value, &made.tried);
                    return Ok(Some(read.value));
                }
                Some(read) => (read.value, Some(read.version)),
                None => (Delivery::new(delivery.key, delivery.guard), None),
            };
        }
        Ok(None)
    }

    /// Records that it is held until then at most, since its endpoint's breaker is open.
    pub(crate) async fn hold_back(
        &self,
        mut delivery: Delivery,
        version: Option<Version>,
        until: Timestamp,
    ) -> Result<Saved, StoreError> {
        delivery.hold_back(until);
        self.save_untried(&delivery, version).await
    }

    /// Records that no try is made any more, and why.
    pub(crate) async fn close(
        &self,
        mut delivery: Delivery,
        version: Option<Version>,
        state: State,
    ) -> Result<Saved, StoreError> {
        delivery.state = state;
        delivery.hold = None;
        self.save_untried(&delivery, version).await
    }

    async fn save_untried(
        &self,
        delivery: &Delivery,
        version: Option<Version>,
    ) -> Result<Saved, StoreError> {
        let saved = self
            .deliveries
            .save_delivery(delivery, version, self.clock.now())
            .await?;
        if saved == Saved::Stored {
            info!(
                tenant = delivery.key.tenant.as_str(),
                event.id = delivery.key.event.as_str(),
                endpoint = delivery.key.endpoint.as_str(),
                state = delivery.state.as_str(),
                "delivery not tried"
            );
        }
        Ok(saved)
    }
}

fn holder(message: &Received) -> Holder<'_> {
    Holder {
        message: &message.id,
        count: message.count,
    }
}

/// Why a delivery to this endpoint is not tried, if it is not.
pub(crate) fn skipped(endpoint: Option<&Endpoint>) -> Option<SkipReason> {
    match endpoint {
        None => Some(SkipReason::EndpointDeleted),
        Some(endpoint) if endpoint.state != EndpointState::Enabled => {
            Some(SkipReason::EndpointDisabled)
        }
        Some(_) => None,
    }
}

/// What becomes of a message when the table fails.
pub(crate) fn put_off(trouble: &StoreError, event: &str, received: &Received) -> Disposition {
    warn!(
        message.id = received.id,
        event.id = event,
        error = chain(trouble),
        "delivery put off"
    );
    // An outage explains its receipts, however many tries there were before; a broken item does not.
    let tries = match trouble {
        StoreError::Unavailable(_) => received.count,
        StoreError::Corrupt { .. } | StoreError::TooLarge { .. } => 0,
    };
    Disposition::Retry {
        after: rest(received.count),
        tries,
    }
}

/// A try that was made and recorded explains every receipt before it: a refusal never ends in quarantine.
pub(crate) fn disposition(delivery: &Delivery, received: &Received, now: Timestamp) -> Disposition {
    match delivery.state {
        State::Retrying { due } => Disposition::Retry {
            after: until(now, due),
            tries: received.count,
        },
        // A copy is making the first try that counts; should it die, this one is there.
        State::Queued => Disposition::Retry {
            after: delivery
                .hold
                .as_ref()
                .map_or(SignedDuration::ZERO, |hold| until(now, hold.until)),
            tries: received.count,
        },
        State::Parked { .. }
        | State::Held { .. }
        | State::Delivered
        | State::GivenUp { .. }
        | State::Superseded
        | State::Expired
        | State::Skipped { .. }
        | State::Quarantined { .. } => Disposition::Done,
    }
}

/// The message comes again at once.
pub(crate) fn soon(tries: u32) -> Disposition {
    Disposition::Retry {
        after: SignedDuration::from_secs(1),
        tries,
    }
}

fn tell(event_type: &EventType, delivery: &Delivery, tried: &Try) {
    info!(
        tenant = delivery.key.tenant.as_str(),
        event.id = delivery.key.event.as_str(),
        event.type = event_type.as_str(),
        endpoint = delivery.key.endpoint.as_str(),
        round = delivery.key.round.number(),
        tries = delivery.tried(),
        status = tried.status,
        failure = tried.failure.map(Failure::as_str),
        took_ms = tried.took_ms,
        state = delivery.state.as_str(),
        next = delivery.state.due().map(|due| due.to_string()),
        "delivery tried"
    );
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use async_trait::async_trait;
    use shared::delivery::{BreakerPolicy, EndpointState, Policy, Request, Scheme};
    use shared::entropy::SeededEntropy;
    use shared::event::Role;
    use shared::ids::{EndpointId, EventId, Round, TenantId};
    use shared::signature::stellar::SignedHost;
    use shared::store::{Page, UndeliveredQuery};
    use shared::time::ManualClock;

    use super::*;

    /// Keeps what is written, and answers as if somebody else had written before it.
    #[derive(Default)]
    struct AnswerLost(Mutex<Option<Delivery>>);

    impl AnswerLost {
        fn kept(&self) -> Option<Delivery> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        }
    }

    #[async_trait]
    impl Deliveries for AnswerLost {
        async fn delivery(&self, _: &DeliveryKey) -> Result<Option<Read<Delivery>>, StoreError> {
            let version = Version(2);
            Ok(self.kept().map(|value| Read { value, version }))
        }

        async fn save_delivery(
            &self,
            delivery: &Delivery,
            _: Option<Version>,
            _: Timestamp,
        ) -> Result<Saved, StoreError> {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = Some(delivery.clone());
            Ok(Saved::Lost)
        }

        async fn deliveries(&self, _: &TenantId, _: &EventId) -> Result<Vec<Delivery>, StoreError> {
            Ok(Vec::new())
        }

        async fn undelivered(
            &self,
            _: &TenantId,
            _: &EndpointId,
            _: &UndeliveredQuery,
        ) -> Result<Page<Delivery, String>, StoreError> {
            Ok(Page {
                items: Vec::new(),
                next: None,
            })
        }

        async fn due(&self, _: Timestamp, _: usize) -> Result<Vec<DeliveryKey>, StoreError> {
            Ok(Vec::new())
        }
    }

    #[async_trait]
    impl Transport for AnswerLost {
        async fn post(&self, _: Request) -> Outcome {
            Outcome::answered(500)
        }
    }

    #[tokio::test]
    async fn a_try_whose_record_was_written_and_not_answered_is_recorded_once() {
        let (tenant, id) = (TenantId::parse("acme"), EndpointId::parse("shop"));
        let (tenant, id) = (tenant.expect("a valid id"), id.expect("a valid id"));
        let endpoint = Endpoint {
            tenant: tenant.clone(),
            id: id.clone(),
            url: "https://shop.example/hook".to_owned(),
            role: Role::Merchant,
            scheme: Scheme::StandardWebhooks,
            secrets: Vec::new(),
            locked: Vec::new(),
            filter: None,
            policy: Policy::default_for(Scheme::StandardWebhooks),
            breaker: BreakerPolicy::default(),
            deadline: SignedDuration::from_secs(15),
            useful_for: None,
            signed_host: SignedHost::AsSent,
            decision_url: None,
            state: EndpointState::Enabled,
        };
        let key = DeliveryKey {
            tenant,
            event: EventId::parse("evt_1").expect("a valid id"),
            endpoint: id,
            round: Round::FIRST,
        };
        let now = Timestamp::UNIX_EPOCH;
        let message = Received {
            id: "m1".to_owned(),
            receipt: shared::queue::Receipt("r1".to_owned()),
            body: String::new(),
            count: 1,
            sent: now,
            group: None,
        };
        let table = Arc::new(AnswerLost::default());
        let tries = Tries {
            deliveries: table.clone(),
            transport: table.clone(),
            clock: Arc::new(ManualClock::new(now)),
            entropy: Arc::new(SeededEntropy::new(1)),
        };
        let outcome = Outcome::answered(500);
        let made = Made {
            tried: Try::new(now, now, &outcome),
            verdict: Verdict::Failed,
            outcome,
        };
        let event_type = EventType::parse("recovery.recovered").expect("a valid type");
        let fresh = Delivery::new(key, None);
        let recorded = tries
            .record(&made, &event_type, fresh, None, (&endpoint, None), &message)
            .await
            .expect("the table answers");
        assert_eq!(recorded.map(|it| it.tried()), Some(1));
        assert_eq!(table.kept().map(|it| it.tried()), Some(1));
    }
}
