//! Reads and first writes asked for at once: made by one request, with what each alone would have answered.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::{join_all, try_join};
use shared::delivery::{Delivery, State};
use shared::event::{Event, Json};
use shared::store::dynamo::DynamoStore;
use shared::store::{Deliveries, Events, Recorded, Saved};
use tests::faults::Fault;
use tests::meter::Call;
use tests::sample::{acme, at, delivery, event, to_shop, tried};
use tests::table::Table;
use tokio::time::timeout;

/// A batch of a queue.
const BATCH: u32 = 10;

fn first_try(n: u32) -> Delivery {
    let fresh = delivery(&format!("evt_{n}"), "shop", 1);
    tried(fresh, at(1), 200, State::Delivered)
}

async fn save_all(store: &DynamoStore, deliveries: &[Delivery]) -> Result<Vec<Saved>> {
    let saves = deliveries
        .iter()
        .map(|delivery| store.save_delivery(delivery, None, at(2)));
    Ok(join_all(saves)
        .await
        .into_iter()
        .collect::<Result<_, _>>()?)
}

async fn read_all(store: &DynamoStore, deliveries: &[Delivery]) -> Result<Vec<Option<Delivery>>> {
    let reads = deliveries
        .iter()
        .map(|delivery| store.delivery(&delivery.key));
    let read: Result<Vec<_>, _> = join_all(reads).await.into_iter().collect();
    Ok(read?.into_iter().map(|it| it.map(|it| it.value)).collect())
}

/// Operations with the half units that each consumed.
fn billed(calls: &[Call]) -> Vec<(&str, u64)> {
    calls
        .iter()
        .map(|call| (call.operation.as_str(), call.total()))
        .collect()
}

/// The operations alone: not every emulator says what a group of reads consumed.
fn operations(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.operation.as_str()).collect()
}

#[tokio::test]
async fn a_batch_is_one_request_and_its_writes_are_billed_as_its_items() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let all: Vec<Delivery> = (0..BATCH).map(first_try).collect();

    assert_eq!(read_all(&store, &all).await?, vec![None; all.len()]);
    assert_eq!(operations(&table.meter.take()), ["BatchGetItem"]);

    let saved = save_all(&store, &all).await?;
    assert_eq!(saved, vec![Saved::Stored; all.len()]);
    assert_eq!(billed(&table.meter.take()), [("BatchExecuteStatement", 20)]);

    let want: Vec<_> = all.iter().cloned().map(Some).collect();
    assert_eq!(read_all(&store, &all).await?, want);
    assert_eq!(operations(&table.meter.take()), ["BatchGetItem"]);
    Ok(())
}

#[tokio::test]
async fn one_alone_is_a_request_of_its_own_kind() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let one = [first_try(1)];
    assert_eq!(save_all(&store, &one).await?, [Saved::Stored]);
    assert_eq!(read_all(&store, &one).await?, one.clone().map(Some));
    let calls = table.meter.take();
    assert_eq!(billed(&calls), [("PutItem", 2), ("GetItem", 2)]);
    Ok(())
}

#[tokio::test]
async fn more_than_a_request_takes_are_several_requests() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let all: Vec<Delivery> = (0..26).map(first_try).collect();
    let saved = save_all(&store, &all).await?;
    assert_eq!(saved, vec![Saved::Stored; all.len()]);
    let calls = table.meter.take();
    assert_eq!(
        billed(&calls),
        [("BatchExecuteStatement", 50), ("PutItem", 2)]
    );
    Ok(())
}

#[tokio::test]
async fn what_is_there_already_is_not_overwritten_and_stops_none_of_the_others() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let theirs = tried(
        delivery("evt_3", "shop", 1),
        at(0),
        500,
        State::Retrying { due: at(9) },
    );
    assert_eq!(
        store.save_delivery(&theirs, None, at(0)).await?,
        Saved::Stored
    );
    let all: Vec<Delivery> = (0..BATCH).map(first_try).collect();
    let saved = save_all(&store, &all).await?;
    let want = (0..BATCH).map(|n| if n == 3 { Saved::Lost } else { Saved::Stored });
    assert_eq!(saved, want.collect::<Vec<_>>());
    assert_eq!(
        store.delivery(&theirs.key).await?.map(|read| read.value),
        Some(theirs)
    );
    Ok(())
}

#[tokio::test]
async fn of_two_events_with_one_id_at_once_one_wins_and_the_other_sees_it() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let named = |id: &str, n: u32| Event {
        data: Json::parse(format!(r#"{{"n":{n}}}"#)).expect("valid JSON"),
        ..event(id, "recovery.recovered", None)
    };
    let events = [named("evt_1", 1), named("evt_1", 2), named("evt_2", 3)];
    let (acme, to_shop) = (acme(), to_shop());
    let records = events
        .iter()
        .map(|event| store.record(&acme, event, &to_shop, at(1)));
    let recorded: Result<Vec<_>, _> = join_all(records).await.into_iter().collect();
    let recorded = recorded?;
    let won: Vec<&Event> = events
        .iter()
        .zip(&recorded)
        .filter(|(_, recorded)| matches!(recorded, Recorded::New))
        .map(|(event, _)| event)
        .collect();
    assert_eq!(won.len(), 2);
    for (_, recorded) in events.iter().zip(&recorded).take(2) {
        if let Recorded::Known(known) = recorded {
            assert!(won.contains(&&known.value.event));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_group_that_fails_for_good_is_made_one_by_one_and_knows_its_own() -> Result<()> {
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        let table = Table::start().await?;
        let store = table.store();
        let all: Vec<Delivery> = (0..BATCH).map(first_try).collect();
        // As often as the client tries.
        for operation in ["BatchExecuteStatement", "BatchGetItem"] {
            for _ in 0..3 {
                table.faults.next(operation, fault);
            }
        }
        let saved = save_all(&store, &all).await?;
        assert_eq!(saved, vec![Saved::Stored; all.len()], "{fault:?}");
        let want: Vec<_> = all.iter().cloned().map(Some).collect();
        assert_eq!(read_all(&store, &all).await?, want, "{fault:?}");
        assert_eq!(table.faults.left(), 0, "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_group_that_is_not_answered_leaves_time_for_each_alone() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let all: Vec<Delivery> = (0..BATCH).map(first_try).collect();
    for operation in ["BatchExecuteStatement", "BatchGetItem"] {
        for _ in 0..3 {
            table.faults.next(operation, Fault::Silent);
        }
    }
    let both = try_join(save_all(&store, &all), read_all(&store, &all));
    // The client would wait for 8 s.
    let (saved, _read) = timeout(Duration::from_secs(6), both)
        .await
        .context("the groups are given up in time")??;
    assert_eq!(saved, vec![Saved::Stored; all.len()]);
    Ok(())
}

#[tokio::test]
async fn whoever_gives_up_waiting_takes_nobody_along() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let (gone, stays) = (first_try(1), first_try(2));
    // The first to ask makes the group's request; it is polled once, and never again.
    let mut first = Box::pin(store.save_delivery(&gone, None, at(2)));
    assert!(futures::poll!(first.as_mut()).is_pending());
    let mut second = Box::pin(store.save_delivery(&stays, None, at(2)));
    assert!(futures::poll!(second.as_mut()).is_pending());
    drop(first);
    assert_eq!(second.await?, Saved::Stored);
    Ok(())
}
