//! What is told in order: written whole or not at all, sealed, in the outbox until it is sent, and forgotten by nobody but
//! the next tenant of the name.

use anyhow::Result;
use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use jiff::SignedDuration;
use shared::customer::{CustomerStatus, Snapshot, Telling, Transaction, TransactionStatus};
use shared::decision::Policy;
use shared::delivery::{Cursor, State};
use shared::event::{Recipients, SetAside};
use shared::ids::{EventId, Round};
use shared::store::dynamo::DynamoStore;
use shared::store::{
    AnchorAdmin, AnchorStep, Deliveries, Events, Lines, Made, Outbox, Put, Read, Registrations,
    Saved, StoreError, TenantRecord, Tenants, Transactions, Version,
};
use tests::faults::Fault;
use tests::sample::{
    acme, at, client, customer_line, delivery, event, telling, to_shop, transaction,
    transaction_id, transaction_line, tried,
};
use tests::table::{RETENTION, Table};

use crate::clients::registration;

const CUSTOMER: &str = "customer.status_changed";
const TRANSACTION: &str = "transaction.status_changed";
/// How a customer is told of, with what must not be seen.
const BODY: &str =
    r#"{ "id":"cus_1", "status":"NEEDS_INFO", "message":"Jane Doe, 12 Long Street" }"#;

const DAY: i64 = 24 * 3600;

fn snapshot(told: u64) -> Snapshot {
    Snapshot {
        status: CustomerStatus::NeedsInfo,
        digest: "d1".repeat(32),
        told,
    }
}

/// A step that changes nothing but the transaction.
pub(crate) fn alone(transaction: &Transaction, read: Option<Version>) -> AnchorStep<'_> {
    AnchorStep {
        transaction,
        read,
        snapshot: None,
        registration: None,
        tellings: &[],
    }
}

async fn read(store: &DynamoStore, id: &str) -> Result<Option<Read<Transaction>>> {
    Ok(store.transaction(&acme(), &transaction_id(id)).await?)
}

#[tokio::test]
async fn a_change_is_written_whole_and_sealed() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let (customer, line) = (customer_line("cus_1"), transaction_line("tx_1"));
    let put = client(&acme(), "wallet");
    assert_eq!(store.put_client(&put, None).await?, Put::New);
    let mut known = registration("cus_1", "https://wallet.example/once");
    assert_eq!(store.put_registration(&acme(), &known).await?, Put::New);
    let first = transaction("tx_1", TransactionStatus::Incomplete);
    let saved = store
        .save_change(&acme(), &alone(&first, None), at(1))
        .await?;
    assert_eq!(saved, Saved::Stored);
    assert_eq!(store.newest(&acme(), &line).await?, 0);

    // Long enough to be deflated.
    let long = format!("{{ \"transaction\": [{}1.50] }}", "\"Jane\", ".repeat(200));
    let tellings = [
        telling(&customer, 1, CUSTOMER, BODY),
        telling(&line, 1, TRANSACTION, &long),
    ];
    let second = Transaction {
        told: 1,
        status: TransactionStatus::PendingAnchor,
        ..first
    };
    known.ended.insert("sep6".to_owned());
    let remembered = snapshot(1);
    let step = AnchorStep {
        snapshot: Some((&customer, &remembered, None)),
        registration: Some((&known, Version(1))),
        tellings: &tellings,
        ..alone(&second, Some(Version(1)))
    };
    assert_eq!(
        store.save_change(&acme(), &step, at(2)).await?,
        Saved::Stored
    );

    let version = Version(2);
    let want = Some(Read {
        value: second,
        version,
    });
    assert_eq!(read(&store, "tx_1").await?, want);
    let want = Some(Read {
        value: remembered,
        version: Version(1),
    });
    assert_eq!(store.snapshot(&acme(), &customer).await?, want);
    let want = Some(Read {
        value: known.clone(),
        version,
    });
    let found = store
        .registration(&acme(), &known.client, &known.customer)
        .await?;
    assert_eq!(found, want);
    for Telling { event, recipients } in &tellings {
        let found = store
            .event(&acme(), &event.id)
            .await?
            .expect("it was recorded");
        assert_eq!(found.value.event, *event);
        assert_eq!(found.value.recipients, *recipients);
        assert_eq!(found.value.recorded_at, at(2));
    }
    for line in [&customer, &line] {
        assert_eq!(store.newest(&acme(), line).await?, 1);
    }
    let dump = table.dump().await?;
    for hidden in [
        "Jane",
        "Street",
        "NEEDS_INFO",
        "come by",
        "wallet.example/tx",
        "d1d1",
    ] {
        assert!(!dump.contains(hidden), "{hidden} rests in clear");
    }
    Ok(())
}

