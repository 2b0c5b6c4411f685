//! An event is recorded once, and goes to exactly those who are to hear of it.

use std::collections::BTreeSet;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::delivery::Outcome;
use shared::event::{Event, EventType, Json, Kind, Role, Source};
use shared::ids::{EventId, TenantId};
use shared::queue::task::{PublishTask, send};
use shared::queue::{Lease, Queue, Task};
use shared::time::Clock;
use tests::scene::{SHOP_SECRET, Scene};
use tests::stories::{TENANT, event};

use crate::{FAILED, list, states, text};

async fn publish(scene: &Scene, event: Event, roles: Option<&[Role]>) -> anyhow::Result<()> {
    queue(scene, event, roles).await?;
    // Long enough for the copies that a known event makes.
    scene.pass(SignedDuration::from_mins(3)).await
}

/// Publishes without letting any time pass.
async fn publish_at_once(scene: &Scene, event: Event, role: Role) -> anyhow::Result<()> {
    queue(scene, event, Some(&[role])).await?;
    scene.settle().await
}

async fn queue(scene: &Scene, event: Event, roles: Option<&[Role]>) -> anyhow::Result<()> {
    let roles = roles.map(|roles| roles.iter().copied().collect::<BTreeSet<_>>());
    let task = PublishTask {
        tenant: TenantId::parse(TENANT)?,
        event,
        roles,
        guard: None,
    };
    send(&scene.queues, [Task::Publish(task)]).await?;
    Ok(())
}

/// The sample of a type of the catalogue.
fn payment(event_type: &str, at: Timestamp) -> anyhow::Result<Event> {
    let event_type = EventType::parse(event_type)?;
    let kind = Kind::of(&event_type).context("a type of the catalogue")?;
    let sample: Value = serde_json::from_str(kind.sample())?;
    Ok(Event {
        id: EventId::parse(text(&sample, "/id"))?,
        data: Json::of(&sample.pointer("/data"))?,
        event_type,
        at,
        source: Source::new("rafiki"),
        resource: None,
    })
}

/// A scene with an endpoint of each of two roles, and its two URLs.
async fn scene() -> anyhow::Result<Scene> {
    let scene = Scene::start().await?;
    for role in ["ase", "pos"] {
        let url = format!("https://{role}.example/hook");
        scene
            .put_endpoint(
                role,
                json!({ "url": url, "role": role, "secrets": [SHOP_SECRET] }),
            )
            .await?;
    }
    Ok(scene)
}

fn hosts(scene: &Scene) -> Vec<String> {
    let host = |request: &shared::delivery::Request| {
        request.url.split('/').nth(2).unwrap_or_default().to_owned()
    };
    scene.far.requests().iter().map(host).collect()
}

