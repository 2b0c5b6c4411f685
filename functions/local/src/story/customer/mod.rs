//! One customer of an anchor, from missing papers to acceptance. Played are the anchor's business server, and the wallet, which
//! fails twice.

mod outside;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::time::{Clock, later};

use super::stage::{STEPS_MOST, Shown, Stage};
use crate::demo;
use crate::lines::Audience;
use crate::wallet::Heard;
use outside::{BUSINESS_KEY, Outside, WALLET_HOST};

/// The customer.
const CUSTOMER: &str = "cus_1";
/// The deposit that waits for its papers.
const TRANSACTION: &str = "dep-1";
/// Where the wallet hears of customers.
const CUSTOMERS_AT: &str = "/sep12";
/// Where the wallet hears of deposits.
const DEPOSITS_AT: &str = "/sep6";

/// Tells the story to its end.
///
/// # Errors
/// If it does not come to the end that it should.
pub async fn customer(audience: Audience) -> anyhow::Result<()> {
    let mut story = Story::begin(audience).await?;
    story.is_set_up().await?;
    story.papers_are_checked().await?;
    story.wallet_is_told().await?;
    story.nothing_is_told_twice().await?;
    story.a_lie_is_told_to_nobody().await?;
    story.epilogue().await
}

/// What the story plays on, and what came of it.
struct Story {
    stage: Stage,
    outside: Arc<Outside>,
    /// What the business server said, each time it said something new.
    said: Vec<String>,
    /// What the wallet heard.
    heard: Vec<Heard>,
}

/// A path below the tenant.
fn path(rest: &str) -> String {
    format!("/v1/tenants/{}{rest}", demo::TENANT)
}

/// What `pointer` leads to, as text.
fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "nothing".to_owned(),
    }
}

impl Story {
    async fn begin(audience: Audience) -> anyhow::Result<Self> {
        let outside = |clock| Outside::new(demo::anchor::SIGNING_KEY, clock);
        let (stage, outside) = Stage::set(outside, Shown::Seconds, audience).await?;
        Ok(Self {
            stage,
            outside,
            said: Vec::new(),
            heard: Vec::new(),
        })
    }

    async fn is_set_up(&self) -> anyhow::Result<()> {
        let puts = [
            (path(""), json!({"display_name": "Demo"})),
            (
                path("/anchor"),
                json!({"business_server": {
                    "base_url": "https://business.example",
                    "auth": {"type": "api_key", "key": BUSINESS_KEY},
                }}),
            ),
            (
                path("/anchor/signing-key"),
                json!({"seed": demo::anchor::SIGNING_SEED}),
            ),
            (
                path("/clients/wallet"),
                json!({"domains": [WALLET_HOST], "callback_urls": {
                    "sep6": format!("https://{WALLET_HOST}{DEPOSITS_AT}"),
                    "sep12": format!("https://{WALLET_HOST}{CUSTOMERS_AT}"),
                }}),
            ),
        ];
        for (path, body) in puts {
            self.stage.ask(Method::PUT, &path, Some(&body)).await?;
        }
        let key = path("/anchor/signing-key");
        let shown = self.stage.ask(Method::GET, &key, None).await?;
        let published = text(&shown, "/public_key");
        ensure!(
            published == demo::anchor::SIGNING_KEY,
            "{published} is not the public key of the seed"
        );
        self.stage.tell(
            "operator",
            format!(
                "sets up a business server, a wallet client and a signing key; stellar.toml has {}",
                text(&shown, "/stellar_toml")
            ),
        )?;
        let deposit = json!({
            "sep": "6",
            "kind": "deposit",
            "status": "incomplete",
            "client": "wallet",
            "customers": {"sender": CUSTOMER},
            "amounts_known": true,
            "instructions_known": true,
            "details": {"amount_in": "100.00"},
        });
        let transaction = path(&format!("/anchor/transactions/{TRANSACTION}"));
        self.stage
            .ask(Method::PUT, &transaction, Some(&deposit))
            .await?;
        self.stage.tell(
            "anchor",
            format!("puts the deposit {TRANSACTION} of {CUSTOMER}, incomplete"),
        )
    }

    /// The one call that there is; its answer.
    async fn call(&self) -> anyhow::Result<Value> {
        let call = json!([{
            "jsonrpc": "2.0",
            "id": 1,
            "method": "notify_customer_info_updated",
            "params": {
                "transaction_id": TRANSACTION,
                "customer_id": CUSTOMER,
                "customer_type": "sep6",
            },
        }]);
        let rpc = path("/anchor/rpc");
        let answers = self.stage.ask(Method::POST, &rpc, Some(&call)).await?;
        let answer = answers.get(0).context("a call has an answer")?;
        Ok(answer.clone())
    }

    /// Three calls that look alike, within two seconds, while the wallet fails.
    async fn papers_are_checked(&mut self) -> anyhow::Result<()> {
        let fails = [StatusCode::INTERNAL_SERVER_ERROR; 2];
        self.outside.wallet.script(CUSTOMERS_AT, fails);
        let field = json!({"type": "string", "description": "Number of a passport"});
        let customers = [
            json!({"id": CUSTOMER, "status": "NEEDS_INFO", "fields": {"id_number": field}}),
            json!({"id": CUSTOMER, "status": "PROCESSING", "message": "In review"}),
            json!({"id": CUSTOMER, "status": "ACCEPTED"}),
        ];
        for customer in customers {
            self.outside.business.put(CUSTOMER, &customer);
            self.said.push(customer.to_string());
            let answer = self.call().await?;
            self.stage.tell(
                "business",
                format!(
                    "{CUSTOMER} is {}; calls notify_customer_info_updated: {TRANSACTION} is {}",
                    text(&customer, "/status"),
                    text(&answer, "/result/status"),
                ),
            )?;
            self.work().await?;
            let next = later(self.stage.clock.now(), SignedDuration::from_secs(1));
            self.stage.clock.advance_to(next);
        }
        Ok(())
    }

