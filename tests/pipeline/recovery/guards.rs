//! A merchant is told to charge only while that is still so: each try asks the intent.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::delivery::{Guard, Outcome};
use shared::event::{Event, EventType, Json, Role, Source};
use shared::ids::{ConnectorAccountId, EventId, InvoiceId, ProfileId, TenantId};
use shared::money::{Currency, Money};
use shared::queue::Task;
use shared::queue::task::{PublishTask, send};
use shared::recovery::{Ask, Hold, IntentKey, Issue, Stage};
use shared::store::{IntentStep, Intents, Saved};
use shared::time::{Clock, later};
use tests::scene::{SHOP_URL, Scene};
use tests::stories::TENANT;

use crate::{FAILED, PAID, list, text};

/// How long the merchant has.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// What has happened to the intent since, or before the message is taken up.
enum Since {
    Nothing,
    Paid,
    Held(Hold),
    /// Told again, as the second telling.
    ToldAgain,
    /// So many minutes.
    Minutes(i64),
}

fn intent() -> anyhow::Result<IntentKey> {
    Ok(IntentKey {
        profile_id: ProfileId::parse("pro_1")?,
        connector_account_id: ConnectorAccountId::parse("mca_1")?,
        invoice_id: InvoiceId::parse("in_1QfInv")?,
    })
}

fn issue(times: u32, now: Timestamp) -> Issue {
    let left = Money {
        amount: 2500,
        currency: Currency::parse("EUR").expect("an ISO code"),
    };
    Issue {
        times,
        sent: true,
        ..Issue::new(1, now, later(now, WINDOW), Ask::of(left))
    }
}

/// Writes something into the intent behind everybody's back.
async fn write(
    scene: &Scene,
    change: impl FnOnce(&mut shared::recovery::Retry),
) -> anyhow::Result<()> {
    let tenant = TenantId::parse(TENANT)?;
    let read = scene.store().intent(&tenant, &intent()?).await?;
    let read = read.ok_or_else(|| anyhow::anyhow!("the webhook opened it"))?;
    let mut intent = read.value;
    change(&mut intent.retry);
    let step = IntentStep::alone(&intent, Some(read.version));
    let saved = scene.store().save_step(&tenant, &step, scene.clock.now());
    assert_eq!(saved.await?, Saved::Stored);
    Ok(())
}

/// The message that tells the merchant to charge, as `sweep` sends it; `None`: without its guard.
fn told(guarded: bool, now: Timestamp) -> anyhow::Result<Task> {
    let guard = Guard::RetryDue {
        intent: intent()?,
        number: 1,
        times: 1,
        deadline: later(now, WINDOW),
    };
    Ok(Task::Publish(PublishTask {
        tenant: TenantId::parse(TENANT)?,
        event: Event {
            id: EventId::parse("evt_due")?,
            event_type: EventType::parse("recovery.retry_due")?,
            data: Json::parse("{}".to_owned())?,
            at: now,
            source: Source::new("stripe"),
            resource: Some("in_1QfInv".to_owned()),
        },
        roles: Some(BTreeSet::from([Role::Merchant])),
        guard: guarded.then_some(guard),
    }))
}

/// A scene whose intent awaits the first telling of its first retry.
async fn awaiting() -> anyhow::Result<Scene> {
    let scene = Scene::start().await?;
    scene.webhook(FAILED).await?;
    scene.settle().await?;
    let now = scene.clock.now();
    write(&scene, |retry| retry.stage = Stage::Due(issue(1, now))).await?;
    Ok(scene)
}

async fn happen(scene: &Scene, since: Since) -> anyhow::Result<()> {
    match since {
        Since::Nothing => {}
        Since::Paid => {
            scene.webhook(PAID).await?;
            scene.settle().await?;
        }
        Since::Held(hold) => write(scene, |retry| retry.hold = Some(hold)).await?,
        Since::ToldAgain => {
            let now = scene.clock.now();
            write(scene, |retry| retry.stage = Stage::Due(issue(2, now))).await?;
        }
        Since::Minutes(minutes) => scene.clock.advance(SignedDuration::from_mins(minutes)),
    }
    Ok(())
}

