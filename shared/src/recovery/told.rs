//! What is told of an intent: events whose ids are derived from what happened.

use jiff::Timestamp;

use super::{
    Attempt, Charge, EndReason, Intent, Issue, Mode, Stage, State, Status, Terms, TriggeredBy,
};
use crate::event::recovery::{
    Cancelled, CancelledBy, Invoice, Limit, LimitsExhausted, Numbers, Payment, Recovered, RetryDue,
    RetryScheduled,
};
use crate::event::{Event, Json, Kind};
use crate::ids::{EventId, TenantId};

/// Tells of one intent.
pub(super) struct Told<'a> {
    tenant: &'a TenantId,
    intent: &'a Intent,
}

impl<'a> Told<'a> {
    pub(super) fn new(tenant: &'a TenantId, intent: &'a Intent) -> Self {
        Self { tenant, intent }
    }

    /// The charge that a signal speaks of, in the status that it says.
    pub(super) fn payment(&self, charge: &Charge) -> Option<Event> {
        let attempt: &Attempt = self.intent.attempt(charge)?;
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

    /// That the invoice was collected after it had failed, or was given up.
    pub(super) fn ending(&self) -> Option<Event> {
        match self.intent.state {
            State::Recovered if self.intent.has_failed() => Some(self.recovered()),
            State::Cancelled => Some(self.cancelled(CancelledBy::Platform, self.intent.since())),
            State::Recovered | State::Open | State::Processing => None,
        }
    }

    fn recovered(&self) -> Event {
        let collected = self.intent.collected_by();
        let charge = collected.map(|(key, _)| key.clone());
        let (money, at) = collected
            .map_or((self.intent.amount, self.intent.since()), |(_, fact)| {
                (fact.details.amount, fact.first.at)
            });
        let transition = match &charge {
            Some(key) => key.as_str().to_owned(),
            None => self.again("out of band"),
        };
        let recovered = Recovered {
            invoice: self.invoice(),
            money,
            charge,
            triggered_by: self.collected_by_whom(),
            numbers: self.numbers(),
        };
        self.event(Kind::RecoveryRecovered, &transition, at, json(&recovered))
    }

    fn collected_by_whom(&self) -> Option<TriggeredBy> {
        let (key, _) = self.intent.collected_by()?;
        let mut attempts = self.intent.attempts.iter();
        attempts
            .find(|attempt| attempt.key() == key)
            .map(|attempt| attempt.triggered_by)
    }

    /// A transition that may come again once the invoice was opened again.
    fn again(&self, transition: &str) -> String {
        match self.intent.reopened() {
            Some(order) => format!("{transition} after {}", order.id),
            None => transition.to_owned(),
        }
    }

    /// That the invoice, or its retries, were given up, by whom, and when.
    pub(super) fn cancelled(&self, by: CancelledBy, at: Timestamp) -> Event {
        let cancelled = Cancelled {
            invoice: self.invoice(),
            money: self.intent.left(),
            by,
            numbers: self.numbers(),
        };
        let transition = match by {
            CancelledBy::Platform => self.again("cancelled"),
            CancelledBy::Operator => format!("cancelled by an operator at {at}"),
        };
        self.event(Kind::RecoveryCancelled, &transition, at, json(&cancelled))
    }

    /// What the timetable came to: the next retry, or that there will be none; nothing where nobody is asked to charge.
    pub(super) fn planned(&self, retry: u32, stage: &Stage, terms: &Terms) -> Option<Event> {
        if terms.mode == Mode::Monitoring && self.intent.hurried().is_none() {
            return None;
        }
        let numbers = self.numbers();
        match *stage {
            Stage::Planned { at } => {
                let scheduled = RetryScheduled {
                    invoice: self.invoice(),
                    money: self.intent.left(),
                    retry,
                    scheduled_at: at,
                    error_code: self.error_code(),
                    numbers,
                };
                let transition = format!("retry {retry} at {at}");
                Some(self.event(
                    Kind::RecoveryRetryScheduled,
                    &transition,
                    self.intent.since(),
                    json(&scheduled),
                ))
            }
            Stage::Ended { reason } => {
                let limit = limit(reason)?;
                let exhausted = LimitsExhausted {
                    invoice: self.invoice(),
                    money: self.intent.left(),
                    reason: limit,
                    numbers,
                };
                let transition = format!("{} after {}", reason.as_str(), self.intent.tried());
                Some(self.event(
                    Kind::RecoveryLimitsExhausted,
                    &transition,
                    self.intent.since(),
                    json(&exhausted),
                ))
            }
            _ => None,
        }
    }

    /// That the merchant is to charge now.
    pub(super) fn retry_due(&self, issue: &Issue, now: Timestamp) -> Event {
        let what = &issue.what;
        let due = RetryDue {
            invoice: self.invoice(),
            money: what.money,
            retry: issue.number,
            deadline: issue.deadline,
            idempotency_key: self.idempotency_key(issue.number),
            token: what.token.clone(),
            customer: what.customer.clone(),
            payment_account: what.payment_account.clone(),
            error_code: self.error_code(),
            numbers: self.numbers(),
        };
        let transition = format!("retry {} told {}", issue.number, issue.times);
        self.event(Kind::RecoveryRetryDue, &transition, now, json(&due))
    }

    /// The same for every telling of one retry: who charges by it charges once.
    fn idempotency_key(&self, retry: u32) -> EventId {
        EventId::derive(
            self.tenant,
            &self.subject(),
            &format!("retry {retry}"),
            "idempotency_key",
        )
    }

    /// Why the last charge failed, where that is known.
    fn error_code(&self) -> Option<String> {
        let decline = self.intent.last_failed()?.decline()?;
        Some(decline.code.clone())
    }

    fn numbers(&self) -> Numbers {
        Numbers {
            charges_tried: self.intent.tried(),
            retries_told: self.intent.retry.told,
        }
    }

    fn invoice(&self) -> Invoice {
        let key = &self.intent.key;
        Invoice {
            profile_id: key.profile_id.clone(),
            connector_account_id: key.connector_account_id.clone(),
            invoice_id: key.invoice_id.clone(),
        }
    }

    fn subject(&self) -> String {
        self.intent.key.subject()
    }

    fn event(&self, kind: Kind, transition: &str, at: Timestamp, data: Json) -> Event {
        Event {
            id: EventId::derive(self.tenant, &self.subject(), transition, kind.wire_name()),
            event_type: kind.event_type(),
            data,
            at,
            source: self.intent.source.clone(),
            resource: Some(self.intent.key.invoice_id.as_str().to_owned()),
        }
    }
}

fn limit(reason: EndReason) -> Option<Limit> {
    match reason {
        EndReason::RetriesExhausted => Some(Limit::RetriesExhausted),
        EndReason::GracePeriodExpired => Some(Limit::GracePeriodExpired),
        EndReason::HardDeclined => Some(Limit::HardDeclined),
        EndReason::Cancelled | EndReason::Recovered => None,
    }
}

fn json<T: serde::Serialize>(payload: &T) -> Json {
    Json::of(payload).expect("a payload of texts, integers and times always has a JSON form")
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
