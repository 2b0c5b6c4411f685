//! What really happened to the invoices of a run, and what was told of it: that is what the product is held against.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use shared::time::later;

use crate::chance::Chance;
use crate::nature::Nature;
use crate::stage::TENANTS;

/// What every invoice asks for, in minor units.
pub(super) const AMOUNT: i64 = 2_500;

/// A billing account of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// At Stripe, which tells by signed webhooks.
    Stripe,
    /// The merchant's own billing, which reports with a key.
    Own,
}

impl Account {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stripe, Self::Own];

    /// Its id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Own => "own",
        }
    }

    /// The waits after each failed charge, in seconds; none is shorter than the one before it.
    #[must_use]
    pub fn ladder_s(self) -> &'static [u32] {
        match self {
            Self::Stripe => &[120, 120, 240, 240, 480],
            Self::Own => &[90; 12],
        }
    }

    /// How long a merchant has for a retry, in seconds.
    #[must_use]
    pub fn window_s(self) -> u32 {
        match self {
            Self::Stripe => 120,
            Self::Own => 90,
        }
    }

    /// How often an invoice may be charged, by whomever.
    #[must_use]
    pub fn charges_most(self) -> usize {
        match self {
            Self::Stripe => 3,
            Self::Own => 100,
        }
    }
}

/// An invoice of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Invoice {
    /// Whose it is.
    pub tenant: &'static str,
    /// Where it is billed.
    pub account: Account,
    /// Its id there.
    pub id: String,
}

impl Invoice {
    /// The business profile of its billing account.
    #[must_use]
    pub fn profile(&self) -> String {
        format!("pro_{}", self.tenant)
    }

    /// What ids of events about it are derived from.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("{}/{}/{}", self.profile(), self.account.id(), self.id)
    }
}

/// A card. Those of both tenants have the same tokens, and are not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Card {
    /// Of a network that takes 10 tries in 24 hours.
    Mastercard,
    /// Of a network that takes 20 tries in 30 days.
    Visa,
}

impl Card {
    /// Its token.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Mastercard => "pm_mastercard",
            Self::Visa => "pm_visa",
        }
    }

    /// Its network.
    #[must_use]
    pub fn network(self) -> &'static str {
        match self {
            Self::Mastercard => "mastercard",
            Self::Visa => "visa",
        }
    }

    /// How many tries its network takes in the time that a run lasts.
    #[must_use]
    pub fn tries_most(self) -> usize {
        match self {
            Self::Mastercard => 10,
            Self::Visa => 20,
        }
    }
}

/// A charge that was made.
#[derive(Debug, Clone)]
pub struct Charge {
    /// Of which invoice.
    pub invoice: Invoice,
    /// Its id at the payment service provider.
    pub id: String,
    /// Of which card.
    pub card: Card,
    /// When, by the clock of who made it.
    pub at: Timestamp,
    /// Whether it collected the invoice.
    pub paid: bool,
    /// Whether the card must not be charged again.
    pub hard: bool,
    /// Which of our retries it is.
    pub retry: Option<u64>,
}

/// What a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// A charge failed.
    Failed,
    /// The invoice was collected.
    Paid,
    /// The invoice was given up.
    GivenUp,
}

/// Something that was told and taken.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Of which invoice.
    pub invoice: Invoice,
    /// Of which charge, if it names one.
    pub charge: Option<String>,
    /// What it says.
    pub said: Said,
    /// Its place in the order of all that is told of the invoice: when it happened, how it ranks at that time, its id.
    pub order: (Timestamp, u8, String),
}

/// All that happened.
#[derive(Debug, Default)]
pub struct Kept {
    /// Every charge.
    pub charges: Vec<Charge>,
    /// Everything that was told and taken.
    pub notices: Vec<Notice>,
    /// The invoices that their platform does not collect any more.
    pub closed: BTreeSet<Invoice>,
    /// The invoices that their platform was told to take for paid.
    pub recorded_back: BTreeSet<Invoice>,
    /// The retries that merchants were told to make and have worked on: the invoice and the idempotency key.
    pub worked_on: BTreeSet<(Invoice, String)>,
    /// When the report of a retry was on its way first, whoever made it.
    pub reports: Vec<(Invoice, u64, Timestamp)>,
    /// What was refused that should not have been.
    pub refused: Vec<String>,
}

/// The books of a run.
pub struct Books {
    /// What everybody shares.
    pub nature: Arc<Nature>,
    seed: u64,
    kept: Mutex<Kept>,
    /// How much faster than ours the clock of each tenant's platform goes, and that of its merchant, in seconds.
    ahead_s: Vec<(i64, i64)>,
    busy: AtomicU64,
}

/// Somebody is at work as long as this lives.
pub struct Busy(Arc<Books>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Books {
    /// Empty ones.
    #[must_use]
    pub fn new(seed: u64, nature: Arc<Nature>) -> Self {
        let chance = Chance::new(seed, 7);
        let off = || {
            let off = match chance.percent(50) {
                true => 0,
                false => chance.between(0, 480),
            };
            match off {
                0 => 0,
                off => i64::try_from(off).unwrap_or_default() - 240,
            }
        };
        let ahead_s = TENANTS.iter().map(|_| (off(), off())).collect();
        Self {
            nature,
            seed,
            kept: Mutex::default(),
            ahead_s,
            busy: AtomicU64::new(0),
        }
    }

    /// All that happened so far.
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is at work.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(self.clone())
    }

    /// Whether nobody is at work.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.busy.load(Ordering::SeqCst) == 0
    }

    /// Chance that is always the same for one purpose, whatever else happens.
    #[must_use]
    pub fn chance_for(&self, purpose: &str) -> Chance {
        let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, it| {
            (hash ^ u64::from(it)).wrapping_mul(0x0100_0000_01b3)
        });
        Chance::new(self.seed, hash)
    }

    fn by_clock(&self, tenant: &str, pick: impl Fn((i64, i64)) -> i64) -> Timestamp {
        let place = TENANTS.iter().position(|it| *it == tenant);
        let off = place.and_then(|place| self.ahead_s.get(place)).copied();
        let off = off.map_or(0, pick);
        later(self.nature.now(), SignedDuration::from_secs(off))
    }

    /// Now, by the clock of a tenant's billing platform.
    #[must_use]
    pub fn platforms_now(&self, tenant: &str) -> Timestamp {
        self.by_clock(tenant, |(platform, _)| platform)
    }

    /// Now, by the clock of a merchant.
    #[must_use]
    pub fn merchants_now(&self, tenant: &str) -> Timestamp {
        self.by_clock(tenant, |(_, merchant)| merchant)
    }
}
