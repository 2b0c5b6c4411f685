//! The process dies after each effect in turn; whoever got no answer asks again, and all ends in the same state.
//!
//! Delivery is at least once: a process that dies after a request and before its record forgets it, and makes it again.
//! That is the only difference a crash may make to what receivers see, and it is counted; what is recorded of tries may
//! lack those and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::delivery::{Outcome, Request};
use tests::scene::{SHOP_SECRET, SHOP_URL, Scene};
use tests::stories::TENANT;

use crate::decide::{ASE_URL, ask, creation, put_ase, says};
use crate::publish::OPERATOR;
use crate::{FAILED, PAID, list, text};

/// An event of a payment backend.
const PUBLISHED: &str =
    include_str!("../../shared/schemas/incoming_payment.completed.v1.sample.json");
const INTENT: &str = "/v1/tenants/acme/intents?profile=pro_1&account=mca_1&invoice=in_1QfInv";

/// What happens in a story. The process may die in each act but [`Act::Answers`], which is the far side's.
enum Act {
    /// From now on `shop` answers this.
    Answers(u16),
    /// The billing platform posts a webhook, until it is answered 200.
    Webhook(&'static str),
    /// A payment backend posts the event for these recipients, until it is answered 200.
    Publish(&'static str),
    /// A payment backend asks for a decision, until it has one.
    Ask,
    /// The operator replays what `shop` got of the only event, until the API answers.
    Replay,
    /// So many minutes go by, with a sweep in each.
    Minutes(i64),
}

/// What is done, and how it ends however often the process dies.
struct Story {
    name: &'static str,
    /// The settings of `shop` beside its URL and secret.
    shop: Value,
    acts: Vec<Act>,
    /// Each delivery's event type, endpoint, round and end.
    ends: &'static [&'static str],
    /// The requests that are made without a crash.
    requests: usize,
    /// The requests of which a process may have no record when it dies: so many it has in hand.
    in_hand: usize,
    /// Other ends of deliveries, which a crash may lead to for the reason given.
    or: &'static [(&'static str, &'static str, Because)],
    /// The story has at least so many effects to die after.
    effects: usize,
}

/// Why an end may be another one after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Because {
    /// The answer 410 was forgotten after it had switched the endpoint off, so the delivery says that it is off.
    AnswerForgotten,
}

fn stories() -> Vec<Story> {
    use Act::{Answers, Ask, Minutes, Publish, Replay, Webhook};
    let usual = |name| Story {
        name,
        shop: json!({}),
        acts: Vec::new(),
        ends: &[],
        requests: 0,
        in_hand: 1,
        or: &[],
        effects: 0,
    };
    let ladder = |waits: Value| json!({ "retry": { "policy": "ladder", "waits_s": waits } });
    vec![
        Story {
            acts: vec![
                Answers(500),
                Webhook(FAILED),
                Webhook(PAID),
                Minutes(0),
                Answers(200),
                Minutes(5),
            ],
            ends: &[
                "recovery.payment_failed shop 1 delivered",
                "recovery.payment_succeeded shop 1 delivered",
                "recovery.recovered shop 1 delivered",
            ],
            requests: 6,
            in_hand: 3,
            effects: 18,
            ..usual("a failed and a successful charge, and tries that are refused")
        },
        Story {
            shop: ladder(json!([901])),
            acts: vec![
                Answers(503),
                Webhook(FAILED),
                Minutes(5),
                Answers(200),
                Minutes(20),
            ],
            ends: &["recovery.payment_failed shop 1 delivered"],
            requests: 2,
            effects: 14,
            ..usual("a wait that is parked, and the sweep that ends it")
        },
        Story {
            acts: vec![Answers(410), Webhook(FAILED), Minutes(5)],
            ends: &["recovery.payment_failed shop 1 given_up gone"],
            requests: 1,
            or: &[(
                "recovery.payment_failed shop 1 given_up gone",
                "recovery.payment_failed shop 1 skipped endpoint_disabled",
                Because::AnswerForgotten,
            )],
            effects: 10,
            ..usual("a receiver that answers 410")
        },
        Story {
            acts: vec![Publish("ase"), Minutes(5), Publish("ase,pos"), Minutes(5)],
            ends: &[
                "incoming_payment.completed ase 1 delivered",
                "incoming_payment.completed pos 1 delivered",
            ],
            requests: 2,
            effects: 14,
            ..usual("an event that is posted again for more recipients")
        },
        Story {
            shop: ladder(json!([])),
            acts: vec![
                Answers(500),
                Webhook(FAILED),
                Minutes(5),
                Answers(200),
                Replay,
                Minutes(5),
            ],
            ends: &[
                "recovery.payment_failed shop 1 given_up retries_exhausted",
                "recovery.payment_failed shop 2 delivered",
            ],
            requests: 2,
            effects: 14,
            ..usual("a replay of what was given up")
        },
        Story {
            acts: vec![Ask, Minutes(5)],
            ends: &["incoming_payment.decision_requested ase 1 delivered"],
            requests: 1,
            effects: 2,
            ..usual("a decision that is asked for")
        },
    ]
}

