//! Deliveries: races for one version, and what is due.

use anyhow::Result;
use futures::future::try_join_all;
use jiff::SignedDuration;
use shared::delivery::{Cause, End, Guard, SkipReason, State};
use shared::store::{
    Deliveries, Events, Recorded, Saved, StoreError, Undelivered, UndeliveredQuery,
};
use tests::sample::{
    acme, at, delivery, endpoint_id, event, event_id, intent_key, tenant, to_shop, tried,
};
use tests::table::Table;

#[tokio::test]
async fn every_state_comes_back_with_its_tries_hop_and_guard() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let states = [
        State::Queued,
        State::Retrying { due: at(20) },
        State::Parked { due: at(2000) },
        State::Delivered,
        State::GivenUp { reason: End::Gone },
        State::Superseded,
        State::Expired,
        State::Quarantined {
            cause: Cause::Stuck,
        },
    ];
    let mut written = Vec::new();
    for (round, state) in (1..).zip(states) {
        let mut delivery = tried(delivery("evt_1", "shop", round), at(1), 500, state);
        delivery.hop = round - 1;
        delivery.guard = (round % 2 == 0).then(|| Guard::RetryDue {
            intent: intent_key("in_1"),
            number: 1,
            times: round,
            deadline: at(90),
        });
        assert_eq!(
            store.save_delivery(&delivery, None, at(2)).await?,
            Saved::Stored,
            "{state:?}"
        );
        let read = store
            .delivery(&delivery.key)
            .await?
            .expect("it was written");
        assert_eq!(read.value, delivery);
        written.push(delivery);
    }
    assert_eq!(
        store.deliveries(&acme(), &event_id("evt_1")).await?,
        written
    );
    assert_eq!(store.deliveries(&acme(), &event_id("evt_2")).await?, []);
    Ok(())
}

#[tokio::test]
async fn what_did_not_get_through_to_an_endpoint_is_listed_since_a_time_and_in_pages() -> Result<()>
{
    let table = Table::start().await?;
    let store = table.store();
    let reason = End::RetriesExhausted;
    let cause = Cause::Stuck;
    let states = [
        State::GivenUp { reason },
        State::Parked { due: at(5000) },
        State::Expired,
        State::Quarantined { cause },
        State::Delivered,
        State::Retrying { due: at(20) },
        State::Skipped {
            reason: SkipReason::EndpointDisabled,
        },
        State::GivenUp { reason },
    ];
    for (n, state) in (1..).zip(states) {
        let id = format!("evt_{n}");
        for endpoint in ["shop", "till"] {
            let delivery = tried(delivery(&id, endpoint, 1), at(n), 500, state);
            let saved = store.save_delivery(&delivery, None, at(n)).await?;
            assert_eq!(saved, Saved::Stored);
        }
    }
    let mut quarantined = delivery("evt_never_tried", "shop", 1);
    quarantined.state = State::Quarantined { cause };
    let saved = store.save_delivery(&quarantined, None, at(9)).await?;
    assert_eq!(saved, Saved::Stored);

    let all = UndeliveredQuery {
        limit: 100,
        ..UndeliveredQuery::default()
    };
    let list = async |query: &UndeliveredQuery| {
        let mut query = query.clone();
        let mut events = Vec::new();
        loop {
            let page = store
                .undelivered(&acme(), &endpoint_id("shop"), &query)
                .await?;
            assert!(page.items.len() <= query.limit);
            let ids = page.items.iter().map(|it| it.key.event.to_string());
            events.extend(ids);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok::<_, StoreError>(events),
            }
        }
    };
    let whole = [
        "evt_never_tried",
        "evt_8",
        "evt_7",
        "evt_4",
        "evt_3",
        "evt_2",
        "evt_1",
    ];
    assert_eq!(list(&all).await?, whole);
    let paged = UndeliveredQuery {
        limit: 2,
        ..all.clone()
    };
    assert_eq!(list(&paged).await?, whole);
    let since = UndeliveredQuery {
        since: Some(at(3)),
        ..paged.clone()
    };
    assert_eq!(list(&since).await?, whole[..5]);
    let given_up = UndeliveredQuery {
        state: Some(Undelivered::GivenUp),
        limit: 1,
        ..all
    };
    assert_eq!(list(&given_up).await?, ["evt_8", "evt_1"]);

    let key = delivery("evt_8", "shop", 1).key;
    let read = store.delivery(&key).await?.expect("it was written");
    let delivered = tried(read.value, at(30), 200, State::Delivered);
    let saved = store
        .save_delivery(&delivered, Some(read.version), at(30))
        .await?;
    assert_eq!(saved, Saved::Stored);
    assert_eq!(list(&given_up).await?, ["evt_1"]);
    // Sent again, it is no longer the first round that stands for it.
    let again = tried(delivery("evt_1", "shop", 2), at(31), 200, State::Delivered);
    let saved = store.save_delivery(&again, None, at(31)).await?;
    assert_eq!(saved, Saved::Stored);
    assert!(list(&given_up).await?.is_empty());
    let nobody = store
        .undelivered(&tenant("other"), &endpoint_id("shop"), &given_up)
        .await?;
    assert_eq!(nobody.items, []);
    Ok(())
}