#[tokio::test]
async fn the_same_id_and_payload_twice_is_one_event() -> anyhow::Result<()> {
    let scene = scene().await?;
    for _ in 0..2 {
        publish(&scene, event(1, scene.clock.now())?, Some(&[Role::Ase])).await?;
    }
    assert_eq!(hosts(&scene), ["ase.example"]);
    assert_eq!(scene.events().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn the_same_id_naming_another_role_adds_exactly_that_role() -> anyhow::Result<()> {
    let scene = scene().await?;
    let at = scene.clock.now();
    publish(&scene, event(1, at)?, Some(&[Role::Ase])).await?;
    publish(&scene, event(1, at)?, Some(&[Role::Pos])).await?;
    publish(&scene, event(1, at)?, Some(&[Role::Pos, Role::Ase])).await?;
    assert_eq!(hosts(&scene), ["ase.example", "pos.example"]);
    let events = scene.events().await?;
    assert_eq!(
        events.first().map(|event| list(event, "/deliveries").len()),
        Some(2)
    );
    Ok(())
}

#[tokio::test]
async fn one_event_posted_to_the_ase_and_to_the_point_of_sale_reaches_both() -> anyhow::Result<()> {
    let scene = scene().await?;
    let ase = "https://ase.example/hook";
    scene
        .far
        .script(ase, [Outcome::answered(500), Outcome::answered(200)]);
    let first = payment("incoming_payment.completed", scene.clock.now())?;
    publish(&scene, first.clone(), None).await?;
    // The second post comes later, and is written another way.
    let spaced = first.data.as_str().replace("\":", "\" : ");
    let second = Event {
        data: Json::parse(spaced)?,
        at: scene.clock.now(),
        ..first
    };
    publish(&scene, second, Some(&[Role::Pos])).await?;
    assert_eq!(hosts(&scene), ["ase.example", "ase.example", "pos.example"]);
    let event = scene.events().await?.pop().unwrap_or_default();
    assert_eq!(text(&event, "/state"), "delivered");
    assert_eq!(text(&event, "/conflicts"), "0");
    Ok(())
}

#[tokio::test]
async fn what_makes_good_for_a_crash_is_the_event_as_it_was_first_recorded() -> anyhow::Result<()> {
    let scene = scene().await?;
    let first = event(1, scene.clock.now())?;
    let recorded = |event: Event| PublishTask {
        tenant: TenantId::parse(TENANT).expect("a valid id"),
        event,
        roles: Some(BTreeSet::from([Role::Ase])),
        guard: None,
    };
    send(&scene.queues, [Task::Publish(recorded(first.clone()))]).await?;
    // The winner dies after it recorded the event and before it sent anything.
    scene.step_without(Queue::Deliver).await?;
    let lost = scene
        .queues
        .receive(Queue::Deliver, 10, SignedDuration::ZERO)
        .await?;
    let receipts: Vec<_> = lost.into_iter().map(|message| message.receipt).collect();
    assert_eq!(receipts.len(), 1);
    scene.queues.delete(Queue::Deliver, receipts).await?;

    scene.clock.advance(SignedDuration::from_hours(1));
    let again = Event {
        at: scene.clock.now(),
        ..first.clone()
    };
    publish(&scene, again, Some(&[Role::Ase])).await?;
    let requests = scene.far.requests();
    let bodies: Result<Vec<Value>, _> = requests
        .iter()
        .map(|request| serde_json::from_slice(&request.body))
        .collect();
    let times: Vec<_> = bodies?
        .iter()
        .map(|body| text(body, "/timestamp"))
        .collect();
    assert_eq!(times, [first.at.to_string()]);
    Ok(())
}

#[tokio::test]
async fn an_operators_endpoint_gets_copies_of_what_concerns_it_and_nothing_else()
-> anyhow::Result<()> {
    let operators =
        json!({ "url": "https://ops.example/hook", "role": "operator", "secrets": [SHOP_SECRET] });
    for (event_type, there, want) in [
        (
            "peer.liquidity_low",
            true,
            &["ase.example", "ops.example"][..],
        ),
        (
            "wallet_address.not_found",
            true,
            &["ase.example", "ops.example"],
        ),
        ("incoming_payment.created", true, &["ase.example"]),
        ("peer.liquidity_low", false, &["ase.example"]),
    ] {
        let scene = scene().await?;
        if there {
            scene.put_endpoint("ops", operators.clone()).await?;
        }
        let event = payment(event_type, scene.clock.now())?;
        publish(&scene, event.clone(), None).await?;
        // An endpoint that is made later gets no copy of what came before.
        scene.put_endpoint("ops", operators.clone()).await?;
        scene.pass(SignedDuration::from_secs(30)).await?;
        publish(&scene, event, None).await?;
        let mut hosts = hosts(&scene);
        hosts.sort();
        assert_eq!(hosts, want, "{event_type}");
        let event = scene.events().await?.pop().unwrap_or_default();
        assert_eq!(
            list(&event, "/recipients").len(),
            want.len(),
            "{event_type}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_tells_of_nothing_is_recorded_with_the_reason_and_sent_to_nobody() -> anyhow::Result<()>
{
    let scene = scene().await?;
    let at = scene.clock.now();
    let nothing = |event: Event, from, to| -> anyhow::Result<Event> {
        let data = Json::parse(event.data.as_str().replace(from, to))?;
        Ok(Event { data, ..event })
    };
    let expired = payment("incoming_payment.expired", at)?;
    publish(
        &scene,
        nothing(expired, r#""value":"255""#, r#""value":"0""#)?,
        None,
    )
    .await?;
    let named: &[Role] = &[Role::Ase, Role::Pos];
    let event = scene.events().await?.pop().unwrap_or_default();
    assert_eq!(
        (text(&event, "/state"), text(&event, "/reason")),
        ("skipped".into(), "nothing_received".into())
    );

    let funded = Event {
        id: EventId::parse("another")?,
        ..payment("outgoing_payment.funded", at)?
    };
    publish(
        &scene,
        nothing(funded, "cardDetails", "noCardDetails")?,
        Some(named),
    )
    .await?;
    let event = scene.events().await?.pop().unwrap_or_default();
    assert_eq!(
        (text(&event, "/state"), text(&event, "/reason")),
        ("skipped".into(), "not_card_initiated".into())
    );
    assert!(hosts(&scene).is_empty());
    Ok(())
}

#[tokio::test]
async fn another_payload_under_a_known_id_is_not_taken_and_is_noted() -> anyhow::Result<()> {
    let scene = scene().await?;
    let first = event(1, scene.clock.now())?;
    let second = Event {
        data: Json::parse("{\"forged\":true}".into())?,
        ..first.clone()
    };
    publish(&scene, first, Some(&[Role::Ase])).await?;
    publish(&scene, second, Some(&[Role::Pos])).await?;
    assert_eq!(hosts(&scene), ["ase.example"]);
    let event = scene.events().await?.pop().unwrap_or_default();
    assert_eq!(text(&event, "/conflicts"), "1");
    assert!(!event.to_string().contains("forged"));
    Ok(())
}

#[tokio::test]
async fn an_endpoint_made_a_moment_ago_is_not_passed_over() -> anyhow::Result<()> {
    let scene = scene().await?;
    publish(&scene, event(1, scene.clock.now())?, Some(&[Role::Ase])).await?;
    // The list of endpoints is known for some seconds more.
    publish_at_once(&scene, event(2, scene.clock.now())?, Role::Ase).await?;
    let card =
        json!({ "url": "https://card.example/hook", "role": "card", "secrets": [SHOP_SECRET] });
    scene.put_endpoint("card", card).await?;
    publish_at_once(&scene, event(3, scene.clock.now())?, Role::Card).await?;
    assert_eq!(
        hosts(&scene),
        ["ase.example", "ase.example", "card.example"]
    );
    Ok(())
}

#[tokio::test]
async fn an_event_that_nobody_wants_is_recorded_with_the_reason() -> anyhow::Result<()> {
    struct Case {
        name: &'static str,
        endpoint: Value,
        want: &'static str,
    }
    let cases = [
        Case {
            name: "no endpoint of the role",
            endpoint: json!({ "role": "ase" }),
            want: "no_endpoint",
        },
        Case {
            name: "filtered out",
            endpoint: json!({ "event_types": ["recovery.recovered"] }),
            want: "filtered",
        },
        Case {
            name: "switched off",
            endpoint: json!({ "state": "disabled" }),
            want: "endpoint_disabled",
        },
    ];
    for Case {
        name,
        mut endpoint,
        want,
    } in cases
    {
        let scene = Scene::start().await?;
        if let Some(endpoint) = endpoint.as_object_mut() {
            endpoint.insert("url".into(), json!("https://shop.example/hook"));
        }
        scene.put_endpoint("shop", endpoint).await?;
        scene.webhook(FAILED).await?;
        scene.settle().await?;
        let events = scene.events().await?;
        assert_eq!(
            states(&events),
            ["recovery.payment_failed skipped"],
            "{name}"
        );
        assert_eq!(
            events.first().map(|event| text(event, "/reason")),
            Some(want.to_owned()),
            "{name}"
        );
        assert!(scene.far.requests().is_empty(), "{name}");
    }
    Ok(())
}
