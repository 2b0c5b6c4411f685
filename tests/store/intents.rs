//! Intents: whole, and never over what somebody else wrote.

use anyhow::Result;
use futures::future::try_join_all;
use shared::recovery::SignalKind;
use shared::store::{Intents, Saved};
use tests::sample::{acme, at, intent, signal, tenant};
use tests::table::Table;

#[tokio::test]
async fn an_intent_comes_back_whole_for_its_tenant_only() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    // The platform's id may hold what our keys use.
    for invoice in ["in_1", "in#1#E#2", "INV/2026-1"] {
        let intent = intent(invoice, 3, SignalKind::PaymentSucceeded);
        assert_eq!(store.intent(&acme(), &intent.key).await?, None);
        assert_eq!(
            store.save_intent(&acme(), &intent, None, at(1)).await?,
            Saved::Stored
        );
        assert_eq!(
            store
                .intent(&acme(), &intent.key)
                .await?
                .map(|read| read.value),
            Some(intent.clone())
        );
        assert_eq!(store.intent(&tenant("other"), &intent.key).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn writers_who_read_again_after_a_lost_race_lose_no_signal() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let first = intent("in_1", 1, SignalKind::PaymentFailed);
    let (acme, key) = (acme(), first.key.clone());
    assert_eq!(
        store.save_intent(&acme, &first, None, at(1)).await?,
        Saved::Stored
    );
    assert_eq!(
        store.save_intent(&acme, &first, None, at(1)).await?,
        Saved::Lost,
        "it is there by now"
    );
    let join = async |n: u32| {
        loop {
            let read = store.intent(&acme, &key).await?.expect("it was written");
            let mut intent = read.value;
            intent.join(
                &signal("in_1", n, SignalKind::PaymentFailed),
                at(i64::from(n)),
            );
            if store
                .save_intent(&acme, &intent, Some(read.version), at(1))
                .await?
                == Saved::Stored
            {
                return anyhow::Ok(());
            }
        }
    };
    try_join_all((2..=12).map(join)).await?;
    let read = store.intent(&acme, &key).await?.expect("it was written");
    assert_eq!(read.value.signals().count(), 12);
    assert_eq!(read.value.attempts.len(), 12);
    Ok(())
}

#[tokio::test]
async fn only_an_intent_that_ended_expires() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let open = intent("in_1", 1, SignalKind::PaymentFailed);
    assert_eq!(
        store.save_intent(&acme(), &open, None, at(1)).await?,
        Saved::Stored
    );
    assert!(!table.dump().await?.contains("\"ttl\""));
    let read = store
        .intent(&acme(), &open.key)
        .await?
        .expect("it was written");
    let ended = intent("in_1", 2, SignalKind::PaymentSucceeded);
    assert_eq!(
        store
            .save_intent(&acme(), &ended, Some(read.version), at(1))
            .await?,
        Saved::Stored
    );
    let ttl = (at(1) + tests::table::RETENTION).as_second();
    assert!(
        table
            .dump()
            .await?
            .contains(&format!("\"ttl\": N(\"{ttl}\")"))
    );
    // A late failure opens it again, and then it is kept.
    let read = store
        .intent(&acme(), &open.key)
        .await?
        .expect("it was written");
    assert_eq!(
        store
            .save_intent(&acme(), &open, Some(read.version), at(1))
            .await?,
        Saved::Stored
    );
    assert!(!table.dump().await?.contains("\"ttl\""));
    Ok(())
}
