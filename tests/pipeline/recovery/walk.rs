//! A whole ladder, over thirty days, by the clock: what the merchant is told, when, and what comes of outages.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::delivery::{Failure, Outcome};
use shared::time::{Clock, later};
use tests::scene::{BEGIN, SHOP_URL, Scene};
use tests::stories::TENANT;

use super::billing::{self, Charge};
use crate::{list, text};

const HOUR: i64 = 3600;
/// Eight steps in some thirty days.
const LADDER: [i64; 8] = [
    6 * HOUR,
    24 * HOUR,
    48 * HOUR,
    72 * HOUR,
    96 * HOUR,
    120 * HOUR,
    144 * HOUR,
    168 * HOUR,
];

/// A merchant that charges whenever it is told to, always in vain, and whose platform says so.
struct Merchant {
    scene: Scene,
    /// How many requests it has looked at.
    seen: usize,
    charges: u32,
    /// Whether its door is closed: what is posted there never arrives.
    closed: bool,
    /// Whether anything is out of order, or was a moment ago.
    disorder: bool,
    /// The retries it was told of, each once, with the hour since the beginning.
    told: Vec<(String, i64)>,
}

impl Merchant {
    async fn start() -> Result<Self> {
        let scene = Scene::start().await?;
        let terms = json!({ "mode": "cascading", "ladder_s": LADDER });
        billing::put_account(&scene, terms).await?;
        Ok(Self {
            scene,
            seen: 0,
            charges: 0,
            closed: false,
            disorder: false,
            told: Vec::new(),
        })
    }

    /// The next charge fails, and the platform tells of it.
    async fn charge_in_vain(&mut self) -> Result<()> {
        self.charges += 1;
        let charge = Charge {
            number: self.charges,
            at: self.scene.clock.now(),
            status: "failure",
        };
        let answer = billing::tell(&self.scene, "INV-1001", &charge).await?;
        ensure!(answer.status == 200, "{}", answer.body);
        self.scene.settle().await
    }

    /// Looks at what came in, and does as it is told.
    async fn look(&mut self) -> Result<()> {
        let requests = self.scene.far.requests();
        let passed = if self.closed {
            requests.len()
        } else {
            self.seen
        };
        for request in requests.iter().skip(passed) {
            let body: Value = serde_json::from_slice(&request.body)?;
            if text(&body, "/type") != "recovery.retry_due" {
                continue;
            }
            let key = text(&body, "/data/idempotency_key");
            let deadline: Timestamp = text(&body, "/data/deadline").parse()?;
            ensure!(self.scene.clock.now() <= deadline, "told too late: {body}");
            if self.told.iter().all(|(known, _)| *known != key) {
                self.told.push((key, self.hour()));
                self.charge_in_vain().await?;
            }
        }
        self.seen = requests.len();
        Ok(())
    }

    fn hour(&self) -> i64 {
        (self.scene.clock.now().as_second() - BEGIN) / HOUR
    }

    /// Time passes hour by hour, the sweep runs once in each, and the merchant looks at its door. Hours in which nothing is
    /// due are left out while everything is in order.
    async fn pass(&mut self, hours: i64) -> Result<()> {
        let end = later(self.scene.clock.now(), SignedDuration::from_hours(hours));
        while self.scene.clock.now() < end {
            let hour = later(self.scene.clock.now(), SignedDuration::from_hours(1));
            let next = match self.due().await {
                Some(due) if !self.disorder => due.max(hour),
                Some(_) => hour,
                None if self.disorder => hour,
                None => end,
            };
            self.scene.clock.advance_to(next.min(end));
            // A sweep that fails leaves what it could not do for the next one.
            let _left = self.scene.sweep().await;
            self.scene.settle().await?;
            self.look().await?;
        }
        Ok(())
    }

    /// When time moves the invoice on, if it does.
    async fn due(&self) -> Option<Timestamp> {
        let intent = self.intent().await.ok()?;
        let at = match text(&intent, "/retry/stage").as_str() {
            "planned" => text(&intent, "/retry/at"),
            "due" => text(&intent, "/retry/deadline"),
            _ => return None,
        };
        at.parse().ok()
    }

