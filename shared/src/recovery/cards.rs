//! The cards that pay the invoices of a test: what the table knows of them, and what was really charged.
//!
//! What may be charged is counted from the charges, and never from a ledger: that is what the ledgers are held against.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::time::later;

/// The tokens of the customer whose invoices these are.
pub(super) const TOKENS: [&str; 2] = ["pm_1", "pm_2"];

/// One of the [`TOKENS`].
pub(super) fn known(token: &str) -> &'static str {
    let mut tokens = TOKENS.into_iter();
    tokens.find(|it| *it == token).expect("one of the tokens")
}

/// The network of the card behind a token.
pub(super) fn network(token: &str) -> Network {
    if token == TOKENS[0] {
        Network::Mastercard
    } else {
        Network::Visa
    }
}

/// A charge that was made.
#[derive(Debug, Clone)]
pub(super) struct Made {
    invoice: String,
    key: String,
    pub(super) at: Timestamp,
    pub(super) token: &'static str,
    /// Whether we were told which token it is of.
    pub(super) known: bool,
    /// Whether it came to a decline after which the card must not be charged, once it is told that it failed.
    pub(super) hard: bool,
    pub(super) declined: bool,
    pub(super) paid: bool,
}

/// A retry that a merchant was told to make.
#[derive(Debug, Clone)]
pub(super) struct ToldRetry {
    pub(super) invoice: String,
    pub(super) number: u32,
    pub(super) money: i64,
    pub(super) token: Option<String>,
    pub(super) deadline: Timestamp,
    pub(super) reported: bool,
}

/// What the invoices of a customer share.
pub(super) struct Cards {
    pub(super) now: Timestamp,
    /// As the table keeps them.
    pub(super) ledgers: BTreeMap<String, TokenLedger>,
    made: Vec<Made>,
    /// The retries that merchants were told to make, each as often as it was told.
    pub(super) retries: Vec<ToldRetry>,
    /// The invoices of which a charge failed.
    pub(super) failed: BTreeSet<String>,
}

impl Default for Cards {
    fn default() -> Self {
        Self {
            now: Timestamp::from_second(1_735_689_600).expect("a time in range"),
            ledgers: BTreeMap::new(),
            made: Vec::new(),
            retries: Vec::new(),
            failed: BTreeSet::new(),
        }
    }
}

impl Cards {
    pub(super) fn pass(&mut self, seconds: u32) {
        self.now = later(self.now, SignedDuration::from_secs(i64::from(seconds)));
    }

    pub(super) fn ledger(&self, token: Option<&str>) -> Option<TokenLedger> {
        self.ledgers.get(token?).cloned()
    }

    pub(super) fn read(&self, tokens: &[String]) -> BTreeMap<String, TokenLedger> {
        let read = tokens.iter();
        let read = read.filter_map(|it| Some((it.clone(), self.ledger(Some(it))?)));
        read.collect()
    }

    /// The charge of an invoice, as it was made when it is first heard of.
    pub(super) fn made(
        &mut self,
        invoice: &str,
        key: &str,
        token: &'static str,
        at: Timestamp,
        hard: bool,
    ) -> &mut Made {
        let same = |made: &Made| made.invoice == invoice && made.key == key;
        let place = self.made.iter().position(same).unwrap_or_else(|| {
            self.made.push(Made {
                invoice: invoice.to_owned(),
                key: key.to_owned(),
                at,
                token,
                known: false,
                hard,
                declined: false,
                paid: false,
            });
            self.made.len() - 1
        });
        self.made.get_mut(place).expect("it was found or pushed")
    }

    /// The token of a charge is known, though no signal named it.
    pub(super) fn know(&mut self, invoice: &str, key: &str) {
        let same = |made: &&mut Made| made.invoice == invoice && made.key == key;
        if let Some(made) = self.made.iter_mut().find(same) {
            made.known = true;
        }
    }

    pub(super) fn told(&self, invoice: &str) -> impl Iterator<Item = &ToldRetry> {
        self.retries.iter().filter(move |it| it.invoice == invoice)
    }

    pub(super) fn report(&mut self, invoice: &str, number: u32) {
        let same = |it: &&mut ToldRetry| it.invoice == invoice && it.number == number;
        for told in self.retries.iter_mut().filter(same) {
            told.reported = true;
        }
    }

    /// What must hold of a card whenever the merchant of an invoice is told to charge it.
    pub(super) fn may_be_charged(&self, invoice: &str, issue: &Issue) {
        let Some(token) = issue.what.token.as_deref() else {
            return;
        };
        let others = self.retries.iter().filter(|it| it.invoice != invoice);
        for told in others.filter(|it| it.token.as_deref() == Some(token)) {
            assert!(
                told.reported || told.deadline <= self.now,
                "{token} may be charged for {} now",
                told.invoice
            );
        }
        // Charges count from the first failure of their invoice on, and once it is known what they were of.
        let counts =
            |made: &&Made| made.token == token && made.known && self.failed.contains(&made.invoice);
        let made = || self.made.iter().filter(counts);
        let limits = network(token).limits();
        for (hours, most) in [(24, limits.a_day), (30 * 24, limits.in_30_days)] {
            let window = SignedDuration::from_hours(hours);
            let within = made().filter(|it| self.now.duration_since(it.at) < window);
            let tries = within.count();
            assert!(tries < most, "{tries} tries of {token} in {hours} hours");
        }
        let stopped = made().filter(|it| it.hard && it.declined).map(|it| it.at);
        let paid = self.made.iter().filter(|it| it.token == token && it.paid);
        let paid = paid.map(|it| it.at);
        if let Some(stopped) = stopped.max() {
            assert!(paid.max() > Some(stopped), "{token} is stopped");
        }
    }
}
