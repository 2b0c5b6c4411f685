//! How long a delivery is held for its endpoint, and what holding it makes of its record.

use jiff::{SignedDuration, Timestamp};

use super::{Breaker, Delivery, OpenedBy, Policy, State};
use crate::time::later;

/// A delivery is held until the next probe at least, and for so long after it: the probe is sent by `sweep`, which runs
/// each minute, and what waits is let go little by little.
const AFTER_PROBE: SignedDuration = SignedDuration::from_mins(5);
/// Where the operator opened the breaker, a delivery waits for so long at least: nobody switches an endpoint off for its
/// maintenance to have what comes meanwhile given up.
const FOR_OPERATOR: SignedDuration = SignedDuration::from_hours(24);

impl Delivery {
    /// Until when it is to be held for an endpoint whose `breaker` lets nothing through at `now`: until its retries by
    /// `policy` would have been over, had it been tried all along, but not before the endpoint had a chance to be found well
    /// again; and never for longer than it is of use. One that was held before keeps its time.
    #[must_use]
    pub fn holds_until(
        &self,
        breaker: &Breaker,
        policy: &Policy,
        useful_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        let until = self.held_until.unwrap_or_else(|| {
            let chance = match breaker.opened_by() {
                Some(OpenedBy::Operator) => later(now, FOR_OPERATOR),
                Some(OpenedBy::Failures) | None => {
                    let probe_at = breaker.next_probe_at().unwrap_or(now);
                    later(probe_at.max(now), AFTER_PROBE)
                }
            };
            later(now, policy.left_after(self.tried())).max(chance)
        });
        useful_until.map_or(until, |useful| useful.min(until))
    }

    /// Holds it until then at most. A message that was sent before has nothing more to do.
    pub fn hold_back(&mut self, until: Timestamp) {
        self.state = State::Held { until };
        self.held_until = Some(until);
        self.hold = None;
        self.hop += 1;
    }

    /// Whether a try made now would be late: it was tried before, or was held when its first try was due.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.tried() > 0 || self.held_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{BreakerPolicy, DeliveryKey, Scheme, Try, breaker::Came};
    use crate::ids::{EndpointId, EventId, Round, TenantId};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time in range")
    }

    fn delivery(tries: i64) -> Delivery {
        let key = DeliveryKey {
            tenant: TenantId::parse("acme").expect("a valid id"),
            event: EventId::parse("evt_1").expect("a valid id"),
            endpoint: EndpointId::parse("shop").expect("a valid id"),
            round: Round::FIRST,
        };
        let tried = |second| Try {
            at: at(second),
            took_ms: 1,
            status: Some(500),
            failure: None,
            excerpt: String::new(),
        };
        Delivery {
            tries: (0..tries).map(tried).collect(),
            ..Delivery::new(key, None)
        }
    }

    fn opened(now: i64) -> Breaker {
        let mut breaker = Breaker::default();
        breaker.note(&BreakerPolicy::default(), &[Came::Failed; 10], at(now));
        breaker
    }

    #[test]
    fn it_is_held_for_as_long_as_it_would_have_been_retried() {
        let rafiki = Policy::default_for(Scheme::Rafiki);
        let by_hand = |now| {
            let mut breaker = Breaker::default();
            breaker.open(at(now));
            breaker
        };
        let hours = 3600;
        let cases = [
            // Ten waits of 10 to 100 s, of which the first n were waited out before.
            ("never tried", 0, opened(1000), None, 1000 + 550),
            ("tried twice", 2, opened(1000), None, 1000 + 520),
            ("tried to the last", 10, opened(1000), None, 1000 + 60 + 300),
            ("of use for less", 0, opened(1000), Some(at(1100)), 1100),
            ("by hand", 0, by_hand(900), None, 1000 + 24 * hours),
            ("of use, by hand", 0, by_hand(900), Some(at(1009)), 1009),
        ];
        for (name, tries, breaker, useful, want) in cases {
            let got = delivery(tries).holds_until(&breaker, &rafiki, useful, at(1000));
            assert_eq!(got, at(want), "{name}");
        }
    }

    #[test]
    fn one_that_is_held_again_is_held_no_longer_than_before() {
        let mut delivery = delivery(0);
        delivery.hold_back(at(1550));
        delivery.state = State::Retrying { due: at(1400) };
        let policy = Policy::default_for(Scheme::Rafiki);
        let again = delivery.holds_until(&opened(1400), &policy, None, at(1400));
        assert_eq!(again, at(1550));
        delivery.hold_back(again);
        assert_eq!(delivery.state, State::Held { until: at(1550) });
        assert_eq!(delivery.hop, 2, "messages that were sent before are stale");
        assert!(delivery.is_late());
    }

    #[test]
    fn a_try_is_late_if_it_is_not_the_first_or_the_first_was_held() {
        let mut held = delivery(0);
        held.hold_back(at(9));
        let cases = [
            (delivery(0), false),
            (delivery(1), true),
            (delivery(2), true),
            (held, true),
        ];
        for (delivery, want) in cases {
            let row = format!("{} {:?}", delivery.tried(), delivery.held_until);
            assert_eq!(delivery.is_late(), want, "{row}");
        }
    }
}
