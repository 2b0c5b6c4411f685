//! An event is recorded once, and goes to exactly those who are to hear of it.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::event::{Event, Json, Role};
use shared::ids::TenantId;
use shared::queue::Task;
use shared::queue::task::{PublishTask, send};
use shared::time::Clock;
use tests::scene::{SHOP_SECRET, Scene};
use tests::stories::{TENANT, event};

use crate::{FAILED, list, states, text};

async fn publish(scene: &Scene, event: Event, roles: Option<&[Role]>) -> anyhow::Result<()> {
    let roles = roles.map(|roles| roles.iter().copied().collect::<BTreeSet<_>>());
    let task = PublishTask {
        tenant: TenantId::parse(TENANT)?,
        event,
        roles,
        guard: None,
    };
    send(&scene.queues, [Task::Publish(task)]).await?;
    // Long enough for the copies that a known event makes.
    scene.pass(SignedDuration::from_mins(3)).await
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

#[tokio::test]
async fn a_delivery_whose_guard_no_longer_holds_is_superseded() -> anyhow::Result<()> {
    use shared::delivery::Guard;
    use shared::ids::{ConnectorAccountId, InvoiceId, ProfileId};
    use shared::recovery::IntentKey;
    let scene = Scene::start().await?;
    let intent = IntentKey {
        profile_id: ProfileId::parse("pro_1")?,
        connector_account_id: ConnectorAccountId::parse("mca_1")?,
        invoice_id: InvoiceId::parse("in_1QfInv")?,
    };
    let guarded = |number, at| -> anyhow::Result<Task> {
        let guard = Some(Guard::IntentOpen {
            intent: intent.clone(),
        });
        let roles = Some(BTreeSet::from([Role::Merchant]));
        Ok(Task::Publish(PublishTask {
            tenant: TenantId::parse(TENANT)?,
            event: event(number, at)?,
            roles,
            guard,
        }))
    };
    scene.webhook(FAILED).await?;
    scene.settle().await?;
    send(&scene.queues, [guarded(1, scene.clock.now())?]).await?;
    scene.settle().await?;
    assert_eq!(
        scene.far.requests().len(),
        2,
        "the intent is open, so it is sent"
    );
    scene.webhook(crate::PAID).await?;
    scene.settle().await?;
    send(&scene.queues, [guarded(2, scene.clock.now())?]).await?;
    scene.settle().await?;
    let superseded = states(&scene.events().await?)
        .into_iter()
        .filter(|state| state.ends_with("superseded"))
        .count();
    assert_eq!(superseded, 1);
    assert_eq!(
        scene.far.requests().len(),
        4,
        "the intent has ended, so it is not sent"
    );
    Ok(())
}
