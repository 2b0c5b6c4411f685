//! An invoice to which things happen, for tests: signals, levers, time.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::event::Source;
use crate::ids::{ChargeKey, ConnectorAccountId, InvoiceId, ProfileId, SignalId, TenantId};
use crate::money::{Currency, Money};
use crate::time::later;

/// Something that happens to an invoice.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    /// The platform tells of a charge of its own.
    Told(SignalKind, u8),
    /// The platform tells again what it told before.
    ToldAgain(usize),
    /// The merchant reports what came of the retry it was told of last.
    Reported(bool),
    /// An operator pulls a lever.
    Pulled(Lever),
    /// Time passes, and `sweep` runs.
    Passed(u32),
}

fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a valid id")
}

/// One invoice on the terms of its account, with all that was told of it.
pub(super) struct Invoice {
    name: String,
    pub(super) terms: Terms,
    pub(super) now: Timestamp,
    pub(super) intent: Option<Intent>,
    pub(super) ledger: Option<TokenLedger>,
    told: Vec<Signal>,
    charges: BTreeSet<String>,
    /// The retries that the merchant was told to make, by number and when.
    pub(super) retries: Vec<(u32, Timestamp)>,
    pulls: usize,
}

impl Invoice {
    pub(super) fn new(terms: Terms) -> Self {
        Self::named("in_1", terms)
    }

    pub(super) fn named(name: &str, terms: Terms) -> Self {
        Self {
            name: name.to_owned(),
            terms,
            now: Timestamp::from_second(1_735_689_600).expect("a time in range"),
            intent: None,
            ledger: None,
            told: Vec::new(),
            charges: BTreeSet::new(),
            retries: Vec::new(),
            pulls: 0,
        }
    }

    pub(super) fn signal(
        &mut self,
        kind: SignalKind,
        charge: Option<String>,
        retry: Option<u32>,
    ) -> Signal {
        let id =
            SignalId::parse(format!("evt_{}_{}", self.name, self.told.len())).expect("a valid id");
        let amount = Money {
            amount: 2500,
            currency: Currency::parse("EUR").expect("an ISO code"),
        };
        let (status, rank) = match kind {
            SignalKind::PaymentFailed => (Status::Failed, 0),
            SignalKind::PaymentPending => (Status::Pending, 1),
            SignalKind::InvoiceCancelled | SignalKind::Other => (Status::Failed, 2),
            SignalKind::PaymentSucceeded => (Status::Succeeded, 3),
        };
        self.charges.extend(charge.clone());
        let charge = charge.map(|key| Charge {
            ids: BTreeSet::from([ChargeId::Psp(ChargeKey::parse(key).expect("a valid id"))]),
            status,
            triggered_by: match retry {
                Some(_) => TriggeredBy::Internal,
                None => TriggeredBy::External,
            },
            retry,
            details: Details {
                made_at: Some(self.now),
                instrument: Some(Instrument {
                    token: Some("pm_1".to_owned()),
                    card: Some(Card {
                        network: Network::Mastercard,
                        ..Card::default()
                    }),
                    ..Instrument::default()
                }),
                ..Details::of(amount)
            },
        });
        Signal {
            id: id.clone(),
            source: Source::new("stripe"),
            by_merchant: retry.is_some(),
            intent: IntentKey {
                profile_id: ProfileId::parse("pro_1").expect("a valid id"),
                connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
                invoice_id: InvoiceId::parse(self.name.clone()).expect("a valid id"),
            },
            kind,
            order: Order {
                at: self.now,
                rank,
                id,
            },
            amount,
            left: None,
            tries: None,
            next_try: None,
            charge,
        }
    }

    pub(super) fn take(&mut self, signal: Signal) {
        let joined = join(self.intent.take(), &signal, self.now);
        let ledger = joined.token().and(self.ledger.clone());
        let step = joined.finish(&tenant(), &signal, &self.terms, ledger, self.now);
        self.intent = step.intent;
        self.ledger = step.ledger.or(self.ledger.take());
        self.told.push(signal);
    }

