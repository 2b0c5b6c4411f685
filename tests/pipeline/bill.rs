//! The bill is a test: what a million events cost, counted exactly.

use tests::bill::{Bill, Durations};
use tests::tally::{published, published_in_tens, retried, webhooks};

/// Micro-dollars.
const DOLLAR: u64 = 1_000_000;

#[tokio::test]
async fn a_million_published_events_cost_at_most_four_dollars() -> anyhow::Result<()> {
    let bill = Bill::per_million(published(1_000).await?, 1_000, Durations::default());
    println!("{bill}");
    assert!(
        bill.http_api <= 4 * DOLLAR && bill.function_url <= 3 * DOLLAR,
        "\n{bill}"
    );
    Ok(())
}

#[tokio::test]
async fn a_million_events_published_in_tens_cost_at_most_two_and_a_half_dollars()
-> anyhow::Result<()> {
    let usage = published_in_tens(1_000).await?;
    assert_eq!(usage.door_requests, 100);
    let bill = Bill::per_million(usage, 1_000, Durations::default());
    println!("{bill}");
    assert!(bill.http_api <= 5 * DOLLAR / 2, "\n{bill}");
    Ok(())
}

#[tokio::test]
async fn a_million_billing_webhooks_cost_at_most_eight_dollars() -> anyhow::Result<()> {
    let bill = Bill::per_million(webhooks(1_000).await?, 1_000, Durations::default());
    println!("{bill}");
    assert!(
        bill.http_api <= 8 * DOLLAR && bill.function_url <= 7 * DOLLAR,
        "\n{bill}"
    );
    Ok(())
}

/// A merchant is told twice for each of them, and the intent is written in one transaction with its token's ledger.
#[tokio::test]
async fn a_million_failed_payments_that_are_planned_anew_cost_at_most_ten_and_a_half_dollars()
-> anyhow::Result<()> {
    let bill = Bill::per_million(retried(1_000).await?, 1_000, Durations::default());
    println!("{bill}");
    assert!(
        bill.http_api <= 21 * DOLLAR / 2 && bill.function_url <= 19 * DOLLAR / 2,
        "\n{bill}"
    );
    Ok(())
}
