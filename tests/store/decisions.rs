//! Decisions: the event and its delivery, once and together.

use anyhow::Result;
use futures::future::try_join_all;
use jiff::SignedDuration;
use shared::delivery::{End, State};
use shared::event::{Event, Json};
use shared::store::{Decisions, Deliveries, EventQuery, Events, Recorded};
use tests::sample::{acme, at, delivery, event, tenant, to_shop, tried};
use tests::table::Table;

#[tokio::test]
async fn a_decision_comes_back_with_its_requests_and_is_listed() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let asked = event("evt_1", "incoming_payment.decision_requested", None);
    let given_up = State::GivenUp {
        reason: End::Undecided,
    };
    let requests = tried(delivery("evt_1", "shop", 1), at(1), 500, given_up);
    let recorded = store
        .record_decision(&acme(), &asked, &to_shop(), Some(&requests), at(2))
        .await?;
    assert_eq!(recorded, Recorded::New);
    let read = store
        .event(&acme(), &asked.id)
        .await?
        .expect("it was recorded");
    assert_eq!((&read.value.event, read.value.recorded_at), (&asked, at(2)));
    assert_eq!(store.deliveries(&acme(), &asked.id).await?, [requests]);
    let query = EventQuery {
        limit: 10,
        since: Some(at(2) - SignedDuration::from_secs(1)),
        ..EventQuery::default()
    };
    let listed = store.events(&acme(), &query).await?.items;
    assert_eq!(
        listed.iter().map(|it| &it.id).collect::<Vec<_>>(),
        [&asked.id]
    );
    assert_eq!(store.event(&tenant("other"), &asked.id).await?, None);
    Ok(())
}

#[tokio::test]
async fn of_many_decisions_under_one_id_one_is_kept_with_its_own_requests_and_all_learn_of_it()
-> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let decisions: Vec<_> = (0..8_u16)
        .map(|n| {
            let asked = Event {
                data: Json::parse(format!("{{\"n\":{n}}}"))?,
                ..event("evt_1", "incoming_payment.decision_requested", None)
            };
            let requests = tried(
                delivery("evt_1", "shop", 1),
                at(1),
                200 + n,
                State::Delivered,
            );
            Ok((asked, requests))
        })
        .collect::<Result<_>>()?;
    let recorded = try_join_all(decisions.iter().map(async |(asked, requests)| {
        store
            .record_decision(&acme(), asked, &to_shop(), Some(requests), at(2))
            .await
    }))
    .await?;
    let winner = recorded
        .iter()
        .position(|it| *it == Recorded::New)
        .expect("one was first");
    let (asked, requests) = decisions.get(winner).expect("it is one of them");
    for (n, recorded) in recorded.into_iter().enumerate() {
        match recorded {
            Recorded::New => assert_eq!(n, winner, "only one was first"),
            Recorded::Known(known) => assert_eq!(known.value.event, *asked),
        }
    }
    let kept = store.deliveries(&acme(), &asked.id).await?;
    assert_eq!(kept, std::slice::from_ref(requests));
    Ok(())
}
