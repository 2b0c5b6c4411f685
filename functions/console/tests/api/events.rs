//! Events: listed with what became of them, read with their deliveries and tries, replayed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::delivery::{Cause, Cursor, End, SkipReason, State};
use shared::event::{
    Callback, Chosen, Event, EventType, Json, Line, NoReceiver, Recipients, Role, Sep, SetAside,
    Via,
};
use shared::ids::{CustomerId, Round};
use shared::queue::task::DeliverTask;
use shared::queue::{Queue, Task};
use shared::store::{Lines, Saved};

use crate::support::{World, delivery_key, endpoint_id, event, tenant_id};

const EVENTS: &str = "/v1/tenants/acme/events";
const GIVEN_UP: State = State::GivenUp {
    reason: End::RetriesExhausted,
};

fn ids(list: &Value) -> Vec<String> {
    let data = list.pointer("/data").and_then(Value::as_array);
    data.into_iter()
        .flatten()
        .filter_map(|item| Some(item.get("id")?.as_str()?.to_owned()))
        .collect()
}

/// Records one event in each state, a second apart.
async fn one_of_each(world: &World) {
    world.tenant("acme").await;
    let due = "2026-11-22T10:00:00.000Z".parse().expect("a time");
    let states = [
        ("delivered", State::Delivered),
        ("superseded", State::Superseded),
        ("retrying", State::Retrying { due }),
        ("parked", State::Parked { due }),
        ("held", State::Held { until: due }),
        ("expired", State::Expired),
        ("failed", GIVEN_UP),
        (
            "switched_off",
            State::Skipped {
                reason: SkipReason::EndpointDisabled,
            },
        ),
    ];
    for (id, state) in states {
        world.record("acme", id, &["shop"]).await;
        world
            .tried(delivery_key("acme", id, "shop", 1), &[500], state)
            .await;
        world.pass(1);
    }
    world.record("acme", "queued", &["shop"]).await;
    world.pass(1);
    let nobody = Recipients::Chosen(BTreeMap::from([(
        Role::Merchant,
        Chosen::Nobody(NoReceiver::Filtered),
    )]));
    world.record_for("acme", event("filtered"), nobody).await;
    world.pass(1);
    world
        .record_for(
            "acme",
            event("ignored"),
            Recipients::SetAside(SetAside::NotHandled),
        )
        .await;
}

#[tokio::test]
async fn events_are_listed_newest_first_with_what_became_of_them() {
    let world = World::start().await;
    one_of_each(&world).await;
    let listed = world.get(EVENTS).await;
    let states: Vec<_> = listed
        .at("/data")
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| {
            [&item["id"], &item["state"], &item["reason"]]
                .map(|value| value.as_str().unwrap_or("-").to_owned())
        })
        .collect();
    let want = [
        ["ignored", "skipped", "not_handled"],
        ["filtered", "skipped", "filtered"],
        ["queued", "queued", "-"],
        ["switched_off", "skipped", "endpoint_disabled"],
        ["failed", "failed", "retries_exhausted"],
        ["expired", "expired", "-"],
        ["held", "held", "-"],
        ["parked", "parked", "-"],
        ["retrying", "retrying", "-"],
        ["superseded", "superseded", "-"],
        ["delivered", "delivered", "-"],
    ];
    assert_eq!(states, want);
    assert_eq!(listed.at("/next_cursor"), Value::Null);
    let want = json!({
        "id": "delivered",
        "type": "recovery.payment_failed",
        "state": "delivered",
        "resource": "in_1",
        "recorded_at": "2026-11-22T09:00:00.000Z",
    });
    assert_eq!(listed.at("/data/10"), want);
}