#[tokio::test]
async fn a_change_over_what_somebody_else_changed_writes_nothing() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let line = customer_line("cus_1");
    let put = client(&acme(), "wallet");
    assert_eq!(store.put_client(&put, None).await?, Put::New);
    let known = registration("cus_1", "https://wallet.example/once");
    assert_eq!(store.put_registration(&acme(), &known).await?, Put::New);
    let first = transaction("tx_1", TransactionStatus::Incomplete);
    let (remembered, told) = (snapshot(1), [telling(&line, 1, CUSTOMER, BODY)]);
    let step = AnchorStep {
        snapshot: Some((&line, &remembered, None)),
        tellings: &told,
        ..alone(&first, None)
    };
    assert_eq!(
        store.save_change(&acme(), &step, at(1)).await?,
        Saved::Stored
    );
    let before = table.items().await?;

    let changed = transaction("tx_1", TransactionStatus::PendingAnchor);
    let next = [telling(&line, 2, CUSTOMER, BODY)];
    let good = AnchorStep {
        snapshot: Some((&line, &remembered, Some(Version(1)))),
        registration: Some((&known, Version(1))),
        tellings: &next,
        ..alone(&changed, Some(Version(1)))
    };
    let cases = [
        (
            "the transaction was not there",
            AnchorStep { read: None, ..good },
        ),
        (
            "another transaction",
            AnchorStep {
                read: Some(Version(2)),
                ..good
            },
        ),
        (
            "no snapshot",
            AnchorStep {
                snapshot: Some((&line, &remembered, None)),
                ..good
            },
        ),
        (
            "another snapshot",
            AnchorStep {
                snapshot: Some((&line, &remembered, Some(Version(7)))),
                ..good
            },
        ),
        (
            "another registration",
            AnchorStep {
                registration: Some((&known, Version(2))),
                ..good
            },
        ),
        (
            "the event is there",
            AnchorStep {
                tellings: &told,
                ..good
            },
        ),
    ];
    for (name, step) in cases {
        assert_eq!(
            store.save_change(&acme(), &step, at(2)).await?,
            Saved::Lost,
            "{name}"
        );
        assert_eq!(table.items().await?, before, "{name}");
    }
    assert_eq!(
        store.save_change(&acme(), &good, at(2)).await?,
        Saved::Stored
    );
    Ok(())
}

#[tokio::test]
async fn of_two_changes_at_once_one_is_made() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let line = customer_line("cus_1");
    let mut version = None;
    for round in 1..=5 {
        let transaction = transaction("tx_1", TransactionStatus::PendingAnchor);
        let remembered = snapshot(round);
        let told = [telling(&line, round, CUSTOMER, BODY)];
        let step = AnchorStep {
            snapshot: Some((&line, &remembered, version)),
            tellings: &told,
            ..alone(&transaction, version)
        };
        let tenant = acme();
        let writers = (0..2).map(|_| store.save_change(&tenant, &step, at(1)));
        let mut ended = join_all(writers)
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        ended.sort_by_key(|saved| *saved == Saved::Lost);
        assert_eq!(ended, [Saved::Stored, Saved::Lost], "round {round}");
        version = read(&store, "tx_1").await?.map(|read| read.version);
        assert_eq!(version, Some(Version(round)));
        assert_eq!(store.newest(&acme(), &line).await?, round);
    }
    Ok(())
}

#[tokio::test]
async fn a_change_that_is_made_again_is_no_lost_race_and_one_that_collides_is() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let line = customer_line("cus_1");
    let faults = [Fault::Before, Fault::After, Fault::Throttled];
    for (n, fault) in (1..).zip(faults) {
        let transaction = transaction(&format!("tx_{n}"), TransactionStatus::PendingAnchor);
        let told = [telling(&line, n, CUSTOMER, BODY)];
        let step = AnchorStep {
            tellings: &told,
            ..alone(&transaction, None)
        };
        table.faults.next("TransactWriteItems", Fault::Contended);
        let saved = store.save_change(&acme(), &step, at(1)).await?;
        assert_eq!(saved, Saved::Lost, "{fault:?}");
        let event = &told[0].event.id;
        assert_eq!(store.event(&acme(), event).await?, None, "{fault:?}");

        table.faults.next("TransactWriteItems", fault);
        let saved = store.save_change(&acme(), &step, at(1)).await?;
        assert_eq!(saved, Saved::Stored, "{fault:?}");
        assert!(store.event(&acme(), event).await?.is_some(), "{fault:?}");
        assert_eq!(table.faults.left(), 0);

        for _ in 0..3 {
            table.faults.next("TransactWriteItems", fault);
        }
        let again = alone(&transaction, Some(Version(1)));
        let saved = store.save_change(&acme(), &again, at(1)).await;
        assert!(
            matches!(saved, Err(StoreError::Unavailable(_))),
            "{saved:?}"
        );
        table.faults.none();
    }
    Ok(())
}

