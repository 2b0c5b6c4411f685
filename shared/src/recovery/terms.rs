//! What a billing account agreed on for the recovery of its invoices.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// What is done with the timetable of an intent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is kept and shown, and nobody is asked to charge.
    #[default]
    Monitoring,
    /// The merchant is told when to charge again, one step of the ladder after the other.
    Cascading,
}

impl Mode {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Monitoring => "monitoring",
            Self::Cascading => "cascading",
        }
    }
}

/// What a billing account agreed on. Lengths of time are in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What is done with the timetable.
    #[serde(default)]
    pub mode: Mode,
    /// The waits after the first failed charge, the second, and so on; `None`: [`Terms::LADDER`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ladder_s: Option<Vec<u32>>,
    /// How many charges the platform makes before ours begin.
    #[serde(default)]
    pub retry_threshold: u32,
    /// An invoice is charged at most so often, by whomever; `None`: until the ladder ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retry_count: Option<u32>,
    /// No charge so long after the first one failed; `None`: no such end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period_s: Option<u32>,
    /// So long after it was told to charge, a merchant must have done so or leave it; `None`: [`Terms::RETRY_WINDOW`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_window_s: Option<u32>,
    /// Codes of declines after which a card is never charged again, beside those that we know.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hard_declines: BTreeSet<String>,
    /// Which payment account is behind each gateway of the platform.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub payment_accounts: BTreeMap<String, String>,
    /// Whether the platform is told of a success that it did not make itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub record_back: bool,
}

impl Terms {
    /// The usual waits in seconds, 14 in some 141 hours: twice 3 hours, then three times each 6, 9, 12 and 18 hours, as
    /// Hyperswitch's cascading recovery has them (`pt_mapping_pcr_retries`).
    pub const LADDER: [u32; 14] = {
        const H: u32 = 3600;
        [
            3 * H,
            3 * H,
            6 * H,
            6 * H,
            6 * H,
            9 * H,
            9 * H,
            9 * H,
            12 * H,
            12 * H,
            12 * H,
            18 * H,
            18 * H,
            18 * H,
        ]
    };

    /// The usual time that a merchant has for a retry.
    pub const RETRY_WINDOW: SignedDuration = SignedDuration::from_hours(2);

    /// The wait after so many charges (from 1) that were tried; `None` past the end of the ladder.
    #[must_use]
    pub fn wait(&self, tried: u32) -> Option<SignedDuration> {
        let step = usize::try_from(tried.checked_sub(1)?).ok()?;
        let ladder = self.ladder_s.as_deref().unwrap_or(&Self::LADDER);
        ladder.get(step).copied().map(seconds)
    }

    /// How long a merchant has for a retry.
    #[must_use]
    pub fn retry_window(&self) -> SignedDuration {
        self.retry_window_s.map_or(Self::RETRY_WINDOW, seconds)
    }

    /// How long after the first failure charges may be made, if there is an end to it.
    #[must_use]
    pub fn grace_period(&self) -> Option<SignedDuration> {
        self.grace_period_s.map(seconds)
    }

    /// The payment account behind a gateway; a gateway that is not mapped is kept as it is.
    #[must_use]
    pub fn payment_account<'a>(&'a self, gateway: &'a str) -> &'a str {
        self.payment_accounts
            .get(gateway)
            .map_or(gateway, String::as_str)
    }
}

fn seconds(count: u32) -> SignedDuration {
    SignedDuration::from_secs(i64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_waits_are_those_that_are_published() {
        let hours = [3, 3, 6, 6, 6, 9, 9, 9, 12, 12, 12, 18, 18, 18];
        let usual = Terms::default();
        let waits = (1..100).map_while(|tried| usual.wait(tried));
        let want = hours.map(SignedDuration::from_hours);
        assert_eq!(waits.collect::<Vec<_>>(), want);
        assert_eq!(usual.wait(0), None, "nothing was charged");
        assert_eq!(usual.wait(15), None);
        let own = Terms {
            ladder_s: Some(vec![60, 120]),
            ..Terms::default()
        };
        let waits = (0..4).map(|tried| own.wait(tried).map(|wait| wait.as_secs()));
        let want = [None, Some(60), Some(120), None];
        assert_eq!(waits.collect::<Vec<_>>(), want);
    }

    #[test]
    fn what_is_not_agreed_on_is_the_usual() {
        let usual = Terms::default();
        assert_eq!(usual.retry_window(), SignedDuration::from_hours(2));
        assert_eq!(usual.grace_period(), None);
        assert_eq!(usual.payment_account("gw_1"), "gw_1");
        let agreed = Terms {
            retry_window_s: Some(60),
            grace_period_s: Some(90),
            payment_accounts: BTreeMap::from([("gw_1".to_owned(), "acct_1".to_owned())]),
            ..Terms::default()
        };
        assert_eq!(agreed.retry_window(), SignedDuration::from_secs(60));
        let grace = agreed.grace_period();
        assert_eq!(grace, Some(SignedDuration::from_secs(90)));
        assert_eq!(agreed.payment_account("gw_1"), "acct_1");
        assert_eq!(agreed.payment_account("gw_2"), "gw_2");
    }

    #[test]
    fn a_mode_has_one_name_wherever_it_is_written() {
        for (mode, name) in [
            (Mode::Monitoring, "monitoring"),
            (Mode::Cascading, "cascading"),
        ] {
            assert_eq!(mode.as_str(), name);
            let json = serde_json::to_string(&mode).ok();
            assert_eq!(json, Some(format!("\"{name}\"")));
        }
    }
}