#[tokio::test]
async fn a_list_is_narrowed_by_what_is_asked() {
    let world = World::start().await;
    one_of_each(&world).await;
    let other = shared::event::Event {
        event_type: EventType::parse("recovery.recovered").expect("a valid type"),
        resource: Some("in/2 é".to_owned()),
        ..event("other")
    };
    world.pass(1);
    let nobody = Recipients::Chosen(BTreeMap::from([(
        Role::Merchant,
        Chosen::Nobody(NoReceiver::NoEndpoint),
    )]));
    world.record_for("acme", other, nobody).await;
    let cases: [(&str, &[&str]); 9] = [
        ("type=recovery.recovered", &["other"]),
        ("resource=in%2F2%20%C3%A9", &["other"]),
        ("resource=in_3", &[]),
        ("state=failed", &["failed"]),
        (
            "state=skipped&type=recovery.payment_failed",
            &["ignored", "filtered", "switched_off"],
        ),
        (
            "since=2026-11-22T09:00:09.000Z",
            &["other", "ignored", "filtered"],
        ),
        (
            "until=2026-11-22T09:00:02.000Z",
            &["superseded", "delivered"],
        ),
        (
            "since=2026-11-22T09:00:01Z&until=2026-11-22T10:00:02%2B01:00",
            &["superseded"],
        ),
        ("state=&type=&limit=2", &["other", "ignored"]),
    ];
    for (query, want) in cases {
        let listed = world.get(&format!("{EVENTS}?{query}")).await;
        assert_eq!(
            (listed.status, ids(&listed.body)),
            (200, want.iter().map(|id| (*id).to_owned()).collect()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_right_is_named() {
    let time = "must be a time such as 2026-01-31T12:00:00Z (RFC 3339; write `+` as %2B)";
    let limit = "`limit`: must be a whole number from 1 to 100";
    let cases = [
        ("sate=failed", "`sate`: is not known here; expected is one of `type`, `state`, `resource`, `since`, `until`, `cursor`, `limit`".to_owned()),
        ("state=given_up", "`state`: must be one of delivered, skipped, superseded, queued, retrying, parked, held, expired, failed, quarantined".to_owned()),
        ("state=failed&state=queued", "`state`: is given twice".to_owned()),
        ("type=a%20b", "`type`: an event type must be 1 to 128 characters of A-Z, a-z, 0-9, `_` and `.`".to_owned()),
        ("since=yesterday", format!("`since`: {time}")),
        ("until=2026-11-22T10:00:00+01:00", format!("`until`: {time}")),
        ("cursor=hush", "`cursor`: must be the `next_cursor` of the page before".to_owned()),
        ("limit=0", limit.to_owned()),
        ("limit=101", limit.to_owned()),
        ("limit=ten", limit.to_owned()),
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    for (query, detail) in cases {
        assert_eq!(
            world.get(&format!("{EVENTS}?{query}")).await.problem(),
            (400, detail),
            "{query}"
        );
    }
}

/// Follows the cursors to the end and returns the pages.
async fn pages(world: &World, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world
            .get(&format!("{EVENTS}?{query}&cursor={cursor}"))
            .await;
        assert_eq!(page.status, 200, "{page:?}");
        pages.push(ids(&page.body));
        match page.at("/next_cursor") {
            Value::String(next) => cursor = next,
            _ => return pages,
        }
    }
}

#[tokio::test]
async fn pages_join_without_gap_or_repetition() {
    let world = World::start().await;
    world.tenant("acme").await;
    let mut all = Vec::new();
    for n in 0..13 {
        let id = format!("evt_{n:02}");
        world.record("acme", &id, &["shop"]).await;
        if n % 3 == 0 {
            world
                .tried(
                    delivery_key("acme", &id, "shop", 1),
                    &[200],
                    State::Delivered,
                )
                .await;
        }
        all.insert(0, id);
        // Several share a time.
        world.pass(i64::from(n % 2 == 0));
    }
    let delivered: Vec<_> = all
        .iter()
        .filter(|id| id.ends_with(['0', '3', '6', '9']) || id.ends_with("12"))
        .cloned()
        .collect();
    let delivered: Vec<_> = delivered
        .into_iter()
        .filter(|id| !id.ends_with("10"))
        .collect();

    for limit in [1, 2, 5, 12, 13, 14, 100] {
        for (query, want) in [("", &all), ("state=delivered&", &delivered)] {
            let pages = pages(&world, &format!("{query}limit={limit}")).await;
            let (last, full) = pages.split_last().expect("there is always a page");
            assert!(
                full.iter().all(|page| page.len() == limit),
                "{query}{limit}: {pages:?}"
            );
            assert!(last.len() <= limit, "{query}{limit}: {pages:?}");
            let mut got = pages.concat();
            let mut want = want.clone();
            got.sort();
            want.sort();
            assert_eq!(got, want, "{query}{limit}");
        }
    }
}

#[tokio::test]
async fn a_search_for_a_rare_state_stops_after_500_events_and_can_go_on() {
    let world = World::start().await;
    world.tenant("acme").await;
    world.record("acme", "rare", &["shop"]).await;
    world
        .tried(delivery_key("acme", "rare", "shop", 1), &[500], GIVEN_UP)
        .await;
    for n in 0..500 {
        world.pass(1);
        world.record("acme", &format!("evt_{n}"), &["shop"]).await;
    }
    assert_eq!(
        pages(&world, "state=failed").await,
        [vec![], vec!["rare".to_owned()]]
    );
}

#[tokio::test]
async fn an_event_is_told_with_everything_that_became_of_it() {
    let world = World::start().await;
    world.tenant("acme").await;
    let chosen = Chosen::Endpoints(vec![endpoint_id("shop"), endpoint_id("till")]);
    let nobody = Chosen::Nobody(NoReceiver::NoEndpoint);
    let recipients = Recipients::Chosen(BTreeMap::from([
        (Role::Merchant, chosen),
        (Role::Pos, nobody),
    ]));
    world.record_for("acme", event("evt_1"), recipients).await;
    world.pass(1);
    world
        .tried(
            delivery_key("acme", "evt_1", "shop", 1),
            &[500, 503],
            GIVEN_UP,
        )
        .await;
    let due = "2026-11-22T09:00:11.000Z".parse().expect("a time");
    world
        .tried(
            delivery_key("acme", "evt_1", "shop", 2),
            &[500],
            State::Retrying { due },
        )
        .await;

    let read = world.get("/v1/tenants/acme/events/evt_1").await;
    let tried =
        |status: u16| json!({"at": "2026-11-22T09:00:01.000Z", "took_ms": 0, "status": status});
    let want = json!({
        "id": "evt_1",
        "type": "recovery.payment_failed",
        "source": "stripe",
        "resource": "in_1",
        "occurred_at": "2026-11-22T09:00:00.000Z",
        "recorded_at": "2026-11-22T09:00:00.000Z",
        "data": {"amount": 2500, "rate": 1.50},
        "state": "retrying",
        "conflicts": 0,
        "recipients": [
            {"role": "pos", "reason": "no_endpoint"},
            {"role": "merchant", "endpoints": ["shop", "till"]},
        ],
        "deliveries": [
            {"endpoint": "shop", "round": 1, "state": "given_up", "reason": "retries_exhausted", "tries": [tried(500), tried(503)]},
            {"endpoint": "shop", "round": 2, "state": "retrying", "next_try_at": "2026-11-22T09:00:11.000Z", "tries": [tried(500)]},
            {"endpoint": "till", "round": 1, "state": "queued", "tries": []},
        ],
    });
    assert_eq!((read.status, read.body), (200, want));
    let payload = r#""data":{ "amount": 2500, "rate": 1.50 },"#;
    assert!(
        read.raw.contains(payload),
        "the payload keeps its text: {}",
        read.raw
    );

    let missing = world.get("/v1/tenants/acme/events/evt_2").await;
    assert_eq!(
        missing.problem(),
        (404, "There is no event `evt_2` here.".to_owned())
    );
}

#[tokio::test]
async fn a_settled_delivery_is_replayed_in_its_next_round() {
    let settled = [
        GIVEN_UP,
        State::Delivered,
        State::Expired,
        State::Superseded,
        State::Skipped {
            reason: SkipReason::EndpointDisabled,
        },
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    for (n, state) in settled.into_iter().enumerate() {
        let id = format!("evt_{n}");
        let event = world.record("acme", &id, &["shop"]).await;
        world
            .tried(delivery_key("acme", &id, "shop", 1), &[500], GIVEN_UP)
            .await;
        world
            .tried(delivery_key("acme", &id, "shop", 2), &[500], state)
            .await;
        let replayed = world
            .post(
                &format!("{EVENTS}/{id}/deliveries/shop/replay"),
                Value::Null,
            )
            .await;
        assert_eq!(
            (replayed.status, replayed.body),
            (202, json!({"endpoint": "shop", "round": 3})),
            "{state:?}"
        );
        let want = Task::Deliver(DeliverTask {
            tenant: delivery_key("acme", &id, "shop", 3).tenant,
            event,
            endpoint: endpoint_id("shop"),
            round: Round::new(3).expect("a round from 1"),
            hop: 0,
            check: true,
            guard: None,
        });
        assert_eq!(
            world.taken(Queue::Deliver).await,
            [want.encode().body],
            "{state:?}"
        );
    }
}

#[tokio::test]
async fn a_delivery_set_aside_is_taken_up_in_its_own_round() {
    let world = World::start().await;
    world.tenant("acme").await;
    let event = world.record("acme", "evt_1", &["shop"]).await;
    let key = delivery_key("acme", "evt_1", "shop", 2);
    let state = State::Quarantined {
        cause: Cause::Stuck,
    };
    world.tried(key, &[500], state).await;
    let shown = world.get(&format!("{EVENTS}/evt_1")).await;
    assert_eq!(
        (shown.text("/state"), shown.text("/reason")),
        ("quarantined".to_owned(), "stuck".to_owned())
    );
    let replayed = world
        .post(
            &format!("{EVENTS}/evt_1/deliveries/shop/replay"),
            Value::Null,
        )
        .await;
    assert_eq!(
        (replayed.status, replayed.body),
        (202, json!({"endpoint": "shop", "round": 2}))
    );
    let want = Task::Deliver(DeliverTask {
        tenant: delivery_key("acme", "evt_1", "shop", 2).tenant,
        event,
        endpoint: endpoint_id("shop"),
        round: Round::new(2).expect("a round from 1"),
        hop: 0,
        check: true,
        guard: None,
    });
    assert_eq!(world.taken(Queue::Deliver).await, [want.encode().body]);
}

#[tokio::test]
async fn what_is_not_settled_or_not_there_is_not_replayed() {
    let world = World::start().await;
    world.tenant("acme").await;
    let due = "2026-11-22T10:00:00.000Z".parse().expect("a time");
    for (id, state) in [
        ("retrying", State::Retrying { due }),
        ("parked", State::Parked { due }),
        ("held", State::Held { until: due }),
    ] {
        world.record("acme", id, &["shop"]).await;
        world
            .tried(
                delivery_key("acme", id, "shop", 1),
                &[200],
                State::Delivered,
            )
            .await;
        world
            .tried(delivery_key("acme", id, "shop", 2), &[500], state)
            .await;
    }
    world.record("acme", "queued", &["shop"]).await;
    for state in ["retrying", "parked", "held", "queued"] {
        let refused = world
            .post(
                &format!("{EVENTS}/{state}/deliveries/shop/replay"),
                Value::Null,
            )
            .await;
        let detail = format!("The latest round is {state}; it can be replayed once it is over.");
        assert_eq!(refused.problem(), (409, detail));
    }
    let cases = [
        (
            "nothing/deliveries/shop",
            "There is no event `nothing` here.",
        ),
        (
            "queued/deliveries/till",
            "There is no delivery of the event to endpoint `till` here.",
        ),
    ];
    for (path, detail) in cases {
        let refused = world
            .post(&format!("{EVENTS}/{path}/replay"), Value::Null)
            .await;
        assert_eq!(refused.problem(), (404, detail.to_owned()), "{path}");
    }
    assert!(world.queues.is_empty());
}

#[tokio::test]
async fn a_decision_is_found_like_any_event_and_never_replayed() {
    let world = World::start().await;
    world.tenant("acme").await;
    let decided = Event {
        source: shared::decision::source(),
        ..event("evt_1")
    };
    let chosen = Chosen::Endpoints(vec![endpoint_id("ase")]);
    let recipients = Recipients::Chosen(BTreeMap::from([(Role::Ase, chosen)]));
    world.record_for("acme", decided, recipients).await;
    let undecided = State::GivenUp {
        reason: End::Undecided,
    };
    world
        .tried(delivery_key("acme", "evt_1", "ase", 1), &[500], undecided)
        .await;
    let found = world.get(&format!("{EVENTS}/evt_1")).await;
    assert_eq!(
        (found.text("/state"), found.text("/reason")),
        ("failed".to_owned(), "undecided".to_owned())
    );
    let refused = world
        .post(
            &format!("{EVENTS}/evt_1/deliveries/ase/replay"),
            Value::Null,
        )
        .await;
    let detail = "A decision is asked for once, while somebody waits; it can't be replayed. Ask again at \
                  `incoming-payments/decisions` with another `Idempotency-Key`.";
    assert_eq!(refused.problem(), (409, detail.to_owned()));
    assert!(world.queues.is_empty());
}

#[tokio::test]
async fn the_deliveries_of_an_endpoint_that_did_not_get_through_are_listed() {
    let world = World::start().await;
    one_of_each(&world).await;
    let path = "/v1/tenants/acme/endpoints/shop/deliveries";
    let events = |list: &Value| -> Vec<String> {
        let data = list.pointer("/data").and_then(Value::as_array);
        let event = |item: &Value| item["event"].as_str().unwrap_or_default().to_owned();
        data.into_iter().flatten().map(event).collect()
    };
    let cases: [(&str, &[&str]); 6] = [
        ("", &["switched_off", "failed", "expired", "held", "parked"]),
        ("?state=held", &["held"]),
        ("?state=given_up", &["failed"]),
        ("?state=skipped", &["switched_off"]),
        (
            "?since=2026-11-22T09:00:05Z",
            &["switched_off", "failed", "expired"],
        ),
        ("?state=quarantined", &[]),
    ];
    for (query, want) in cases {
        let listed = world.get(&format!("{path}{query}")).await;
        assert_eq!(events(&listed.body), want, "{query}: {listed:?}");
    }
    let first = world.get(&format!("{path}?limit=1")).await;
    let want = json!({
        "event": "switched_off",
        "endpoint": "shop",
        "round": 1,
        "state": "skipped",
        "reason": "endpoint_disabled",
        "tries": [{"at": "2026-11-22T09:00:07.000Z", "took_ms": 0, "status": 500}],
    });
    assert_eq!(first.at("/data/0"), want);
    let cursor = first.text("/next_cursor");
    let second = world.get(&format!("{path}?limit=2&cursor={cursor}")).await;
    assert_eq!(events(&second.body), ["failed", "expired"]);

    let refused = world.get(&format!("{path}?state=failed")).await;
    let rule = "`state`: must be one of parked, held, given_up, expired, skipped, quarantined";
    assert_eq!(refused.problem(), (400, rule.to_owned()));
    let elsewhere = world
        .get("/v1/tenants/acme/endpoints/till/deliveries")
        .await;
    assert_eq!(elsewhere.body, json!({"data": [], "next_cursor": null}));
}

/// What `lobby` is told of the customer `cus_1`, for the `number`th time.
fn told(number: u64) -> Recipients {
    let client = endpoint_id("lobby");
    Recipients::Callback(Callback {
        client: client.clone(),
        via: Via::Static { sep: Sep::Sep12 },
        line: Line::Customer {
            client: Some(client),
            customer: CustomerId::parse("cus_1").expect("a valid id"),
            kind: None,
        },
        number,
    })
}

fn callback(id: &str, data: &str) -> Event {
    Event {
        event_type: EventType::parse("customer.status_changed").expect("a valid type"),
        data: Json::parse(data.to_owned()).expect("valid JSON"),
        resource: Some("cus_1".to_owned()),
        ..event(id)
    }
}

#[tokio::test]
async fn what_wallets_are_told_is_shown_only_to_a_key_with_the_right() {
    let world = World::start().await;
    let plain = world.tenant("acme").await;
    let right = world
        .post("/v1/tenants/acme/keys", json!({"personal_data": true}))
        .await
        .text("/key");
    let data = r#"{"id":"cus_1","status":"REJECTED","message":"hush"}"#;
    world
        .record_for("acme", callback("cb_1", data), told(1))
        .await;
    let nobody = Recipients::SetAside(SetAside::NoClient);
    world
        .record_for("acme", callback("cb_2", data), nobody)
        .await;
    world
        .record_for("acme", callback("cb_3", "null"), told(2))
        .await;
    world.record("acme", "evt_1", &["shop"]).await;

    let read = async |key: &str, id: &str| {
        let answer = world
            .call(key, "GET", &format!("{EVENTS}/{id}"), Value::Null)
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    };
    for key in [crate::support::OPERATOR, &plain] {
        for id in ["cb_1", "cb_2"] {
            let answer = read(key, id).await;
            assert_eq!(answer.at("/data_withheld"), "personal_data", "{id}");
            assert!(!answer.raw.contains("hush"), "{answer:?}");
            assert!(answer.body.get("data").is_none(), "{answer:?}");
        }
        let listed = world.call(key, "GET", EVENTS, Value::Null).await;
        assert!(!listed.raw.contains("hush"), "{listed:?}");
    }
    for id in ["cb_1", "cb_2"] {
        let answer = read(&right, id).await;
        assert!(answer.raw.contains(&format!(r#""data":{data}"#)), "{id}");
        assert_eq!(answer.at("/data_withheld"), Value::Null, "{id}");
    }
    let erased = read(&right, "cb_3").await;
    assert_eq!(erased.at("/data_withheld"), "erased");
    let other = read(&plain, "evt_1").await;
    assert_eq!(other.at("/data/amount"), 2500, "nobody's person");
    assert_eq!(other.body.get("callback"), None);

    let answer = read(&plain, "cb_1").await;
    let place = json!({"client": "lobby", "via": "static", "customer": "cus_1", "number": 1});
    assert_eq!(answer.at("/callback"), place);
    assert_eq!(answer.at("/deliveries/0/endpoint"), "lobby");
    assert_eq!(answer.at("/recipients"), json!([]));
}

#[tokio::test]
async fn a_callback_is_replayed_in_its_turn_unless_a_newer_state_was_told() {
    let world = World::start().await;
    world.tenant("acme").await;
    let data = r#"{"id":"cus_1","status":"PROCESSING"}"#;
    let events = [
        ("cb_1", data),
        ("cb_2", data),
        ("cb_3", data),
        ("cb_4", "null"),
    ];
    for (number, (id, data)) in (1..).zip(events) {
        world
            .record_for("acme", callback(id, data), told(number))
            .await;
    }
    for (id, state) in [
        ("cb_1", GIVEN_UP),
        ("cb_2", State::Delivered),
        ("cb_3", GIVEN_UP),
        ("cb_4", State::Delivered),
    ] {
        world
            .tried(delivery_key("acme", id, "lobby", 1), &[500], state)
            .await;
    }
    let replay = async |id: &str| {
        let path = format!("{EVENTS}/{id}/deliveries/lobby/replay");
        world.post(&path, Value::Null).await
    };
    let line = told(1).callback().map(|callback| callback.line.clone());
    let line = line.expect("it is a callback");
    let cursor = Cursor {
        settled: 3,
        told: 2,
        ..Cursor::default()
    };
    let saved = world
        .store
        .save_cursor(&tenant_id("acme"), &line, &cursor, None, world.now())
        .await;
    assert_eq!(saved.ok(), Some(Saved::Stored));

    let refused = replay("cb_1").await;
    assert_eq!(
        (refused.problem().0, refused.text("/type")),
        (409, "/problems/overtaken".to_owned())
    );
    let refused = replay("cb_4").await;
    assert_eq!(
        (refused.problem().0, refused.text("/type")),
        (409, "/problems/erased".to_owned())
    );
    assert!(world.queues.is_empty(), "nothing was sent");

    for id in ["cb_2", "cb_3"] {
        let replayed = replay(id).await;
        let want = json!({"endpoint": "lobby", "round": 2});
        assert_eq!((replayed.status, replayed.body), (202, want), "{id}");
    }
    let sent = world.taken(Queue::DeliverOrdered).await;
    let tasks = sent.iter().map(|body| {
        assert!(
            !body.contains("PROCESSING"),
            "it goes by name alone: {body}"
        );
        let Ok(Task::Callback(task)) = Task::decode(body) else {
            panic!("no callback: {body}");
        };
        (task.key(), task.line, task.hop)
    });
    let want = ["cb_2", "cb_3"].map(|id| (delivery_key("acme", id, "lobby", 2), line.clone(), 0));
    assert_eq!(tasks.collect::<Vec<_>>(), want);
}
