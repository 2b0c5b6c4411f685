//! What goes wrong around a call: the process dies, a queue is down, an answer is lost, the call comes twice or races with
//! another. An error tells nobody of anything; a result is told exactly, in order.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use futures::future::join_all;
use futures::join;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tests::faults::Fault;

use super::business::{Held, answers};
use super::told::Told;
use super::{Stage, call, deposit, of, outcome, url_of};
use crate::text;

/// How a customer stands, one act after the other.
const STATUSES: [&str; 2] = ["NEEDS_INFO", "REJECTED"];
/// The transaction is put first, and time passes last.
const ACTS: usize = STATUSES.len() + 2;

fn transaction() -> Value {
    deposit(json!({
        "customers": { "sender": "cus_1", "receiver": "cus_2" },
        "amounts_known": true, "instructions_known": true,
    }))
}

async fn act(stage: &Stage, number: usize) -> Result<()> {
    match number.checked_sub(1).map(|number| STATUSES.get(number)) {
        None => {
            stage.put("tx-1", &transaction()).await?;
        }
        Some(Some(status)) => {
            let said = format!(r#"{{"id":"cus_1","status":"{status}","message":"{number}"}}"#);
            stage.business.is("cus_1", [answers(200, &said)]);
            let got = stage.notify(of("tx-1", "cus_1")).await?;
            ensure!(!got.starts_with('-'), "{status}: {got}");
            stage.scene.settle().await?;
        }
        Some(None) => stage.scene.pass(SignedDuration::from_mins(8)).await?,
    }
    Ok(())
}

/// Plays it, dying after effect `crash`; whoever called calls again then. Answers the stage at rest, and whether the
/// process died.
async fn play(crash: Option<usize>) -> Result<(Stage, bool)> {
    let mut stage = Stage::start().await?;
    if let Some(number) = crash {
        stage.scene.effects.die_after(number);
    }
    let mut died = false;
    for number in 0..ACTS {
        let dies = tokio::select! {
            biased;
            () = stage.scene.effects.death() => true,
            done = act(&stage, number) => { done?; false }
        };
        if dies {
            died = true;
            stage.scene.restart()?;
            act(&stage, number).await?;
        }
    }
    Ok((stage, died))
}

/// What each URL was told, in its order: what it is known by and its body, once for all tries that follow each other.
fn by_url(told: Vec<Told>) -> BTreeMap<String, Vec<(String, String)>> {
    let mut by_url: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for told in told {
        let told_there = by_url.entry(told.url).or_default();
        let callback = (told.id, told.body);
        if told_there.last() != Some(&callback) {
            told_there.push(callback);
        }
    }
    by_url
}

#[tokio::test]
async fn dying_after_any_effect_tells_each_status_in_its_order_under_the_same_id() -> Result<()> {
    let (calm, _) = play(None).await?;
    let want = by_url(calm.told()?);
    let counts: Vec<_> = want.values().map(Vec::len).collect();
    assert_eq!(counts, [STATUSES.len(); 2], "{want:?}");
    let mut crashes = 0;
    for number in 1.. {
        let (stage, died) = play(Some(number)).await?;
        if !died {
            break;
        }
        crashes += 1;
        let told = stage.told()?;
        // What was on its way as one batch may come again.
        assert!(told.len() <= 2 * STATUSES.len() + 2, "{number}: {told:?}");
        assert_eq!(by_url(told), want, "after effect {number}");
        assert!(stage.scene.queues.is_empty(), "after effect {number}");
        assert_eq!(stage.recorded().await?, calm.recorded().await?, "{number}");
        let (shown, calm) = (
            stage.transaction("tx-1").await?,
            calm.transaction("tx-1").await?,
        );
        assert_eq!(shown, calm, "after effect {number}");
    }
    assert!(crashes >= 18, "only {crashes} effects");
    Ok(())
}

#[tokio::test]
async fn what_was_written_while_its_queue_was_down_is_told_later_and_in_order() -> Result<()> {
    let stage = Stage::start().await?;
    stage.put("tx-1", &transaction()).await?;
    let moves = async |status: &str| -> Result<String> {
        stage.customer_is("cus_1", status);
        let got = stage.notify(of("tx-1", "cus_1")).await?;
        stage.scene.settle().await?;
        Ok(got)
    };
    stage.scene.effects.queues_out(true);
    assert_eq!(moves("NEEDS_INFO").await?, "pending_customer_info_update");
    assert_eq!(moves("PROCESSING").await?, "pending_anchor");
    stage.scene.effects.queues_out(false);
    // Its message is there before those of the others.
    assert_eq!(moves("ACCEPTED").await?, "pending_user_transfer_start");
    assert!(stage.told()?.is_empty());
    stage.scene.pass(SignedDuration::from_mins(3)).await?;
    let want = ["NEEDS_INFO", "PROCESSING", "ACCEPTED"];
    assert_eq!(stage.told_at(&url_of("lobby", 12))?, want);
    let moved = [
        "pending_customer_info_update",
        "pending_anchor",
        "pending_user_transfer_start",
    ];
    assert_eq!(stage.told_at(&url_of("lobby", 6))?, moved);
    stage.scene.pass(SignedDuration::from_hours(2)).await?;
    assert_eq!(stage.told()?.len(), 6, "each once");
    Ok(())
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_was_made_once() -> Result<()> {
    for (fault, times) in [
        (Fault::Before, 1),
        (Fault::After, 1),
        (Fault::Throttled, 1),
        (Fault::Contended, 1),
        // Nobody ever learns of it from the write itself.
        (Fault::After, 3),
    ] {
        let stage = Stage::start().await?;
        stage.put("tx-1", &transaction()).await?;
        stage.customer_is("cus_1", "NEEDS_INFO");
        for _ in 0..times {
            stage.scene.faults.next("TransactWriteItems", fault);
        }
        let got = stage.notify(of("tx-1", "cus_1")).await?;
        assert_eq!(got, "pending_customer_info_update", "{fault:?}");
        assert_eq!(stage.scene.faults.left(), 0, "{fault:?}");
        stage.scene.pass(SignedDuration::from_mins(3)).await?;
        let told = stage.told()?;
        assert_eq!(told.len(), 2, "{fault:?}: {told:?}");
        assert_eq!(stage.recorded().await?.len(), 2, "{fault:?}");
    }
    Ok(())
}

/// Makes a call, and something else while its answer from the business server is on its way.
async fn while_asking<T>(
    stage: &Stage,
    params: Value,
    other: impl AsyncFnOnce() -> Result<T>,
) -> Result<(String, T)> {
    let held: std::sync::Arc<Held> = stage.business.hold();
    let (got, other) = join!(stage.notify(params), async {
        held.asked().await;
        let other = other().await;
        held.go_on();
        other
    });
    Ok((got?, other?))
}

#[tokio::test]
async fn a_table_that_fails_at_the_write_is_an_error_and_tells_nobody() -> Result<()> {
    let stage = Stage::start().await?;
    stage.put("tx-1", &transaction()).await?;
    stage.customer_is("cus_1", "NEEDS_INFO");
    let fails = async || {
        stage.scene.effects.table_out(true);
        Ok(())
    };
    let (got, ()) = while_asking(&stage, of("tx-1", "cus_1"), fails).await?;
    assert!(
        got.starts_with("-32603 something we depend on is unavailable"),
        "{got}"
    );
    stage.scene.effects.table_out(false);
    stage.scene.pass(SignedDuration::from_mins(3)).await?;
    assert!(stage.recorded().await?.is_empty());
    assert!(stage.told()?.is_empty());
    let got = stage.notify(of("tx-1", "cus_1")).await?;
    assert_eq!(got, "pending_customer_info_update");
    stage.scene.settle().await?;
    assert_eq!(stage.told()?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_older_answer_never_overwrites_a_newer_one() -> Result<()> {
    let stage = Stage::start().await?;
    stage.put("tx-1", &transaction()).await?;
    stage.customer_is("cus_1", "PROCESSING");
    let newer = async || {
        stage.customer_is("cus_1", "ACCEPTED");
        stage.notify(of("tx-1", "cus_1")).await
    };
    let (older, newer) = while_asking(&stage, of("tx-1", "cus_1"), newer).await?;
    assert_eq!(newer, "pending_user_transfer_start");
    assert_eq!(
        older, newer,
        "it was asked again, and there was nothing new"
    );
    assert_eq!(stage.business.calls().len(), 3);
    stage.scene.settle().await?;
    assert_eq!(stage.told_at(&url_of("lobby", 12))?, ["ACCEPTED"]);
    assert_eq!(
        stage.told_at(&url_of("lobby", 6))?,
        ["pending_user_transfer_start"]
    );
    Ok(())
}

#[tokio::test]
async fn of_one_customer_in_two_transactions_each_status_is_told_once() -> Result<()> {
    let stage = Stage::start().await?;
    for id in ["tx-1", "tx-2"] {
        stage.put(id, &transaction()).await?;
    }
    stage.customer_is("cus_1", "NEEDS_INFO");
    let other = async || stage.notify(of("tx-2", "cus_1")).await;
    let (one, other) = while_asking(&stage, of("tx-1", "cus_1"), other).await?;
    assert_eq!(
        (one.as_str(), other.as_str()),
        ("pending_customer_info_update", one.as_str())
    );
    stage.scene.settle().await?;
    assert_eq!(stage.told_at(&url_of("lobby", 12))?, ["NEEDS_INFO"]);
    assert_eq!(stage.told_at(&url_of("lobby", 6))?.len(), 2);
    // Nor does an older answer about the one overwrite a newer one about the other.
    stage.customer_is("cus_1", "PROCESSING");
    let newer = async || {
        stage.customer_is("cus_1", "ACCEPTED");
        stage.notify(of("tx-2", "cus_1")).await
    };
    while_asking(&stage, of("tx-1", "cus_1"), newer).await?;
    stage.scene.settle().await?;
    assert_eq!(
        stage.told_at(&url_of("lobby", 12))?,
        ["NEEDS_INFO", "ACCEPTED"]
    );
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_was_put_meanwhile_is_judged_as_it_is_then() -> Result<()> {
    let stage = Stage::start().await?;
    stage.put("tx-1", &transaction()).await?;
    stage.customer_is("cus_1", "ACCEPTED");
    let over = async || {
        stage
            .put("tx-1", &deposit(json!({ "status": "expired" })))
            .await
    };
    let (got, _) = while_asking(&stage, of("tx-1", "cus_1"), over).await?;
    assert_eq!(
        got,
        "-32600 a transaction in status `expired` does not take it"
    );
    stage.scene.settle().await?;
    assert!(stage.told_at(&url_of("lobby", 12))?.is_empty());
    assert_eq!(stage.told_at(&url_of("lobby", 6))?, ["expired"]);
    Ok(())
}

#[tokio::test]
async fn calls_at_the_same_moment_are_each_answered_and_told_once() -> Result<()> {
    let stage = Stage::start().await?;
    stage.put("tx-1", &transaction()).await?;
    stage.customer_is("cus_1", "NEEDS_INFO");
    let calls = Value::Array(vec![call(of("tx-1", "cus_1")); 3]);
    let same = join_all((0..3).map(|_| stage.rpc(&calls))).await;
    for answers in same {
        for answer in answers?.as_array().into_iter().flatten() {
            assert_eq!(outcome(answer), "pending_customer_info_update");
        }
    }
    stage.scene.settle().await?;
    assert_eq!(stage.told()?.len(), 2);
    // Of two customers each is told, though they move one transaction.
    for customer in ["cus_1", "cus_2"] {
        stage.customer_is(customer, "PROCESSING");
    }
    let both = ["cus_1", "cus_2"].map(|customer| stage.notify(of("tx-1", customer)));
    for got in join_all(both).await {
        assert_eq!(got?, "pending_anchor");
    }
    stage.scene.settle().await?;
    assert_eq!(stage.told_at(&url_of("lobby", 12))?.len(), 3);
    assert_eq!(stage.told_at(&url_of("lobby", 6))?.len(), 2);
    let (shown, _) = stage.transaction("tx-1").await?;
    assert_eq!(text(&shown, "/status"), "pending_anchor");
    Ok(())
}
