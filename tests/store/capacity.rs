//! What the table is billed for: one line per request that the flow makes, in half units.

use anyhow::Result;
use shared::customer::{CustomerStatus, Snapshot, TransactionStatus};
use shared::delivery::{Cursor, State};
use shared::event::Json;
use shared::ids::EventId;
use shared::recovery::{SignalKind, Stage, TokenLedger};
use shared::store::{
    Accounts, AnchorStep, BillingAccounts, Claimed, Deliveries, DueIntents, EndpointAdmin,
    EndpointRecord, Endpoints, EventQuery, Events, IntentList, IntentQuery, IntentStep, Intents,
    LedgerStep, Lines, Outbox, Put, Recorded, Saved, Transactions, Version,
};
use tests::sample::{
    account, acme, at, customer_line, delivery, endpoint, event, intent, telling, to_shop,
    transaction, transaction_line, tried,
};
use tests::table::Table;

/// A payload of 700 bytes, of the kind that events have.
fn payload() -> Result<Json> {
    let mut text = String::from(
        r#"{"payment_id":"9d1ce0a5-4f0c-4a52-9f6e-0b6c3c2f9e11","invoice":"in_1PqRsTuVwXyZ0123456789","#,
    );
    text.push_str(r#""amount":{"amount":2500,"currency":"EUR"},"attempt":3,"decline":{"code":"card_declined","message":"Your card was declined."},"#);
    text.push_str(r#""customer":{"id":"cus_QwErTyUiOp123456","email":"a.customer@shop.example","address":{"line1":"12 Long Street","city":"Cape Town","country":"ZA"}},"#);
    text.push_str(r#""metadata":{"order":"4711-0815","channel":"web","campaign":"spring-2026","basket":"b7f3c9d1e5"},"note":""#);
    while text.len() < 698 {
        text.push(char::from(b'a' + u8::try_from(text.len() * 7 % 26)?));
    }
    text.push_str("\"}");
    assert_eq!(text.len(), 700);
    Ok(Json::parse(text)?)
}

#[tokio::test]
async fn the_flow_costs_what_the_budget_says() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let mut got = Vec::new();
    let mut note = |name: &'static str| {
        let calls = table.meter.take();
        let indexes: u64 = calls.iter().flat_map(|call| call.indexes.values()).sum();
        got.push((
            name,
            calls.len(),
            calls.iter().map(|call| call.table).sum::<u64>(),
            indexes,
        ));
    };

    let id = EventId::derive(&acme(), "in_1", "ch_1", "recovery.payment_failed");
    let mut event = event(
        id.as_str(),
        "recovery.payment_failed",
        Some("in_1PqRsTuVwXyZ0123456789"),
    );
    event.data = payload()?;
    assert_eq!(
        store.record(&acme(), &event, &to_shop(), at(1)).await?,
        Recorded::New
    );
    note("record an event of 700 bytes");
    assert!(matches!(
        store.record(&acme(), &event, &to_shop(), at(1)).await?,
        Recorded::Known(_)
    ));
    note("record it again");
    let read = store
        .event(&acme(), &event.id)
        .await?
        .expect("it was recorded");
    note("read it");
    assert_eq!(
        store
            .set_recipients(&acme(), &event.id, &to_shop(), read.version)
            .await?,
        Saved::Stored
    );
    note("choose its recipients again");
    store.note_conflict(&acme(), &event.id).await?;
    note("note a conflict");

    let fresh = delivery(event.id.as_str(), "shop", 1);
    let done = tried(fresh.clone(), at(2), 200, State::Delivered);
    assert_eq!(
        store.save_delivery(&done, None, at(2)).await?,
        Saved::Stored
    );
    note("a first try that delivers");
    let failed = tried(
        delivery(event.id.as_str(), "till", 1),
        at(2),
        500,
        State::Retrying { due: at(12) },
    );
    assert_eq!(
        store.save_delivery(&failed, None, at(2)).await?,
        Saved::Stored
    );
    note("a first try that fails");
    let read = store.delivery(&failed.key).await?.expect("it was written");
    note("read it before the next");
    let parked = tried(read.value, at(12), 500, State::Parked { due: at(2000) });
    assert_eq!(
        store
            .save_delivery(&parked, Some(read.version), at(12))
            .await?,
        Saved::Stored
    );
    note("a try that parks it");
    let read = store.delivery(&parked.key).await?.expect("it was written");
    let done = tried(read.value, at(2000), 200, State::Delivered);
    table.meter.take();
    assert_eq!(
        store
            .save_delivery(&done, Some(read.version), at(2000))
            .await?,
        Saved::Stored
    );
    note("a try that delivers what was parked");
    store.due(at(9999), 100).await?;
    note("look for what is due, when nothing is");

    let open = intent("in_1PqRsTuVwXyZ0123456789", 1, SignalKind::PaymentFailed);
    store.intent(&acme(), &open.key).await?;
    note("read an intent that is not there");
    assert_eq!(
        store
            .save_step(&acme(), &IntentStep::alone(&open, None), at(1))
            .await?,
        Saved::Stored
    );
    note("open an intent");
    let read = store
        .intent(&acme(), &open.key)
        .await?
        .expect("it was written");
    note("read it again");
    let next = intent("in_1PqRsTuVwXyZ0123456789", 4, SignalKind::PaymentSucceeded);
    assert_eq!(
        store
            .save_step(
                &acme(),
                &IntentStep::alone(&next, Some(read.version)),
                at(1)
            )
            .await?,
        Saved::Stored
    );
    note("an intent of four attempts");
    let mut planned = intent("in_1PqRsTuVwXyZ9876543210", 1, SignalKind::PaymentFailed);
    planned.retry.stage = Stage::Planned { at: at(9000) };
    store.ledger(&acme(), "pm_1PqRsTuVwXyZ0123456789").await?;
    note("read a ledger that is not there");
    let mut ledger = TokenLedger::default();
    ledger.set(&planned.key, [at(1)], at(1));
    let token = |ledger, read| LedgerStep {
        token: "pm_1PqRsTuVwXyZ0123456789",
        ledger,
        read,
    };
    let step = IntentStep {
        ledgers: vec![token(&ledger, None)],
        ..IntentStep::alone(&planned, None)
    };
    assert_eq!(store.save_step(&acme(), &step, at(1)).await?, Saved::Stored);
    note("open an intent, plan its retry, and open its token's ledger");
    let read = store
        .intent(&acme(), &planned.key)
        .await?
        .expect("it was written");
    let known = store.ledger(&acme(), "pm_1PqRsTuVwXyZ0123456789").await?;
    let known = known.expect("it was written");
    table.meter.take();
    planned.retry.stage = Stage::Planned { at: at(9999) };
    let step = IntentStep {
        ledgers: vec![token(&ledger, Some(known.version))],
        ..IntentStep::alone(&planned, Some(read.version))
    };
    assert_eq!(store.save_step(&acme(), &step, at(1)).await?, Saved::Stored);
    note("plan another retry");
    store.due_intents(at(0), 100).await?;
    note("look for due intents, when there are none");

    let shop = EndpointRecord {
        endpoint: endpoint(&acme(), "shop", "whsec_new"),
        created_at: at(1),
    };
    let store = table.store_of(&[acme()]).await?;
    assert_eq!(store.put_endpoint(&shop, None).await?, Put::New);
    assert_eq!(
        store
            .put_account(&account(&acme(), "pro_1", "mca_1"), at(1))
            .await?,
        Claimed::New
    );
    table.meter.take();
    store.endpoints(&acme()).await?;
    note("the endpoints of a tenant");
    let account = account(&acme(), "pro_1", "mca_1");
    store
        .billing_account(&account.profile_id, &account.connector_account_id)
        .await?;
    note("a billing account");
    store
        .events(
            &acme(),
            &EventQuery {
                limit: 50,
                ..EventQuery::default()
            },
        )
        .await?;
    note("list events");
    store
        .intents(
            &acme(),
            &IntentQuery {
                limit: 50,
                ..IntentQuery::default()
            },
        )
        .await?;
    note("list intents");

    // Name, requests, half units of the table, half units of the indexes. A refused write says nothing of the unit that
    // it is billed.
    // Two items of a unit each, twice over. Ministack adds what the indexes took to what the table took.
    let transacted = if cfg!(feature = "ministack") { 12 } else { 8 };
    let want = [
        ("record an event of 700 bytes", 1, 2, 2),
        ("record it again", 1, 0, 0),
        ("read it", 1, 2, 0),
        ("choose its recipients again", 1, 2, 0),
        ("note a conflict", 1, 2, 0),
        ("a first try that delivers", 1, 2, 0),
        ("a first try that fails", 1, 2, 0),
        ("read it before the next", 1, 2, 0),
        ("a try that parks it", 1, 2, 4),
        ("a try that delivers what was parked", 1, 2, 4),
        ("look for what is due, when nothing is", 16, 0, 16),
        ("read an intent that is not there", 1, 2, 0),
        ("open an intent", 1, 2, 2),
        ("read it again", 1, 2, 0),
        ("an intent of four attempts", 1, 2, 2),
        ("read a ledger that is not there", 1, 2, 0),
        (
            "open an intent, plan its retry, and open its token's ledger",
            1,
            transacted,
            4,
        ),
        ("plan another retry", 1, transacted, 4),
        ("look for due intents, when there are none", 16, 0, 16),
        ("the endpoints of a tenant", 1, 1, 0),
        ("a billing account", 1, 1, 0),
        ("list events", 8, 0, 8),
        ("list intents", 9, 1, 8),
    ];
    assert_eq!(got, want);
    Ok(())
}

#[tokio::test]
async fn what_a_wallet_is_told_costs_what_the_budget_says() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let mut got = Vec::new();
    let mut note = |name: &'static str| {
        let calls = table.meter.take();
        let indexes: u64 = calls.iter().flat_map(|call| call.indexes.values()).sum();
        let table = calls.iter().map(|call| call.table).sum::<u64>();
        got.push((name, calls.len(), table, indexes));
    };
    let mut kept = transaction("tx_1", TransactionStatus::Incomplete);
    let (customer, line) = (customer_line("cus_1"), transaction_line("tx_1"));
    let snapshot = Snapshot {
        status: CustomerStatus::NeedsInfo,
        digest: "d1".repeat(32),
        told: 1,
    };
    let body = payload()?;
    let told = [
        telling(&customer, 1, "customer.status_changed", body.as_str()),
        telling(&line, 1, "transaction.status_changed", body.as_str()),
    ];
    let first = AnchorStep {
        transaction: &kept.clone(),
        read: None,
        snapshot: None,
        registration: None,
        tellings: &[],
    };
    table.meter.take();
    assert_eq!(
        store.save_change(&acme(), &first, at(1)).await?,
        Saved::Stored
    );
    note("put a transaction");
    kept.status = TransactionStatus::PendingAnchor;
    let step = AnchorStep {
        transaction: &kept,
        read: Some(Version(1)),
        snapshot: Some((&customer, &snapshot, None)),
        tellings: &told,
        ..first
    };
    assert_eq!(
        store.save_change(&acme(), &step, at(1)).await?,
        Saved::Stored
    );
    note("tell of a customer and of the transaction");
    for telling in &told {
        store.note_sent(&acme(), &telling.event.id).await?;
    }
    note("note that both were sent");
    let mut cursor = Cursor::default();
    cursor.settle(1, shared::ids::Round::FIRST, true);
    let saved = store
        .save_cursor(&acme(), &line, &cursor, None, at(1))
        .await?;
    assert_eq!(saved, Saved::Stored);
    note("settle one");
    store.erase(&acme(), &told[0].event.id).await?;
    note("erase one");
    store.unsent(at(0), 100).await?;
    note("look for what was not sent, when all was");

    // A payload of 700 bytes makes, with its place in its line, an event of two units. Written twice over: two items at
    // first, then two of one unit and two of two.
    let (put, tell) = if cfg!(feature = "ministack") {
        (8, 32)
    } else {
        (8, 24)
    };
    let want = [
        ("put a transaction", 1, put, 0),
        ("tell of a customer and of the transaction", 1, tell, 8),
        ("note that both were sent", 2, 8, 4),
        ("settle one", 1, 2, 0),
        ("erase one", 1, 4, 0),
        ("look for what was not sent, when all was", 16, 0, 16),
    ];
    assert_eq!(got, want);
    Ok(())
}
