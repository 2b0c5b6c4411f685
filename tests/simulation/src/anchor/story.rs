//! One customer and one transaction of a wallet client, call after call, with what should be so after each: a call that was
//! answered with an error did nothing, one that was answered with a result did all of it, and of one that nobody knows of it
//! is looked up which of both it was.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::business::Business;
use super::rules::{OF_SEP_6, OF_SEP_31, REASON, Transaction, client, customer, moved, sep};
use super::{Step, What};
use crate::cluster::{Answer, Cluster};
use crate::nature::{Nature, pass};
use crate::stage::Stage;

/// What an answer says where nobody knows whether a write was made.
const UNSURE: &str = "the answer tells whether it was done";

/// A story so far.
#[derive(Debug, Default)]
pub struct Story {
    transaction: Option<Transaction>,
    /// In which state the transaction is, as its tag counts them.
    version: u64,
    /// What the business server thinks of the customer: the status and the bytes of its answer.
    thinks: Option<(&'static str, String)>,
    /// The bytes that were last told of the customer.
    said: Option<String>,
    turns: u64,
    /// What the wallet is to be told of the customer, one after the other.
    pub of_customer: Vec<String>,
    /// The statuses that the wallet is to be told of the transaction, one after the other.
    pub of_transaction: Vec<&'static str>,
}

/// The stories of a run, by tenant and number.
pub type Stories = std::sync::Mutex<BTreeMap<(&'static str, usize), Arc<Mutex<Story>>>>;

/// What everybody in a story needs.
struct Scene<'a> {
    cluster: &'a Cluster,
    stage: &'a Stage,
    business: &'a Business,
    step: &'a Step,
}

/// What became of a request.
enum Came {
    /// It was done.
    Done(Value),
    /// It was not done: the error's code.
    Refused(i64),
    /// Nobody knows.
    Unknown,
}

/// Goes on with a story when it is time, and when it is as far.
pub async fn tell(
    cluster: Arc<Cluster>,
    stage: Arc<Stage>,
    business: Arc<Business>,
    stories: Arc<Stories>,
    step: Step,
) {
    pass(Duration::from_millis(step.after_ms)).await;
    let story = {
        let mut stories = stories.lock().unwrap_or_else(PoisonError::into_inner);
        let story = stories.entry((step.tenant, step.story)).or_default();
        story.clone()
    };
    let mut story = story.lock().await;
    let scene = Scene {
        cluster: &cluster,
        stage: &stage,
        business: &business,
        step: &step,
    };
    scene.begin(&mut story).await;
    match step.what {
        What::Moves(status) => {
            scene.think(&mut story, status);
            scene.call(&mut story).await;
        }
        What::Again => scene.call(&mut story).await,
        What::Puts {
            status,
            paid,
            payable,
        } => {
            let statuses = match sep(step.story) {
                6 => &OF_SEP_6[..],
                _ => &OF_SEP_31[..],
            };
            let status = statuses.get(status % statuses.len());
            let wanted = Transaction {
                status: status.copied().unwrap_or("completed"),
                message: None,
                paid,
                payable,
            };
            scene.put(&mut story, wanted).await;
        }
    }
}

impl Scene<'_> {
    fn nature(&self) -> &Nature {
        &self.cluster.nature
    }

    fn name(&self) -> String {
        format!("tx_{}", self.step.story)
    }