#[tokio::test]
async fn what_no_item_holds_is_not_written() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let line = customer_line("cus_1");
    let noise = crate::quarantine::noise(800 * 1024);
    let told = [telling(&line, 1, CUSTOMER, &serde_json::to_string(&noise)?)];
    let small = transaction("tx_1", TransactionStatus::Incomplete);
    let large = Transaction {
        message: Some(noise),
        ..small.clone()
    };
    let steps = [
        AnchorStep {
            tellings: &told,
            ..alone(&small, None)
        },
        alone(&large, None),
    ];
    for step in steps {
        let saved = store.save_change(&acme(), &step, at(1)).await;
        assert!(
            matches!(saved, Err(StoreError::TooLarge { .. })),
            "{saved:?}"
        );
        assert_eq!(read(&store, "tx_1").await?, None);
    }
    Ok(())
}

/// Records what is told of a line, one after the other from `from` on, each a second after the one before.
async fn tell(store: &DynamoStore, from: u64, to: u64) -> Result<Vec<EventId>> {
    let line = customer_line("cus_1");
    let mut events = Vec::new();
    for number in from..=to {
        let transaction = transaction(&format!("tx_{number}"), TransactionStatus::Incomplete);
        let told = [telling(&line, number, CUSTOMER, BODY)];
        let step = AnchorStep {
            tellings: &told,
            ..alone(&transaction, None)
        };
        let now = at(i64::try_from(number)?);
        assert_eq!(store.save_change(&acme(), &step, now).await?, Saved::Stored);
        events.push(line.event(&acme(), number));
    }
    Ok(events)
}

#[tokio::test]
async fn what_is_to_be_told_is_in_the_outbox_until_it_is_sent() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let events = tell(&store, 1, 3).await?;
    let nobody = Telling {
        recipients: Recipients::SetAside(SetAside::NoClient),
        ..telling(&customer_line("cus_2"), 1, CUSTOMER, BODY)
    };
    let transaction = transaction("tx_9", TransactionStatus::Incomplete);
    let step = AnchorStep {
        tellings: std::slice::from_ref(&nobody),
        ..alone(&transaction, None)
    };
    assert_eq!(
        store.save_change(&acme(), &step, at(1)).await?,
        Saved::Stored
    );
    let set_aside = store.event(&acme(), &nobody.event.id).await?;
    assert_eq!(set_aside.map(|read| read.value.event), Some(nobody.event));

    let unsent = async |before| {
        let mut found = store.unsent(at(before), 10).await?;
        found.sort();
        anyhow::Ok(
            found
                .into_iter()
                .map(|(_, event)| event)
                .collect::<Vec<_>>(),
        )
    };
    let sorted = |events: &[EventId]| {
        let mut events = events.to_vec();
        events.sort();
        events
    };
    assert_eq!(unsent(1).await?, []);
    assert_eq!(unsent(3).await?, sorted(&events[..2]));
    assert_eq!(unsent(4).await?, sorted(&events));
    let read = store.event(&acme(), &events[0]).await?;
    for _ in 0..2 {
        store.note_sent(&acme(), &events[0]).await?;
        assert_eq!(unsent(4).await?, sorted(&events[1..]));
    }
    assert_eq!(store.event(&acme(), &events[0]).await?, read);
    store.note_sent(&acme(), &EventId::parse("none")?).await?;
    Ok(())
}

