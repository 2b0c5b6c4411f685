//! A thin notification: its platform is asked once, within bounds, and what it does not tell is shown.

use std::sync::Arc;

use anyhow::{Context, Result};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};
use local::platform_api::{Kind, PlatformApi, Turn};
use serde_json::Value;
use shared::delivery::{Failure, Vetting};
use shared::ids::SignalId;
use shared::platform::account::Settings;
use shared::platform::{BillingAccount, Interpretation, Platform, Thin};
use shared::queue::task::{SignalTask, ThinTask, send};
use shared::queue::{Queue, Task};
use shared::recovery::Signal;
use shared::secret::Secret;
use shared::signature;
use shared::store::{Accounts, Claimed};
use shared::time::{Clock, SystemClock, later};
use shared::transport::Answer;
use shared::transport::https::Https;
use tests::scene::Scene;
use tests::stories::{STRIPE_SECRET, account, signal};

use crate::{FAILED, PAID, list, states, text};

const NOTIFICATION: &str = include_str!("../../fixtures/recurly/payment.failed.json");
const TRANSACTION: &str = include_str!("../../fixtures/recurly/api/transaction.declined.json");
const INVOICE: &str = include_str!("../../fixtures/recurly/api/invoice.past_due.json");

pub(super) const BASE: &str = "https://recurly.example";
const TRANSACTION_URL: &str =
    "https://recurly.example/transactions/uuid-63b068f7d409d4b4478dea4e6aba58ae";
const INVOICE_URL: &str = "https://recurly.example/invoices/inv_r100";
const INTENT: &str = "/v1/tenants/acme/intents?profile=pro_1&account=mca_1&invoice=";

type Said = Result<Answer, Failure>;

/// The account at Recurly, in the place of the scene's.
pub(super) fn recurly(key: Option<&str>) -> Result<BillingAccount> {
    Ok(BillingAccount {
        platform: Platform::Recurly,
        api_key: key.map(Secret::new),
        settings: Settings {
            api_base_url: Some(BASE.to_owned()),
            ..Settings::default()
        },
        ..account()?
    })
}

async fn scene(key: Option<&str>) -> Result<Scene> {
    let scene = Scene::start().await?;
    keep(&scene, &recurly(key)?).await?;
    Ok(scene)
}

pub(super) async fn keep(scene: &Scene, account: &BillingAccount) -> Result<()> {
    let claimed = scene
        .store()
        .put_account(account, scene.clock.now())
        .await?;
    assert_eq!(claimed, Claimed::Replaced);
    Ok(())
}

/// What a notification of a failed charge tells by itself, where it does.
fn told() -> Result<Signal> {
    told_by(FAILED)
}

fn told_by(body: &str) -> Result<Signal> {
    Ok(match signal(body)? {
        Task::Signal(task) => task.signal,
        Task::Thin(ThinTask { thin, .. }) => thin.told.expect("Stripe tells of the invoice"),
        other => anyhow::bail!("{other:?}"),
    })
}

/// The task that the door makes of a notification of Recurly, with what it would tell by itself.
fn notified(told: Option<Signal>) -> Result<Task> {
    let (account, now) = (recurly(None)?, Timestamp::UNIX_EPOCH);
    let secret = Secret::new(STRIPE_SECRET);
    let header = signature::recurly::sign(&secret, now, NOTIFICATION.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static(signature::recurly::HEADER),
        HeaderValue::from_str(&header.unwrap_or_default())?,
    );
    let adapter = account.platform.adapter().context("it has webhooks")?;
    let proof = adapter.verify(&headers, NOTIFICATION.as_bytes(), &account, now)?;
    let Interpretation::Thin(thin) =
        adapter.interpret(NOTIFICATION.as_bytes(), &account, &proof)?
    else {
        anyhow::bail!("Recurly's notifications are thin");
    };
    let id = told.as_ref().map_or(thin.id, |told| told.id.clone());
    Ok(Task::Thin(ThinTask {
        tenant: account.tenant,
        thin: Thin { id, told, ..*thin },
    }))
}

fn ok(body: &'static str) -> Said {
    Ok(Answer::of(200, body))
}

fn answers(scene: &Scene, transaction: Vec<Said>, invoice: Vec<Said>) {
    scene.api_calls.script(TRANSACTION_URL, transaction);
    scene.api_calls.script(INVOICE_URL, invoice);
}

/// Lets time pass without sweeps: every message is handled at the moment it shows.
pub(super) async fn wait(scene: &Scene, time: SignedDuration) -> Result<()> {
    let end = later(scene.clock.now(), time);
    scene.settle().await?;
    while let Some(next) = Queue::ALL
        .into_iter()
        .filter_map(|queue| scene.queues.next_visible(queue))
        .min()
        .filter(|next| *next <= end)
    {
        scene.clock.advance_to(next);
        scene.settle().await?;
    }
    scene.clock.advance_to(end);
    Ok(())
}

