//! Anchors: business servers whose customers move from status to status, and which fail and lie when they are asked; what they
//! say and put, call after call; and the wallets that are to hear of it.

mod business;
mod laws;
mod rules;
mod story;

use crate::chance::Chance;
use crate::stage::TENANTS;

pub use business::Business;
pub use laws::check;
pub use rules::{CLIENTS, STATUSES, WAITS_S, settings, wallets};
pub use story::{Stories, tell};

/// A step of a story: that of one customer and one transaction of a client.
#[derive(Debug, Clone)]
pub struct Step {
    /// Whose anchor it is.
    pub tenant: &'static str,
    /// Which story of the tenant.
    pub story: usize,
    /// What the business server does.
    pub what: What,
    /// How long after the beginning, in milliseconds.
    pub after_ms: u64,
}

/// What a business server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It makes up its mind about the customer, and calls.
    Moves(&'static str),
    /// It calls once more.
    Again,
    /// It puts the transaction.
    Puts {
        /// Its status, one of those of its SEP.
        status: usize,
        /// Whether the user's funds arrived.
        paid: bool,
        /// Whether all is known that a user needs to pay.
        payable: bool,
    },
}

/// What the business servers of a run do.
#[must_use]
pub fn plan(seed: u64, calm_ms: u64) -> Vec<Step> {
    let chance = Chance::new(seed, 8);
    let stories = chance.pick(&[1, 1, 2, 2, 4]).copied().unwrap_or(1);
    let tenants: &[_] = match chance.percent(30) {
        true => &TENANTS,
        false => TENANTS.get(..1).unwrap_or_default(),
    };
    let mut steps = Vec::new();
    for story in 0..stories {
        for tenant in tenants {
            // Some say much in a short time, so that one callback waits for another.
            let within_ms = match chance.percent(50) {
                true => calm_ms.min(120_000),
                false => calm_ms,
            };
            for _ in 0..chance.between(1, 6) {
                steps.push(Step {
                    tenant,
                    story,
                    what: what(&chance),
                    after_ms: chance.between(0, within_ms),
                });
            }
        }
    }
    steps
}

fn what(chance: &Chance) -> What {
    match chance.between(0, 9) {
        0..6 => What::Moves(chance.pick(&STATUSES).copied().unwrap_or("PROCESSING")),
        6..8 => What::Again,
        _ => What::Puts {
            status: usize::try_from(chance.between(0, 4)).unwrap_or_default(),
            paid: chance.percent(30),
            payable: chance.percent(50),
        },
    }
}