impl Story {
    /// Plays it, dying after effect `crash`. Answers the scene at rest, and whether the process died.
    async fn play(&self, crash: Option<usize>) -> Result<(Scene, bool)> {
        let mut scene = Scene::start().await?;
        let mut shop = json!({ "url": SHOP_URL, "secrets": [SHOP_SECRET] });
        if let (Some(all), Some(own)) = (shop.as_object_mut(), self.shop.as_object()) {
            all.extend(own.clone());
        }
        scene.put_endpoint("shop", shop).await?;
        put_ase(&scene, TENANT, "ase", json!({})).await?;
        let pos =
            json!({ "url": "https://pos.example/hook", "role": "pos", "secrets": [SHOP_SECRET] });
        scene.put_endpoint("pos", pos).await?;
        let accepted = says(200, &json!({ "decision": "accepted" }));
        scene.far.script(ASE_URL, [accepted]);

        let mut died = false;
        if let Some(number) = crash {
            scene.effects.die_after(number);
        }
        for act in &self.acts {
            let dies = tokio::select! {
                biased;
                () = scene.effects.death() => true,
                done = act.play(&scene) => { done?; false }
            };
            if dies {
                // What the process had in hand comes back when its visibility has run out.
                died = true;
                scene.restart()?;
                act.play(&scene).await?;
            }
        }
        Ok((scene, died))
    }

    /// Whether these are the ends that the story has, or may have.
    fn ends_with(&self, ends: &BTreeSet<String>) -> bool {
        let may_be = |want: &str, got: &str| {
            let other = self
                .or
                .iter()
                .any(|(end, other, _)| (*end, *other) == (want, got));
            want == got || other
        };
        let ends: Vec<_> = ends.iter().collect();
        ends.len() == self.ends.len()
            && self
                .ends
                .iter()
                .zip(ends)
                .all(|(want, got)| may_be(want, got))
    }
}

impl Act {
    async fn play(&self, scene: &Scene) -> Result<()> {
        match self {
            Self::Answers(status) => {
                scene.far.script(SHOP_URL, [Outcome::answered(*status)]);
            }
            Self::Webhook(body) => {
                let answer = scene.webhook(body).await?;
                ensure!(answer.status == 200, "{}", answer.body);
            }
            Self::Publish(recipients) => {
                let path = format!("/v1/tenants/{TENANT}/events?recipients={recipients}");
                scene
                    .operator("POST", &path, serde_json::from_str(PUBLISHED)?)
                    .await?;
            }
            Self::Ask => {
                let answer = ask(scene, OPERATOR, "order-17", &creation()).await?;
                ensure!(answer.status == 200, "{}", answer.body);
            }
            Self::Replay => {
                let event = scene.events().await?.pop().context("there is an event")?;
                let id = text(&event, "/id");
                let path = format!("/v1/tenants/{TENANT}/events/{id}/deliveries/shop/replay");
                scene.operator("POST", &path, Value::Null).await?;
            }
            Self::Minutes(minutes) => scene.pass(SignedDuration::from_mins(*minutes)).await?,
        }
        Ok(())
    }
}

/// All that is kept, without what tells when it happened and which tries there were.
#[derive(Debug, PartialEq, Eq)]
struct AtRest {
    events: Vec<Value>,
    intent: Value,
    endpoints: Value,
    quarantine: Value,
}

/// A value without these names, wherever they stand.
fn without(value: &Value, names: &[&str]) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !names.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), without(value, names)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| without(item, names)).collect(),
        plain => plain.clone(),
    }
}

