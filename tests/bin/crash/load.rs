//! The clients: they send until they are answered 200, as backends and platforms do.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tests::invocation;

use crate::ledger::{Ledger, Number, Topic};
use crate::pause;
use crate::pool::Pool;
use crate::receiver::{Customers, RAFIKI_SECRET, Receiver, WALLET, standard_secret};
use crate::request::{BACKEND_SECRET, Client, Request, STRIPE_SECRET};

/// So many clients send at the same time.
const CLIENTS: u32 = 8;
/// As long as more deliveries than this are due, nothing is sent.
const BACKLOG: u64 = 1_000;
/// So often a call of the operator API is made at most.
const OPERATED_MOST: u32 = 10;
/// How long a client waits before it sends again.
const AGAIN: Duration = Duration::from_millis(200);

/// Sends events to the doors.
pub(super) struct Load {
    /// Where they go.
    pub(super) pool: Arc<Pool>,
    /// Where they are noted.
    pub(super) ledger: Arc<Ledger>,
    /// The first operator's key.
    pub(super) operator: String,
    /// What the business server says of customers.
    pub(super) customers: Customers,
}

impl Load {
    /// One call of the operator API, before anything is cut or killed, or after. It is made again if the emulator was too
    /// slow, as the API says.
    pub(super) async fn operate(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value> {
        let bearer = format!("Bearer {}", self.operator);
        let body = body.map_or_else(String::new, |body| body.to_string());
        let event = invocation::http(method, path, &[("authorization", &bearer)], &body);
        let door = if path.contains("/anchor/transactions/") {
            "anchor"
        } else {
            "console"
        };
        let mut tries = 0;
        loop {
            let answer = self.pool.ask(door, BTreeSet::new(), &event).await?;
            let answer = answer.with_context(|| format!("{door} did not answer"))?;
            tries += 1;
            match status(&answer) {
                200..300 => return Ok(serde_json::from_str(text(&answer)).unwrap_or_default()),
                503 if tries < OPERATED_MOST => pause(AGAIN).await,
                _ => bail!("{method} {path}: {answer}"),
            }
        }
    }

    /// Makes two tenants with their endpoints, payment backends, a billing account, an anchor and its wallet. Gives a key of
    /// the second tenant.
    pub(super) async fn set_up(&self, receiver: &Receiver) -> Result<String> {
        let url = |path: &str| format!("{}{path}", receiver.url());
        let endpoint = |path: &str, role: &str, scheme: &str, secret: &str| {
            json!({
                "url": url(path),
                "role": role,
                "scheme": scheme,
                "secrets": [secret],
                "retry": {"policy": "linear", "step_s": 1, "max_retry": 20},
                "timeout_ms": 2_000,
            })
        };
        let (rafiki, standard) = ("rafiki", "standard-webhooks");
        let shared = standard_secret();
        let backend = json!({"secrets": [BACKEND_SECRET]});
        let account = json!({"platform": "stripe", "webhook_secrets": [STRIPE_SECRET]});
        let business = json!({"base_url": url("/business"), "auth": {"type": "none"}});
        let wallet = json!({"domains": ["lobby.example"], "callback_urls": {"sep12": url(WALLET)}});
        let settings = [
            ("acme", json!({})),
            ("globex", json!({})),
            ("acme/publishers/rafiki", backend),
            ("acme/billing-accounts/pro_1/mca_1", account),
            (
                "acme/endpoints/ledger",
                endpoint("/acme/ledger", "ase", rafiki, RAFIKI_SECRET),
            ),
            (
                "acme/endpoints/shop",
                endpoint("/acme/shop", "merchant", standard, &shared),
            ),
            (
                "globex/endpoints/ledger",
                endpoint("/globex/ledger", "ase", rafiki, RAFIKI_SECRET),
            ),
            (
                "globex/endpoints/books",
                endpoint("/globex/books", "ase", standard, &shared),
            ),
            ("acme/anchor", json!({"business_server": business})),
            ("acme/clients/lobby", wallet),
        ];
        for (path, body) in settings {
            let path = format!("/v1/tenants/{path}");
            self.operate("PUT", &path, Some(body)).await?;
        }
        let path = "/v1/tenants/acme/anchor/signing-key";
        let signer = self.operate("PUT", path, Some(json!({}))).await?;
        let account = signer.get("public_key").and_then(Value::as_str);
        receiver.trusts(account.context("a signing key was made")?)?;
        for number in 0..CLIENTS {
            let client = self.client(number, "");
            let transaction = json!({
                "sep": "6",
                "kind": "deposit",
                "status": "incomplete",
                "client": "lobby",
                "customers": {"sender": client.customer()},
            });
            let path = format!(
                "/v1/tenants/acme/anchor/transactions/{}",
                client.transaction()
            );
            self.operate("PUT", &path, Some(transaction)).await?;
        }
        let path = "/v1/tenants/globex/keys";
        let made = self.operate("POST", path, Some(json!({}))).await?;
        let key = made.get("key").and_then(Value::as_str);
        Ok(key.context("a key was made")?.to_owned())
    }

    fn client<'a>(&'a self, number: u32, key: &'a str) -> Client<'a> {
        Client {
            number,
            key,
            operator: &self.operator,
            moved: 0,
        }
    }

    /// Sends so many events, and returns when all are accepted.
    pub(super) async fn send(self: Arc<Self>, events: u32, key: String) -> Result<()> {
        let next = Arc::new(AtomicU32::new(0));
        let clients = (0..CLIENTS).map(|client| {
            let (load, next, key) = (self.clone(), next.clone(), key.clone());
            tokio::spawn(async move {
                let mut client = load.client(client, &key);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= events {
                        return anyhow::Ok(());
                    }
                    load.until_taken(number, &mut client).await?;
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await??;
        }
        Ok(())
    }

    async fn until_taken(&self, number: Number, client: &mut Client<'_>) -> Result<()> {
        let first = Request::of(number, client)?;
        self.ledger.sends(number, first.sent);
        let moves = first.customer.is_some();
        if let Some(customer) = first.customer {
            let mut customers = self
                .customers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            customers.insert(client.customer(), customer);
        }
        while self.ledger.backlog() > BACKLOG {
            pause(AGAIN).await;
        }
        loop {
            // A sender signs each attempt anew.
            let Request { door, event, .. } = Request::of(number, client)?;
            let numbers = BTreeSet::from([number]);
            let answer = self.pool.ask(door, numbers, &event).await?;
            let what = match answer.as_ref().map(|answer| (status(answer), text(answer))) {
                // A call is answered 200 whatever came of it.
                Some((200, text)) if text.contains("\"error\"") => {
                    format!("{door} answered an error")
                }
                Some((200, _)) => break,
                Some((status @ 500.., _)) => format!("{door} answered {status}"),
                Some((status, text)) => bail!("{door} answered {status} to event {number}: {text}"),
                None => format!("{door} was killed and did not answer"),
            };
            self.ledger.count(Topic::Clients, &what, 1);
            pause(AGAIN).await;
        }
        client.moved += u32::from(moves);
        self.ledger.accepted(number);
        Ok(())
    }
}

fn status(answer: &Value) -> u64 {
    let status = answer.get("statusCode").and_then(Value::as_u64);
    status.unwrap_or_default()
}

fn text(answer: &Value) -> &str {
    let body = answer.get("body").and_then(Value::as_str);
    body.unwrap_or_default()
}