/// The state of each round of the delivery that tells the merchant to charge, and how many requests told it.
async fn came_of_it(scene: &Scene) -> anyhow::Result<(Vec<String>, usize)> {
    let path = format!("/v1/tenants/{TENANT}/events/evt_due");
    let event = scene.operator("GET", &path, Value::Null).await?;
    let deliveries = list(&event, "/deliveries");
    let states = deliveries.into_iter().map(|it| text(it, "/state"));
    let told = scene.far.requests().into_iter().filter(|request| {
        let id = request
            .headers
            .iter()
            .find(|(name, _)| *name == "webhook-id");
        id.is_some_and(|(_, id)| id == "evt_due")
    });
    Ok((states.collect(), told.count()))
}

#[tokio::test]
async fn a_merchant_is_told_to_charge_only_while_that_is_still_so() -> anyhow::Result<()> {
    let cases = [
        ("as planned", Since::Nothing, ("delivered", 1)),
        ("within its time", Since::Minutes(59), ("delivered", 1)),
        (
            "too late for a first try",
            Since::Minutes(61),
            ("expired", 0),
        ),
        ("collected by somebody else", Since::Paid, ("superseded", 0)),
        ("paused", Since::Held(Hold::Paused), ("superseded", 0)),
        ("cancelled", Since::Held(Hold::Cancelled), ("superseded", 0)),
        ("told again since", Since::ToldAgain, ("superseded", 0)),
    ];
    for (name, since, (state, requests)) in cases {
        let scene = awaiting().await?;
        let due = told(true, scene.clock.now())?;
        happen(&scene, since).await?;
        send(&scene.queues, [due]).await?;
        scene.settle().await?;
        let want = (vec![state.to_owned()], requests);
        assert_eq!(came_of_it(&scene).await?, want, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_try_that_is_refused_is_made_again_only_while_that_is_still_so() -> anyhow::Result<()> {
    let cases = [
        ("still so", Since::Nothing, ("delivered", 2)),
        ("collected by somebody else", Since::Paid, ("superseded", 1)),
        ("paused", Since::Held(Hold::Paused), ("superseded", 1)),
    ];
    for (name, since, (state, requests)) in cases {
        let scene = awaiting().await?;
        scene
            .far
            .script(SHOP_URL, [Outcome::answered(500), Outcome::answered(200)]);
        send(&scene.queues, [told(true, scene.clock.now())?]).await?;
        scene.settle().await?;
        happen(&scene, since).await?;
        scene.pass(SignedDuration::from_mins(10)).await?;
        let want = (vec![state.to_owned()], requests);
        assert_eq!(came_of_it(&scene).await?, want, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_merchant_that_cannot_be_reached_is_not_told_after_the_deadline() -> anyhow::Result<()> {
    let scene = awaiting().await?;
    scene.far.script(SHOP_URL, vec![Outcome::answered(500); 20]);
    send(&scene.queues, [told(true, scene.clock.now())?]).await?;
    scene.pass(SignedDuration::from_hours(4)).await?;
    // At once, and after 5 s, 5 min and 30 min; the next wait of 2 hours ends after the deadline.
    let want = (vec!["expired".to_owned()], 4);
    assert_eq!(came_of_it(&scene).await?, want);
    Ok(())
}

#[tokio::test]
async fn nobody_is_told_to_charge_for_an_intent_that_is_not_there() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    send(&scene.queues, [told(true, scene.clock.now())?]).await?;
    scene.settle().await?;
    let want = (vec!["superseded".to_owned()], 0);
    assert_eq!(came_of_it(&scene).await?, want);
    Ok(())
}

#[tokio::test]
async fn nobody_is_told_to_charge_without_a_guard() -> anyhow::Result<()> {
    let scene = awaiting().await?;
    send(&scene.queues, [told(false, scene.clock.now())?]).await?;
    scene.settle().await?;
    let want = (vec!["superseded".to_owned()], 0);
    assert_eq!(came_of_it(&scene).await?, want);
    Ok(())
}

#[tokio::test]
async fn a_replay_asks_the_intent_as_the_first_round_did() -> anyhow::Result<()> {
    for (since, second, requests) in [
        (Since::Nothing, "delivered", 2),
        (Since::Paid, "superseded", 1),
        (Since::Minutes(61), "expired", 1),
    ] {
        let scene = awaiting().await?;
        send(&scene.queues, [told(true, scene.clock.now())?]).await?;
        scene.settle().await?;
        happen(&scene, since).await?;
        let path = format!("/v1/tenants/{TENANT}/events/evt_due/deliveries/shop/replay");
        scene.operator("POST", &path, Value::Null).await?;
        scene.settle().await?;
        let want = (vec!["delivered".to_owned(), second.to_owned()], requests);
        assert_eq!(came_of_it(&scene).await?, want, "{second}");
    }
    Ok(())
}
