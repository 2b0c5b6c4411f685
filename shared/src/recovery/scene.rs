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
    /// From now on the platform says that it charges next itself so many seconds after each failure.
    Announces(Option<u32>),
    /// From now on the platform counts so many charges of its own.
    Counts(u32),
    /// From now on the platform says that so much is left.
    Leaves(Option<i64>),
}

/// A retry that the merchant was told to make.
#[derive(Debug, Clone)]
struct ToldRetry {
    number: u32,
    deadline: Timestamp,
    reported: bool,
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
    /// The retries that the merchant was told to make, each as often as it was told.
    retries: Vec<ToldRetry>,
    pulls: usize,
    announces: Option<u32>,
    /// When the platform charges next itself, as it said last.
    announced: Option<Timestamp>,
    counts: Option<u32>,
    leaves: Option<i64>,
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
            announces: None,
            announced: None,
            counts: None,
            leaves: None,
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
        let amount_of = amount;
        if retry.is_none() && kind == SignalKind::PaymentFailed {
            let after = |seconds| later(self.now, SignedDuration::from_secs(i64::from(seconds)));
            self.announced = self.announces.map(after);
        }
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
            left: self.leaves.filter(|_| retry.is_none()).map(|amount| Money {
                amount,
                ..amount_of
            }),
            tries: self.counts.filter(|_| retry.is_none()),
            next_try: self.announced.filter(|_| retry.is_none()),
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
            self.may_be_told(&before, &issue);
            self.retries.push(ToldRetry {
                number: issue.number,
                deadline: issue.deadline,
                reported: false,
            });
        }
    }

    /// What must hold whenever a merchant is told to charge.
    fn may_be_told(&self, before: &Intent, issue: &Issue) {
        let collected = before.attempts.iter().find_map(Attempt::collected);
        assert!(collected.is_none(), "it was collected: {collected:?}");
        assert!(!before.state.ended(), "{:?}", before.state);
        assert_eq!(before.retry.hold, None);
        assert!(before.left().amount > 0);
        assert!(issue.what.money.amount <= before.left().amount);
        let most = self.terms.max_retry_count.unwrap_or(u32::MAX);
        let ours = self
            .charges
            .iter()
            .filter(|it| it.contains("retry"))
            .count();
        let theirs = self.charges.len() - ours;
        let counted = usize::try_from(self.counts.unwrap_or_default()).expect("few");
        let tried = u32::try_from(ours + theirs.max(counted)).expect("few");
        // What the platform counts is known once it has told of a charge since.
        assert!(before.tried() < most && (before.tried() < tried || tried < most));
        if let Some(announced) = self.announced {
            let before_it = announced.duration_since(issue.deadline);
            let after_it = self.now.duration_since(announced);
            assert!(
                before_it >= CLEAR_AFTER || after_it >= CLEAR_AFTER,
                "told near the platform's own charge"
            );
        }
        for earlier in self.retries.iter().filter(|it| it.number != issue.number) {
            assert!(
                earlier.reported || earlier.deadline <= self.now,
                "retry {} may still be made",
                earlier.number
            );
        }
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
                let Some(told) = self.retries.last_mut() else {
                    return;
                };
                let retry = told.number;
                for told in self.retries.iter_mut().filter(|it| it.number == retry) {
                    told.reported = true;
                }
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
                    refused: None,
                };
                let ledger = self.ledger.clone();
                let step = pull(&tenant(), intent, &pulled, &self.terms, ledger, self.now);
                self.intent = Some(step.intent);
                self.ledger = step.ledger.or(self.ledger.take());
            }
            Happening::Announces(seconds) => self.announces = seconds,
            Happening::Counts(charges) => self.counts = Some(charges),
            Happening::Leaves(amount) => self.leaves = amount,
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
                intent.state == State::Open
                    && intent.retry.hold.is_none()
                    && issue.what.money.amount <= intent.left().amount
            );
        }
        let told = self.retries.iter().map(|told| told.number);
        let told: BTreeSet<_> = told.collect();
        assert_eq!(told.len(), usize::try_from(intent.retry.told).expect("few"));
    }
}
