//! What became of an event: one word for all its deliveries, the worst of their latest rounds. Pure.

use serde::Serialize;
use utoipa::ToSchema;

use shared::delivery::{Cause, Delivery, End, SkipReason, State};
use shared::event::Recipients;
use shared::ids::EndpointId;

/// What became of an event, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Every endpoint that it was for has it.
    Delivered,
    /// It was for nobody, or an endpoint that it was for was switched off or removed.
    Skipped,
    /// What it would have said is no longer so.
    Superseded,
    /// It waits for its first try.
    Queued,
    /// It waits for its next try, which is near.
    Retrying,
    /// It waits for its next try, which is more than 15 minutes away.
    Parked,
    /// It waits for an endpoint that has failed too often of late, and is left alone for a while.
    Held,
    /// It would have come too late to be of use.
    Expired,
    /// It was given up.
    Failed,
    /// A message of it was set aside, because of an accident of ours.
    Quarantined,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 10] = [
        Self::Delivered,
        Self::Skipped,
        Self::Superseded,
        Self::Queued,
        Self::Retrying,
        Self::Parked,
        Self::Held,
        Self::Expired,
        Self::Failed,
        Self::Quarantined,
    ];

    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Skipped => "skipped",
            Self::Superseded => "superseded",
            Self::Queued => "queued",
            Self::Retrying => "retrying",
            Self::Parked => "parked",
            Self::Held => "held",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
        }
    }

    /// The standing with this wire name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|standing| standing.as_str() == name)
    }

    fn of(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Retrying { .. } => Self::Retrying,
            State::Parked { .. } => Self::Parked,
            State::Held { .. } => Self::Held,
            State::Delivered => Self::Delivered,
            State::GivenUp { .. } => Self::Failed,
            State::Superseded => Self::Superseded,
            State::Expired => Self::Expired,
            State::Skipped { .. } => Self::Skipped,
            State::Quarantined { .. } => Self::Quarantined,
        }
    }
}

/// Why an event or a delivery stands as it does, where there is more to say than the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reason {
    /// Why a delivery was given up.
    End(End),
    /// Why a delivery was not tried.
    Skip(SkipReason),
    /// Why the message of a delivery was set aside.
    Accident(Cause),
    /// Why an event was for nobody.
    Nobody(&'static str),
}

impl Reason {
    /// The reason that a delivery's state carries.
    #[must_use]
    pub fn of(state: State) -> Option<Self> {
        match state {
            State::GivenUp { reason } => Some(Self::End(reason)),
            State::Skipped { reason } => Some(Self::Skip(reason)),
            State::Quarantined { cause } => Some(Self::Accident(cause)),
            State::Queued
            | State::Retrying { .. }
            | State::Parked { .. }
            | State::Held { .. }
            | State::Delivered
            | State::Superseded
            | State::Expired => None,
        }
    }
}

/// The latest round in which `endpoint` was tried.
#[must_use]
pub fn latest<'a>(deliveries: &'a [Delivery], endpoint: &EndpointId) -> Option<&'a Delivery> {
    deliveries
        .iter()
        .filter(|delivery| delivery.key.endpoint == *endpoint)
        .max_by_key(|delivery| delivery.key.round)
}

