//! Callbacks that were recorded by somebody who died before sending them, or that were parked: the sweep puts them on their
//! queue, where they are told in order.

use anyhow::Result;
use jiff::SignedDuration;
use shared::customer::{Telling, TransactionStatus};
use shared::delivery::State;
use shared::ids::Round;
use shared::queue::task::CallbackTask;
use shared::queue::{Lease, Queue, Task};
use shared::store::dynamo::DynamoStore;
use shared::store::{AnchorStep, Deliveries, Outbox, Read, Saved, Transactions};
use shared::time::{Clock, later};
use tests::sample::{acme, at, customer_line, delivery, endpoint_id, telling, transaction, tried};
use tests::scene::Scene;

/// Records what is told as the `number`th, and does not send it.
async fn record(scene: &Scene, store: &DynamoStore, number: u64) -> Result<()> {
    let transaction = transaction(&format!("tx_{number}"), TransactionStatus::PendingAnchor);
    let step = AnchorStep {
        transaction: &transaction,
        read: None,
        snapshot: None,
        registration: None,
        tellings: &[told(number)],
    };
    let now = scene.clock.now();
    let saved = store.save_change(&acme(), &step, now).await?;
    assert_eq!(saved, Saved::Stored);
    Ok(())
}

/// What is on the ordered queue now, taken from it.
async fn sent(scene: &Scene) -> Result<Vec<CallbackTask>> {
    let queue = Queue::DeliverOrdered;
    let mut tasks = Vec::new();
    loop {
        let messages = scene
            .queues
            .receive(queue, 10, SignedDuration::ZERO)
            .await?;
        if messages.is_empty() {
            return Ok(tasks);
        }
        for message in messages {
            match Task::decode(&message.body)? {
                Task::Callback(task) => tasks.push(task),
                other => anyhow::bail!("{other:?}"),
            }
            scene.queues.delete(queue, vec![message.receipt]).await?;
        }
    }
}

fn told(number: u64) -> Telling {
    let line = customer_line("cus_1");
    telling(
        &line,
        number,
        "customer.status_changed",
        r#"{"id":"cus_1"}"#,
    )
}

/// The first message of what is told as the `number`th.
fn first(number: u64) -> CallbackTask {
    let line = customer_line("cus_1");
    CallbackTask {
        tenant: acme(),
        event: line.event(&acme(), number),
        client: endpoint_id("wallet"),
        line,
        round: Round::FIRST,
        hop: 0,
        after: None,
    }
}

#[tokio::test]
async fn what_was_recorded_and_not_sent_is_sent_by_the_sweep_once() -> Result<()> {
    let scene = Scene::start().await?;
    for number in 1..=40 {
        record(&scene, scene.store(), number).await?;
    }
    scene.clock.advance(SignedDuration::from_secs(29));
    scene.sweep().await?;
    assert_eq!(
        sent(&scene).await?,
        [],
        "whoever recorded it may be about to send it"
    );
    scene.clock.advance(SignedDuration::from_secs(2));
    scene.sweep().await?;
    let mut tasks = sent(&scene).await?;
    let mut want: Vec<_> = (1..=40).map(first).collect();
    for tasks in [&mut tasks, &mut want] {
        tasks.sort_by(|a, b| a.event.cmp(&b.event));
    }
    assert_eq!(tasks, want);
    let left = scene.store().unsent(scene.clock.now(), 100).await?;
    assert_eq!(left, []);
    scene.clock.advance(SignedDuration::from_mins(10));
    scene.sweep().await?;
    assert_eq!(sent(&scene).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_callback_that_can_not_be_read_keeps_no_other_waiting() -> Result<()> {
    let scene = Scene::start().await?;
    let sealed_otherwise = scene.store_of_another_key()?;
    record(&scene, &sealed_otherwise, 1).await?;
    scene.clock.advance(SignedDuration::from_secs(1));
    record(&scene, scene.store(), 2).await?;
    scene.clock.advance(SignedDuration::from_secs(31));
    scene.sweep().await?;
    assert_eq!(sent(&scene).await?, [first(2)]);
    Ok(())
}

#[tokio::test]
async fn a_parked_callback_goes_back_to_the_queue_that_keeps_the_order() -> Result<()> {
    let scene = Scene::start().await?;
    record(&scene, scene.store(), 1).await?;
    let (event, now) = (told(1).event.id, scene.clock.now());
    scene.store().note_sent(&acme(), &event).await?;
    let due = later(now, SignedDuration::from_hours(1));
    let mut parked = tried(
        delivery(event.as_str(), "wallet", 1),
        at(1),
        500,
        State::Parked { due },
    );
    parked.hop = 3;
    let saved = scene.store().save_delivery(&parked, None, now).await?;
    assert_eq!(saved, Saved::Stored);
    scene.sweep().await?;
    assert_eq!(sent(&scene).await?, []);
    scene.clock.advance_to(due);
    scene.sweep().await?;
    let want = CallbackTask { hop: 3, ..first(1) };
    assert_eq!(sent(&scene).await?, [want]);
    let Some(Read { value, .. }) = scene.store().delivery(&parked.key).await? else {
        anyhow::bail!("it was recorded");
    };
    assert_eq!(value.state, State::Retrying { due });
    Ok(())
}

#[tokio::test]
async fn an_entry_that_is_out_of_date_brings_no_callback_before_its_time() -> Result<()> {
    let scene = Scene::start().await?;
    record(&scene, scene.store(), 1).await?;
    let (event, now) = (told(1).event.id, scene.clock.now());
    scene.store().note_sent(&acme(), &event).await?;
    let due = later(now, SignedDuration::from_hours(1));
    let parked = tried(
        delivery(event.as_str(), "wallet", 1),
        at(1),
        500,
        State::Parked { due },
    );
    let saved = scene.store().save_delivery(&parked, None, now).await?;
    assert_eq!(saved, Saved::Stored);
    // As the index shows it until it knows that it was parked anew.
    scene.backdate_entries("DUE#").await?;
    scene.sweep().await?;
    assert_eq!(sent(&scene).await?, []);
    scene.clock.advance_to(due);
    scene.sweep().await?;
    assert_eq!(sent(&scene).await?, [first(1)]);
    Ok(())
}

#[tokio::test]
async fn deliveries_that_can_not_be_read_hide_none_whose_time_has_come() -> Result<()> {
    let scene = Scene::start().await?;
    let (event, now) = (told(1).event.id, scene.clock.now());
    record(&scene, scene.store(), 1).await?;
    scene.store().note_sent(&acme(), &event).await?;
    let later = later(now, SignedDuration::from_secs(1));
    let park = |due| State::Parked { due };
    let hold = |until| State::Held { until };
    for (round, unreadable, readable) in
        [(100, park(now), park(later)), (200, hold(now), hold(later))]
    {
        let save = async |round, state| {
            let waits = delivery(event.as_str(), "wallet", round);
            let waits = tried(waits, at(1), 500, state);
            scene.store().save_delivery(&waits, None, now).await
        };
        for round in round - 60..round {
            assert_eq!(save(round, unreadable).await?, Saved::Stored);
        }
        scene.break_items("D#").await?;
        assert_eq!(save(round, readable).await?, Saved::Stored);
        scene.clock.advance_to(later);
        scene.sweep().await?;
        let tasks = sent(&scene).await?;
        let rounds: Vec<_> = tasks.iter().map(|task| task.round.number()).collect();
        assert_eq!(rounds, [round], "{readable:?}");
    }
    Ok(())
}
