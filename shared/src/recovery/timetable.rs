//! When an invoice is charged next, or why it is not charged again. One pure function.

use jiff::{SignedDuration, Timestamp};

use super::{Decline, EndReason, Network, Terms, TokenLedger, advised_wait, is_hard};
use crate::time::later;

/// What has happened to an invoice so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History<'a> {
    /// How many charges were tried, by whomever.
    pub tried: u32,
    /// When the first one failed.
    pub first_failed: Timestamp,
    /// When the last one failed.
    pub last_failed: Timestamp,
    /// Why the last one failed, where that is known.
    pub decline: Option<&'a Decline>,
    /// The network of the card that was charged last.
    pub network: Network,
    /// When the platform charges next itself, as far as it said.
    pub announced: Option<Timestamp>,
    /// When an operator asked for the next charge at once, if one did: it does not wait for the ladder's step then.
    pub hurried: Option<Timestamp>,
}

/// What comes next for an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is charged again at this time.
    At(Timestamp),
    /// It is not charged again.
    End(EndReason),
}

/// No charge of ours is made so long after one that the platform announced: what comes of that must be known first.
pub const CLEAR_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// And none so long before it, since a merchant needs time for ours.
pub const CLEAR_BEFORE: SignedDuration = SignedDuration::from_mins(30);

/// When an invoice is charged next, no earlier than `from`, on the `terms` of its billing account, with all that is known of
/// the token that would be charged.
#[must_use]
pub fn timetable(
    terms: &Terms,
    history: &History<'_>,
    ledger: &TokenLedger,
    from: Timestamp,
) -> Next {
    let hard = history
        .decline
        .and_then(|decline| is_hard(decline, history.network, &terms.hard_declines));
    if hard.is_some() || ledger.is_stopped() {
        return Next::End(EndReason::HardDeclined);
    }
    if terms
        .max_retry_count
        .is_some_and(|most| history.tried >= most)
    {
        return Next::End(EndReason::RetriesExhausted);
    }
    let Some(wait) = terms.wait(history.tried) else {
        return Next::End(EndReason::RetriesExhausted);
    };
    let advised = history
        .decline
        .and_then(|decline| advised_wait(decline.advice_code.as_deref()?))
        .unwrap_or_default();
    let after_ladder = match history.hurried {
        Some(at) => at,
        None => later(history.last_failed, wait),
    };
    // What the network advises holds for an operator, too.
    let earliest = from
        .max(after_ladder)
        .max(later(history.last_failed, advised));
    let at = clear(earliest, history.announced, ledger);
    let end = terms
        .grace_period()
        .map(|grace| later(history.first_failed, grace));
    if end.is_some_and(|end| at > end) {
        return Next::End(EndReason::GracePeriodExpired);
    }
    Next::At(at)
}