    async fn intent(&self) -> Result<Value> {
        let path =
            format!("/v1/tenants/{TENANT}/intents?profile=pro_1&account=cb_1&invoice=INV-1001");
        self.scene.operator("GET", &path, Value::Null).await
    }

    async fn lever(&self, lever: &str) -> Result<()> {
        let path = format!(
            "/v1/tenants/{TENANT}/intents/{lever}?profile=pro_1&account=cb_1&invoice=INV-1001"
        );
        self.scene.operator("POST", &path, json!({})).await?;
        self.scene.settle().await
    }

    fn hours(&self) -> Vec<i64> {
        self.told.iter().map(|(_, hour)| *hour).collect()
    }

    async fn types(&self) -> Result<Vec<String>> {
        let events = self.scene.events().await?;
        Ok(events.iter().map(|event| text(event, "/type")).collect())
    }
}

#[tokio::test]
async fn a_ladder_is_walked_step_by_step_and_ends_with_its_reason() -> Result<()> {
    let mut merchant = Merchant::start().await?;
    merchant.charge_in_vain().await?;
    merchant.pass(30 * 24).await?;
    assert_eq!(
        merchant.hours(),
        [6, 30, 78, 150, 246, 366, 510, 678],
        "each step after the failure before it"
    );
    let intent = merchant.intent().await?;
    assert_eq!(list(&intent, "/attempts").len(), 9);
    assert_eq!(text(&intent, "/retry/stage"), "ended");
    assert_eq!(text(&intent, "/retry/reason"), "retries_exhausted");
    let types = merchant.types().await?;
    let count = |name: &str| types.iter().filter(|it| *it == name).count();
    assert_eq!(count("recovery.payment_failed"), 9);
    assert_eq!(count("recovery.retry_scheduled"), 8);
    assert_eq!(count("recovery.retry_due"), 8);
    assert_eq!(count("recovery.limits_exhausted"), 1);
    Ok(())
}

#[tokio::test]
async fn an_outage_makes_retries_late_and_loses_none() -> Result<()> {
    let mut merchant = Merchant::start().await?;
    merchant.charge_in_vain().await?;
    // The table is gone when the first retry is due, at hour 6.
    merchant.disorder = true;
    merchant.scene.effects.table_out(true);
    merchant.pass(9).await?;
    assert_eq!(merchant.hours(), [0; 0]);
    merchant.scene.effects.table_out(false);
    merchant.pass(1).await?;
    assert_eq!(merchant.hours(), [10]);
    // The queues are, when the second is: at hour 34, and for longer than a merchant has time for a retry.
    merchant.scene.effects.queues_out(true);
    merchant.pass(28).await?;
    merchant.scene.effects.queues_out(false);
    merchant.pass(1).await?;
    assert_eq!(merchant.hours(), [10, 39]);
    // The merchant's door is closed when the third is due, at hour 87, until it must not be made any more.
    let refused = Outcome::Failed(Failure::Refused);
    merchant.scene.far.script(SHOP_URL, [refused]);
    merchant.closed = true;
    merchant.pass(60).await?;
    merchant
        .scene
        .far
        .script(SHOP_URL, [Outcome::answered(200)]);
    merchant.closed = false;
    merchant.pass(24).await?;
    assert_eq!(merchant.hours(), [10, 39], "nothing is charged on a guess");
    let intent = merchant.intent().await?;
    assert_eq!(text(&intent, "/retry/stage"), "unknown");
    let key = |events: &[Value]| -> Vec<String> {
        let due = events
            .iter()
            .filter(|event| text(event, "/type") == "recovery.retry_due");
        due.map(|event| text(event, "/data/idempotency_key"))
            .collect()
    };
    // Who asks for it again gets the same retry, under the same key.
    merchant.lever("retry-now").await?;
    merchant.pass(1).await?;
    assert_eq!(merchant.told.len(), 3);
    let keys = key(&merchant.scene.events().await?);
    let last = keys.last().context("a retry was told")?;
    assert_eq!(keys.iter().filter(|key| *key == last).count(), 2);
    // And the ladder goes on from there.
    merchant.disorder = false;
    merchant.pass(30 * 24).await?;
    assert_eq!(merchant.told.len(), 8);
    assert_eq!(list(&merchant.intent().await?, "/attempts").len(), 9);
    Ok(())
}
