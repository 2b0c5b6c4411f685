//! How long to wait after a failed try: arithmetic, with chance and the receiver's hint as arguments.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Scheme;

/// The longest wait that a `Retry-After` can ask for.
const HINT_MOST: SignedDuration = SignedDuration::from_hours(1);
/// The longest single wait of a policy, in seconds: 7 days.
const WAIT_MOST_S: u32 = 7 * 24 * 3600;
/// The most retries of a policy: what keeps the record of a delivery small.
const RETRIES_MOST: usize = 50;

/// The schedule that Standard Webhooks recommends, in seconds.
const STANDARD_S: [u32; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Hours rather than days, in seconds: what a wallet hears of a customer a day late, it has long read for itself.
const STELLAR_S: [u32; 9] = [5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800];

/// When a failed try is followed by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "lowercase", deny_unknown_fields)]
pub enum Policy {
    /// Wait n steps after try n, without jitter, as the Rafiki documentation promises.
    Linear {
        /// The step, in seconds.
        #[serde(default = "ten")]
        step_s: u32,
        /// How many retries follow the first try (`WEBHOOK_MAX_RETRY`).
        #[serde(default = "ten")]
        max_retry: u32,
        /// The longest wait, in seconds, if there is to be one (Rafiki's code caps at 60).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cap_s: Option<u32>,
    },
    /// Explicit waits, one per retry, each lengthened by up to 10 % so that receivers are not hit in step.
    Ladder {
        /// The waits, in seconds.
        waits_s: Vec<u32>,
    },
}

fn ten() -> u32 {
    10
}

/// Why a policy can't be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A wait of nothing, or of more than a week.
    #[error("every wait must be 1 to 604800 seconds")]
    Wait,
    /// More retries than we follow.
    #[error("there can be at most 50 retries")]
    TooMany,
}

