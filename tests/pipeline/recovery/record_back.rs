//! A success that the billing platform does not know: it is told once, however often it has to be asked.

use std::sync::Arc;

use anyhow::Result;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use local::platform_api::{Kind, PlatformApi, Turn};
use serde_json::{Value, json};
use shared::delivery::{Failure, Vetting};
use shared::event::Source;
use shared::platform::account::Settings;
use shared::platform::{BillingAccount, Platform};
use shared::queue::Task;
use shared::queue::task::{RecordBackTask, SignalTask, ThinTask, send};
use shared::recovery::{Order, Signal, Terms, TriggeredBy};
use shared::secret::Secret;
use shared::time::SystemClock;
use shared::transport::Answer;
use shared::transport::https::Https;
use tests::scene::Scene;
use tests::stories::{account, signal};

use super::enrichment::{BASE, keep, wait};
use crate::{FAILED, PAID, text};

const URL: &str = "https://recurly.example/invoices/in_1QfInv/mark_successful";
const INTENT: &str = "/v1/tenants/acme/intents?profile=pro_1&account=mca_1&invoice=in_1QfInv";

type Said = Result<Answer, Failure>;

fn at(platform: Platform, key: Option<&str>, base: &str) -> Result<BillingAccount> {
    Ok(BillingAccount {
        platform,
        api_key: key.map(Secret::new),
        settings: Settings {
            api_base_url: Some(base.to_owned()),
            terms: Terms {
                record_back: true,
                ..Terms::default()
            },
        },
        ..account()?
    })
}

/// What a fixture tells, as `platform` would tell it.
fn told(body: &str, platform: Platform) -> Result<Signal> {
    let mut signal = match signal(body)? {
        Task::Signal(task) => task.signal,
        Task::Thin(ThinTask { thin, .. }) => thin.told.expect("Stripe tells of the invoice"),
        other => anyhow::bail!("{other:?}"),
    };
    signal.source = Source::new(platform.as_str());
    Ok(signal)
}

/// The merchant reports that a retry collected the invoice.
fn reported(platform: Platform) -> Result<Signal> {
    let mut signal = told(PAID, platform)?;
    signal.by_merchant = true;
    if let Some(charge) = &mut signal.charge {
        charge.triggered_by = TriggeredBy::Internal;
    }
    Ok(signal)
}

async fn join(scene: &Scene, signal: Signal) -> Result<()> {
    let tenant = account()?.tenant;
    send(&scene.queues, [Task::Signal(SignalTask { tenant, signal })]).await?;
    scene.settle().await
}

async fn recorded(scene: &Scene) -> Result<Value> {
    let intent = scene.operator("GET", INTENT, Value::Null).await?;
    Ok(intent.pointer("/record_back").cloned().unwrap_or_default())
}

