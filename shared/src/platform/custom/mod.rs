//! Custom billing: what a merchant reports of its invoices in the normalised form, with a key instead of a webhook.
//!
//! A merchant that bills by itself reports everything so. A merchant at any platform reports what came of a retry that it
//! was told to make, as a charge that is ours ([`TriggeredBy::Internal`]); what is not ours is for the platform to tell.
//!
//! - Authenticity: a key of the tenant, at the door.
//! - Order key: `occurred_at`; signals of one time rank pending < failed < given up < paid.
//! - Charge key: `charge_id`, else `transaction_id`; `platform_id` beside either.
//! - Money: ISO 4217 minor units.
//! - No card number is taken: a token, a customer or a text that holds one is refused ([`card_number`]).

mod card_number;
mod report;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

pub use report::Report;
use report::{ChargeReport, Event};

use super::{BillingAccount, Platform, intent_key};
use crate::event::{FieldError, Source, Time};
use crate::ids::SignalId;
use crate::money::Money;
use crate::recovery::{
    Card, Charge, ChargeId, Decline, Details, Instrument, Network, Order, Signal, SignalKind,
    Status, TriggeredBy,
};

/// A report may be so far ahead of our clock, since clocks differ. What lies further in the future would outrank all that
/// happens until then.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// Why a report is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// A field is missing, wrong, or does not go with the others.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// It reports what the account's platform tells by itself.
    #[error(
        "`charge.triggered_by` must be `internal`: what else happens at `{0}` is told by its webhooks"
    )]
    NotOurs(&'static str),
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// The field that is wrong, and what it must be.
    pub fn read(body: &str) -> Result<Self, FieldError> {
        let report: Self = crate::event::read("", body)?;
        report.check()?;
        Ok(report)
    }

    /// What it tells, to `account`, whose ids it names.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn signal(self, account: &BillingAccount, now: Timestamp) -> Result<Signal, ReportError> {
        let by = self
            .charge
            .as_ref()
            .map_or(TriggeredBy::External, |charge| charge.triggered_by);
        if account.platform != Platform::Custom && by == TriggeredBy::External {
            return Err(ReportError::NotOurs(account.platform.as_str()));
        }
        let at = self.occurred_at.0;
        if at.duration_since(now) > AHEAD {
            return Err(wrong("occurred_at", "must not lie in the future").into());
        }
        let rule = "must be 1 to 200 bytes without white space or control characters";
        let id = SignalId::parse(format!("report:{}", self.id)).map_err(|_| wrong("id", rule))?;
        let money = |amount| Money {
            amount,
            currency: self.currency,
        };
        let (kind, status, rank) = match self.event {
            Event::PaymentPending => (SignalKind::PaymentPending, Some(Status::Pending), 0),
            Event::PaymentFailed => (SignalKind::PaymentFailed, Some(Status::Failed), 1),
            Event::InvoiceCancelled => (SignalKind::InvoiceCancelled, None, 2),
            Event::PaymentSucceeded => (SignalKind::PaymentSucceeded, Some(Status::Succeeded), 3),
        };
        // Of a success, `amount_left` is what it left over; of anything else, what was asked for.
        let usual = match (self.event, self.amount_left) {
            (Event::PaymentSucceeded, Some(left)) => self.amount.saturating_sub(left),
            (Event::PaymentFailed | Event::PaymentPending, Some(left)) => left,
            (Event::InvoiceCancelled, _) | (_, None) => self.amount,
        };
        let usual = money(usual);
        let charge = self
            .charge
            .zip(status)
            .map(|(charge, status)| charge.charge(status, usual));
        Ok(Signal {
            order: Order {
                at,
                rank,
                id: id.clone(),
            },
            id,
            source: Source::new(account.platform.as_str()),
            by_merchant: by == TriggeredBy::Internal,
            intent: intent_key(account, self.invoice_id),
            kind,
            amount: money(self.amount),
            left: self.amount_left.map(money),
            tries: self.tries,
            next_try: self.next_try_at.map(|Time(at)| at),
            charge,
        })
    }

    /// What the fields say of each other.
    fn check(&self) -> Result<(), FieldError> {
        if self.amount < 0 {
            return Err(wrong("amount", "must not be negative"));
        }
        if self.amount_left.is_some_and(|left| left < 0) {
            return Err(wrong("amount_left", "must not be negative"));
        }
        if self.amount_left.is_some_and(|left| left > self.amount) {
            return Err(wrong("amount_left", "must not be more than `amount`"));
        }
        match (self.event, &self.charge) {
            (Event::PaymentFailed | Event::PaymentPending, None) => {
                Err(wrong("charge", "is missing"))
            }
            (Event::InvoiceCancelled, Some(_)) => Err(wrong(
                "charge",
                "has no place beside `invoice_cancelled`; leave it out",
            )),
            (_, Some(charge)) => charge.check(self.event),
            (Event::PaymentSucceeded | Event::InvoiceCancelled, None) => Ok(()),
        }
    }
}