#[tokio::test]
async fn deliveries_of_an_event_come_by_endpoint_and_round() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let event = event("evt_1", "recovery.recovered", None);
    assert_eq!(
        store.record(&acme(), &event, &to_shop(), at(1)).await?,
        Recorded::New
    );
    for (endpoint, round) in [("a-b", 1), ("a", 10), ("b", 1), ("a", 2)] {
        let delivery = tried(
            delivery("evt_1", endpoint, round),
            at(1),
            200,
            State::Delivered,
        );
        assert_eq!(
            store.save_delivery(&delivery, None, at(2)).await?,
            Saved::Stored
        );
    }
    let got = store.deliveries(&acme(), &event_id("evt_1")).await?;
    let got: Vec<_> = got
        .iter()
        .map(|d| (d.key.endpoint.as_str(), d.key.round.number()))
        .collect();
    assert_eq!(got, [("a", 2), ("a", 10), ("a-b", 1), ("b", 1)]);
    Ok(())
}

#[tokio::test]
async fn of_many_that_write_over_one_version_exactly_one_wins() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let first = tried(
        delivery("evt_1", "shop", 1),
        at(1),
        500,
        State::Retrying { due: at(11) },
    );
    // Even what they write is the same.
    let race = async |delivery: &shared::delivery::Delivery, read| {
        let saved =
            try_join_all((0..16).map(|_| store.save_delivery(delivery, read, at(2)))).await?;
        anyhow::Ok(
            saved
                .into_iter()
                .filter(|saved| *saved == Saved::Stored)
                .count(),
        )
    };
    assert_eq!(race(&first, None).await?, 1);
    let read = store.delivery(&first.key).await?.expect("it was written");
    let second = tried(first, at(11), 200, State::Delivered);
    assert_eq!(race(&second, Some(read.version)).await?, 1);
    assert_eq!(
        store.delivery(&second.key).await?.map(|read| read.value),
        Some(second)
    );
    Ok(())
}

#[tokio::test]
async fn what_is_parked_is_due_at_its_time_and_no_more_once_it_was_taken_up() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let due = at(2000) + SignedDuration::from_nanos(1);
    let mut keys = Vec::new();
    for n in 0..40 {
        let parked = tried(
            delivery(&format!("evt_{n:02}"), "shop", 1),
            at(1),
            500,
            State::Parked { due },
        );
        assert_eq!(
            store.save_delivery(&parked, None, at(2)).await?,
            Saved::Stored
        );
        keys.push(parked.key);
    }
    let retrying = tried(
        delivery("evt_r", "shop", 1),
        at(1),
        500,
        State::Retrying { due: at(5) },
    );
    assert_eq!(
        store.save_delivery(&retrying, None, at(2)).await?,
        Saved::Stored
    );

    assert_eq!(
        store.due(at(2000), 100).await?,
        [],
        "a fraction of a millisecond too early"
    );
    let mut got = store.due(at(2001), 100).await?;
    got.sort();
    assert_eq!(got, keys);
    let few = store.due(at(2001), 1).await?.len();
    assert!((1..=16).contains(&few), "one of each shard, not {few}");

    for key in &keys {
        let read = store.delivery(key).await?.expect("it was written");
        let taken = tried(read.value, at(2001), 500, State::Retrying { due: at(2010) });
        assert_eq!(
            store
                .save_delivery(&taken, Some(read.version), at(2001))
                .await?,
            Saved::Stored
        );
    }
    assert_eq!(store.due(at(9999), 100).await?, []);
    Ok(())
}

#[tokio::test]
async fn an_event_outlives_its_parked_deliveries() -> Result<()> {
    let table = Table::start().await?;
    let hour = SignedDuration::from_hours(1);
    let store = table.store_keeping(hour);
    let kept_until = async || -> Result<i64> {
        let dump = table.dump().await?;
        let event = dump
            .lines()
            .find(|line| line.contains("\"ha\""))
            .expect("the event is there");
        let ttl = event
            .split("\"ttl\": N(\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        Ok(ttl.expect("it expires").parse()?)
    };
    let event = event("evt_1", "recovery.recovered", None);
    assert_eq!(
        store.record(&acme(), &event, &to_shop(), at(0)).await?,
        Recorded::New
    );
    assert_eq!(kept_until().await?, (at(0) + hour).as_second());

    let due = at(7200);
    let parked = tried(
        delivery("evt_1", "shop", 1),
        at(1),
        500,
        State::Parked { due },
    );
    assert_eq!(
        store.save_delivery(&parked, None, at(2)).await?,
        Saved::Stored
    );
    let kept = (due + hour * 24).as_second();
    assert_eq!(kept_until().await?, kept);

    let sooner = tried(
        delivery("evt_1", "till", 1),
        at(1),
        500,
        State::Parked { due: at(3600) },
    );
    assert_eq!(
        store.save_delivery(&sooner, None, at(2)).await?,
        Saved::Stored
    );
    assert_eq!(kept_until().await?, kept);
    Ok(())
}