async fn intent(scene: &Scene, invoice: &str) -> Result<Value> {
    scene
        .operator("GET", &format!("{INTENT}{invoice}"), Value::Null)
        .await
}

#[tokio::test]
async fn a_platform_is_asked_with_the_accounts_key_and_what_it_tells_is_the_attempt() -> Result<()>
{
    let scene = scene(Some("key")).await?;
    answers(&scene, vec![ok(TRANSACTION)], vec![ok(INVOICE)]);
    send(&scene.queues, [notified(None)?]).await?;
    scene.settle().await?;

    let calls = scene.api_calls.calls();
    let asked: Vec<_> = calls
        .iter()
        .map(|call| (call.method.clone(), call.url.as_str()))
        .collect();
    assert_eq!(
        asked,
        [(Method::GET, TRANSACTION_URL), (Method::GET, INVOICE_URL)]
    );
    for call in &calls {
        let header = |name: &str| call.headers.get(name).and_then(|it| it.to_str().ok());
        assert_eq!(header("authorization"), Some("Basic a2V5Og=="));
        assert_eq!(
            header("accept"),
            Some("application/vnd.recurly.v2021-02-25")
        );
        assert_eq!(header("accept-encoding"), Some("identity"));
        assert_eq!((call.deadline.as_secs(), call.most), (10, 4 * 1024 * 1024));
        assert!(!format!("{call:?}").contains("a2V5Og"), "{call:?}");
    }
    let events = states(&scene.events().await?);
    assert_eq!(
        events.first().map(String::as_str),
        Some("recovery.payment_failed delivered")
    );
    let intent = intent(&scene, "inv_r100").await?;
    assert_eq!(text(&intent, "/attempts/0/enrichment"), "enriched");
    Ok(())
}