#[tokio::test]
async fn a_cursor_moves_only_from_where_it_was_read() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    for line in [customer_line("cus_1"), transaction_line("tx_1")] {
        assert_eq!(store.cursor(&acme(), &line).await?, None);
        let mut cursor = Cursor::default();
        let mut version = None;
        for (n, fault) in (1..).zip([Fault::Before, Fault::After, Fault::Throttled]) {
            cursor.settle(n, Round::FIRST, true);
            table.faults.next("PutItem", fault);
            let saved = store
                .save_cursor(&acme(), &line, &cursor, version, at(1))
                .await?;
            assert_eq!(saved, Saved::Stored, "{fault:?}");
            for stale in [None, Some(Version(7))] {
                let saved = store
                    .save_cursor(&acme(), &line, &Cursor::default(), stale, at(1))
                    .await?;
                assert_eq!(saved, Saved::Lost, "{fault:?}");
            }
            let read = store.cursor(&acme(), &line).await?.expect("it was written");
            assert_eq!(read.value, cursor);
            version = Some(read.version);
        }
    }
    assert_eq!(store.cursor(&acme(), &customer_line("cus_2")).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_payload_that_is_erased_reads_as_null_and_no_other_is_touched() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let events = tell(&store, 1, 2).await?;
    let plain = event("evt_1", "recovery.recovered", None);
    let _new = store.record(&acme(), &plain, &to_shop(), at(1)).await?;
    let known = store
        .event(&acme(), &events[0])
        .await?
        .expect("it is there");
    for _ in 0..2 {
        for event in [&events[0], &plain.id, &EventId::parse("none")?] {
            store.erase(&acme(), event).await?;
        }
        let mut erased = known.clone();
        erased.value.event.data = shared::event::Json::parse("null".to_owned())?;
        assert_eq!(store.event(&acme(), &events[0]).await?, Some(erased));
    }
    let other = store
        .event(&acme(), &events[1])
        .await?
        .expect("it is there");
    assert_eq!(other.value.event.data.as_str(), BODY);
    let found = store.event(&acme(), &plain.id).await?.expect("it is there");
    assert_eq!(found.value.event, plain);
    Ok(())
}

#[tokio::test]
async fn a_payload_that_does_not_open_is_broken_and_no_outage() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let events = tell(&store, 1, 1).await?;
    let plain = event("evt_1", "recovery.recovered", None);
    let _new = store.record(&acme(), &plain, &to_shop(), at(1)).await?;
    let without = table.store_sealing(crate::locked::ANOTHER)?;
    let found = without.event(&acme(), &events[0]).await;
    assert!(
        matches!(found, Err(StoreError::Corrupt { .. })),
        "{found:?}"
    );
    let found = without.transaction(&acme(), &transaction_id("tx_1")).await;
    assert!(
        matches!(found, Err(StoreError::Corrupt { .. })),
        "{found:?}"
    );
    assert_eq!(without.newest(&acme(), &transaction_line("tx_1")).await?, 0);
    assert!(without.event(&acme(), &plain.id).await?.is_some());
    Ok(())
}

async fn ttl(table: &Table, pk: &str, sk: &str) -> Result<Option<i64>> {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let found = table
        .client
        .get_item()
        .table_name(&table.name)
        .key("pk", text(pk))
        .key("sk", text(sk))
        .send()
        .await?;
    let item = found.item.expect("it is there");
    let ttl = item.get("ttl").and_then(|value| value.as_n().ok());
    Ok(ttl.map(|digits| digits.parse()).transpose()?)
}

#[tokio::test]
async fn a_transaction_expires_once_it_is_over_and_after_its_events() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    use TransactionStatus::*;
    let over = [
        Completed, Refunded, Expired, Error, NoMarket, TooSmall, TooLarge,
    ];
    let kept = at(1).as_second() + RETENTION.as_secs();
    for &status in TransactionStatus::ALL {
        let id = status.as_str();
        let told = [telling(&transaction_line(id), 1, TRANSACTION, BODY)];
        let transaction = transaction(id, status);
        let step = AnchorStep {
            tellings: &told,
            ..alone(&transaction, None)
        };
        assert_eq!(
            store.save_change(&acme(), &step, at(1)).await?,
            Saved::Stored
        );
        let want = over.contains(&status).then_some(kept + 14 * DAY);
        assert_eq!(
            ttl(&table, &format!("T#acme#A#{id}"), "A").await?,
            want,
            "{id}"
        );
        let event = format!("T#acme#E#{}", told[0].event.id);
        assert_eq!(ttl(&table, &event, "E").await?, Some(kept), "{id}");
    }
    Ok(())
}

