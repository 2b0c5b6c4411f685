//! Invoices to which things happen, for tests: signals, levers, time.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeSet;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};

use super::cards::{self, Cards, ToldRetry};
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
    /// The platform tells of a charge of its own, of which we may not hear at once, or not all.
    Charged(Charged),
    /// The platform tells again what it told before.
    ToldAgain(usize),
    /// The merchant reports what came of the retry it was told of last.
    Reported(bool),
    /// The merchant reports what came of the retry it was told of last, in more or fewer words.
    Answered(Answered),
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
    /// The account agrees on something else.
    Agreed(Box<Terms>),
}

/// How a platform tells of a charge. Which token it is of, when it was made and how it is declined is told with its first
/// signal, and stays so.
#[derive(Debug, Clone)]
pub(super) struct Charged {
    pub(super) kind: SignalKind,
    pub(super) charge: u8,
    /// The token, where the charge is a new one.
    pub(super) token: &'static str,
    /// Whether the signal names the token.
    pub(super) named: bool,
    /// So long after the charge was made.
    pub(super) late_s: u32,
    /// Whether the card must not be charged again.
    pub(super) hard: bool,
}

/// How a merchant reports.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) paid: bool,
    /// Another token than the one that was told, if it charged another one. That it names.
    pub(super) other: Option<&'static str>,
    /// Whether it names the token otherwise.
    pub(super) named: bool,
    /// What it says is left, if it says so.
    pub(super) left: Option<i64>,
    pub(super) hard: bool,
}

/// What a signal tells of a charge.
struct Words {
    key: String,
    token: &'static str,
    named: bool,
    made_at: Timestamp,
    hard: bool,
}

fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a valid id")
}

/// One invoice on the terms of its account, with all that was told of it.
pub(super) struct Invoice {
    name: String,
    pub(super) terms: Terms,
    pub(super) intent: Option<Intent>,
    cards: Rc<RefCell<Cards>>,
    told: Vec<Signal>,
    charges: BTreeSet<String>,
    pulls: usize,
    announces: Option<u32>,
    /// When the platform charges next itself, as it said last.
    announced: Option<Timestamp>,
    counts: Option<u32>,
    leaves: Option<i64>,
}

impl Invoice {
    pub(super) fn new(terms: Terms) -> Self {
        Self::of("in_1", terms, Rc::default())
    }

    /// Another invoice, which the same cards pay.
    pub(super) fn beside(&self, name: &str, terms: Terms) -> Self {
        Self::of(name, terms, Rc::clone(&self.cards))
    }

    fn of(name: &str, terms: Terms, cards: Rc<RefCell<Cards>>) -> Self {
        Self {
            name: name.to_owned(),
            terms,
            intent: None,
            cards,
            told: Vec::new(),
            charges: BTreeSet::new(),
            pulls: 0,
            announces: None,
            announced: None,
            counts: None,
            leaves: None,
        }
    }

