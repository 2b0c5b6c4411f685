//! Recording events, and listing them.

use std::collections::BTreeMap;

use anyhow::Result;
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use shared::event::{Chosen, EventType, Json, NoReceiver, Recipients, Role, SetAside};
use shared::ids::EventId;
use shared::store::{Cursor, EventQuery, Events, Recorded, Saved, StoreError};
use tests::sample::{acme, at, event, event_id, tenant, to_shop};
use tests::table::Table;

#[tokio::test]
async fn an_event_comes_back_whole_and_the_first_under_its_id_is_kept() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let mut first = event("evt_1", "recovery.recovered", Some("in_1"));
    first.data = Json::parse(format!(
        "{{ \"n\": 1.50, \"text\": \"{}\" }}",
        "caf\u{e9} ".repeat(200)
    ))?;
    first.at = Timestamp::from_nanosecond(1_767_225_600_123_456_789)?;
    let now = at(10) + SignedDuration::from_millis(7);

    assert_eq!(
        store.record(&acme(), &first, &to_shop(), now).await?,
        Recorded::New
    );
    let read = store
        .event(&acme(), &first.id)
        .await?
        .expect("it was recorded");
    assert_eq!(read.value.event, first);
    assert_eq!(
        (
            read.value.recipients.clone(),
            read.value.recorded_at,
            read.value.conflicts
        ),
        (to_shop(), now, 0)
    );

    let second = event("evt_1", "recovery.cancelled", None);
    let known = store
        .record(
            &acme(),
            &second,
            &Recipients::SetAside(SetAside::NotHandled),
            at(20),
        )
        .await?;
    assert_eq!(known, Recorded::Known(Box::new(read)));
    assert_eq!(store.event(&tenant("other"), &first.id).await?, None);
    Ok(())
}

#[tokio::test]
async fn of_many_that_record_one_id_at_once_exactly_one_is_first() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let event = event("evt_1", "recovery.recovered", None);
    let (tenant, recipients) = (acme(), to_shop());
    let got =
        try_join_all((0..20).map(|_| store.record(&tenant, &event, &recipients, at(1)))).await?;
    assert_eq!(
        got.iter()
            .filter(|recorded| **recorded == Recorded::New)
            .count(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn recipients_are_replaced_only_as_they_were_read() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let event = event("evt_1", "recovery.recovered", None);
    assert_eq!(
        store.record(&acme(), &event, &to_shop(), at(1)).await?,
        Recorded::New
    );
    let read = store
        .event(&acme(), &event.id)
        .await?
        .expect("it was recorded");
    let more = Recipients::Chosen(BTreeMap::from([
        (Role::Merchant, Chosen::Endpoints(vec![])),
        (Role::Pos, Chosen::Nobody(NoReceiver::Filtered)),
    ]));

    assert_eq!(
        store
            .set_recipients(&acme(), &event.id, &more, read.version)
            .await?,
        Saved::Stored
    );
    assert_eq!(
        store
            .set_recipients(&acme(), &event.id, &to_shop(), read.version)
            .await?,
        Saved::Lost
    );
    let now = store
        .event(&acme(), &event.id)
        .await?
        .expect("it was recorded");
    assert_eq!(now.value.recipients, more);
    assert_eq!(
        store
            .set_recipients(&acme(), &event_id("never"), &more, now.version)
            .await?,
        Saved::Lost
    );
    assert_eq!(store.event(&acme(), &event_id("never")).await?, None);
    Ok(())
}

#[tokio::test]
async fn conflicts_are_counted_beside_the_version_and_only_for_events_that_are_there() -> Result<()>
{
    let table = Table::start().await?;
    let store = table.store();
    let event = event("evt_1", "recovery.recovered", None);
    assert_eq!(
        store.record(&acme(), &event, &to_shop(), at(1)).await?,
        Recorded::New
    );
    let read = store
        .event(&acme(), &event.id)
        .await?
        .expect("it was recorded");
    let (tenant, never) = (acme(), event_id("never"));
    try_join_all((0..5).map(|_| store.note_conflict(&tenant, &event.id))).await?;
    store.note_conflict(&tenant, &never).await?;

    let now = store
        .event(&acme(), &event.id)
        .await?
        .expect("it was recorded");
    assert_eq!((now.value.conflicts, now.version), (5, read.version));
    assert_eq!(store.event(&acme(), &never).await?, None);
    Ok(())
}

#[tokio::test]
async fn an_event_that_no_item_can_hold_is_refused_before_it_is_sent() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let mut large = event("evt_1", "recovery.recovered", None);
    let noise: Vec<String> = (0..90_000_u64)
        .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string())
        .collect();
    large.data = Json::of(&noise)?;
    let got = store.record(&acme(), &large, &to_shop(), at(1)).await;
    assert!(matches!(got, Err(StoreError::TooLarge { .. })), "{got:?}");
    assert_eq!(table.meter.take(), []);
    Ok(())
}