#[tokio::test]
async fn what_waits_behind_a_parked_callback_is_kept_as_long_as_that() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_keeping(SignedDuration::from_hours(24));
    let tenant = TenantRecord {
        id: acme(),
        display_name: None,
        decisions: Policy::default(),
        created_at: at(0),
    };
    assert_eq!(store.put_tenant(&tenant).await?, Made::New);
    let line = transaction_line("tx_1");
    let mut version = None;
    for number in 1..=3 {
        let transaction = transaction("tx_1", TransactionStatus::Completed);
        let told = [telling(&line, number, TRANSACTION, BODY)];
        let step = AnchorStep {
            tellings: &told,
            ..alone(&transaction, version)
        };
        assert_eq!(
            store.save_change(&acme(), &step, at(1)).await?,
            Saved::Stored
        );
        version = Some(Version(number));
    }
    let parked = |event: EventId, due| {
        let fresh = delivery(event.as_str(), "wallet", 1);
        tried(fresh, at(2), 500, State::Parked { due })
    };
    let due = at(20 * DAY);
    let second = parked(line.event(&acme(), 2), due);
    assert_eq!(
        store.save_delivery(&second, None, at(2)).await?,
        Saved::Stored
    );
    let needed = at(21 * DAY).as_second();
    for number in 1..=3 {
        let event = format!("T#acme#E#{}", line.event(&acme(), number));
        let want = if number == 1 {
            at(1 + DAY).as_second()
        } else {
            needed
        };
        assert_eq!(ttl(&table, &event, "E").await?, Some(want), "{number}");
    }
    assert_eq!(ttl(&table, "T#acme#A#tx_1", "A").await?, Some(needed));

    // An open one never expires, whatever is parked.
    let open = transaction("tx_1", TransactionStatus::PendingAnchor);
    let saved = store
        .save_change(&acme(), &alone(&open, version), at(2))
        .await?;
    assert_eq!(saved, Saved::Stored);
    let third = parked(line.event(&acme(), 3), at(40 * DAY));
    assert_eq!(
        store.save_delivery(&third, None, at(2)).await?,
        Saved::Stored
    );
    assert_eq!(ttl(&table, "T#acme#A#tx_1", "A").await?, None);
    Ok(())
}

#[tokio::test]
async fn the_numbers_of_a_transaction_that_is_put_anew_begin_anew() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let line = transaction_line("tx_1");
    let mut cursor = Cursor::default();
    cursor.settle(1, Round::FIRST, true);
    let saved = store
        .save_cursor(&acme(), &line, &cursor, None, at(1))
        .await?;
    assert_eq!(saved, Saved::Stored);
    let again = transaction("tx_1", TransactionStatus::Incomplete);
    let saved = store
        .save_change(&acme(), &alone(&again, None), at(2))
        .await?;
    assert_eq!(saved, Saved::Stored);
    assert_eq!(store.cursor(&acme(), &line).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_tenant_made_anew_finds_nothing_of_the_one_before() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let (line, other) = (customer_line("cus_1"), transaction_line("tx_1"));
    let (first, remembered) = (
        transaction("tx_1", TransactionStatus::Incomplete),
        snapshot(4),
    );
    let fill = async |store: &DynamoStore, now, want| {
        let step = AnchorStep {
            snapshot: Some((&line, &remembered, None)),
            ..alone(&first, None)
        };
        let mut saved = vec![store.save_change(&acme(), &step, at(now)).await?];
        for line in [&line, &other] {
            let cursor = Cursor {
                settled: 4,
                ..Cursor::default()
            };
            saved.push(
                store
                    .save_cursor(&acme(), line, &cursor, None, at(now))
                    .await?,
            );
        }
        assert_eq!(saved, [want; 3], "at {now}");
        anyhow::Ok(())
    };
    let found = async || {
        anyhow::Ok([
            read(&store, "tx_1").await?.is_some(),
            store.snapshot(&acme(), &line).await?.is_some(),
            store.cursor(&acme(), &line).await?.is_some(),
            store.cursor(&acme(), &other).await?.is_some(),
            store.newest(&acme(), &line).await? == 4,
        ])
    };
    fill(&store, 1, Saved::Stored).await?;
    assert_eq!(found().await?, [true; 5]);
    fill(&store, 2, Saved::Lost).await?;
    assert!(store.delete_tenant(&acme(), at(3)).await?);
    let free = 3 + RETENTION.as_secs() + 14 * DAY;
    let anew = TenantRecord {
        id: acme(),
        display_name: None,
        decisions: Policy::default(),
        created_at: at(free),
    };
    assert_eq!(store.put_tenant(&anew).await?, Made::New);
    assert_eq!(found().await?, [false; 5]);
    // Clocks differ a little.
    fill(&store, free - 1, Saved::Stored).await?;
    assert_eq!(found().await?, [true; 5]);
    fill(&store, free + 1, Saved::Lost).await?;
    Ok(())
}