/// What became of an event with these recipients and these deliveries tried.
#[must_use]
pub fn standing(recipients: &Recipients, deliveries: &[Delivery]) -> (Standing, Option<Reason>) {
    let states = recipients.endpoints().map(|endpoint| {
        // A delivery that was never tried has no record.
        let state = latest(deliveries, endpoint).map_or(State::Queued, |delivery| delivery.state);
        (Standing::of(state), Reason::of(state))
    });
    match states.max_by_key(|(standing, _)| *standing) {
        Some(worst) => worst,
        None => (Standing::Skipped, recipients.skipped().map(Reason::Nobody)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use shared::delivery::DeliveryKey;
    use shared::event::{Chosen, NoReceiver, Role, SetAside};
    use shared::ids::{EventId, Round, TenantId};

    use super::*;

    fn endpoint(id: &str) -> EndpointId {
        EndpointId::parse(id).expect("a valid id")
    }

    fn delivery(id: &str, round: u32, state: State) -> Delivery {
        let key = DeliveryKey {
            tenant: TenantId::parse("acme").expect("a valid id"),
            event: EventId::parse("evt_1").expect("a valid id"),
            endpoint: endpoint(id),
            round: Round::new(round).expect("a round from 1"),
        };
        Delivery {
            state,
            ..Delivery::new(key, None)
        }
    }

    #[test]
    fn an_event_stands_as_the_worst_of_the_latest_rounds() {
        struct Case {
            name: &'static str,
            deliveries: Vec<Delivery>,
            want: (Standing, Option<Reason>),
        }
        let due = Timestamp::UNIX_EPOCH;
        let given_up = State::GivenUp {
            reason: End::RetriesExhausted,
        };
        let off = State::Skipped {
            reason: SkipReason::EndpointDisabled,
        };
        let exhausted = Some(Reason::End(End::RetriesExhausted));
        let cases = [
            Case {
                name: "nothing was tried",
                deliveries: vec![],
                want: (Standing::Queued, None),
            },
            Case {
                name: "one is delivered, one was never tried",
                deliveries: vec![delivery("a", 1, State::Delivered)],
                want: (Standing::Queued, None),
            },
            Case {
                name: "both are delivered",
                deliveries: vec![
                    delivery("a", 1, State::Delivered),
                    delivery("b", 1, State::Delivered),
                ],
                want: (Standing::Delivered, None),
            },
            Case {
                name: "a given up one outweighs all",
                deliveries: vec![
                    delivery("a", 1, given_up),
                    delivery("b", 1, State::Parked { due }),
                ],
                want: (Standing::Failed, exhausted),
            },
            Case {
                name: "an accident of ours outweighs even that",
                deliveries: vec![
                    delivery("a", 1, given_up),
                    delivery(
                        "b",
                        1,
                        State::Quarantined {
                            cause: Cause::Stuck,
                        },
                    ),
                ],
                want: (Standing::Quarantined, Some(Reason::Accident(Cause::Stuck))),
            },
            Case {
                name: "only the latest round counts, whatever the order",
                deliveries: vec![
                    delivery("a", 2, State::Delivered),
                    delivery("a", 1, given_up),
                    delivery("b", 1, State::Delivered),
                ],
                want: (Standing::Delivered, None),
            },
            Case {
                name: "a replay that waits",
                deliveries: vec![
                    delivery("a", 1, given_up),
                    delivery("a", 2, State::Retrying { due }),
                    delivery("b", 1, State::Delivered),
                ],
                want: (Standing::Retrying, None),
            },
            Case {
                name: "switched off meanwhile",
                deliveries: vec![delivery("a", 1, off), delivery("b", 1, State::Delivered)],
                want: (
                    Standing::Skipped,
                    Some(Reason::Skip(SkipReason::EndpointDisabled)),
                ),
            },
        ];
        let both = Chosen::Endpoints(vec![endpoint("a"), endpoint("b")]);
        let nobody = Chosen::Nobody(NoReceiver::NoEndpoint);
        let recipients = Recipients::Chosen(BTreeMap::from([
            (Role::Merchant, both),
            (Role::Pos, nobody),
        ]));
        for Case {
            name,
            deliveries,
            want,
        } in cases
        {
            assert_eq!(standing(&recipients, &deliveries), want, "{name}");
        }
    }

    #[test]
    fn an_event_for_nobody_is_skipped_with_the_reason() {
        let filtered = Chosen::Nobody(NoReceiver::Filtered);
        let cases = [
            (
                Recipients::Chosen(BTreeMap::from([(Role::Merchant, filtered)])),
                "filtered",
            ),
            (Recipients::SetAside(SetAside::NotHandled), "not_handled"),
        ];
        for (recipients, reason) in cases {
            assert_eq!(
                standing(&recipients, &[]),
                (Standing::Skipped, Some(Reason::Nobody(reason)))
            );
        }
    }

    #[test]
    fn every_standing_comes_back_from_its_wire_name() {
        for standing in Standing::ALL {
            assert_eq!(Standing::parse(standing.as_str()), Some(standing));
            assert_eq!(
                serde_json::to_string(&standing).ok(),
                Some(format!("\"{}\"", standing.as_str()))
            );
        }
        assert_eq!(Standing::parse("given_up"), None);
    }
}
