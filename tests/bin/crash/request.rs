//! What clients send: events of payment backends, webhooks of a billing platform, calls of an anchor's business server.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use shared::event::Line;
use shared::ids::{CustomerId, EndpointId, EventId, TenantId};
use shared::secret::Secret;
use shared::signature::{rafiki, stripe};
use shared::time::{Clock, SystemClock};
use tests::invocation;

use crate::ledger::{Number, Sent, mark};
use crate::receiver::WALLET;

const FIXTURE: &str = include_str!("../../fixtures/stripe/invoice.payment_failed.json");
/// What the payment backends sign with.
pub(super) const BACKEND_SECRET: &str = "what the payment backend signs with";
/// What the billing platform signs with.
pub(super) const STRIPE_SECRET: &str = "whsec_what_the_billing_platform_signs_with";
const WEBHOOKS: &str = "/v2/webhooks/revenue_recovery/pro_1/mca_1";

/// Who sends: one of several clients, each with a customer of its own.
pub(super) struct Client<'a> {
    /// Its number.
    pub(super) number: u32,
    /// A key of the tenant `globex`.
    pub(super) key: &'a str,
    /// The operator's key.
    pub(super) operator: &'a str,
    /// How often its customer moved on.
    pub(super) moved: u32,
}

impl Client<'_> {
    /// Its customer.
    pub(super) fn customer(&self) -> String {
        format!("cus-{}", self.number)
    }

    /// The transaction of that customer.
    pub(super) fn transaction(&self) -> String {
        format!("tx-{}", self.number)
    }

    /// The id of the callback that its next move makes.
    fn callback(&self) -> Result<EventId> {
        let line = Line::Customer {
            client: Some(EndpointId::parse("lobby")?),
            customer: CustomerId::parse(self.customer())?,
            kind: None,
        };
        Ok(line.event(&TenantId::parse("acme")?, u64::from(self.moved) + 1))
    }
}

/// What a door is asked, freshly signed.
pub(super) struct Request {
    /// The function.
    pub(super) door: &'static str,
    /// What it is invoked with.
    pub(super) event: Value,
    /// What is to come of it.
    pub(super) sent: Sent,
    /// What the business server has to say by then.
    pub(super) customer: Option<String>,
}

impl Request {
    /// The event of this number, by its kind: of eight three are signed by a backend, two come with a key, two are webhooks,
    /// and one tells of a customer.
    pub(super) fn of(number: Number, client: &Client<'_>) -> Result<Self> {
        match number % 8 {
            7 => Self::call(number, client),
            2 | 6 => Self::webhook(number),
            1 | 5 => Ok(Self::published_by_key(number, client)),
            _ => Self::published(number),
        }
    }

    fn webhook(number: Number) -> Result<Self> {
        let mark = mark(number);
        let body = FIXTURE
            .replace("evt_1QfF1", &format!("evt_{mark}"))
            .replace("in_1QfInv", &format!("in_{mark}"))
            .replace("ch_3QfA1", &format!("ch_{mark}"))
            .replace("pi_3QfA1", &format!("pi_{mark}"));
        let secret = Secret::new(STRIPE_SECRET);
        let signature = stripe::sign(&secret, SystemClock.now(), body.as_bytes());
        let signature = signature.context("the secret is not empty")?;
        let headers = [(stripe::HEADER, signature.as_str())];
        Ok(Self {
            door: "ingest",
            event: invocation::http("POST", WEBHOOKS, &headers, &body),
            sent: Sent {
                endpoints: vec!["/acme/shop"],
                id: None,
                says: format!("in_{mark}"),
                line: None,
                callback: None,
                accepted: false,
            },
            customer: None,
        })
    }

    fn published(number: Number) -> Result<Self> {
        let body = body(number);
        let secret = Secret::new(BACKEND_SECRET);
        let signature = rafiki::sign(&[&secret], SystemClock.now(), body.as_bytes());
        let signature = signature.context("the secret is not empty")?;
        let headers = [(rafiki::HEADER, signature.as_str())];
        Ok(Self {
            door: "publish",
            event: invocation::http("POST", "/v1/tenants/acme/events", &headers, &body),
            sent: event(number, vec!["/acme/ledger"]),
            customer: None,
        })
    }

    fn published_by_key(number: Number, client: &Client<'_>) -> Self {
        let bearer = format!("Bearer {}", client.key);
        let headers = [("authorization", bearer.as_str())];
        let path = "/v1/tenants/globex/events";
        Self {
            door: "publish",
            event: invocation::http("POST", path, &headers, &body(number)),
            sent: event(number, vec!["/globex/ledger", "/globex/books"]),
            customer: None,
        }
    }

    /// The business server tells that the client's customer moved on: to and fro between two statuses.
    fn call(number: Number, client: &Client<'_>) -> Result<Self> {
        let id = client.customer();
        let status = match client.moved % 2 {
            0 => "NEEDS_INFO",
            _ => "PROCESSING",
        };
        let customer = format!(
            r#"{{"id":"{id}","status":"{status}","message":"{}"}}"#,
            mark(number)
        );
        let bearer = format!("Bearer {}", client.operator);
        let params = json!({"transaction_id": client.transaction(), "customer_id": id});
        let call = json!([{
            "jsonrpc": "2.0",
            "id": 1,
            "method": "notify_customer_info_updated",
            "params": params,
        }]);
        let headers = [("authorization", bearer.as_str())];
        let path = "/v1/tenants/acme/anchor/rpc";
        Ok(Self {
            door: "anchor",
            event: invocation::http("POST", path, &headers, &call.to_string()),
            sent: Sent {
                endpoints: vec![WALLET],
                id: Some(mark(number)),
                says: customer.clone(),
                line: Some(client.number),
                callback: Some(client.callback()?),
                accepted: false,
            },
            customer: Some(customer),
        })
    }
}

fn event(number: Number, endpoints: Vec<&'static str>) -> Sent {
    Sent {
        endpoints,
        id: Some(mark(number)),
        says: format!(r#""data":{}"#, data(number)),
        line: None,
        callback: None,
        accepted: false,
    }
}

fn body(number: Number) -> String {
    format!(
        r#"{{"id":"{}","type":"incoming_payment.completed","data":{}}}"#,
        mark(number),
        data(number)
    )
}

/// The payload of a published event: about 700 bytes, as payment backends send them.
fn data(number: Number) -> String {
    let amount = r#"{"value":"1000","assetCode":"USD","assetScale":2}"#;
    let mark = mark(number);
    format!(
        r#"{{"id":"payment-{mark}","walletAddressId":"c2b8f7e1-7a1b-4e3d-8b62-1d4a7b2e5f22","client":"https://shop.example/op","createdAt":"2026-08-17T12:00:00.000Z","expiresAt":"2026-09-16T12:00:00.000Z","receivedAmount":{amount},"completed":true,"incomingAmount":{amount},"approvedAt":"2026-08-17T12:00:01.000Z","metadata":{{"description":"Order {number} of the shop on the corner","orderId":"{mark}","customer":"cust_77","note":"two items, one of them gift-wrapped; please ring at the side door"}}}}"#
    )
}
