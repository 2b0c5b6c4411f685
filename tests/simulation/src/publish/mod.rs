//! Payment backends that publish events, as Rafiki does: each again and again under its id until it is answered 200, and some
//! once more after that.

mod laws;

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::nature::pass;
use crate::stage::{Stage, TENANTS};

pub use laws::check;

/// An event that a backend means to publish.
#[derive(Debug, Clone)]
pub struct Meant {
    /// Whose it is.
    pub tenant: &'static str,
    /// Its id.
    pub id: String,
    /// Its type.
    pub event_type: &'static str,
    /// What it says.
    pub data: Value,
    /// How long after the beginning it is published first, in milliseconds.
    pub after_ms: u64,
    /// Whether it is published twice, side by side.
    pub twice: bool,
}

/// What became of it at the door.
#[derive(Debug, Clone)]
pub struct Published {
    /// The event.
    pub meant: Meant,
    /// When it was answered 200 first.
    pub acknowledged: Option<Timestamp>,
    /// What was answered otherwise that should not be.
    pub refused: Option<String>,
}

/// The events that the backends of a run mean to publish.
#[must_use]
pub fn plan(seed: u64, calm_ms: u64) -> Vec<Meant> {
    let chance = Chance::new(seed, 4);
    // Most go wrong with one event already, and small runs are cheap.
    let many = chance.pick(&[1, 1, 1, 1, 2, 2, 3, 8]).copied();
    let mut meant = Vec::new();
    for number in 0..many.unwrap_or(1) {
        let kinds = [
            "incoming_payment.completed",
            "grant.revoked",
            "outgoing_payment.created",
        ];
        let event_type = chance.pick(&kinds).copied().unwrap_or("grant.revoked");
        let tenant = chance.pick(&TENANTS).copied().unwrap_or("amber");
        // Both tenants use the same ids.
        let before = meant.iter().filter(|it: &&Meant| it.tenant == tenant);
        meant.push(Meant {
            tenant,
            id: format!("pub-{}", before.count()),
            event_type,
            data: data(event_type, tenant, number),
            after_ms: chance.between(0, calm_ms),
            twice: chance.percent(10),
        });
    }
    meant
}

fn data(event_type: &str, tenant: &str, number: u64) -> Value {
    let id = format!("b1a7e6d0-6f0a-4d2c-9a51-{number:012}");
    let amount = json!({ "value": "1000", "assetCode": "USD", "assetScale": 2 });
    let wallet = "c2b8f7e1-7a1b-4e3d-8b62-1d4a7b2e5f22";
    let at = "2026-08-17T12:00:00.000Z";
    match event_type {
        "incoming_payment.completed" => json!({
            "id": id, "walletAddressId": wallet, "client": format!("https://{tenant}.example/op"),
            "createdAt": at, "expiresAt": "2027-09-16T12:00:00.000Z", "incomingAmount": amount,
            "receivedAmount": amount, "completed": true, "metadata": { "of": tenant },
        }),
        "outgoing_payment.created" => json!({
            "id": id, "walletAddressId": wallet, "client": tenant, "state": "FUNDING",
            "receiver": "https://b.example/bob/incoming-payments/b1a7e6d0-6f0a-4d2c-9a51-0c3f6a1d4e11",
            "debitAmount": amount, "receiveAmount": amount,
            "sentAmount": { "value": "0", "assetCode": "USD", "assetScale": 2 },
            "stateAttempts": 0, "createdAt": at, "balance": "0", "grantId": wallet,
            "metadata": { "of": tenant },
        }),
        _ => json!({ "id": id, "revokedAt": at, "of": tenant }),
    }
}

/// What all backends did.
#[derive(Default)]
pub struct Log(Mutex<Vec<Published>>);

impl Log {
    /// Everything so far.
    #[must_use]
    pub fn all(&self) -> Vec<Published> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Publishes one event until it is accepted.
pub async fn publish(cluster: Arc<Cluster>, stage: Arc<Stage>, log: Arc<Log>, meant: Meant) {
    let chance = &cluster.nature.chance;
    pass(std::time::Duration::from_millis(meant.after_ms)).await;
    let key = stage.key(meant.tenant);
    let once = async || {
        let body = json!({ "id": meant.id, "type": meant.event_type, "data": meant.data });
        let request = Request::builder()
            .method("POST")
            .uri(format!("/v1/tenants/{}/events", meant.tenant))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {key}"));
        cluster
            .send(request.body(Body::from(body.to_string())).ok()?)
            .await
    };
    let (mut acknowledged, mut refused) = (None, None);
    loop {
        let answer = match meant.twice {
            true => {
                let (one, other) = futures::join!(once(), once());
                one.or(other)
            }
            false => once().await,
        };
        cluster.nature.count("events published", 1);
        match answer.map(|answer| (answer.status.as_u16(), answer.body)) {
            Some((200, _)) => {
                acknowledged.get_or_insert_with(|| cluster.nature.now());
                // Its own note of the answer may get lost.
                if !chance.percent(10) {
                    break;
                }
            }
            // It is told to come again.
            Some((429 | 503, _)) | None => {}
            Some((status, body)) => {
                refused = Some(format!("{status} {body}"));
                break;
            }
        }
        pass(chance.millis(1_000, 20_000)).await;
    }
    let mut all = log.0.lock().unwrap_or_else(PoisonError::into_inner);
    all.push(Published {
        meant,
        acknowledged,
        refused,
    });
}
