//! What becomes of a write whose request or answer is lost, or that is told to come later.

use anyhow::Result;
use shared::delivery::State;
use shared::recovery::{SignalKind, TokenLedger};
use shared::store::{
    Accounts, Claimed, Deliveries, Events, IntentStep, Intents, Keys, LedgerStep, Put, Recorded,
    Saved, StoreError, Version,
};
use tests::faults::Fault;
use tests::sample::{account, acme, at, delivery, event, intent, key, to_shop, tried};
use tests::table::Table;

const FAULTS: [Fault; 3] = [Fault::Before, Fault::After, Fault::Throttled];

#[tokio::test]
async fn a_write_that_is_made_again_knows_its_own() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    for (n, fault) in (1..).zip(FAULTS) {
        let first = tried(
            delivery("evt_1", "shop", n),
            at(1),
            500,
            State::Retrying { due: at(9) },
        );
        table.faults.next("PutItem", fault);
        assert_eq!(
            store.save_delivery(&first, None, at(2)).await?,
            Saved::Stored,
            "{fault:?}"
        );
        let read = store.delivery(&first.key).await?.expect("it was written");
        let second = tried(first, at(9), 200, State::Delivered);
        table.faults.next("PutItem", fault);
        let saved = store
            .save_delivery(&second, Some(read.version), at(9))
            .await?;
        assert_eq!(saved, Saved::Stored, "{fault:?}");
        assert_eq!(
            store.delivery(&second.key).await?.map(|read| read.value),
            Some(second)
        );

        let intent = intent(&format!("in_{n}"), 1, SignalKind::PaymentFailed);
        table.faults.next("PutItem", fault);
        let saved = store
            .save_step(&acme(), &IntentStep::alone(&intent, None), at(1))
            .await?;
        assert_eq!(saved, Saved::Stored, "{fault:?}");
        assert_eq!(table.faults.left(), 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_step_with_a_ledger_that_is_made_again_is_no_lost_race() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let ledger = TokenLedger::default();
    let mut read = None;
    for (n, fault) in (1..).zip(FAULTS) {
        let intent = intent(&format!("in_{n}"), 1, SignalKind::PaymentFailed);
        let step = IntentStep {
            ledgers: vec![LedgerStep {
                token: "pm_1",
                ledger: &ledger,
                read,
            }],
            ..IntentStep::alone(&intent, None)
        };
        table.faults.next("TransactWriteItems", fault);
        let saved = store.save_step(&acme(), &step, at(1)).await?;
        assert_eq!(saved, Saved::Stored, "{fault:?}");
        let known = store.intent(&acme(), &intent.key).await?;
        assert_eq!(known.map(|read| read.value), Some(intent), "{fault:?}");
        read = store
            .ledger(&acme(), "pm_1")
            .await?
            .map(|read| read.version);
        assert_eq!(table.faults.left(), 0);
    }
    assert_eq!(read, Some(Version(3)));
    Ok(())
}

#[tokio::test]
async fn a_step_that_collides_with_another_has_lost_its_race() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let (intent, ledger) = (
        intent("in_1", 1, SignalKind::PaymentFailed),
        TokenLedger::default(),
    );
    let alone = IntentStep::alone(&intent, None);
    let step = IntentStep {
        ledgers: vec![LedgerStep {
            token: "pm_1",
            ledger: &ledger,
            read: None,
        }],
        ..alone.clone()
    };
    for (operation, step) in [("PutItem", alone), ("TransactWriteItems", step)] {
        table.faults.next(operation, Fault::Contended);
        let saved = store.save_step(&acme(), &step, at(1)).await?;
        assert_eq!(saved, Saved::Lost, "{operation}");
        assert_eq!(store.intent(&acme(), &intent.key).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn an_event_whose_recording_was_not_answered_is_known_and_the_same() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let event = event("evt_1", "recovery.recovered", None);
    table.faults.next("PutItem", Fault::After);
    match store.record(&acme(), &event, &to_shop(), at(1)).await? {
        Recorded::Known(known) => assert_eq!(known.value.event, event),
        Recorded::New => panic!("its first request was carried out"),
    }
    Ok(())
}

#[tokio::test]
async fn transactions_that_are_made_again_happen_once() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    for (n, fault) in (1..).zip(FAULTS) {
        let account = account(&acme(), &format!("pro_{n}"), "mca_1");
        table.faults.next("TransactWriteItems", fault);
        assert_eq!(
            store.put_account(&account, at(1)).await?,
            Claimed::New,
            "{fault:?}"
        );
        table.faults.next("TransactWriteItems", fault);
        let (profile, id) = (&account.profile_id, &account.connector_account_id);
        assert!(
            store.delete_account(&acme(), profile, id).await?,
            "{fault:?}"
        );
        table.faults.next("TransactWriteItems", fault);
        let key = key(&acme(), &format!("key_{n}"));
        let put = store.put_key(&key, &format!("hash{n}")).await?;
        assert_eq!(put, Put::New, "{fault:?}");
    }
    assert_eq!(store.keys(&acme()).await?.len(), FAULTS.len());
    assert_eq!(table.faults.left(), 0);
    Ok(())
}

#[tokio::test]
async fn a_table_that_stays_away_is_unavailable_and_not_lost_or_absent() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let intent = intent("in_1", 1, SignalKind::PaymentFailed);
    for fault in FAULTS {
        for operation in ["PutItem", "GetItem"] {
            for _ in 0..3 {
                table.faults.next(operation, fault);
            }
        }
        let saved = store
            .save_step(&acme(), &IntentStep::alone(&intent, None), at(1))
            .await;
        assert!(
            matches!(saved, Err(StoreError::Unavailable(_))),
            "{fault:?}: {saved:?}"
        );
        let read = store.intent(&acme(), &intent.key).await;
        assert!(
            matches!(read, Err(StoreError::Unavailable(_))),
            "{fault:?}: {read:?}"
        );
    }
    Ok(())
}