impl ChargeReport {
    fn check(&self, event: Event) -> Result<(), FieldError> {
        let ids = [&self.charge_id, &self.transaction_id, &self.platform_id];
        if ids.iter().all(|id| id.is_none()) {
            let rule = "must have a `charge_id`, a `transaction_id` or a `platform_id`";
            return Err(wrong("charge", rule));
        }
        if self.amount.is_some_and(|amount| amount < 0) {
            return Err(wrong("charge.amount", "must not be negative"));
        }
        if self.retry == Some(0) {
            return Err(wrong("charge.retry", "must be 1 or more"));
        }
        if self.retry.is_some() && self.triggered_by == TriggeredBy::External {
            let rule = "is of a retry that Payrelay asked for; `charge.triggered_by` must be `internal` then";
            return Err(wrong("charge.retry", rule));
        }
        if self.error.is_some() && event != Event::PaymentFailed {
            let rule = "has its place beside `payment_failed` only; leave it out";
            return Err(wrong("charge.error", rule));
        }
        let texts = self.texts();
        let found = texts
            .iter()
            .find(|(_, text)| text.is_some_and(card_number::holds));
        match found {
            Some((field, _)) => Err(wrong(
                field,
                "must not hold a card number; send the token that stands for it",
            )),
            None => Ok(()),
        }
    }

    /// The texts in which somebody may have put a card number. Ids are none of them: those of a merchant are numbers too,
    /// and one in ten of the right length would be taken for a card.
    fn texts(&self) -> [(&'static str, Option<&str>); 11] {
        let error = self.error.as_ref();
        let instrument = self.instrument.as_ref();
        let card = instrument.and_then(|instrument| instrument.card.as_ref());
        [
            ("charge.gateway", self.gateway.as_deref()),
            ("charge.error.code", error.map(|it| it.code.as_str())),
            (
                "charge.error.message",
                error
                    .and_then(|it| it.message.as_ref())
                    .map(|it| it.as_str()),
            ),
            (
                "charge.error.network_message",
                error
                    .and_then(|it| it.network_message.as_ref())
                    .map(|it| it.as_str()),
            ),
            (
                "charge.error.reason",
                error.and_then(|it| it.reason.as_deref()),
            ),
            (
                "charge.error.network_code",
                error.and_then(|it| it.network_code.as_deref()),
            ),
            (
                "charge.instrument.token",
                instrument.and_then(|it| it.token.as_deref()),
            ),
            (
                "charge.instrument.customer",
                instrument.and_then(|it| it.customer.as_deref()),
            ),
            (
                "charge.instrument.method",
                instrument.and_then(|it| it.method.as_deref()),
            ),
            (
                "charge.instrument.card.network",
                card.and_then(|it| it.network.as_deref()),
            ),
            (
                "charge.instrument.card.funding",
                card.and_then(|it| it.funding.as_deref()),
            ),
        ]
    }

    /// The charge; `usual` is its amount where it has none of its own.
    fn charge(self, status: Status, usual: Money) -> Charge {
        // A transaction may have several charges (a Stripe payment intent has one for each try), so it tells a charge from
        // others only where nothing better does.
        let transaction = match &self.charge_id {
            Some(_) => None,
            None => self.transaction_id.clone().map(ChargeId::Transaction),
        };
        let transaction_id = self.transaction_id.map(String::from);
        let ids = [
            self.charge_id.map(ChargeId::Psp),
            transaction,
            self.platform_id.map(ChargeId::Platform),
        ];
        let text = |text: Option<crate::event::Text>| text.map(String::from);
        let amount = self.amount.map_or(usual.amount, |amount| amount);
        Charge {
            ids: ids.into_iter().flatten().collect::<BTreeSet<_>>(),
            status,
            triggered_by: self.triggered_by,
            retry: self.retry,
            details: Details {
                made_at: self.made_at.map(|Time(at)| at),
                transaction_id,
                decline: self.error.map(|error| Decline {
                    code: error.code,
                    message: text(error.message),
                    reason: error.reason,
                    network_code: error.network_code,
                    advice_code: error.advice_code,
                    network_message: text(error.network_message),
                }),
                instrument: self.instrument.map(|instrument| Instrument {
                    token: instrument.token,
                    customer: instrument.customer,
                    method: instrument.method,
                    card: instrument.card.map(|card| Card {
                        network: card
                            .network
                            .as_deref()
                            .map_or(Network::Unknown, Network::of_brand),
                        funding: card.funding,
                        last4: card.last4,
                        expiry_month: card.expiry_month,
                        expiry_year: card.expiry_year,
                    }),
                }),
                gateway: self.gateway,
                ..Details::of(Money { amount, ..usual })
            },
        }
    }
}

fn wrong(field: &str, rule: &str) -> FieldError {
    FieldError {
        field: field.to_owned(),
        rule: rule.to_owned(),
    }
}

#[cfg(test)]
mod tests;