/// The earliest time from `earliest` on that the network allows and that keeps clear of the platform's own charge. Keeping
/// clear moves a time at most once, and what the network allows it allows later, too.
pub(super) fn clear(
    earliest: Timestamp,
    announced: Option<Timestamp>,
    ledger: &TokenLedger,
) -> Timestamp {
    let allowed = ledger.allowed_from(earliest);
    match announced {
        Some(announced) if later(allowed, CLEAR_BEFORE) > announced => {
            allowed.max(later(announced, CLEAR_AFTER))
        }
        Some(_) | None => allowed,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::ids::{ConnectorAccountId, InvoiceId, ProfileId};
    use crate::recovery::{IntentKey, Stop};

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_735_689_600 + second).expect("a time in range")
    }

    fn key(invoice: &str) -> IntentKey {
        IntentKey {
            profile_id: ProfileId::parse("pro_1").expect("a valid id"),
            connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
            invoice_id: InvoiceId::parse(invoice).expect("a valid id"),
        }
    }

    /// An invoice whose first charge failed at 0, and the last one of `tried` at `last` seconds.
    fn failed(tried: u32, last: i64) -> History<'static> {
        History {
            tried,
            first_failed: at(0),
            last_failed: at(last),
            decline: None,
            network: Network::Visa,
            announced: None,
            hurried: None,
        }
    }

    fn ledger(network: Network, tries: impl IntoIterator<Item = i64>) -> TokenLedger {
        let mut ledger = TokenLedger {
            network,
            ..TokenLedger::default()
        };
        ledger.set(&key("in_other"), tries.into_iter().map(at), at(0));
        ledger
    }

    fn decline(code: &str, advice: Option<&str>) -> Decline {
        Decline {
            code: code.to_owned(),
            advice_code: advice.map(str::to_owned),
            ..Decline::default()
        }
    }

    #[test]
    fn the_next_charge_is_as_late_as_each_rule_asks_and_the_end_has_a_reason() {
        use EndReason::*;
        let usual = Terms::default();
        let soft = decline("insufficient_funds", None);
        let later_please = decline("insufficient_funds", Some("02"));
        let hard = decline("stolen_card", None);
        let own = decline("do_not_ask_again", None);
        let own_codes = Terms {
            hard_declines: BTreeSet::from(["do_not_ask_again".to_owned()]),
            ..Terms::default()
        };
        let stopped = TokenLedger {
            stop: Some(Stop {
                at: at(-5),
                code: "stolen_card".to_owned(),
            }),
            ..TokenLedger::default()
        };
        let paid_since = TokenLedger {
            paid_at: Some(at(-1)),
            ..stopped.clone()
        };
        let ceiling = |most| Terms {
            max_retry_count: Some(most),
            ..Terms::default()
        };
        let grace = |seconds| Terms {
            grace_period_s: Some(seconds),
            ..Terms::default()
        };
        let free = TokenLedger::default();
        let next = |second| Next::At(at(second));
        let announced = |second| History {
            announced: Some(at(second)),
            ..failed(1, 0)
        };
        let cases = [
            (
                "the first step of the ladder",
                &usual,
                failed(1, 0),
                &free,
                next(3 * HOUR),
            ),
            (
                "the third step",
                &usual,
                failed(3, DAY),
                &free,
                next(DAY + 6 * HOUR),
            ),
            (
                "the last step",
                &usual,
                failed(14, DAY),
                &free,
                next(DAY + 18 * HOUR),
            ),
            (
                "past the last step",
                &usual,
                failed(15, DAY),
                &free,
                Next::End(RetriesExhausted),
            ),
            (
                "one below the ceiling",
                &ceiling(3),
                failed(2, 0),
                &free,
                next(3 * HOUR),
            ),
            (
                "at the ceiling",
                &ceiling(3),
                failed(3, 0),
                &free,
                Next::End(RetriesExhausted),
            ),
            (
                "above the ceiling",
                &ceiling(3),
                failed(4, 0),
                &free,
                Next::End(RetriesExhausted),
            ),
            (
                "just within the grace period",
                &grace(10800),
                failed(1, 0),
                &free,
                next(3 * HOUR),
            ),
            (
                "past the grace period",
                &grace(10799),
                failed(1, 0),
                &free,
                Next::End(GracePeriodExpired),
            ),
            (
                "a soft decline",
                &usual,
                History {
                    decline: Some(&soft),
                    ..failed(1, 0)
                },
                &free,
                next(3 * HOUR),
            ),
            (
                "a hard decline",
                &usual,
                History {
                    decline: Some(&hard),
                    ..failed(1, 0)
                },
                &free,
                Next::End(HardDeclined),
            ),
            (
                "the account's own hard decline",
                &own_codes,
                History {
                    decline: Some(&own),
                    ..failed(1, 0)
                },
                &free,
                Next::End(HardDeclined),
            ),
            (
                "the same code without it",
                &usual,
                History {
                    decline: Some(&own),
                    ..failed(1, 0)
                },
                &free,
                next(3 * HOUR),
            ),
            (
                "a card that another invoice found stolen",
                &usual,
                failed(1, 0),
                &stopped,
                Next::End(HardDeclined),
            ),
            (
                "which has paid since",
                &usual,
                failed(1, 0),
                &paid_since,
                next(3 * HOUR),
            ),
            (
                "the network advises 72 hours",
                &usual,
                History {
                    decline: Some(&later_please),
                    ..failed(1, 0)
                },
                &free,
                next(72 * HOUR),
            ),
            (
                "and an operator can't shorten that",
                &usual,
                History {
                    decline: Some(&later_please),
                    hurried: Some(at(60)),
                    ..failed(1, 0)
                },
                &free,
                next(72 * HOUR),
            ),
            (
                "an operator need not wait for the ladder",
                &usual,
                History {
                    hurried: Some(at(60)),
                    ..failed(1, 0)
                },
                &free,
                next(60),
            ),
            (
                "well before the platform's own charge",
                &usual,
                announced(4 * HOUR),
                &free,
                next(3 * HOUR),
            ),
            (
                "at the same minute as the platform",
                &usual,
                announced(3 * HOUR),
                &free,
                next(3 * HOUR + 900),
            ),
            (
                "shortly before the platform",
                &usual,
                announced(3 * HOUR + 1799),
                &free,
                next(3 * HOUR + 2699),
            ),
            (
                "just long enough before the platform",
                &usual,
                announced(3 * HOUR + 1800),
                &free,
                next(3 * HOUR),
            ),
            (
                "shortly after the platform",
                &usual,
                announced(3 * HOUR - 899),
                &free,
                next(3 * HOUR + 1),
            ),
            (
                "long enough after the platform",
                &usual,
                announced(3 * HOUR - 900),
                &free,
                next(3 * HOUR),
            ),
            (
                "ten tries of a Mastercard today",
                &usual,
                failed(1, 0),
                &ledger(Network::Mastercard, -9..=0),
                next(DAY - 9),
            ),
            (
                "nine tries of a Mastercard today",
                &usual,
                failed(1, 0),
                &ledger(Network::Mastercard, -8..=0),
                next(3 * HOUR),
            ),
            (
                "twenty tries of a Visa this month",
                &usual,
                failed(1, 0),
                &ledger(Network::Visa, (0..20).map(|n| -n * DAY)),
                next(11 * DAY),
            ),
            (
                "of a brand that nobody knows",
                &usual,
                failed(1, 0),
                &ledger(Network::Unknown, (0..20).map(|n| -n * DAY)),
                next(11 * DAY),
            ),
            (
                "thirty-five of a Mastercard this month",
                &usual,
                failed(1, 0),
                &ledger(Network::Mastercard, (0..35).map(|n| -n * DAY / 2)),
                next(13 * DAY),
            ),
        ];
        for (name, terms, history, ledger, want) in cases {
            let got = timetable(terms, &history, ledger, Timestamp::MIN);
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn what_comes_too_late_is_due_at_once() {
        let got = timetable(
            &Terms::default(),
            &failed(1, 0),
            &TokenLedger::default(),
            at(5 * DAY),
        );
        assert_eq!(got, Next::At(at(5 * DAY)));
    }

    fn any_network() -> impl Strategy<Value = Network> {
        prop_oneof![
            Just(Network::Visa),
            Just(Network::Mastercard),
            Just(Network::Amex),
            Just(Network::Unknown)
        ]
    }

    proptest! {
        /// A card that never pays, charged whenever the timetable says, by an account that would charge it every minute.
        #[test]
        fn no_window_holds_more_tries_than_the_network_takes_and_none_goes_beyond_the_ceiling(
            network in any_network(),
            step in 60_u32..7200,
            ceiling in 1_u32..60,
            elsewhere in prop::collection::vec(-30 * DAY..0, 0..20),
            announced in prop::option::of(0..3 * DAY),
        ) {
            let terms = Terms {
                ladder_s: Some(vec![step; 80]),
                max_retry_count: Some(ceiling),
                ..Terms::default()
            };
            let mut ledger = ledger(network, elsewhere);
            let limits = network.limits();
            let mut tries = vec![at(0)];
            loop {
                ledger.set(&key("in_1"), tries.iter().copied(), *tries.last().expect("never empty"));
                let last = *tries.last().expect("never empty");
                let history = History {
                    tried: u32::try_from(tries.len()).expect("few"),
                    last_failed: last,
                    network,
                    announced: announced.map(at),
                    ..failed(1, 0)
                };
                match timetable(&terms, &history, &ledger, last) {
                    Next::At(next) => {
                        prop_assert!(next.duration_since(last).as_secs() >= i64::from(step));
                        if let Some(announced) = announced.map(at) {
                            let after = next.duration_since(announced);
                            prop_assert!(after >= CLEAR_AFTER || after <= -CLEAR_BEFORE);
                        }
                        let all = || ledger.tries.values().flatten().copied();
                        for (window, most) in [(DAY, limits.a_day), (30 * DAY, limits.in_30_days)] {
                            let held = all().filter(|it| next.duration_since(*it).as_secs() < window).count();
                            prop_assert!(held < most, "{held} tries before the one at {next}");
                        }
                        tries.push(next);
                    }
                    Next::End(reason) => {
                        prop_assert_eq!(reason, EndReason::RetriesExhausted);
                        prop_assert_eq!(tries.len(), usize::try_from(ceiling).expect("few"));
                        break;
                    }
                }
            }
        }
    }
}
