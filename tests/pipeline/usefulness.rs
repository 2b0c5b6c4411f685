//! What somebody waits for comes at once, and is not tried again when nobody waits any more.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::delivery::Outcome;
use shared::event::{Event, EventType, Json, Kind, Source};
use shared::ids::{EventId, TenantId};
use shared::queue::Task;
use shared::queue::task::{PublishTask, send};
use shared::time::{Clock, later};
use tests::scene::Scene;
use tests::stories::TENANT;

use crate::{list, text};

const ASE_URL: &str = "https://ase.example/webhooks";

/// The sample of a type, that happened at a time.
fn sample(kind: Kind, at: Timestamp) -> anyhow::Result<Event> {
    let sample: Value = serde_json::from_str(kind.sample())?;
    Ok(Event {
        id: EventId::parse(text(&sample, "/id"))?,
        event_type: EventType::parse(kind.wire_name())?,
        data: Json::of(&sample.pointer("/data"))?,
        at,
        source: Source::new("rafiki"),
        resource: None,
    })
}

/// A scene with an ASE that answers so, and an event of a type that happened so long ago on its way to it.
async fn told(
    kind: Kind,
    ago: SignedDuration,
    settings: &Value,
    status: u16,
) -> anyhow::Result<Scene> {
    let scene = Scene::start().await?;
    let mut endpoint = json!({
        "url": ASE_URL,
        "role": "ase",
        "scheme": "rafiki",
        "secrets": ["rafiki-test-secret"],
    });
    if let (Some(endpoint), Some(settings)) = (endpoint.as_object_mut(), settings.as_object()) {
        endpoint.extend(settings.clone());
    }
    scene.put_endpoint("ase", endpoint).await?;
    scene.far.script(ASE_URL, [Outcome::answered(status)]);
    let task = PublishTask {
        tenant: TenantId::parse(TENANT)?,
        event: sample(kind, later(scene.clock.now(), -ago))?,
        roles: None,
        guard: None,
    };
    send(&scene.queues, [Task::Publish(task)]).await?;
    Ok(scene)
}

/// The state of the only delivery there is, and the seconds from its first try to each.
async fn delivery(scene: &Scene) -> anyhow::Result<(String, Vec<i64>)> {
    let event = scene.events().await?.pop().unwrap_or_default();
    let tries: Result<Vec<Timestamp>, _> = list(&event, "/deliveries/0/tries")
        .into_iter()
        .map(|tried| text(tried, "/at").parse())
        .collect();
    let tries = tries?;
    let first = tries.first().copied().unwrap_or_default();
    let offsets = tries.iter().map(|at| at.duration_since(first).as_secs());
    Ok((text(&event, "/deliveries/0/state"), offsets.collect()))
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_while_that_is_of_use() -> anyhow::Result<()> {
    struct Case {
        name: &'static str,
        kind: Kind,
        settings: Value,
        want: (&'static str, &'static [i64]),
    }
    let quick = json!({ "retry": { "policy": "ladder", "waits_s": [1, 1, 1] } });
    let cases = [
        Case {
            name: "an unknown wallet address is of use for less than the first wait",
            kind: Kind::WalletAddressNotFound,
            settings: json!({}),
            want: ("expired", &[0]),
        },
        Case {
            name: "so is a partial payment",
            kind: Kind::IncomingPaymentPartialPaymentReceived,
            settings: json!({}),
            want: ("expired", &[0]),
        },
        Case {
            name: "a wait of a second fits into 1.5 s once",
            kind: Kind::WalletAddressNotFound,
            settings: quick.clone(),
            want: ("expired", &[0, 1]),
        },
        Case {
            name: "and once for a partial payment",
            kind: Kind::IncomingPaymentPartialPaymentReceived,
            settings: quick.clone(),
            want: ("expired", &[0, 1]),
        },
        Case {
            name: "an outgoing payment that waits for its money is of use until its quote ends",
            kind: Kind::OutgoingPaymentCreated,
            settings: json!({}),
            want: ("expired", &[0, 10, 30, 60, 100, 150, 210, 280]),
        },
        Case {
            name: "what nobody waits for is tried to the end",
            kind: Kind::OutgoingPaymentCompleted,
            settings: quick,
            want: ("given_up", &[0, 1, 2, 3]),
        },
        Case {
            name: "an endpoint's own time stands before the type's",
            kind: Kind::WalletAddressNotFound,
            settings: json!({ "useful_for_ms": 35_000 }),
            want: ("expired", &[0, 10, 30]),
        },
    ];
    for Case {
        name,
        kind,
        settings,
        want: (state, offsets),
    } in cases
    {
        let scene = told(kind, SignedDuration::ZERO, &settings, 500).await?;
        scene.pass(SignedDuration::from_mins(20)).await?;
        assert_eq!(
            delivery(&scene).await?,
            (state.to_owned(), offsets.to_vec()),
            "{name}"
        );
        assert_eq!(scene.far.requests().len(), offsets.len(), "{name}");
        assert!(scene.queues.is_empty(), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_healthy_receiver_has_it_before_any_time_has_passed() -> anyhow::Result<()> {
    for kind in Kind::ALL.iter().filter(|kind| kind.useful_for().is_some()) {
        let scene = told(*kind, SignedDuration::ZERO, &json!({}), 200).await?;
        let began = scene.clock.now();
        scene.settle().await?;
        assert_eq!(
            delivery(&scene).await?,
            ("delivered".to_owned(), vec![0]),
            "{kind:?}"
        );
        assert_eq!(
            scene.clock.now(),
            began,
            "{kind:?}: nothing waits for a timer"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_first_try_is_made_however_late_it_is() -> anyhow::Result<()> {
    let late = SignedDuration::from_hours(2);
    for (status, want) in [(200, "delivered"), (500, "expired")] {
        let scene = told(Kind::WalletAddressNotFound, late, &json!({}), status).await?;
        scene.pass(SignedDuration::from_mins(20)).await?;
        assert_eq!(delivery(&scene).await?, (want.to_owned(), vec![0]));
        assert_eq!(scene.far.requests().len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_retry_that_is_taken_up_too_late_is_not_made() -> anyhow::Result<()> {
    let settings = json!({ "retry": { "policy": "ladder", "waits_s": [1] } });
    let scene = told(
        Kind::WalletAddressNotFound,
        SignedDuration::ZERO,
        &settings,
        500,
    )
    .await?;
    scene.settle().await?;
    // It was due after a second, and nobody was there to take it up for a minute.
    scene.clock.advance(SignedDuration::from_mins(1));
    scene.settle().await?;
    assert_eq!(delivery(&scene).await?, ("expired".to_owned(), vec![0]));
    assert_eq!(scene.far.requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_replay_is_tried_once_however_late_it_is() -> anyhow::Result<()> {
    let scene = told(
        Kind::WalletAddressNotFound,
        SignedDuration::ZERO,
        &json!({}),
        500,
    )
    .await?;
    scene.pass(SignedDuration::from_hours(1)).await?;
    assert_eq!(delivery(&scene).await?.0, "expired");
    let event = scene.events().await?.pop().unwrap_or_default();
    let id = text(&event, "/id");
    let path = format!("/v1/tenants/{TENANT}/events/{id}/deliveries/ase/replay");
    scene.operator("POST", &path, Value::Null).await?;
    scene.pass(SignedDuration::from_mins(20)).await?;
    assert_eq!(scene.far.requests().len(), 2);
    let event = scene.events().await?.pop().unwrap_or_default();
    assert_eq!(text(&event, "/deliveries/1/state"), "expired");
    Ok(())
}
