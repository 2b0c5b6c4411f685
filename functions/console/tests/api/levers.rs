//! Levers: what is done to the retries of an intent by hand.

use serde_json::{Value, json};
use shared::ids::SignalId;
use shared::queue::{Queue, Task};
use shared::recovery::{EndReason, Hold, Pull, Retry, Signal, SignalKind, Stage};

use crate::intents::{READ, failed, keep};
use crate::support::{OPERATOR, World, tenant_id};

fn lever(name: &str) -> String {
    format!("/v1/tenants/acme/intents/{name}?profile=pro_1&account=mca_1&invoice=in%2F1")
}

#[tokio::test]
async fn a_lever_is_pulled_by_a_message_that_says_who_did_it() {
    let world = World::start().await;
    let key = world.tenant("acme").await;
    let (_, mut intent) = failed();
    keep(&world, &intent).await;
    let id = world.get("/v1/tenants/acme/keys").await.at("/data/0/id");
    for (path, name, hold, key, by) in [
        ("pause", "pause", None, OPERATOR, json!(null)),
        ("cancel", "cancel", None, key.as_str(), id.clone()),
        ("resume", "resume", Some(Hold::Paused), key.as_str(), id),
    ] {
        intent.retry.hold = hold;
        keep(&world, &intent).await;
        world.pass(60);
        let answer = world.call(key, "POST", &lever(path), Value::Null).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.at("/lever"), name);
        assert_eq!(answer.at("/by"), by);
        assert_eq!(answer.at("/at"), format!("{:.3}", world.now()));
        let sent = world.taken(Queue::Recover).await;
        let [sent] = sent.as_slice() else {
            panic!("one message: {sent:?}")
        };
        let Ok(Task::Lever(task)) = Task::decode(sent) else {
            panic!("a lever: {sent}")
        };
        assert_eq!(
            (task.tenant, &task.intent),
            (tenant_id("acme"), &intent.key)
        );
        let Pull {
            id,
            lever,
            by,
            at,
            refused,
        } = task.pull;
        assert_eq!(refused, None);
        let told = json!({"id": id, "lever": lever.as_str(), "by": by, "at": format!("{at:.3}")});
        assert_eq!(told, answer.body);
    }
    assert_eq!(
        world.get(READ).await.at("/pulls"),
        json!([]),
        "recover writes it"
    );
}

#[tokio::test]
async fn a_lever_that_makes_no_sense_is_refused_and_sends_nothing() {
    let world = World::start().await;
    world.tenant("acme").await;
    let unknown = world.post(&lever("pause"), Value::Null).await;
    let absent = "There is no intent for invoice `in/1` here.";
    assert_eq!(unknown.problem(), (404, absent.to_owned()));
    let (failed, open) = failed();
    keep(&world, &open).await;
    let wrong = world.post(&lever("push"), Value::Null).await;
    let rule = "`lever`: must be `pause`, `resume`, `cancel` or `retry-now`";
    assert_eq!(wrong.problem(), (400, rule.to_owned()));
    let incomplete = "/v1/tenants/acme/intents/pause?profile=pro_1&account=mca_1";
    let missing = world.post(incomplete, Value::Null).await;
    assert_eq!(missing.problem(), (400, "`invoice`: is missing".to_owned()));

    let ended = |reason| Retry {
        stage: Stage::Ended { reason },
        ..Retry::default()
    };
    let held = |hold| Retry {
        hold: Some(hold),
        ..Retry::default()
    };
    let joined = |kind| {
        let mut intent = open.clone();
        let mut signal = Signal {
            kind,
            left: None,
            charge: None,
            ..failed.clone()
        };
        signal.id = SignalId::parse("evt_9").expect("a valid id");
        signal.order.rank = 9;
        intent.join(&signal, signal.order.at);
        intent
    };
    let with = |retry| {
        let mut intent = open.clone();
        intent.retry = retry;
        intent
    };
    let cases = [
        (
            joined(SignalKind::PaymentSucceeded),
            "pause",
            "the invoice was collected",
        ),
        (
            joined(SignalKind::InvoiceCancelled),
            "retry-now",
            "the billing platform gave the invoice up",
        ),
        (
            with(ended(EndReason::HardDeclined)),
            "retry-now",
            "the card must not be charged again",
        ),
        (
            with(ended(EndReason::RetriesExhausted)),
            "retry-now",
            "no retries are left",
        ),
        (
            with(held(Hold::Paused)),
            "retry-now",
            "its retries are paused or cancelled; `resume` them first",
        ),
        (
            with(Retry::default()),
            "resume",
            "its retries are neither paused nor cancelled",
        ),
    ];
    for (intent, name, why) in cases {
        keep(&world, &intent).await;
        let refused = world.post(&lever(name), Value::Null).await;
        assert_eq!(
            refused.problem(),
            (409, format!("Nothing was done: {why}.")),
            "{name}"
        );
        assert_eq!(refused.text("/type"), "/problems/lever-refused");
    }
    assert!(world.queues.is_empty(), "nothing was sent");
}