    fn sweep(&mut self) {
        let Some(intent) = self.intent.clone() else {
            return;
        };
        if intent.retry.due_at().is_none_or(|at| at > self.now) {
            return;
        }
        let before = intent.clone();
        let ledger = self.ledger.clone();
        let Some(due) = due(&tenant(), intent, Some(&self.terms), ledger, self.now) else {
            return;
        };
        self.intent = Some(due.intent);
        self.ledger = due.ledger.or(self.ledger.take());
        if let (Some((_, issue)), Some(intent)) = (due.retry, &mut self.intent) {
            intent.note_sent(&issue);
            self.may_be_told(&before);
            self.retries.push((issue.number, self.now));
        }
    }

    /// What must hold whenever a merchant is told to charge.
    fn may_be_told(&self, before: &Intent) {
        assert!(!before.state.ended(), "{:?}", before.state);
        assert_eq!(before.retry.hold, None);
        let most = self.terms.max_retry_count.unwrap_or(u32::MAX);
        assert!(before.tried() < most, "{} of {most}", before.tried());
        let limits = Network::Mastercard.limits();
        let tries = || {
            let made = before.attempts.iter().filter_map(Attempt::made_at);
            made.collect::<Vec<_>>()
        };
        for (hours, most) in [(24, limits.a_day), (30 * 24, limits.in_30_days)] {
            let window = SignedDuration::from_hours(hours);
            let held = tries()
                .into_iter()
                .filter(|at| self.now.duration_since(*at) < window)
                .count();
            assert!(held < most, "{held} tries in {hours} hours");
        }
        let last = self.retries.last();
        assert!(last.is_none_or(|(_, at)| *at < self.now || before.unanswered().is_some()));
    }

    pub(super) fn happen(&mut self, happening: &Happening) {
        match *happening {
            Happening::Told(kind, charge) => {
                let charge = (kind != SignalKind::InvoiceCancelled).then(|| format!("ch_{charge}"));
                let signal = self.signal(kind, charge, None);
                self.take(signal);
            }
            Happening::ToldAgain(place) => {
                // Signals are remembered for ten days, longer than any platform re-sends.
                let recent = |signal: &&Signal| {
                    self.now.duration_since(signal.order.at) < SignedDuration::from_hours(240)
                };
                if let Some(signal) = self.told.get(place).filter(recent).cloned() {
                    let known = self.intent.clone();
                    self.take(signal);
                    self.told.pop();
                    assert_eq!(self.intent, known, "an echo changes nothing");
                }
            }
            Happening::Reported(paid) => {
                let Some((retry, _)) = self.retries.last().copied() else {
                    return;
                };
                let kind = if paid {
                    SignalKind::PaymentSucceeded
                } else {
                    SignalKind::PaymentFailed
                };
                let signal = self.signal(kind, Some(format!("ch_retry_{retry}")), Some(retry));
                self.take(signal);
            }
            Happening::Pulled(lever) => {
                let Some(intent) = self.intent.clone() else {
                    return;
                };
                self.pulls += 1;
                let pulled = Pull {
                    id: self.pulls.to_string(),
                    lever,
                    by: None,
                    at: self.now,
                };
                let ledger = self.ledger.clone();
                if let Some(step) = pull(&tenant(), intent, &pulled, &self.terms, ledger, self.now)
                {
                    self.intent = Some(step.intent);
                    self.ledger = step.ledger.or(self.ledger.take());
                }
            }
            Happening::Passed(seconds) => {
                self.now = later(self.now, SignedDuration::from_secs(i64::from(seconds)));
                self.sweep();
            }
        }
    }

    pub(super) fn holds(&self) {
        let Some(intent) = &self.intent else {
            return;
        };
        assert_eq!(intent.attempts.len(), self.charges.len());
        if intent.state.ended() || intent.retry.hold == Some(Hold::Cancelled) {
            assert_eq!(intent.retry.due_at(), None, "{:?}", intent.retry);
        }
        if let Stage::Due(issue) = &intent.retry.stage {
            let awaited = intent.awaits(issue.number, issue.times);
            assert_eq!(
                awaited,
                intent.state == State::Open && intent.retry.hold.is_none()
            );
        }
        let told = self.retries.iter().map(|(number, _)| *number);
        let told: BTreeSet<_> = told.collect();
        assert_eq!(told.len(), usize::try_from(intent.retry.told).expect("few"));
    }
}
