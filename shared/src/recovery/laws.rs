//! What holds for an invoice, and for the cards that pay it, whatever happens to them, in whatever order.

use proptest::prelude::*;

use super::cards::TOKENS;
use super::scene::{Answered, Charged, Happening, Invoices};
use super::*;

const DAY: u32 = 24 * 3600;

fn any_token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(TOKENS.as_slice())
}

/// The platform tells of one of so many charges, seldom that it came to anything.
fn any_charge(charges: u8) -> impl Strategy<Value = Happening> {
    use SignalKind::*;
    let kind = prop_oneof![
        8 => Just(PaymentFailed),
        1 => Just(PaymentPending),
        1 => Just(PaymentSucceeded),
    ];
    let late = prop_oneof![Just(0), 0..DAY];
    let often = prop::bool::weighted(0.8);
    let seldom = prop::bool::weighted(0.05);
    (kind, 0..charges, any_token(), often, late, seldom).prop_map(
        |(kind, charge, token, named, late_s, hard)| {
            Happening::Charged(Charged {
                kind,
                charge,
                token,
                named,
                late_s,
                hard,
            })
        },
    )
}

fn any_answer() -> impl Strategy<Value = Happening> {
    let seldom = || prop::bool::weighted(0.1);
    let other = prop::option::weighted(0.2, any_token());
    let left = prop::option::of(0..3000_i64);
    (seldom(), other, any::<bool>(), left, seldom()).prop_map(|(paid, other, named, left, hard)| {
        Happening::Answered(Answered {
            paid,
            other,
            named,
            left,
            hard,
        })
    })
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => any_charge(6),
        1 => Just(Happening::Told(SignalKind::InvoiceCancelled, 0)),
        1 => (0..8_usize).prop_map(Happening::ToldAgain),
        3 => any_answer(),
        1 => prop::sample::select(Lever::ALL.as_slice()).prop_map(Happening::Pulled),
        6 => (0..100_000_u32).prop_map(Happening::Passed),
        1 => prop::option::of(0..50_000_u32).prop_map(Happening::Announces),
        1 => (0..6_u32).prop_map(Happening::Counts),
        1 => prop::option::of(0..3000_i64).prop_map(Happening::Leaves),
        1 => any_terms().prop_map(|terms| Happening::Agreed(Box::new(terms))),
    ]
}

/// Many charges in a short time, so that the networks' limits are reached.
fn any_haste() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => any_charge(20),
        2 => any_answer(),
        1 => Just(Happening::Pulled(Lever::RetryNow)),
        3 => (0..6000_u32).prop_map(Happening::Passed),
    ]
}

fn any_terms() -> impl Strategy<Value = Terms> {
    (
        prop::bool::weighted(0.9),
        0..4_u32,
        prop::option::of(1..12_u32),
        prop::option::of(3600..2_000_000_u32),
        60..20_000_u32,
    )
        .prop_map(
            |(cascading, retry_threshold, max_retry_count, grace_period_s, step)| Terms {
                mode: if cascading {
                    Mode::Cascading
                } else {
                    Mode::Monitoring
                },
                ladder_s: Some(vec![step; 12]),
                retry_threshold,
                max_retry_count,
                grace_period_s,
                retry_window_s: Some(step.saturating_sub(1).max(60)),
                ..Terms::default()
            },
        )
}

/// An account that charges whenever it may.
fn hasty() -> Terms {
    Terms {
        mode: Mode::Cascading,
        ladder_s: Some(vec![60; 50]),
        retry_window_s: Some(60),
        ..Terms::default()
    }
}

proptest! {
    #[test]
    fn whatever_happens_nobody_is_told_to_charge_who_must_not_and_it_comes_to_rest(
        terms in prop::collection::vec(any_terms(), 1..4),
        happenings in prop::collection::vec((0..3_usize, any_happening()), 1..80),
    ) {
        let mut invoices = Invoices::new(terms);
        for (place, happening) in happenings {
            invoices.happen(place, &happening);
        }
        for _ in 0..400 {
            invoices.happen(0, &Happening::Passed(DAY));
        }
        prop_assert!(invoices.at_rest());
    }

    #[test]
    fn however_many_invoices_charge_a_card_its_network_is_asked_no_more_often_than_it_takes(
        happenings in prop::collection::vec((0..3_usize, any_haste()), 1..120),
    ) {
        let mut invoices = Invoices::new(vec![hasty(); 3]);
        for (place, happening) in happenings {
            invoices.happen(place, &happening);
        }
    }
}
