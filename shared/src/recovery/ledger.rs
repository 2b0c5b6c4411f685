//! How often one token was charged, and which invoice may charge it now: what all invoices of a token share.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{IntentKey, Network};
use crate::time::later;

/// Tries are counted within so long.
const COUNTED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What is known of a token across the invoices that it pays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLedger {
    /// The network of the card behind it.
    pub network: Network,
    /// When it was charged, by invoice, within [`COUNTED`], the earliest first. A platform that tells seconds may have made
    /// two charges at one time.
    pub tries: BTreeMap<String, Vec<Timestamp>>,
    /// The latest decline after which it must not be charged again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// When it last paid: what stopped it before is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<Timestamp>,
    /// The invoice that was told to charge it, and until when nobody else is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
}

/// That a token must not be charged again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stop {
    /// When the charge was made that was declined so.
    pub at: Timestamp,
    /// The code that says so.
    pub code: String,
}

/// That an invoice's merchant was told to charge the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The invoice.
    pub intent: IntentKey,
    /// Until when.
    pub until: Timestamp,
}

impl TokenLedger {
    /// Replaces what is known of the tries of one invoice, and forgets what is no longer counted at `now`.
    pub fn set(
        &mut self,
        intent: &IntentKey,
        tries: impl IntoIterator<Item = Timestamp>,
        now: Timestamp,
    ) {
        let mut tries: Vec<_> = tries.into_iter().collect();
        tries.sort_unstable();
        self.tries.insert(intent.subject(), tries);
        for tries in self.tries.values_mut() {
            tries.retain(|at| now.duration_since(*at) <= COUNTED);
        }
        self.tries.retain(|_, tries| !tries.is_empty());
    }

    /// The earliest time from `from` on at which the network takes one more try, so that no 24 hours and no 30 days hold
    /// more than its limits.
    #[must_use]
    pub fn allowed_from(&self, from: Timestamp) -> Timestamp {
        let limits = self.network.limits();
        let mut tries: Vec<_> = self.tries.values().flatten().copied().collect();
        tries.sort_unstable();
        let room = |most: usize, window: SignedDuration| {
            // The try that has to be out of the window for one more to fit: the last but `most - 1`.
            let place = tries.len().checked_sub(most)?;
            tries.get(place).map(|at| later(*at, window))
        };
        let day = room(limits.a_day, SignedDuration::from_hours(24));
        let month = room(limits.in_30_days, COUNTED);
        [Some(from), day, month]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(from)
    }

    /// Whether it must not be charged again.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop
            .as_ref()
            .is_some_and(|stop| self.paid_at.is_none_or(|paid| stop.at >= paid))
    }

    /// Until when another invoice may not charge the token, if one was told to charge it.
    #[must_use]
    pub fn claimed_until(&self, intent: &IntentKey, now: Timestamp) -> Option<Timestamp> {
        self.claim
            .as_ref()
            .filter(|claim| claim.intent != *intent && claim.until > now)
            .map(|claim| claim.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::parts::{at, key};

    #[test]
    fn a_token_is_another_invoices_until_its_time_is_over() {
        let ledger = TokenLedger {
            claim: Some(Claim {
                intent: key("in_1"),
                until: at(100),
            }),
            ..TokenLedger::default()
        };
        let cases = [
            ("in_2", 99, Some(100)),
            ("in_2", 100, None),
            ("in_2", 101, None),
            ("in_1", 99, None),
            ("in_1", 101, None),
        ];
        for (invoice, now, want) in cases {
            let until = ledger.claimed_until(&key(invoice), at(now));
            assert_eq!(until, want.map(at), "{invoice} {now}");
        }
        let free = TokenLedger::default();
        assert_eq!(free.claimed_until(&key("in_2"), at(0)), None);
    }

    #[test]
    fn a_token_is_stopped_until_it_pays_again() {
        let stopped = |paid_at: Option<i64>| TokenLedger {
            stop: Some(Stop {
                at: at(50),
                code: "stolen_card".into(),
            }),
            paid_at: paid_at.map(at),
            ..TokenLedger::default()
        };
        let cases = [
            (stopped(None), true),
            (stopped(Some(49)), true),
            (stopped(Some(50)), true),
            (stopped(Some(51)), false),
            (TokenLedger::default(), false),
        ];
        for (ledger, want) in cases {
            assert_eq!(ledger.is_stopped(), want, "{:?}", ledger.paid_at);
        }
    }

    #[test]
    fn two_charges_of_an_invoice_in_one_second_are_two_tries() {
        let mut ledger = TokenLedger {
            network: Network::Mastercard,
            ..TokenLedger::default()
        };
        let seconds = [2, 0, 1, 0, 3, 4, 5, 6, 7];
        ledger.set(&key("in_1"), seconds.map(at), at(8));
        assert_eq!(ledger.allowed_from(at(8)), at(8), "nine were made");
        ledger.set(&key("in_2"), [at(0)], at(8));
        assert_eq!(ledger.allowed_from(at(8)), at(24 * 3600), "ten were made");
    }

    #[test]
    fn tries_count_for_thirty_days_to_the_second() {
        let days_30 = 30 * 24 * 3600;
        let mut ledger = TokenLedger::default();
        ledger.set(&key("in_1"), [at(0), at(1)], at(days_30));
        let tries = |ledger: &TokenLedger| ledger.tries.values().flatten().count();
        assert_eq!(tries(&ledger), 2);
        ledger.set(&key("in_2"), [], at(days_30 + 1));
        assert_eq!(tries(&ledger), 1);
        assert_eq!(
            ledger.tries.len(),
            1,
            "an invoice without tries is forgotten"
        );
    }
}