#[tokio::test]
async fn a_success_is_told_until_the_platform_has_it_or_will_not_take_it() -> Result<()> {
    struct Case {
        name: &'static str,
        key: Option<&'static str>,
        answers: Vec<Said>,
        /// State, status and how often it was asked after 23 hours and after 25.
        want: [(&'static str, &'static str, std::ops::Range<u32>); 2],
    }
    let says = |status, body: &'static str| Ok(Answer::of(status, body));
    let one = 1..2;
    let ended = |state, status, tries: std::ops::Range<u32>| {
        [(state, status, tries.clone()), (state, status, tries)]
    };
    let cases = [
        Case {
            name: "taken",
            key: Some("key"),
            answers: vec![says(200, r#"{"id":"inv_9"}"#)],
            want: ended("recorded", "200", one.clone()),
        },
        Case {
            name: "taken at last",
            key: Some("key"),
            answers: vec![
                says(503, ""),
                Err(Failure::Timeout),
                says(429, ""),
                says(200, r#"{"id":"inv_9"}"#),
            ],
            want: ended("recorded", "200", 4..5),
        },
        Case {
            name: "taken once the key is a good one",
            key: Some("key"),
            answers: vec![says(401, ""), says(403, ""), says(200, r#"{"id":"inv_9"}"#)],
            want: ended("recorded", "200", 3..4),
        },
        Case {
            name: "not known there",
            key: Some("key"),
            answers: vec![says(404, "")],
            want: ended("failed", "404", one.clone()),
        },
        Case {
            name: "refused at once",
            key: Some("key"),
            answers: vec![says(422, "")],
            want: ended("failed", "422", one),
        },
        Case {
            name: "refused for longer than an answer may be lost",
            key: Some("key"),
            answers: vec![Err(Failure::Timeout), says(422, "")],
            want: ended("failed", "422", 5..20),
        },
        Case {
            name: "never reached",
            key: Some("key"),
            answers: vec![Err(Failure::Refused)],
            want: [("waiting", "", 90..110), ("failed", "", 90..110)],
        },
        Case {
            name: "some page says 200",
            key: Some("key"),
            answers: vec![says(200, "<html>")],
            want: [("waiting", "200", 90..110), ("failed", "200", 90..110)],
        },
        Case {
            name: "no key",
            key: None,
            answers: vec![says(200, "")],
            want: ended("failed", "", 0..1),
        },
    ];
    for case in cases {
        let name = case.name;
        let scene = Scene::start().await?;
        keep(&scene, &at(Platform::Recurly, case.key, BASE)?).await?;
        scene.api_calls.script(URL, case.answers);
        join(&scene, told(FAILED, Platform::Recurly)?).await?;
        assert_eq!(recorded(&scene).await?, Value::Null, "{name}");
        join(&scene, reported(Platform::Recurly)?).await?;
        for ((state, status, tries), hours) in case.want.into_iter().zip([23, 2]) {
            wait(&scene, SignedDuration::from_hours(hours)).await?;
            let record = recorded(&scene).await?;
            let got = (text(&record, "/state"), text(&record, "/status"));
            assert_eq!(got, (state.to_owned(), status.to_owned()), "{name}");
            let asked: u32 = text(&record, "/tries").parse()?;
            assert!(tries.contains(&asked), "{name}: {asked}");
            let calls = scene.api_calls.calls();
            assert_eq!(calls.len(), usize::try_from(asked)?, "{name}");
            assert!(calls.iter().all(|call| call.method == Method::PUT));
            let id = if state == "recorded" { "inv_9" } else { "" };
            assert_eq!(text(&record, "/platform_id"), id, "{name}");
        }
        assert!(scene.queues.is_empty(), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn the_platforms_own_word_settles_what_it_was_told_without_an_answer() -> Result<()> {
    let scene = Scene::start().await?;
    keep(&scene, &at(Platform::Recurly, Some("key"), BASE)?).await?;
    let lost = [Err(Failure::Timeout), Ok(Answer::of(422, ""))];
    scene.api_calls.script(URL, lost);
    join(&scene, told(FAILED, Platform::Recurly)?).await?;
    join(&scene, reported(Platform::Recurly)?).await?;
    wait(&scene, SignedDuration::from_secs(3)).await?;
    assert_eq!(text(&recorded(&scene).await?, "/state"), "waiting");

    join(&scene, echoed(Platform::Recurly)?).await?;
    let asked = scene.api_calls.calls().len();
    wait(&scene, SignedDuration::from_hours(1)).await?;
    assert_eq!(text(&recorded(&scene).await?, "/state"), "recorded");
    assert_eq!(scene.api_calls.calls().len(), asked);
    Ok(())
}

/// The platform itself says that the invoice was collected.
fn echoed(platform: Platform) -> Result<Signal> {
    let mut paid = told(PAID, platform)?;
    let at: Timestamp = "2025-01-05T00:00:00Z".parse()?;
    paid.id = shared::ids::SignalId::parse("the_platforms_own")?;
    paid.order = Order {
        at,
        id: paid.id.clone(),
        ..paid.order
    };
    Ok(paid)
}

#[tokio::test]
async fn the_platforms_own_word_settles_what_was_given_up_too() -> Result<()> {
    let scene = Scene::start().await?;
    keep(&scene, &at(Platform::Recurly, Some("key"), BASE)?).await?;
    scene.api_calls.script(URL, [Ok(Answer::of(404, ""))]);
    join(&scene, told(FAILED, Platform::Recurly)?).await?;
    join(&scene, reported(Platform::Recurly)?).await?;
    assert_eq!(text(&recorded(&scene).await?, "/state"), "failed");
    join(&scene, echoed(Platform::Recurly)?).await?;
    assert_eq!(text(&recorded(&scene).await?, "/state"), "recorded");
    assert_eq!(scene.api_calls.calls().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_doubted_only_after_a_try_whose_answer_may_be_lost() -> Result<()> {
    let account = at(Platform::Recurly, Some("key"), BASE)?;
    // A message that came often and never asked: there is no answer to be lost.
    let scene = Scene::start().await?;
    keep(&scene, &account).await?;
    scene.put_locked(&account).await?;
    scene.api_calls.script(URL, [Ok(Answer::of(422, ""))]);
    join(&scene, told(FAILED, Platform::Recurly)?).await?;
    join(&scene, reported(Platform::Recurly)?).await?;
    wait(&scene, SignedDuration::from_mins(1)).await?;
    assert_eq!(text(&recorded(&scene).await?, "/tries"), "0");
    keep(&scene, &account).await?;
    wait(&scene, SignedDuration::from_mins(5)).await?;
    let record = recorded(&scene).await?;
    let got = (text(&record, "/state"), text(&record, "/tries"));
    assert_eq!(got, ("failed".to_owned(), "1".to_owned()));

    // A message that comes for the first time after another one's answer was lost.
    let scene = Scene::start().await?;
    keep(&scene, &account).await?;
    let lost = [Err(Failure::Timeout), Ok(Answer::of(422, ""))];
    scene.api_calls.script(URL, lost);
    join(&scene, told(FAILED, Platform::Recurly)?).await?;
    join(&scene, reported(Platform::Recurly)?).await?;
    let task = RecordBackTask {
        tenant: account.tenant,
        intent: reported(Platform::Recurly)?.intent,
    };
    send(&scene.queues, [Task::RecordBack(task)]).await?;
    scene.settle().await?;
    let record = recorded(&scene).await?;
    let got = (text(&record, "/state"), text(&record, "/tries"));
    assert_eq!(got, ("waiting".to_owned(), "2".to_owned()));
    Ok(())
}

#[tokio::test]
async fn stripe_is_given_another_key_once_it_has_failed_under_one() -> Result<()> {
    let says = |status| Ok(Answer::of(status, r#"{"id":"in_1QfInv"}"#));
    // What it answers, and which of the tries share a key.
    let cases: [(Vec<Said>, &[u8]); 3] = [
        (vec![Err(Failure::Timeout), says(200)], &[0, 0]),
        (vec![says(409), says(429), says(200)], &[0, 0, 0]),
        (vec![says(409), says(500), says(200)], &[0, 0, 1]),
    ];
    for (answers, want) in cases {
        let scene = Scene::start().await?;
        keep(&scene, &at(Platform::Stripe, Some("key"), BASE)?).await?;
        let url = format!("{BASE}/v1/invoices/in_1QfInv/pay");
        scene.api_calls.script(&url, answers);
        join(&scene, told(FAILED, Platform::Stripe)?).await?;
        join(&scene, reported(Platform::Stripe)?).await?;
        wait(&scene, SignedDuration::from_mins(10)).await?;
        assert_eq!(text(&recorded(&scene).await?, "/state"), "recorded");
        let calls = scene.api_calls.calls();
        let keys: Vec<_> = calls
            .iter()
            .map(|call| call.headers.get("idempotency-key").cloned())
            .collect();
        assert!(keys.iter().all(Option::is_some));
        let mut seen = Vec::new();
        let mut got = Vec::new();
        for key in keys {
            if !seen.contains(&key) {
                seen.push(key.clone());
            }
            got.push(seen.iter().position(|it| *it == key));
        }
        let want: Vec<_> = want.iter().map(|key| Some(usize::from(*key))).collect();
        assert_eq!(got, want);
    }
    Ok(())
}

#[tokio::test]
async fn a_platform_that_answers_late_records_one_payment() -> Result<()> {
    let api = PlatformApi::new(Secret::new("key"));
    api.put(
        Kind::ChargebeeInvoice,
        json!({"id": "in_1QfInv", "status": "payment_due", "total": 2500, "amount_due": 2500, "currency_code": "USD"}),
    );
    api.script([Turn::Status(503), Turn::NotJson, Turn::After(429, 60)]);
    let serving = api.start().await?;
    let vetting = Vetting::new(vec!["127.0.0.0/8".parse()?], None);
    let https = Https::new(vetting, Arc::new(SystemClock))?;
    let scene = Scene::with_platforms(Arc::new(https)).await?;
    let account = at(Platform::Chargebee, Some("key"), &serving.base_url())?;
    keep(&scene, &account).await?;
    join(&scene, told(FAILED, Platform::Chargebee)?).await?;
    join(&scene, reported(Platform::Chargebee)?).await?;
    wait(&scene, SignedDuration::from_mins(10)).await?;

    let record = recorded(&scene).await?;
    assert_eq!(text(&record, "/state"), "recorded", "{:?}", api.asked());
    let asked = api.asked();
    let mut keys: Vec<_> = asked.iter().map(|it| it.idempotency_key.clone()).collect();
    keys.dedup();
    assert_eq!(keys.len(), 1, "{asked:?}");
    assert!(keys.iter().all(Option::is_some));
    assert_eq!((asked.len(), api.recorded().len()), (4, 1), "{asked:?}");
    Ok(())
}