async fn at_rest(scene: &Scene) -> Result<AtRest> {
    let get = async |path: &str| scene.operator("GET", path, Value::Null).await;
    let times = ["occurred_at", "recorded_at", "tries"];
    let mut events: Vec<_> = scene.events().await?;
    events.sort_by_key(|event| text(event, "/id"));
    Ok(AtRest {
        events: events.iter().map(|event| without(event, &times)).collect(),
        intent: scene.call("GET", INTENT, Value::Null).await?.json(),
        // How many tries failed in a row is a help, and who dies before the success is noted leaves it as it was.
        endpoints: without(&get("/v1/tenants/acme/endpoints").await?, &["failures"]),
        quarantine: get("/v1/quarantine").await?,
    })
}

/// Event type, endpoint, round and end of every delivery.
fn ends(events: &[Value]) -> BTreeSet<String> {
    let of = |event: &Value| {
        let event_type = text(event, "/type");
        let line = |delivery: &&Value| {
            let parts =
                ["/endpoint", "/round", "/state", "/reason"].map(|part| text(delivery, part));
            format!("{event_type} {}", parts.join(" "))
                .trim_end()
                .to_owned()
        };
        list(event, "/deliveries")
            .iter()
            .map(line)
            .collect::<Vec<_>>()
    };
    events.iter().flat_map(of).collect()
}

/// How often the far side got each thing: where, under which id, what.
fn told(scene: &Scene) -> BTreeMap<String, usize> {
    let thing = |request: &Request| {
        let id = request.headers.get("webhook-id");
        let id = id.and_then(|value| value.to_str().ok()).unwrap_or_default();
        format!(
            "{} {id} {}",
            request.url,
            String::from_utf8_lossy(&request.body)
        )
    };
    let mut counts = BTreeMap::new();
    for request in scene.far.requests() {
        *counts.entry(thing(&request)).or_default() += 1;
    }
    counts
}

fn tries(events: &[Value]) -> usize {
    let deliveries = events.iter().flat_map(|event| list(event, "/deliveries"));
    deliveries
        .map(|delivery| list(delivery, "/tries").len())
        .sum()
}

/// Plays a story without a crash, then with one after each of its effects.
async fn survives(story: Story) -> Result<()> {
    let name = story.name;
    let (calm, _) = story.play(None).await?;
    let (want, want_told) = (at_rest(&calm).await?, told(&calm));
    let want_ends: BTreeSet<_> = story.ends.iter().map(|end| (*end).to_owned()).collect();
    let events = calm.events().await?;
    assert_eq!(ends(&events), want_ends, "{name}: without a crash");
    assert_eq!(calm.far.requests().len(), story.requests, "{name}");
    assert_eq!(tries(&events), story.requests, "{name}");
    let billed = story.acts.iter().any(|act| matches!(act, Act::Webhook(_)));
    assert_eq!(want.intent.get("attempts").is_some(), billed, "{name}");

    let (mut crashes, mut repeats, mut others) = (0, 0, 0);
    for number in 1.. {
        let (scene, died) = story.play(Some(number)).await?;
        if !died {
            break;
        }
        crashes += 1;
        let after = format!("{name}: after effect {number}");
        let events = scene.events().await?;
        let got = ends(&events);
        assert!(story.ends_with(&got), "{after}: {got:#?}");
        if got == want_ends {
            assert_eq!(at_rest(&scene).await?, want, "{after}");
        } else {
            others += 1;
        }
        assert!(
            scene.queues.is_empty(),
            "{after}: nothing is left on a queue"
        );

        let told = told(&scene);
        assert!(told.keys().eq(want_told.keys()), "{after}: {told:#?}");
        for (thing, count) in &told {
            let calm = want_told.get(thing).copied().unwrap_or_default();
            assert!(
                *count <= calm + 1,
                "{after}: {count} times {thing}, {calm} in calm"
            );
        }
        let (sent, recorded) = (scene.far.requests().len(), tries(&events));
        assert!(
            (recorded..=recorded + story.in_hand).contains(&sent),
            "{after}: {sent} requests, {recorded} recorded"
        );
        repeats += sent - recorded;
    }
    assert!(crashes >= story.effects, "{name}: only {crashes} effects");
    assert!(
        repeats > 0,
        "{name}: no crash fell between a request and its record"
    );
    assert!(others <= story.or.len(), "{name}: {others} other ends");
    Ok(())
}

#[tokio::test]
async fn dying_after_any_effect_loses_nothing_and_ends_in_the_same_state() -> Result<()> {
    for story in stories() {
        survives(story).await?;
    }
    Ok(())
}