    fn check(&self, law: &'static str, holds: bool, seen: impl std::fmt::Debug) {
        self.nature().check(law, holds, || {
            format!("{} {}: {seen:?}", self.step.tenant, self.name())
        });
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Option<Answer> {
        let key = self.stage.key(self.step.tenant);
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1/tenants/{}/anchor/{path}", self.step.tenant))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {key}"));
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        self.nature().count("requests of business servers", 1);
        self.cluster.send(request.body(body).ok()?).await
    }

    async fn pause(&self) {
        pass(self.nature().chance.millis(200, 5_000)).await;
    }

    /// The transaction is put first, whatever else the story begins with.
    async fn begin(&self, story: &mut Story) {
        if story.transaction.is_some() {
            return;
        }
        let first = Transaction {
            status: if sep(self.step.story) == 6 {
                "incomplete"
            } else {
                "pending_receiver"
            },
            message: None,
            paid: false,
            payable: false,
        };
        while !self.send_put(&first).await {
            self.pause().await;
        }
        story.transaction = Some(first);
        story.version = self.version().await;
    }

    /// Puts the transaction; whether it is known to be done.
    async fn send_put(&self, it: &Transaction) -> bool {
        let story = self.step.story;
        let body = json!({
            "sep": sep(story).to_string(), "kind": "deposit", "status": it.status,
            "client": client(story), "customers": { "sender": customer(story) },
            "transfer_received_at": it.paid.then_some("2026-01-01T00:00:00Z"),
            "amounts_known": it.payable, "instructions_known": it.payable,
        });
        let path = format!("transactions/{}", self.name());
        let answer = self.send("PUT", &path, &body).await;
        let status = answer.as_ref().map(|answer| answer.status.as_u16());
        let fits = matches!(status, None | Some(200 | 201 | 429 | 503));
        self.check("a good put is not refused", fits, &answer);
        matches!(status, Some(200 | 201)) || !fits
    }

    async fn version(&self) -> u64 {
        let path = format!("transactions/{}", self.name());
        loop {
            let answer = self.send("GET", &path, &Value::Null).await;
            let status = answer.as_ref().map(|answer| answer.status.as_u16());
            if matches!(status, None | Some(429 | 503)) {
                self.pause().await;
                continue;
            }
            self.check("what was put is there", status == Some(200), &answer);
            let tag = answer.and_then(|answer| answer.headers.get("etag").cloned());
            let tag = tag.as_ref().and_then(|tag| tag.to_str().ok());
            return tag.map_or(0, |tag| tag.trim_matches('"').parse().unwrap_or_default());
        }
    }

    async fn put(&self, story: &mut Story, wanted: Transaction) {
        let changes = story.transaction.as_ref() != Some(&wanted);
        loop {
            let done = self.send_put(&wanted).await;
            if done || self.was_written(story, changes).await {
                break;
            }
            self.pause().await;
        }
        if changes {
            story.version += 1;
            let was = story.transaction.replace(wanted.clone());
            if was.is_none_or(|was| was.status != wanted.status) {
                story.of_transaction.push(wanted.status);
            }
        }
    }

    /// Whether something of which nobody knows was done.
    async fn was_written(&self, story: &Story, changes: bool) -> bool {
        let version = self.version().await;
        let written = version.saturating_sub(story.version);
        self.check(
            "what nobody knows of was done once at most",
            written <= u64::from(changes),
            written,
        );
        written > 0
    }

    /// The business server makes up its mind.
    fn think(&self, story: &mut Story, status: &'static str) {
        story.turns += 1;
        let (number, name) = (self.step.story, self.name());
        let more = match status {
            "REJECTED" => format!(r#","message":"{REASON}""#),
            _ => String::new(),
        };
        // Now and then it says the same again.
        let bytes = format!(
            r#"{{"id":"{}", "status":"{status}"{more},"of":"{} {name}","n":{}}}"#,
            customer(number),
            self.step.tenant,
            story.turns / 2
        );
        let of = (self.step.tenant, name);
        self.business.think(of, customer(number), bytes.clone());
        story.thinks = Some((status, bytes));
    }

    async fn call(&self, story: &mut Story) {
        for _ in 0..3 {
            let judged = judge(sep(self.step.story), story);
            let came = self.send_call().await;
            let done = match &came {
                Came::Done(result) => {
                    let status = result.get("status").and_then(Value::as_str);
                    let expected = judged.as_ref().ok().map(|it| it.status);
                    let fits = expected.is_some() && status == expected;
                    self.check("a result is what the tables say", fits, (result, expected));
                    true
                }
                Came::Refused(code) => {
                    let refused = judged.is_err();
                    let fits = *code != -32_600 || refused;
                    self.check(
                        "only what the tables refuse is an invalid request",
                        fits,
                        code,
                    );
                    let calm = !self.nature().is_fair() || refused;
                    self.check("without faults a call is done", calm, code);
                    false
                }
                Came::Unknown => {
                    let changes = judged.as_ref().is_ok_and(|it| it.changes);
                    self.was_written(story, changes).await
                }
            };
            self.nature().count(
                match (&came, done) {
                    (Came::Done(_), _) => "calls that were done",
                    (Came::Refused(_), _) => "calls that were refused",
                    (Came::Unknown, true) => "calls that were done unknown to their caller",
                    (Came::Unknown, false) => "calls that came to nothing",
                },
                1,
            );
            if let (true, Ok(judged)) = (done, judged) {
                apply(story, &judged);
            }
            if !matches!(came, Came::Unknown) && self.nature().chance.percent(70) {
                return;
            }
            self.pause().await;
        }
    }

    async fn send_call(&self) -> Came {
        let call = json!([{
            "jsonrpc": "2.0", "id": 1, "method": "notify_customer_info_updated",
            "params": {
                "transaction_id": self.name(), "customer_id": customer(self.step.story),
                "customer_type": "sep6",
            },
        }]);
        let Some(answer) = self.send("POST", "rpc", &call).await else {
            return Came::Unknown;
        };
        let body = answer.json();
        let good = matches!(answer.status.as_u16(), 200 | 429 | 503);
        self.check("a good call is not refused", good, &answer);
        let (result, error) = (body.pointer("/0/result"), body.pointer("/0/error"));
        match (result, error) {
            (Some(result), None) => Came::Done(result.clone()),
            (None, Some(error)) => {
                let text = error.get("message").and_then(Value::as_str);
                match text.is_some_and(|text| text.contains(UNSURE)) {
                    true => Came::Unknown,
                    false => Came::Refused(error.get("code").and_then(Value::as_i64).unwrap_or(0)),
                }
            }
            _ => Came::Unknown,
        }
    }
}

/// What a call comes to.
struct Judged {
    status: &'static str,
    changes: bool,
}

/// What a call comes to; the error is that it is refused.
fn judge(sep: u8, story: &Story) -> Result<Judged, ()> {
    let (Some(it), Some((status, bytes))) = (&story.transaction, &story.thinks) else {
        return Err(());
    };
    let (next, open) = moved(sep, it, status);
    let news = story.said.as_ref() != Some(bytes);
    let message = (next == "error").then_some(REASON);
    let same = message.is_none() || message == it.message;
    let changes = news || !same || next != it.status;
    match !changes || open {
        true => Ok(Judged {
            status: next,
            changes,
        }),
        false => Err(()),
    }
}

fn apply(story: &mut Story, judged: &Judged) {
    let (Some(it), Some((_, bytes)), true) =
        (&mut story.transaction, &story.thinks, judged.changes)
    else {
        return;
    };
    story.version += 1;
    if story.said.as_ref() != Some(bytes) {
        story.said = Some(bytes.clone());
        story.of_customer.push(bytes.clone());
    }
    if judged.status == "error" {
        it.message = Some(REASON);
    }
    if it.status != judged.status {
        it.status = judged.status;
        story.of_transaction.push(judged.status);
    }
}
