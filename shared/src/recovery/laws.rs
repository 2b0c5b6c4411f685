//! What holds for an invoice whatever happens to it, in whatever order.

use proptest::prelude::*;

use super::scene::{Happening, Invoice};
use super::*;

fn any_happening() -> impl Strategy<Value = Happening> {
    use SignalKind::*;
    let kind = prop_oneof![
        6 => Just(PaymentFailed),
        1 => Just(PaymentPending),
        1 => Just(PaymentSucceeded),
        1 => Just(InvoiceCancelled),
    ];
    prop_oneof![
        3 => (kind, 0..6_u8).prop_map(|(kind, charge)| Happening::Told(kind, charge)),
        1 => (0..8_usize).prop_map(Happening::ToldAgain),
        3 => prop::bool::weighted(0.1).prop_map(Happening::Reported),
        1 => prop::sample::select(Lever::ALL.as_slice()).prop_map(Happening::Pulled),
        6 => (0..100_000_u32).prop_map(Happening::Passed),
        1 => prop::option::of(0..50_000_u32).prop_map(Happening::Announces),
        1 => (0..6_u32).prop_map(Happening::Counts),
        1 => prop::option::of(0..3000_i64).prop_map(Happening::Leaves),
    ]
}

fn any_terms() -> impl Strategy<Value = Terms> {
    (
        0..4_u32,
        prop::option::of(1..12_u32),
        prop::option::of(3600..2_000_000_u32),
        60..20_000_u32,
    )
        .prop_map(
            |(retry_threshold, max_retry_count, grace_period_s, step)| Terms {
                mode: Mode::Cascading,
                ladder_s: Some(vec![step; 12]),
                retry_threshold,
                max_retry_count,
                grace_period_s,
                retry_window_s: Some(step.saturating_sub(1).max(60)),
                ..Terms::default()
            },
        )
}

proptest! {
    #[test]
    fn whatever_happens_nobody_is_told_to_charge_who_must_not_and_it_comes_to_rest(
        terms in any_terms(),
        happenings in prop::collection::vec(any_happening(), 1..60),
    ) {
        let mut invoice = Invoice::new(terms);
        for happening in happenings {
            invoice.happen(&happening);
            invoice.holds();
        }
        for _ in 0..400 {
            invoice.happen(&Happening::Passed(24 * 3600));
            invoice.holds();
        }
        let due = invoice.intent.and_then(|intent| intent.retry.due_at());
        prop_assert_eq!(due, None);
    }
}
