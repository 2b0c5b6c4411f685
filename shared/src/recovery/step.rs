//! One signal, one step: the joined intent, the action it calls for, and the events to tell.

use jiff::Timestamp;

use super::{Action, Attempt, Charge, Intent, Signal, State, Status, TriggeredBy, action};
use crate::event::recovery::{Cancelled, Invoice, Payment, Recovered};
use crate::event::{Event, Json, Kind};
use crate::ids::{EventId, TenantId};

/// What a signal leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The intent as it stands now; `None` where the signal says nothing of an invoice.
    pub intent: Option<Intent>,
    /// Whether the intent must be stored: a signal seen before changes nothing.
    pub changed: bool,
    /// What has to be done.
    pub action: Action,
    /// What has to be told. A signal seen before tells the same events again, under the same ids.
    pub events: Vec<Event>,
}

/// Joins `signal`, received at `now`, into `known` for `tenant`.
#[must_use]
pub fn step(tenant: &TenantId, known: Option<Intent>, signal: &Signal, now: Timestamp) -> Step {
    let triggered_by = triggered_by(known.as_ref(), signal);
    let action = action(signal.kind, triggered_by);
    let seen = known
        .as_ref()
        .is_some_and(|intent| intent.has_seen(&signal.id));
    let Some(mut intent) = known.or_else(|| Intent::open(signal, now)) else {
        return Step {
            intent: None,
            changed: false,
            action,
            events: Vec::new(),
        };
    };
    if !seen {
        intent.join(signal, now);
    }
    let events = events(tenant, &intent, signal);
    Step {
        intent: Some(intent),
        changed: !seen,
        action,
        events,
    }
}

fn triggered_by(known: Option<&Intent>, signal: &Signal) -> Option<TriggeredBy> {
    Some(known?.attempt(signal.charge.as_ref()?)?.triggered_by)
}

/// What is told is a function of the signal and the joined state, not of the change it made: a replay tells the
/// same, and a failure that arrives after the success it precedes still makes the recovery known.
fn events(tenant: &TenantId, intent: &Intent, signal: &Signal) -> Vec<Event> {
    let told = Told { tenant, intent };
    let payment = signal
        .charge
        .as_ref()
        .and_then(|charge| told.payment(charge, intent.attempt(charge)?));
    let ending = match intent.state {
        State::Recovered if intent.has_failed() => Some(told.recovered()),
        State::Cancelled => Some(told.cancelled()),
        State::Recovered | State::Open | State::Processing => None,
    };
    payment.into_iter().chain(ending).collect()
}

struct Told<'a> {
    tenant: &'a TenantId,
    intent: &'a Intent,
}

impl Told<'_> {
    fn payment(&self, charge: &Charge, attempt: &Attempt) -> Option<Event> {
        let kind = match charge.status {
            Status::Failed => Kind::RecoveryPaymentFailed,
            Status::Succeeded => Kind::RecoveryPaymentSucceeded,
            Status::Pending => Kind::RecoveryPaymentPending,
        };
        let fact = attempt.facts.get(&charge.status)?;
        let decline = fact.details.decline.as_ref();
        let payment = Payment {
            invoice: self.invoice(),
            charge: attempt.key().clone(),
            transaction_id: fact.details.transaction_id.clone(),
            money: fact.details.amount,
            triggered_by: attempt.triggered_by,
            error_code: decline.map(|decline| decline.code.clone()),
            error_message: decline.and_then(|decline| decline.message.clone()),
            occurred_at: fact.first.at,
        };
        Some(self.event(kind, attempt.key().as_str(), fact.first.at, json(&payment)))
    }

    fn recovered(&self) -> Event {
        let collected = self.intent.collected_by();
        let charge = collected.map(|(key, _)| key.clone());
        let (money, at) = collected
            .map_or((self.intent.amount, self.intent.since()), |(_, fact)| {
                (fact.details.amount, fact.first.at)
            });
        let transition = charge
            .as_ref()
            .map_or("out of band", |key| key.as_str())
            .to_owned();
        let recovered = Recovered {
            invoice: self.invoice(),
            money,
            charge,
        };
        self.event(Kind::RecoveryRecovered, &transition, at, json(&recovered))
    }

    fn cancelled(&self) -> Event {
        let cancelled = Cancelled {
            invoice: self.invoice(),
            money: self.intent.amount,
        };
        self.event(
            Kind::RecoveryCancelled,
            "cancelled",
            self.intent.since(),
            json(&cancelled),
        )
    }

    fn invoice(&self) -> Invoice {
        let key = &self.intent.key;
        Invoice {
            profile_id: key.profile_id.clone(),
            connector_account_id: key.connector_account_id.clone(),
            invoice_id: key.invoice_id.clone(),
        }
    }

    fn event(&self, kind: Kind, transition: &str, at: Timestamp, data: Json) -> Event {
        let key = &self.intent.key;
        let subject = [
            key.profile_id.as_str(),
            key.connector_account_id.as_str(),
            key.invoice_id.as_str(),
        ]
        .join("/");
        Event {
            id: EventId::derive(self.tenant, &subject, transition, kind.wire_name()),
            event_type: kind.event_type(),
            data,
            at,
            source: self.intent.source.clone(),
            resource: Some(key.invoice_id.as_str().to_owned()),
        }
    }
}

fn json<T: serde::Serialize>(payload: &T) -> Json {
    Json::of(payload).expect("a payload of texts, integers and times always has a JSON form")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
