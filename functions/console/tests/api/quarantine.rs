//! The quarantine: told without bodies, redriven to the queue it came from, forgotten.

use serde_json::{Value, json};
use shared::ids::Round;
use shared::queue::task::DeliverTask;
use shared::queue::{Queue, Receipt, Received, Task};
use shared::store::{Cause, Quarantine, Quarantined};

use crate::support::{World, endpoint_id, event, tenant_id};

/// Sets a message aside and answers its name.
pub(crate) async fn set_aside(
    world: &World,
    queue: Queue,
    message: &str,
    tenant: Option<&str>,
    body: &str,
) -> String {
    let received = Received {
        id: message.to_owned(),
        receipt: Receipt("r".to_owned()),
        body: body.to_owned(),
        count: 3,
        sent: world.now(),
        group: None,
    };
    let entry = Quarantined::new(
        queue,
        &received,
        Cause::Panicked,
        tenant.map(tenant_id),
        world.now(),
    );
    world
        .store
        .quarantine(&entry)
        .await
        .expect("the table takes it");
    entry.id.to_string()
}

fn deliver(check: bool) -> Task {
    Task::Deliver(DeliverTask {
        tenant: tenant_id("acme"),
        event: event("evt_1"),
        endpoint: endpoint_id("shop"),
        round: Round::FIRST,
        hop: 0,
        check,
        guard: None,
    })
}

#[tokio::test]
async fn messages_are_told_newest_first_and_never_their_bodies() {
    let world = World::start().await;
    let acme = world.tenant("acme").await;
    let mine = set_aside(&world, Queue::Deliver, "m1", Some("acme"), "hush-body").await;
    world.pass(1);
    let nobodys = set_aside(&world, Queue::Recover, "m2", None, "hush").await;

    let one = json!({
        "id": mine,
        "queue": "deliver",
        "cause": "panicked",
        "tenant": "acme",
        "event": null,
        "type": null,
        "signal": null,
        "resource": null,
        "endpoint": null,
        "at": "2026-11-22T09:00:00.000Z",
        "received": 3,
        "size": 9,
    });
    let other = json!({
        "id": nobodys,
        "queue": "recover",
        "cause": "panicked",
        "tenant": null,
        "event": null,
        "type": null,
        "signal": null,
        "resource": null,
        "endpoint": null,
        "at": "2026-11-22T09:00:01.000Z",
        "received": 3,
        "size": 4,
    });
    let list = |data: Value| json!({"data": data, "next_cursor": null});
    assert_eq!(
        world.get("/v1/quarantine").await.body,
        list(json!([other, one]))
    );
    assert_eq!(
        world.get("/v1/quarantine?tenant=acme").await.body,
        list(json!([one]))
    );
    assert_eq!(
        world.get("/v1/quarantine?tenant=rival").await.body,
        list(json!([]))
    );
    assert_eq!(
        world.get("/v1/tenants/acme/quarantine").await.body,
        list(json!([one]))
    );
    assert_eq!(world.get(&format!("/v1/quarantine/{mine}")).await.body, one);
    assert_eq!(
        world.get(&format!("/v1/quarantine/{nobodys}")).await.body,
        other
    );

    let as_tenant = async |id: &str| {
        world
            .call(&acme, "GET", &format!("/v1/quarantine/{id}"), Value::Null)
            .await
    };
    assert_eq!(as_tenant(&mine).await.body, one);
    let (nobodys, missing) = (as_tenant(&nobodys).await, as_tenant("deliver-none").await);
    assert_eq!((nobodys.status, missing.status), (403, 403));
    assert_eq!(
        nobodys.body, missing.body,
        "what is there and what is not look the same"
    );
}

#[tokio::test]
async fn pages_follow_each_other() {
    let world = World::start().await;
    world.tenant("acme").await;
    for n in 0..5 {
        let tenant = (n != 2).then_some("acme");
        set_aside(&world, Queue::Deliver, &format!("m{n}"), tenant, "x").await;
        world.pass(1);
    }
    for (path, want) in [("/v1/quarantine", 5), ("/v1/tenants/acme/quarantine", 4)] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = world.get(&format!("{path}?limit=2&cursor={cursor}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            seen.extend(
                page.at("/data")
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|item| item["id"].to_string()),
            );
            match page.at("/next_cursor") {
                Value::String(next) => cursor = next,
                _ => break,
            }
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), want, "{path}");
    }
    let refused = world.get("/v1/quarantine?cursor=*").await;
    assert_eq!(
        refused.problem(),
        (
            400,
            "`cursor`: must be the `next_cursor` of the page before".to_owned()
        )
    );
    let refused = world.get("/v1/quarantine?tenants=acme").await;
    let detail = "`tenants`: is not known here; expected is one of `tenant`, `cursor`, `limit`";
    assert_eq!(refused.problem(), (400, detail.to_owned()));
}

#[tokio::test]
async fn a_message_goes_back_to_its_queue_and_is_forgotten() {
    let world = World::start().await;
    let cases = [
        (
            "what can't be read goes as it is",
            Queue::Fanout,
            "no task".to_owned(),
            "no task".to_owned(),
        ),
        (
            "a delivery is to be checked",
            Queue::Deliver,
            deliver(false).encode().body,
            deliver(true).encode().body,
        ),
    ];
    for (name, queue, body, want) in cases {
        let id = set_aside(&world, queue, name, None, &body).await;
        let path = format!("/v1/quarantine/{id}");
        let redriven = world.post(&format!("{path}/redrive"), Value::Null).await;
        assert_eq!(
            (redriven.status, redriven.body),
            (202, json!({"id": id, "queue": queue.as_str()})),
            "{name}"
        );
        assert_eq!(world.taken(queue).await, [want], "{name}");
        let gone = (404, format!("There is no message `{id}` here."));
        assert_eq!(world.get(&path).await.problem(), gone, "{name}");
        assert_eq!(
            world
                .post(&format!("{path}/redrive"), Value::Null)
                .await
                .problem(),
            gone,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_message_is_forgotten_for_good() {
    let world = World::start().await;
    let id = set_aside(&world, Queue::Deliver, "m1", None, "x").await;
    let path = format!("/v1/quarantine/{id}");
    assert_eq!(world.delete(&path).await.status, 204);
    assert_eq!(world.delete(&path).await.status, 404);
    assert!(world.queues.is_empty());
}

#[tokio::test]
async fn a_message_that_does_not_open_is_told_as_broken_and_does_not_go_back() {
    let world = World::start().await;
    let other = set_aside(&world, Queue::Fanout, "m2", None, "hush").await;
    let world = world.sealing_otherwise();
    let id = set_aside(&world, Queue::Fanout, "m1", None, "hush").await;
    let listed = world.get("/v1/quarantine").await.body;
    let broken = |id: &str| {
        let entries = listed["data"].as_array().expect("a list");
        let entry = entries.iter().find(|entry| entry["id"] == id);
        entry.expect("it is listed").get("broken").is_some()
    };
    assert!(broken(&id) && !broken(&other), "{listed}");
    let path = format!("/v1/quarantine/{id}");
    let redriven = world.post(&format!("{path}/redrive"), Value::Null).await;
    assert_eq!(redriven.status, 409);
    assert_eq!(world.taken(Queue::Fanout).await, [""; 0]);
    assert_eq!(world.delete(&path).await.status, 204);
}