impl Policy {
    /// The policy of an endpoint that names none.
    #[must_use]
    pub fn default_for(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Rafiki => Self::rafiki(ten()),
            Scheme::StandardWebhooks => Self::Ladder {
                waits_s: STANDARD_S.to_vec(),
            },
            Scheme::Stellar => Self::Ladder {
                waits_s: STELLAR_S.to_vec(),
            },
        }
    }

    /// As the Rafiki documentation has it, with so many retries after the first try.
    #[must_use]
    pub fn rafiki(max_retry: u32) -> Self {
        Self::Linear {
            step_s: ten(),
            max_retry,
            cap_s: None,
        }
    }

    /// How many retries follow the first try at most.
    #[must_use]
    pub fn retries(&self) -> u32 {
        match self {
            Self::Linear { max_retry, .. } => *max_retry,
            Self::Ladder { waits_s } => u32::try_from(waits_s.len()).unwrap_or(u32::MAX),
        }
    }

    /// Takes the policy if every wait and their number are within bounds.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn check(self) -> Result<Self, PolicyError> {
        let allowed = 1..=WAIT_MOST_S;
        let (retries, waits_fit) = match &self {
            Self::Linear {
                step_s,
                max_retry,
                cap_s,
            } => {
                let longest = cap_s
                    .unwrap_or(u32::MAX)
                    .min(step_s.saturating_mul((*max_retry).max(1)));
                let fit = allowed.contains(step_s)
                    && allowed.contains(&longest)
                    && cap_s.is_none_or(|cap| allowed.contains(&cap));
                (usize::try_from(*max_retry).unwrap_or(usize::MAX), fit)
            }
            Self::Ladder { waits_s } => (
                waits_s.len(),
                waits_s.iter().all(|wait| allowed.contains(wait)),
            ),
        };
        if retries > RETRIES_MOST {
            return Err(PolicyError::TooMany);
        }
        if waits_fit {
            Ok(self)
        } else {
            Err(PolicyError::Wait)
        }
    }

    /// How long to wait after `tries` tries have failed; `None` when they were the last.
    ///
    /// `hint` is the receiver's `Retry-After`, which can only lengthen the wait, to an hour at most. `per_mille`
    /// is drawn from 0 to 999 and stretches a ladder's wait by up to a tenth.
    #[must_use]
    pub fn wait_after(
        &self,
        tries: u32,
        hint: Option<SignedDuration>,
        per_mille: u16,
    ) -> Option<SignedDuration> {
        let planned = match self {
            Self::Linear {
                step_s,
                max_retry,
                cap_s,
            } => {
                if tries > *max_retry {
                    return None;
                }
                let wait = step_s.saturating_mul(tries).min(cap_s.unwrap_or(u32::MAX));
                SignedDuration::from_secs(i64::from(wait))
            }
            Self::Ladder { waits_s } => {
                let index = usize::try_from(tries.checked_sub(1)?).ok()?;
                let wait_ms = i64::from(*waits_s.get(index)?) * 1000;
                SignedDuration::from_millis(
                    wait_ms + wait_ms * i64::from(per_mille.min(999)) / 10_000,
                )
            }
        };
        Some(planned.max(hint.unwrap_or_default().min(HINT_MOST)))
    }

    /// How long the retries that would follow after a failed try at this moment would take in all, where `tries` were made
    /// before it: without jitter, and without what a receiver may ask for.
    #[must_use]
    pub fn left_after(&self, tries: u32) -> SignedDuration {
        (tries.saturating_add(1)..)
            .map_while(|tries| self.wait_after(tries, None, 0))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(n: i64) -> SignedDuration {
        SignedDuration::from_secs(n)
    }

    #[test]
    fn linear_waits_n_steps_after_try_n_and_ends_after_max_retry() {
        let policy = Policy::default_for(Scheme::Rafiki);
        let waits: Vec<_> = (1..=12)
            .map(|tries| policy.wait_after(tries, None, 999))
            .collect();
        let want: Vec<_> = (1..=12).map(|n| (n <= 10).then(|| secs(n * 10))).collect();
        assert_eq!(waits, want);
    }

    #[test]
    fn linear_with_a_ceiling_gives_the_offsets_of_rafikis_code() {
        let policy = Policy::Linear {
            step_s: 10,
            max_retry: 9,
            cap_s: Some(60),
        };
        let mut offset = SignedDuration::ZERO;
        let mut offsets = vec![0];
        for tries in 1..=10 {
            if let Some(wait) = policy.wait_after(tries, None, 0) {
                offset += wait;
                offsets.push(offset.as_secs());
            }
        }
        assert_eq!(offsets, [0, 10, 30, 60, 100, 150, 210, 270, 330, 390]);
    }

    #[test]
    fn the_default_ladder_is_the_specifications() {
        let policy = Policy::default_for(Scheme::StandardWebhooks);
        let total: SignedDuration = (1..100)
            .map_while(|tries| policy.wait_after(tries, None, 0))
            .sum();
        assert_eq!(total, secs(75 * 3600 + 35 * 60 + 5));
        assert_eq!(policy.wait_after(10, None, 0), None);
    }

    #[test]
    fn a_wallet_is_tried_for_hours() {
        let policy = Policy::default_for(Scheme::Stellar);
        let waits: Vec<_> = (1..100)
            .map_while(|tries| policy.wait_after(tries, None, 0))
            .map(|wait| wait.as_secs())
            .collect();
        let (minute, hour) = (60, 3600);
        let want = [
            5,
            30,
            2 * minute,
            10 * minute,
            30 * minute,
            hour,
            2 * hour,
            4 * hour,
            8 * hour,
        ];
        assert_eq!(waits, want);
    }

    #[test]
    fn a_hint_only_lengthens_and_to_an_hour_at_most() {
        let policy = Policy::default_for(Scheme::Rafiki);
        let wait = |hint| policy.wait_after(2, Some(secs(hint)), 0);
        assert_eq!(wait(5), Some(secs(20)));
        assert_eq!(wait(120), Some(secs(120)));
        assert_eq!(wait(86_400), Some(secs(3600)));
        assert_eq!(
            policy.wait_after(11, Some(secs(5)), 0),
            None,
            "a hint gives no further try"
        );
    }

    #[test]
    fn policies_out_of_bounds_are_refused() {
        let linear = |step_s, max_retry, cap_s| {
            Policy::Linear {
                step_s,
                max_retry,
                cap_s,
            }
            .check()
            .err()
        };
        let ladder = |waits_s: Vec<u32>| Policy::Ladder { waits_s }.check().err();
        assert_eq!(linear(10, 10, None), None);
        assert_eq!(linear(10, 0, None), None);
        assert_eq!(linear(0, 10, None), Some(PolicyError::Wait));
        assert_eq!(linear(604_800, 2, None), Some(PolicyError::Wait));
        assert_eq!(linear(604_800, 2, Some(604_800)), None);
        assert_eq!(linear(604_801, 1, None), Some(PolicyError::Wait));
        assert_eq!(linear(1, 50, None), None);
        assert_eq!(linear(1, 51, None), Some(PolicyError::TooMany));
        assert_eq!(ladder(vec![]), None);
        assert_eq!(ladder(vec![0]), Some(PolicyError::Wait));
        assert_eq!(ladder(vec![1; 50]), None);
        assert_eq!(ladder(vec![1; 51]), Some(PolicyError::TooMany));
    }

    proptest! {
        #[test]
        fn never_earlier_than_planned_and_never_past_the_jitter_and_hint_bounds(
            waits_s in prop::collection::vec(1..WAIT_MOST_S, 1..20),
            tries in 1_u32..25,
            hint_s in prop::option::of(0_i64..100_000),
            per_mille in 0_u16..1000,
        ) {
            let policy = Policy::Ladder { waits_s: waits_s.clone() };
            let got = policy.wait_after(tries, hint_s.map(secs), per_mille);
            let planned = waits_s.get(usize::try_from(tries - 1).expect("a small number"));
            prop_assert_eq!(got.is_some(), planned.is_some());
            if let (Some(got), Some(planned)) = (got, planned) {
                let planned = secs(i64::from(*planned));
                let most = (planned + planned / 10).max(HINT_MOST.min(secs(hint_s.unwrap_or(0))));
                prop_assert!(got >= planned && got <= most);
            }
        }
    }

    #[test]
    fn chance_stretches_the_wait_of_a_ladder_by_a_tenth_at_most_and_that_of_a_line_by_nothing() {
        let ladder = Policy::Ladder {
            waits_s: vec![5, 300],
        };
        let linear = Policy::rafiki(10);
        let cases = [
            (&ladder, 1, 0, 5000),
            (&ladder, 1, 500, 5250),
            (&ladder, 1, 999, 5499),
            (&ladder, 1, 1000, 5499),
            (&ladder, 2, 1, 300_030),
            (&ladder, 2, 999, 329_970),
            (&linear, 2, 999, 20_000),
        ];
        for (policy, tries, per_mille, want_ms) in cases {
            let wait = policy.wait_after(tries, None, per_mille);
            let want = SignedDuration::from_millis(want_ms);
            assert_eq!(wait, Some(want), "{policy:?} {tries} {per_mille}");
        }
    }

    #[test]
    fn a_policy_says_how_many_retries_it_makes() {
        let ladder = |waits_s| Policy::Ladder { waits_s };
        let cases = [
            (Policy::rafiki(0), 0),
            (Policy::rafiki(7), 7),
            (ladder(vec![]), 0),
            (ladder(vec![5, 5, 5]), 3),
        ];
        for (policy, want) in cases {
            assert_eq!(policy.retries(), want, "{policy:?}");
        }
    }
}