/// How a notification ends.
enum End {
    /// Its own words are gone on with, and the attempt says why.
    Told(&'static str),
    /// It is set aside with this problem.
    Aside(&'static str),
}

#[tokio::test]
async fn what_a_platform_does_not_tell_is_shown_with_the_reason() -> Result<()> {
    let refused = |status| vec![Ok(Answer::of(status, "{}"))];
    let cut = Answer {
        whole: false,
        ..Answer::of(200, "x")
    };
    let no = vec![Err(Failure::Timeout)];
    // Name, key, what the transaction and the invoice answer, the problem, and how often the platform is asked.
    let cases = [
        ("404", Some("key"), refused(404), vec![], "refused", 1),
        ("401", Some("key"), refused(401), vec![], "refused", 50),
        ("403", Some("key"), refused(403), vec![], "refused", 50),
        ("moved", Some("key"), refused(301), vec![], "refused", 1),
        (
            "the second is refused",
            Some("key"),
            vec![ok(TRANSACTION)],
            refused(404),
            "refused",
            2,
        ),
        (
            "no JSON",
            Some("key"),
            vec![ok("<html>")],
            vec![],
            "not_understood",
            1,
        ),
        (
            "other JSON",
            Some("key"),
            vec![ok("{\"id\":7}")],
            vec![],
            "not_understood",
            1,
        ),
        (
            "over the cap",
            Some("key"),
            vec![Ok(cut)],
            vec![],
            "not_understood",
            1,
        ),
        ("no key", None, vec![ok(TRANSACTION)], vec![], "no_key", 0),
        ("no answer", Some("key"), no, vec![], "unreachable", 50),
        ("503", Some("key"), refused(503), vec![], "unreachable", 50),
    ];
    for (name, key, transaction, invoice, problem, calls) in cases {
        for end in [End::Told(problem), End::Aside(problem)] {
            let scene = scene(key).await?;
            answers(&scene, transaction.clone(), invoice.clone());
            let told = match end {
                End::Told(_) => Some(told()?),
                End::Aside(_) => None,
            };
            send(&scene.queues, [notified(told)?]).await?;
            wait(&scene, SignedDuration::from_mins(11 * 60 + 45)).await?;
            let before = scene.events().await?;
            // Asked for as long as is tried: 2, 4, 8 .. 512 s, then every 15 minutes.
            let waits = calls == 50;
            assert_eq!(before.is_empty(), waits, "{name}");
            wait(&scene, SignedDuration::from_mins(30)).await?;

            let events = scene.events().await?;
            let first = events.first().cloned().unwrap_or_default();
            match end {
                End::Told(problem) => {
                    assert_eq!(text(&first, "/type"), "recovery.payment_failed", "{name}");
                    let intent = intent(&scene, "in_1QfInv").await?;
                    assert_eq!(text(&intent, "/attempts/0/enrichment"), problem, "{name}");
                }
                End::Aside(problem) => {
                    assert_eq!(states(&events), ["payment.failed skipped"], "{name}");
                    assert_eq!(text(&first, "/reason"), "not_enriched", "{name}");
                    assert_eq!(text(&first, "/data/problem"), problem, "{name}");
                }
            }
            let made = scene.api_calls.calls().len();
            match waits {
                true => assert!((50..70).contains(&made), "{name}: {made}"),
                false => assert_eq!(made, calls, "{name}"),
            }
            assert!(scene.queues.is_empty(), "{name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_ends_the_retries_waits_for_no_platform() -> Result<()> {
    let says = |status| Ok(Answer::of(status, ""));
    let cases: [(&str, bool, Said, &str, usize); 5] = [
        ("429", false, says(429), "unreachable", 1),
        ("503", false, says(503), "unreachable", 1),
        ("401", false, says(401), "refused", 1),
        ("no answer", false, Err(Failure::Timeout), "unreachable", 1),
        ("a locked key", true, says(200), "unreachable", 0),
    ];
    for (name, locked, answer, problem, calls) in cases {
        let scene = scene(Some("key")).await?;
        let (tenant, signal) = (account()?.tenant, told()?);
        send(&scene.queues, [Task::Signal(SignalTask { tenant, signal })]).await?;
        scene.settle().await?;
        if locked {
            scene.put_locked(&recurly(Some("key"))?).await?;
            scene.clock.advance(SignedDuration::from_secs(11));
        }
        answers(&scene, vec![answer], vec![]);
        for _ in 0..2 {
            send(&scene.queues, [notified(Some(told_by(PAID)?))?]).await?;
            scene.settle().await?;
            assert_eq!(scene.queues.len(Queue::Recover), 0, "{name}");
            let intent = intent(&scene, "in_1QfInv").await?;
            assert_eq!(text(&intent, "/state"), "recovered", "{name}");
            let paid: Vec<_> = list(&intent, "/attempts")
                .into_iter()
                .filter(|attempt| text(attempt, "/status") == "succeeded")
                .map(|attempt| text(attempt, "/enrichment"))
                .collect();
            assert_eq!(paid, [problem], "{name}");
            let asked = scene.api_calls.calls().len();
            assert_eq!(asked, calls, "{name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_platform_that_asks_to_wait_is_asked_again_when_it_said() -> Result<()> {
    let scene = scene(Some("key")).await?;
    let busy = Answer {
        retry_after: Some(SignedDuration::from_secs(600)),
        ..Answer::of(429, "")
    };
    answers(&scene, vec![Ok(busy), ok(TRANSACTION)], vec![ok(INVOICE)]);
    send(&scene.queues, [notified(None)?]).await?;
    wait(&scene, SignedDuration::from_secs(599)).await?;
    assert_eq!(scene.api_calls.calls().len(), 1);
    wait(&scene, SignedDuration::from_secs(1)).await?;
    assert_eq!(scene.api_calls.calls().len(), 3);
    assert!(!scene.events().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_key_that_can_not_be_opened_is_waited_for_and_nobody_is_asked() -> Result<()> {
    let scene = scene(Some("key")).await?;
    scene.put_locked(&recurly(Some("key"))?).await?;
    answers(&scene, vec![ok(TRANSACTION)], vec![ok(INVOICE)]);
    send(&scene.queues, [notified(None)?]).await?;
    wait(&scene, SignedDuration::from_hours(1)).await?;
    assert!(scene.api_calls.calls().is_empty());
    assert!(scene.events().await?.is_empty());
    assert_eq!(scene.queues.len(Queue::Recover), 1);

    keep(&scene, &recurly(Some("key"))?).await?;
    wait(&scene, SignedDuration::from_mins(16)).await?;
    assert_eq!(scene.api_calls.calls().len(), 2);
    assert!(!scene.events().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_notification_that_comes_again_asks_nobody_whatever_it_came_to() -> Result<()> {
    let outcomes: [(Vec<Said>, usize); 3] = [
        (vec![ok(TRANSACTION)], 2),
        (vec![Ok(Answer::of(404, ""))], 1),
        (vec![ok("nonsense")], 1),
    ];
    for (transaction, calls) in outcomes {
        for told in [None, Some(told()?)] {
            let mut scene = scene(Some("key")).await?;
            answers(&scene, transaction.clone(), vec![ok(INVOICE)]);
            send(&scene.queues, [notified(told.clone())?]).await?;
            scene.settle().await?;
            let events = scene.events().await?;
            scene.restart()?;
            for _ in 0..2 {
                send(&scene.queues, [notified(told.clone())?]).await?;
                wait(&scene, SignedDuration::from_mins(1)).await?;
            }
            assert_eq!(scene.api_calls.calls().len(), calls);
            assert_eq!(scene.events().await?.len(), events.len());
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_signal_that_was_joined_without_asking_is_not_asked_for_when_it_comes_again() -> Result<()>
{
    let scene = scene(None).await?;
    answers(&scene, vec![ok(TRANSACTION)], vec![ok(INVOICE)]);
    send(&scene.queues, [notified(Some(told()?))?]).await?;
    scene.settle().await?;
    keep(&scene, &recurly(Some("key"))?).await?;
    scene.clock.advance(SignedDuration::from_secs(11));
    send(&scene.queues, [notified(Some(told()?))?]).await?;
    scene.settle().await?;
    assert!(scene.api_calls.calls().is_empty());
    Ok(())
}

#[tokio::test]
async fn the_key_of_one_platform_is_not_shown_to_another() -> Result<()> {
    let scene = scene(None).await?;
    let stripe = BillingAccount {
        platform: Platform::Chargebee,
        ..recurly(Some("key"))?
    };
    keep(&scene, &stripe).await?;
    send(&scene.queues, [notified(None)?]).await?;
    scene.settle().await?;
    assert!(scene.api_calls.calls().is_empty());
    assert_eq!(states(&scene.events().await?), ["payment.failed skipped"]);
    Ok(())
}

#[tokio::test]
async fn a_death_after_the_answer_is_kept_asks_nobody_again() -> Result<()> {
    let play = async |scene: &Scene| -> Result<()> {
        send(&scene.queues, [notified(None)?]).await?;
        wait(scene, SignedDuration::from_mins(10)).await
    };
    let whole = scene(Some("key")).await?;
    answers(&whole, vec![ok(TRANSACTION)], vec![ok(INVOICE)]);
    play(&whole).await?;
    let want = states(&whole.events().await?);
    let effects = whole.effects.count();
    assert!(effects > 6, "{effects}");

    for number in 1..=effects {
        let mut scene = scene(Some("key")).await?;
        answers(&scene, vec![ok(TRANSACTION)], vec![ok(INVOICE)]);
        scene.effects.die_after(number);
        tokio::select! {
            biased;
            () = scene.effects.death() => {}
            done = play(&scene) => done?,
        }
        scene.restart()?;
        wait(&scene, SignedDuration::from_mins(10)).await?;
        assert_eq!(states(&scene.events().await?), want, "after {number}");
        // Two requests, each of which a process that dies at it forgets; nothing after that.
        let calls = match number {
            1 => 3,
            2 => 4,
            _ => 2,
        };
        assert_eq!(scene.api_calls.calls().len(), calls, "after {number}");
        assert_eq!(
            list(&intent(&scene, "inv_r100").await?, "/attempts").len(),
            1
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_platform_on_the_network_is_asked_until_it_answers() -> Result<()> {
    let api = PlatformApi::new(Secret::new("key"));
    api.put(Kind::RecurlyTransaction, serde_json::from_str(TRANSACTION)?);
    api.put(Kind::RecurlyInvoice, serde_json::from_str(INVOICE)?);
    api.script([Turn::Status(503), Turn::Serve, Turn::After(429, 60)]);
    let serving = api.start().await?;
    let vetting = Vetting::new(vec!["127.0.0.0/8".parse()?], None);
    let https = Https::new(vetting, Arc::new(SystemClock))?;
    let scene = Scene::with_platforms(Arc::new(https)).await?;
    let mut account = recurly(Some("key"))?;
    account.settings.api_base_url = Some(serving.base_url());
    keep(&scene, &account).await?;
    send(&scene.queues, [notified(None)?]).await?;
    wait(&scene, SignedDuration::from_mins(5)).await?;
    let got: Vec<_> = api.asked().iter().filter_map(|it| it.status).collect();
    assert_eq!(got, [503, 200, 429, 200, 200]);
    let intent = intent(&scene, "inv_r100").await?;
    assert_eq!(text(&intent, "/attempts/0/enrichment"), "enriched");

    for (turn, problem) in [
        (Turn::NotJson, "not_understood"),
        (Turn::WrongKinds, "not_understood"),
        (Turn::Huge, "not_understood"),
        (Turn::Endless, "not_understood"),
        (Turn::Status(404), "refused"),
    ] {
        api.script([turn]);
        let mut task = notified(None)?;
        if let Task::Thin(ThinTask { thin, .. }) = &mut task {
            thin.id = SignalId::parse(format!("{turn:?}").replace(['(', ')'], "_"))?;
        }
        send(&scene.queues, [task]).await?;
        wait(&scene, SignedDuration::from_mins(5)).await?;
        let newest = scene.events().await?.pop().unwrap_or_default();
        assert_eq!(text(&newest, "/data/problem"), problem, "{turn:?}");
    }
    Ok(())
}