/// Every page of a list, to its end.
async fn pages(store: &impl Events, mut query: EventQuery) -> Result<Vec<Vec<EventId>>> {
    let mut pages = Vec::new();
    loop {
        let page = store.events(&acme(), &query).await?;
        pages.push(page.items.into_iter().map(|summary| summary.id).collect());
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(pages),
        }
    }
}

#[tokio::test]
async fn pages_of_a_list_hold_everything_once_newest_first_even_at_one_time() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let mut want = Vec::new();
    for n in 0..37_i64 {
        // Five events share each time.
        let event = event(&format!("evt_{n:02}"), "recovery.recovered", None);
        assert_eq!(
            store.record(&acme(), &event, &to_shop(), at(n / 5)).await?,
            Recorded::New
        );
        want.push((at(n / 5), event.id));
    }
    let elsewhere = event("evt_x", "recovery.recovered", None);
    assert_eq!(
        store
            .record(&tenant("other"), &elsewhere, &to_shop(), at(3))
            .await?,
        Recorded::New
    );
    want.sort_unstable_by(|a, b| b.cmp(a));
    let want: Vec<EventId> = want.into_iter().map(|(_, id)| id).collect();

    for limit in [1, 2, 5, 10, 36, 37, 38, 100] {
        let pages = pages(
            &store,
            EventQuery {
                limit,
                ..EventQuery::default()
            },
        )
        .await?;
        assert_eq!(pages.concat(), want, "pages of {limit}");
        assert_eq!(pages.len(), want.len().div_ceil(limit), "pages of {limit}");
    }
    Ok(())
}

#[tokio::test]
async fn a_list_is_narrowed_by_type_resource_and_time() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    for n in 0..30_i64 {
        let event_type = if n % 3 == 0 {
            "recovery.recovered"
        } else {
            "recovery.cancelled"
        };
        let resource = format!("in_{}", n % 2);
        let event = event(&format!("evt_{n:02}"), event_type, Some(&resource));
        assert_eq!(
            store.record(&acme(), &event, &to_shop(), at(n)).await?,
            Recorded::New
        );
    }
    struct Case {
        name: &'static str,
        query: EventQuery,
        want: fn(i64) -> bool,
    }
    let some = |event_type: &str| EventType::parse(event_type).ok();
    let limit = 4;
    let cases = [
        Case {
            name: "type",
            query: EventQuery {
                event_type: some("recovery.recovered"),
                limit,
                ..EventQuery::default()
            },
            want: |n| n % 3 == 0,
        },
        Case {
            name: "resource",
            query: EventQuery {
                resource: Some("in_1".into()),
                limit,
                ..EventQuery::default()
            },
            want: |n| n % 2 == 1,
        },
        Case {
            name: "both",
            query: EventQuery {
                event_type: some("recovery.recovered"),
                resource: Some("in_1".into()),
                limit,
                ..EventQuery::default()
            },
            want: |n| n % 6 == 3,
        },
        Case {
            name: "from a time on, before a time",
            query: EventQuery {
                since: Some(at(5)),
                until: Some(at(12)),
                limit,
                ..EventQuery::default()
            },
            want: |n| (5..12).contains(&n),
        },
        Case {
            name: "a fraction of a millisecond later",
            query: EventQuery {
                since: Some(at(5) + SignedDuration::from_nanos(1)),
                until: Some(at(12) + SignedDuration::from_nanos(1)),
                limit,
                ..EventQuery::default()
            },
            want: |n| (6..=12).contains(&n),
        },
        Case {
            name: "nothing between",
            query: EventQuery {
                since: Some(at(12)),
                until: Some(at(5)),
                limit,
                ..EventQuery::default()
            },
            want: |_| false,
        },
        Case {
            name: "a type that there is none of",
            query: EventQuery {
                event_type: some("nothing.happened"),
                limit,
                ..EventQuery::default()
            },
            want: |_| false,
        },
    ];
    for Case { name, query, want } in cases {
        let want: Vec<EventId> = (0..30)
            .rev()
            .filter(|n| want(*n))
            .map(|n| event_id(&format!("evt_{n:02}")))
            .collect();
        assert_eq!(pages(&store, query).await?.concat(), want, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_page_goes_on_after_a_cursor_whose_event_is_gone() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    for n in [1, 3] {
        let event = event(&format!("evt_{n}"), "recovery.recovered", None);
        assert_eq!(
            store.record(&acme(), &event, &to_shop(), at(n)).await?,
            Recorded::New
        );
    }
    let cursor = Some(Cursor {
        at: at(2),
        id: event_id("evt_2"),
    });
    let got = pages(
        &store,
        EventQuery {
            cursor,
            limit: 10,
            ..EventQuery::default()
        },
    )
    .await?;
    assert_eq!(got, [[event_id("evt_1")]]);
    Ok(())
}