    pub(super) fn cards(&self) -> Ref<'_, Cards> {
        self.cards.borrow()
    }

    fn cards_mut(&self) -> RefMut<'_, Cards> {
        self.cards.borrow_mut()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.cards().now
    }

    fn signal(&mut self, kind: SignalKind, charge: Option<Words>, retry: Option<u32>) -> Signal {
        let now = self.now();
        let id =
            SignalId::parse(format!("evt_{}_{}", self.name, self.told.len())).expect("a valid id");
        let amount = Money {
            amount: 2500,
            currency: Currency::parse("EUR").expect("an ISO code"),
        };
        let amount_of = amount;
        if retry.is_none() && kind == SignalKind::PaymentFailed {
            let after = |seconds| later(now, SignedDuration::from_secs(i64::from(seconds)));
            self.announced = self.announces.map(after);
        }
        let (status, rank) = match kind {
            SignalKind::PaymentFailed => (Status::Failed, 0),
            SignalKind::PaymentPending => (Status::Pending, 1),
            SignalKind::InvoiceCancelled | SignalKind::Other => (Status::Failed, 2),
            SignalKind::PaymentSucceeded => (Status::Succeeded, 3),
        };
        self.charges
            .extend(charge.as_ref().map(|it| it.key.clone()));
        let charge = charge.map(|charge| Charge {
            ids: BTreeSet::from([ChargeId::Psp(
                ChargeKey::parse(charge.key).expect("a valid id"),
            )]),
            status,
            triggered_by: match retry {
                Some(_) => TriggeredBy::Internal,
                None => TriggeredBy::External,
            },
            retry,
            details: Details {
                made_at: Some(charge.made_at),
                instrument: charge.named.then(|| Instrument {
                    token: Some(charge.token.to_owned()),
                    card: Some(Card {
                        network: cards::network(charge.token),
                        ..Card::default()
                    }),
                    ..Instrument::default()
                }),
                decline: (charge.hard && status == Status::Failed).then(|| Decline {
                    code: "stolen_card".to_owned(),
                    ..Decline::default()
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
            order: Order { at: now, rank, id },
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
        let now = self.now();
        let joined = join(self.intent.take(), &signal, now);
        let read = self.cards().read(joined.tokens());
        let step = joined.finish(&tenant(), &signal, &self.terms, &read, now);
        self.intent = step.intent;
        let mut cards = self.cards_mut();
        cards.ledgers.extend(step.ledgers);
        if self.intent.as_ref().is_some_and(Intent::has_failed) {
            cards.failed.insert(self.name.clone());
        }
        drop(cards);
        self.told.push(signal);
    }

    fn sweep(&mut self) {
        let Some(intent) = self.intent.clone() else {
            return;
        };
        let now = self.now();
        if intent.retry.due_at().is_none_or(|at| at > now) {
            return;
        }
        let before = intent.clone();
        let token = intent.token().map(str::to_owned);
        let ledger = self.cards().ledger(token.as_deref());
        let Some(due) = due(&tenant(), intent, Some(&self.terms), ledger, now) else {
            return;
        };
        self.intent = Some(due.intent);
        self.cards_mut().ledgers.extend(token.zip(due.ledger));
        if let (Some((_, issue)), Some(intent)) = (due.retry, &mut self.intent) {
            intent.note_sent(&issue);
            self.may_be_told(&before, &issue);
            self.cards().may_be_charged(&self.name, &issue);
            self.cards_mut().retries.push(ToldRetry {
                invoice: self.name.clone(),
                number: issue.number,
                money: issue.what.money.amount,
                token: issue.what.token.clone(),
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
            let after_it = self.now().duration_since(announced);
            assert!(
                before_it >= CLEAR_AFTER || after_it >= CLEAR_AFTER,
                "told near the platform's own charge"
            );
        }
        let cards = self.cards();
        for earlier in cards
            .told(&self.name)
            .filter(|it| it.number != issue.number)
        {
            assert!(
                earlier.reported || earlier.deadline <= cards.now,
                "retry {} may still be made",
                earlier.number
            );
        }
    }

    /// What a signal tells of one of its charges.
    fn words(
        &self,
        key: String,
        token: &'static str,
        named: bool,
        late_s: u32,
        (kind, hard): (SignalKind, bool),
    ) -> Words {
        let mut cards = self.cards_mut();
        let at = later(cards.now, -SignedDuration::from_secs(i64::from(late_s)));
        let made = cards.made(&self.name, &key, token, at, hard);
        made.known |= named;
        made.declined |= kind == SignalKind::PaymentFailed;
        made.paid |= kind == SignalKind::PaymentSucceeded;
        Words {
            key,
            token: made.token,
            named,
            made_at: made.at,
            hard: made.hard,
        }
    }

    fn charged(&mut self, charged: &Charged) {
        let Charged { kind, token, .. } = *charged;
        let key = format!("ch_{}", charged.charge);
        let came = (kind, charged.hard);
        let words = self.words(key, token, charged.named, charged.late_s, came);
        let signal = self.signal(kind, Some(words), None);
        self.take(signal);
    }

    fn answered(&mut self, answered: &Answered) {
        let told = self.cards().told(&self.name).last().cloned();
        let Some(told) = told else {
            return;
        };
        let retry = told.number;
        self.cards_mut().report(&self.name, retry);
        let kind = if answered.paid {
            SignalKind::PaymentSucceeded
        } else {
            SignalKind::PaymentFailed
        };
        let asked = told.token.as_deref().map(cards::known);
        let token = answered.other.or(asked).unwrap_or(cards::TOKENS[0]);
        let named = answered.named || answered.other.is_some();
        let key = format!("ch_retry_{retry}");
        let words = self.words(key.clone(), token, named, 0, (kind, answered.hard));
        // Who reports a retry and names no token made it as it was told.
        if asked.is_some() && answered.other.is_none() {
            self.cards_mut().know(&self.name, &key);
        }
        let mut signal = self.signal(kind, Some(words), Some(retry));
        if let Some(charge) = &mut signal.charge {
            charge.details.amount.amount = told.money;
        }
        signal.left = answered.left.map(|amount| Money {
            amount,
            ..signal.amount
        });
        self.take(signal);
    }

    pub(super) fn happen(&mut self, happening: &Happening) {
        match happening {
            &Happening::Told(SignalKind::InvoiceCancelled, _) => {
                let signal = self.signal(SignalKind::InvoiceCancelled, None, None);
                self.take(signal);
            }
            &Happening::Told(kind, charge) => self.charged(&Charged {
                kind,
                charge,
                token: cards::TOKENS[0],
                named: true,
                late_s: 0,
                hard: false,
            }),
            Happening::Charged(charged) => self.charged(charged),
            Happening::Answered(answered) => self.answered(answered),
            Happening::Agreed(terms) => self.terms = terms.as_ref().clone(),
            &Happening::ToldAgain(place) => {
                let now = self.now();
                // Signals are remembered for ten days, longer than any platform re-sends.
                let recent = |signal: &&Signal| {
                    now.duration_since(signal.order.at) < SignedDuration::from_hours(240)
                };
                if let Some(signal) = self.told.get(place).filter(recent).cloned() {
                    let known = self.intent.clone();
                    self.take(signal);
                    self.told.pop();
                    assert_eq!(self.intent, known, "an echo changes nothing");
                }
            }
            &Happening::Reported(paid) => self.answered(&Answered {
                paid,
                other: None,
                named: true,
                left: None,
                hard: false,
            }),
            &Happening::Pulled(lever) => {
                let Some(intent) = self.intent.clone() else {
                    return;
                };
                self.pulls += 1;
                let pulled = Pull {
                    id: self.pulls.to_string(),
                    lever,
                    by: None,
                    at: self.now(),
                    refused: None,
                };
                let token = intent.token().map(str::to_owned);
                let ledger = self.cards().ledger(token.as_deref());
                let step = pull(&tenant(), intent, &pulled, &self.terms, ledger, pulled.at);
                self.intent = Some(step.intent);
                self.cards_mut().ledgers.extend(token.zip(step.ledger));
            }
            &Happening::Announces(seconds) => self.announces = seconds,
            &Happening::Counts(charges) => self.counts = Some(charges),
            &Happening::Leaves(amount) => self.leaves = amount,
            &Happening::Passed(seconds) => {
                self.cards_mut().pass(seconds);
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
        let cards = self.cards();
        let told: BTreeSet<_> = cards.told(&self.name).map(|told| told.number).collect();
        assert_eq!(told.len(), usize::try_from(intent.retry.told).expect("few"));
    }
}

/// Invoices that the same cards pay.
pub(super) struct Invoices(Vec<Invoice>);

impl Invoices {
    pub(super) fn new(terms: Vec<Terms>) -> Self {
        let cards: Rc<RefCell<Cards>> = Rc::default();
        let named = (1..).zip(terms);
        let of = |(n, terms)| Invoice::of(&format!("in_{n}"), terms, Rc::clone(&cards));
        Self(named.map(of).collect())
    }

    /// Something happens to the invoice in this place, a second after all else, and all that holds is looked at.
    pub(super) fn happen(&mut self, place: usize, happening: &Happening) {
        let place = place.checked_rem(self.0.len());
        if let Some(invoice) = place.and_then(|place| self.0.get_mut(place)) {
            invoice.cards_mut().pass(1);
            invoice.happen(happening);
        }
        if let Happening::Passed(_) = happening {
            self.0.iter_mut().for_each(Invoice::sweep);
        }
        self.0.iter().for_each(Invoice::holds);
    }

    pub(super) fn at_rest(&self) -> bool {
        let intents = self.0.iter().filter_map(|it| it.intent.as_ref());
        intents.into_iter().all(|it| it.retry.due_at().is_none())
    }
}