    /// Works on all that can be done now.
    async fn work(&mut self) -> anyhow::Result<()> {
        for _ in 0..STEPS_MOST {
            let handled = self.stage.world.step().await;
            for heard in self.outside.wallet.heard() {
                let does = match heard.answer.is_success() {
                    true => "takes",
                    false => "fails at",
                };
                let told = format!("{does} {}, signed {}", heard.status, signed(&heard));
                self.stage.tell("wallet", told)?;
                self.heard.push(heard);
            }
            if handled == 0 {
                return Ok(());
            }
        }
        bail!("there is always more to do")
    }

    /// Moves on from one time at which something is due to the next, until nothing is.
    async fn wallet_is_told(&mut self) -> anyhow::Result<()> {
        for _ in 0..STEPS_MOST {
            self.work().await?;
            let Some(next) = self.stage.next_message() else {
                return self.check_what_was_heard();
            };
            self.stage.pass(next).await?;
        }
        bail!("the wallet is never told")
    }

    /// Every status once, in order, with the body of its own moment; the first after two failures.
    fn check_what_was_heard(&self) -> anyhow::Result<()> {
        let at = |path: &str| -> Vec<&Heard> {
            let at = self.heard.iter().filter(|heard| heard.path == path);
            at.collect()
        };
        let customers = at(CUSTOMERS_AT);
        let (failed, taken) = customers.split_at(2.min(customers.len()));
        let bodies: Vec<_> = taken.iter().map(|heard| &heard.body).collect();
        let said: Vec<_> = self.said.iter().collect();
        ensure!(bodies == said, "the wallet took {bodies:?}");
        let first = taken.first().context("the wallet heard something")?;
        let same = |heard: &&&Heard| heard.id == first.id && heard.body == first.body;
        ensure!(
            failed.iter().filter(same).count() == 2,
            "the first was to fail twice, and be the same each time"
        );
        let signatures: BTreeSet<_> = customers.iter().map(|heard| &heard.signature).collect();
        ensure!(
            signatures.len() == customers.len(),
            "each try is to be signed anew"
        );
        let deposits: Vec<_> = at(DEPOSITS_AT).iter().map(|it| it.status.clone()).collect();
        ensure!(
            deposits
                == [
                    "pending_customer_info_update",
                    "pending_anchor",
                    "pending_user_transfer_start"
                ],
            "of the deposit the wallet heard {deposits:?}"
        );
        self.stage.tell(
            "wallet",
            "has taken each status once, in order, each with the body of its own moment",
        )
    }

    async fn nothing_is_told_twice(&mut self) -> anyhow::Result<()> {
        let answer = self.call().await?;
        self.stage.tell(
            "business",
            format!(
                "calls once more: {TRANSACTION} is {}, as before",
                text(&answer, "/result/status")
            ),
        )?;
        self.nobody_hears_more().await
    }

    async fn a_lie_is_told_to_nobody(&mut self) -> anyhow::Result<()> {
        let other = json!({"id": "cus_2", "status": "REJECTED", "message": "Not eligible"});
        self.outside.business.put(CUSTOMER, &other);
        let answer = self.call().await?;
        let (code, message) = (
            text(&answer, "/error/code"),
            text(&answer, "/error/message"),
        );
        self.stage.tell(
            "business",
            format!(
                "tells of cus_2 when asked for {CUSTOMER}; the call is answered {code}: {message}"
            ),
        )?;
        ensure!(code == "-32603", "the lie was answered {answer}");
        self.nobody_hears_more().await
    }

    async fn nobody_hears_more(&mut self) -> anyhow::Result<()> {
        let before = self.heard.len();
        self.stage.pass(self.stage.clock.now()).await?;
        self.work().await?;
        ensure!(self.heard.len() == before, "the wallet was told of it");
        ensure!(
            self.stage.next_message().is_none(),
            "something is on its way"
        );
        self.stage.tell("wallet", "hears nothing")
    }

    async fn epilogue(&self) -> anyhow::Result<()> {
        let list = self.stage.ask(Method::GET, &path("/events"), None).await?;
        let events = list.pointer("/data").and_then(Value::as_array);
        let events = events.context("events are listed")?;
        let delivered = |event: &&Value| text(event, "/state") == "delivered";
        let (all, done) = (events.len(), events.iter().filter(delivered).count());
        let first = self.heard.iter().find(|heard| heard.path == CUSTOMERS_AT);
        let first = &first.context("the wallet heard of the customer")?.id;
        let event = path(&format!("/events/{first}"));
        let event = self.stage.ask(Method::GET, &event, None).await?;
        let tries = event
            .pointer("/deliveries/0/tries")
            .and_then(Value::as_array);
        let tries: Vec<_> = tries
            .context("tries are shown")?
            .iter()
            .map(|it| text(it, "/status"))
            .collect();
        self.stage.tell(
            "operator",
            format!(
                "finds {done} of {all} events delivered; the first, {}, was answered {}; its data: {}",
                text(&event, "/type"),
                tries.join(", "),
                text(&event, "/data_withheld"),
            ),
        )?;
        ensure!(
            (all, done) == (6, 6) && tries == ["500", "500", "200"],
            "not all was delivered as it should"
        );
        Ok(())
    }
}

/// When a callback was signed, as its signature says.
fn signed(heard: &Heard) -> &str {
    let at = heard.signature.split(',').next();
    at.unwrap_or_default()
}
