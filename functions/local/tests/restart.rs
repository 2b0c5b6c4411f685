//! What a kept table shows as unfinished is queued again, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use jiff::{SignedDuration, Timestamp};
use local::demo;
use local::embedded::{Embedded, TABLE};
use local::{data, requeue};
use shared::delivery::{Delivery, DeliveryKey, Hold, Outcome, State, Try};
use shared::entropy::SeededEntropy;
use shared::event::{Chosen, Event, EventType, Json, Recipients, Role, Source};
use shared::ids::{EndpointId, EventId, Round, TenantId};
use shared::queue::memory::MemoryQueues;
use shared::queue::task::DeliverTask;
use shared::queue::{Lease, Queue, Task};
use shared::secret::Keyring;
use shared::store::dynamo::{DynamoStore, create_table};
use shared::store::{Deliveries, Events, Recorded, Saved};
use shared::time::{Clock, ManualClock, later};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time in range")
}

fn in_s(seconds: i64) -> Timestamp {
    later(now(), SignedDuration::from_secs(seconds))
}

fn tenant() -> TenantId {
    TenantId::parse(demo::TENANT).expect("a valid id")
}

fn endpoint(name: &str) -> EndpointId {
    EndpointId::parse(name).expect("a valid id")
}

fn event(id: &str) -> Event {
    Event {
        id: EventId::parse(id).expect("a valid id"),
        event_type: EventType::parse("recovery.recovered").expect("a valid type"),
        data: Json::parse("{}".to_owned()).expect("valid JSON"),
        at: now(),
        source: Source::new("stripe"),
        resource: None,
    }
}

async fn store(embedded: &Embedded) -> DynamoStore {
    let client = embedded.client();
    create_table(&client, TABLE).await.expect("a table");
    let entropy = Arc::new(SeededEntropy::new(1));
    let keyring = Keyring::parse(&data::new_key(entropy.as_ref())).expect("a key");
    let retention = SignedDuration::from_hours(24);
    DynamoStore::new(client, TABLE, Arc::new(keyring), entropy, retention)
}

/// A delivery of a round that was tried once and stands like this.
async fn tried(store: &DynamoStore, to: &str, round: Round, state: State, hop: u32) {
    let key = DeliveryKey {
        tenant: tenant(),
        event: event("evt_1").id,
        endpoint: endpoint(to),
        round,
    };
    let tries = vec![Try::new(now(), now(), &Outcome::answered(500))];
    // As whoever made the last try left it.
    let hold = state.due().map(|until| Hold {
        by: "a message of another run".to_owned(),
        receipt: None,
        until,
    });
    let delivery = Delivery {
        hold,
        state,
        hop,
        tries,
        ..Delivery::new(key, None)
    };
    let saved = store
        .save_delivery(&delivery, None, now())
        .await
        .expect("it is stored");
    assert_eq!(saved, Saved::Stored);
}

#[tokio::test]
async fn what_is_not_settled_is_queued_in_its_round_and_for_its_time() {
    let embedded = Embedded::in_memory().await.expect("a database");
    let store = store(&embedded).await;
    demo::seed(&store, 3001, now())
        .await
        .expect("the demo tenant");
    let names = [
        "delivered",
        "later",
        "never",
        "overdue",
        "parked",
        "replayed",
    ];
    let chosen = Chosen::Endpoints(names.map(endpoint).to_vec());
    let recipients = Recipients::Chosen(BTreeMap::from([(Role::Merchant, chosen)]));
    let recorded = store
        .record(&tenant(), &event("evt_1"), &recipients, now())
        .await;
    assert_eq!(recorded.expect("it is recorded"), Recorded::New);
    let second = Round::FIRST.next();
    tried(&store, "delivered", Round::FIRST, State::Delivered, 0).await;
    tried(
        &store,
        "later",
        Round::FIRST,
        State::Retrying { due: in_s(60) },
        0,
    )
    .await;
    tried(
        &store,
        "overdue",
        Round::FIRST,
        State::Retrying { due: in_s(-60) },
        2,
    )
    .await;
    tried(
        &store,
        "parked",
        Round::FIRST,
        State::Parked { due: in_s(3600) },
        1,
    )
    .await;
    tried(&store, "replayed", Round::FIRST, State::Delivered, 0).await;
    tried(
        &store,
        "replayed",
        second,
        State::Retrying { due: in_s(-1) },
        0,
    )
    .await;

    let clock = Arc::new(ManualClock::new(now()));
    let driven: Arc<dyn Clock> = clock.clone();
    let queues = MemoryQueues::new(driven);
    let looked_at = AtomicUsize::new(0);
    let queued = requeue::run(&store, &queues, now(), &looked_at)
        .await
        .expect("it is there");
    assert_eq!((queued, looked_at.into_inner()), (4, 1));

    let at_once = receive(&queues).await;
    let want = [
        ("never", Round::FIRST, 0),
        ("overdue", Round::FIRST, 2),
        ("replayed", second, 0),
    ];
    assert_eq!(
        at_once,
        want.map(|(to, round, hop)| (to.to_owned(), round, hop, true))
    );
    clock.advance(SignedDuration::from_secs(59));
    assert_eq!(receive(&queues).await, []);
    clock.advance(SignedDuration::from_secs(1));
    assert_eq!(
        receive(&queues).await,
        [("later".to_owned(), Round::FIRST, 0, true)]
    );
}

async fn receive(queues: &MemoryQueues) -> Vec<(String, Round, u32, bool)> {
    let received = queues
        .receive(Queue::Deliver, 10, SignedDuration::ZERO)
        .await
        .expect("it is there");
    let mut tasks: Vec<_> = received
        .iter()
        .map(|message| match Task::decode(&message.body) {
            Ok(Task::Deliver(DeliverTask {
                event: carried,
                endpoint,
                round,
                hop,
                check,
                ..
            })) => {
                assert_eq!(carried, event("evt_1"));
                (endpoint.to_string(), round, hop, check)
            }
            other => panic!("no delivery: {other:?}"),
        })
        .collect();
    tasks.sort();
    tasks
}
