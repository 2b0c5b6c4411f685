//! Prints what a million events cost: `cargo bill`.

use tests::bill::{Bill, Durations};
use tests::tally::{published, published_in_tens, retried, webhooks};

/// So many are run; usage per event does not depend on it.
const EVENTS: usize = 1_000;
const EVENTS_U64: u64 = 1_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let stories = [
        (
            "Events of 700 bytes, published one by one",
            published(EVENTS).await?,
        ),
        (
            "Events of 700 bytes, published in tens",
            published_in_tens(EVENTS).await?,
        ),
        ("Billing webhooks through recovery", webhooks(EVENTS).await?),
        (
            "Failed payments that are to be charged again, of which two events tell",
            retried(EVENTS).await?,
        ),
    ];
    for (name, usage) in stories {
        println!(
            "\n{name} (full batches, one endpoint each, first try; without logs and egress)\n"
        );
        println!(
            "{}",
            Bill::per_million(usage, EVENTS_U64, Durations::default())
        );
    }
    Ok(())
}
