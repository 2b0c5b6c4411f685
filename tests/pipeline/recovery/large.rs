//! An intent that has grown larger than an item may be: its signals are set aside, and nothing goes round for ever.

use data_encoding::HEXLOWER;
use serde_json::Value;
use shared::entropy::{Entropy, SeededEntropy};
use shared::ids::TenantId;
use shared::queue::Queue;
use shared::recovery::{Intent, SignalKind};
use shared::store::{IntentStep, Intents, Saved, StoreError};
use shared::time::Clock;
use tests::sample::signal;
use tests::scene::Scene;
use tests::stories::TENANT;

use crate::{PAID, list, text};

/// So much text that does not deflate well.
fn noise(length: usize) -> String {
    let entropy: &dyn Entropy = &SeededEntropy::new(5);
    let drawn = (0..=length / 1024).flat_map(|_| {
        let bytes: [u8; 512] = entropy.bytes();
        HEXLOWER.encode(&bytes).into_bytes()
    });
    drawn.take(length).map(char::from).collect()
}

#[tokio::test]
async fn a_signal_for_which_an_intent_has_no_room_is_set_aside() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let tenant = TenantId::parse(TENANT)?;
    let failed = signal("in_1QfInv", 1, SignalKind::PaymentFailed);
    // As full as it gets, to 64 characters.
    let (mut fits, mut over) = (500_000, 800_000);
    let mut version = None;
    while fits + 64 < over {
        let length = (fits + over) / 2;
        let mut told = failed.clone();
        if let Some(decline) = told
            .charge
            .as_mut()
            .map(|charge| charge.details.decline.get_or_insert_default())
        {
            decline.message = Some(noise(length));
        }
        let now = scene.clock.now();
        let mut intent = Intent::open(&told, now).ok_or_else(|| anyhow::anyhow!("a failure"))?;
        intent.join(&told, now);
        let step = IntentStep::alone(&intent, version);
        match scene.store().save_step(&tenant, &step, now).await {
            Ok(saved) => {
                assert_eq!(saved, Saved::Stored);
                let read = scene.store().intent(&tenant, &intent.key).await?;
                version = read.map(|read| read.version);
                fits = length;
            }
            Err(StoreError::TooLarge { .. }) => over = length,
            Err(other) => return Err(other.into()),
        }
    }
    assert!(version.is_some() && over < 800_000, "{fits}");
    let paid = PAID.replace("\"usd\"", "\"eur\"");
    scene.webhook(&paid).await?;
    scene.settle().await?;
    while let Some(shows) = scene.queues.next_visible(Queue::Recover) {
        scene.clock.advance_to(shows);
        scene.settle().await?;
    }
    let page = scene.operator("GET", "/v1/quarantine", Value::Null).await?;
    let causes: Vec<_> = list(&page, "/data")
        .into_iter()
        .map(|entry| text(entry, "/cause"))
        .collect();
    assert_eq!(causes, ["stuck"]);
    assert!(scene.queues.is_empty());
    Ok(())
}
