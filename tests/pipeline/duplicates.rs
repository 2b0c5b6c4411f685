//! The same thing told twice, at once or later, is told once.

use futures::future::try_join_all;
use jiff::SignedDuration;
use shared::queue::Queue;
use tests::scene::Scene;

use crate::{FAILED, PAID, list, states};

#[tokio::test]
async fn one_webhook_a_hundred_times_at_once_is_one_event_and_one_delivery_for_each_endpoint()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    scene
        .put_endpoint(
            "ledger",
            serde_json::json!({ "url": "https://ledger.example/hook" }),
        )
        .await?;
    let answers = try_join_all((0..100).map(|_| scene.webhook(FAILED))).await?;
    assert!(answers.iter().all(|answer| answer.status == 200));
    // The copies that the losers sent come later, and find the deliveries made.
    scene.pass(SignedDuration::from_mins(5)).await?;
    assert!(scene.queues.is_empty());

    let urls: Vec<_> = scene
        .far
        .requests()
        .into_iter()
        .map(|request| request.url)
        .collect();
    assert_eq!(urls.len(), 2, "{urls:?}");
    let events = scene.events().await?;
    assert_eq!(states(&events), ["recovery.payment_failed delivered"]);
    assert_eq!(
        events.first().map(|event| list(event, "/deliveries").len()),
        Some(2)
    );
    Ok(())
}

#[tokio::test]
async fn a_redelivered_webhook_and_a_second_signal_for_one_success_tell_nothing_again()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let succeeded = include_str!("../fixtures/stripe/invoice.payment_succeeded.json");
    for body in [FAILED, PAID, FAILED, succeeded, PAID, succeeded] {
        assert_eq!(scene.webhook(body).await?.status, 200);
        scene.settle().await?;
    }
    scene.pass(SignedDuration::from_mins(5)).await?;
    assert!(scene.queues.is_empty());
    let mut told = states(&scene.events().await?);
    told.sort();
    assert_eq!(
        told,
        [
            "recovery.payment_failed delivered",
            "recovery.payment_succeeded delivered",
            "recovery.recovered delivered"
        ]
    );
    assert_eq!(scene.far.requests().len(), 3);
    Ok(())
}

#[tokio::test]
async fn signals_in_the_wrong_order_end_in_the_same_state() -> anyhow::Result<()> {
    let (straight, reversed) = (Scene::start().await?, Scene::start().await?);
    for (scene, bodies) in [(&straight, [FAILED, PAID]), (&reversed, [PAID, FAILED])] {
        for body in bodies {
            scene.webhook(body).await?;
            scene.settle().await?;
        }
    }
    let path = "/v1/tenants/acme/intents?profile=pro_1&account=mca_1&invoice=in_1QfInv";
    let intent =
        |scene| async move { Scene::operator(scene, "GET", path, serde_json::Value::Null).await };
    // What was made of the timetable on the way is history, and that is as it arrived.
    let mut states_of_it = [intent(&straight).await?, intent(&reversed).await?];
    for intent in &mut states_of_it {
        intent["retry"]["plans"].take();
    }
    let [one, other] = states_of_it;
    assert_eq!(one, other);
    let sorted = |events: &[serde_json::Value]| {
        let mut states = states(events);
        states.sort();
        states
    };
    assert_eq!(
        sorted(&straight.events().await?),
        sorted(&reversed.events().await?)
    );
    Ok(())
}

#[tokio::test]
async fn a_delivery_that_waited_long_on_its_queue_is_not_made_beside_its_copy() -> anyhow::Result<()>
{
    let scene = Scene::start().await?;
    scene.webhook(FAILED).await?;
    scene
        .webhook(&FAILED.replace("evt_1QfF1", "evt_again"))
        .await?;
    // Recover and fanout run, deliver does not: the winner's message and the loser's copy both wait.
    while scene.queues.len(Queue::Deliver) < 2 {
        scene.step_without(Queue::Deliver).await?;
    }
    scene.clock.advance(SignedDuration::from_mins(3));
    scene.pass(SignedDuration::from_mins(5)).await?;
    assert_eq!(scene.far.requests().len(), 1);
    assert!(scene.queues.is_empty());
    Ok(())
}

#[tokio::test]
async fn two_signals_of_one_happening_that_differ_in_time_or_rest_are_no_conflict()
-> anyhow::Result<()> {
    let later = |body: &str, id: &str| {
        let told: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let created = told["created"].as_i64().unwrap_or_default();
        let mut told = told;
        told["id"] = id.into();
        told["created"] = (created + 7).into();
        told
    };
    let given_up = |id: &str, event_type: &str, due: i64| {
        let mut told = later(FAILED, id);
        told["type"] = event_type.into();
        told["data"]["object"]["amount_due"] = due.into();
        told["data"]["object"]["amount_remaining"] = due.into();
        told.to_string()
    };
    let voided = given_up("evt_v", "invoice.voided", 2500);
    let uncollectible = given_up("evt_u", "invoice.marked_uncollectible", 900);
    let (paid_later, other_sum) = (later(PAID, "evt_p"), {
        let mut told = later(PAID, "evt_q");
        told["data"]["object"]["amount_paid"] = 2400.into();
        told
    });
    struct Case {
        name: &'static str,
        signals: [String; 3],
        conflicts: usize,
    }
    let cases = [
        Case {
            name: "one success, two times",
            signals: [FAILED.into(), paid_later.to_string(), PAID.into()],
            conflicts: 0,
        },
        Case {
            name: "given up twice, with less left",
            signals: [uncollectible, FAILED.into(), voided],
            conflicts: 0,
        },
        Case {
            name: "another sum of one charge",
            signals: [FAILED.into(), other_sum.to_string(), PAID.into()],
            conflicts: 2,
        },
    ];
    for Case {
        name,
        signals,
        conflicts,
    } in cases
    {
        let scene = Scene::start().await?;
        for body in signals {
            assert_eq!(scene.webhook(&body).await?.status, 200, "{name}");
            scene.settle().await?;
        }
        scene.pass(SignedDuration::from_mins(5)).await?;
        let conflicting = scene
            .events()
            .await?
            .iter()
            .filter(|event| event["conflicts"] != 0)
            .count();
        assert_eq!(conflicting, conflicts, "{name}");
    }
    Ok(())
}
