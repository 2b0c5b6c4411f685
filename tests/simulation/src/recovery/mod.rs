//! Invoices that could not be collected: a billing platform that tells of them until it is answered 200, twice, late and in
//! any order, by a clock that is off; merchants that charge when they are told to and report what came of it.

mod api;
mod books;
mod laws;
mod merchant;
mod platform;

use crate::chance::Chance;
use crate::stage::TENANTS;

pub use books::{Account, Books, Card, Invoice};
pub use laws::check;
pub use merchant::{accounts, open};
pub use platform::bill;

/// Something that happens at a billing platform.
#[derive(Debug, Clone)]
pub struct Billed {
    /// To which invoice.
    pub invoice: Invoice,
    /// The card that pays it.
    pub card: Card,
    /// The how-many-eth it is of the invoice.
    pub number: u64,
    /// What happens.
    pub what: What,
    /// How long after the beginning, in milliseconds.
    pub after_ms: u64,
    /// How much later it is told, in milliseconds, so that what happened later may be told sooner.
    pub late_ms: u64,
}

/// What happens to an invoice without us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is charged.
    Charged {
        /// Whether that collects it.
        paid: bool,
        /// Whether the card must not be charged again.
        hard: bool,
    },
    /// It is given up.
    GivenUp,
}

/// What happens at the billing platforms of a run.
#[must_use]
pub fn plan(seed: u64, calm_ms: u64) -> Vec<Billed> {
    let chance = Chance::new(seed, 6);
    let many = chance.pick(&[1, 1, 1, 2, 3]).copied().unwrap_or(1);
    let tenants: &[_] = match chance.percent(30) {
        true => &TENANTS,
        false => TENANTS.get(..1).unwrap_or_default(),
    };
    let mut billed = Vec::new();
    for place in 0..many {
        // Invoices, accounts and cards of both tenants have the same names.
        let account = match chance.percent(50) {
            true => Account::Stripe,
            false => Account::Own,
        };
        let card = match chance.percent(60) {
            true => Card::Mastercard,
            false => Card::Visa,
        };
        for tenant in tenants {
            let invoice = Invoice {
                tenant,
                account,
                id: format!("in_{place}"),
            };
            billed.extend(life(&chance, &invoice, card, calm_ms));
        }
    }
    billed
}

/// What happens to one invoice.
fn life(chance: &Chance, invoice: &Invoice, card: Card, calm_ms: u64) -> Vec<Billed> {
    let began = chance.between(0, calm_ms / 2);
    let more = chance.pick(&[0, 0, 0, 1, 2]).copied().unwrap_or(0);
    let mut life = Vec::new();
    for number in 0..=more {
        let first = number == 0;
        life.push(Billed {
            invoice: invoice.clone(),
            card,
            number,
            what: match chance.percent(8) {
                true if !first => What::GivenUp,
                _ => What::Charged {
                    paid: chance.percent(if first { 5 } else { 40 }),
                    hard: chance.percent(5),
                },
            },
            after_ms: match first {
                true => began,
                false => chance.between(began, calm_ms),
            },
            late_ms: match chance.percent(30) {
                true => chance.between(0, 400_000),
                false => 0,
            },
        });
    }
    life
}
