//! What tests and benchmarks send: events, and signals made from the fixtures by the platform's own adapter.

use anyhow::{Context, Result, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use shared::event::{Event, EventType, Json, Source};
use shared::ids::{ConnectorAccountId, EventId, ProfileId, TenantId};
use shared::platform::account::{Locked, Settings};
use shared::platform::{BillingAccount, Interpretation, Platform};
use shared::queue::Task;
use shared::queue::task::{SignalTask, ThinTask};
use shared::secret::Secret;
use shared::signature::stripe;

/// The tenant of every story.
pub const TENANT: &str = "acme";
/// The billing account's secret.
pub const STRIPE_SECRET: &str = "whsec_the_secret_of_the_billing_account";

/// The billing account of every story.
///
/// # Errors
/// None: its ids are valid.
pub fn account() -> Result<BillingAccount> {
    Ok(BillingAccount {
        tenant: TenantId::parse(TENANT)?,
        profile_id: ProfileId::parse("pro_1")?,
        connector_account_id: ConnectorAccountId::parse("mca_1")?,
        platform: Platform::Stripe,
        webhook_secrets: vec![Secret::new(STRIPE_SECRET)],
        api_key: None,
        locked: Locked::default(),
        settings: Settings::default(),
    })
}

/// The task that `ingest` makes of a Stripe webhook.
///
/// # Errors
/// If the body is no signal.
pub fn signal(body: &str) -> Result<Task> {
    let (account, now) = (account()?, Timestamp::UNIX_EPOCH);
    let header =
        stripe::sign(&Secret::new(STRIPE_SECRET), now, body.as_bytes()).context("a secret")?;
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static(stripe::HEADER),
        HeaderValue::from_str(&header)?,
    );
    let adapter = account.platform.adapter().context("it has webhooks")?;
    let proof = adapter.verify(&headers, body.as_bytes(), &account, now)?;
    match adapter.interpret(body.as_bytes(), &account, &proof)? {
        Interpretation::Signal(signal) => Ok(Task::Signal(SignalTask {
            tenant: account.tenant,
            signal: *signal,
        })),
        Interpretation::Thin(thin) => Ok(Task::Thin(ThinTask {
            tenant: account.tenant,
            thin: *thin,
        })),
        Interpretation::Ignored(_) => bail!("the fixture is of no interest to recovery"),
    }
}

/// An event of about 700 bytes, as a payment backend publishes them.
///
/// # Errors
/// None: its parts are valid.
pub fn event(number: usize, at: Timestamp) -> Result<Event> {
    let id = format!("0f8a9d2e-5b1c-4c3e-9a77-{number:012}");
    let amount = r#"{"value":"1000","assetCode":"USD","assetScale":2}"#;
    let data = format!(
        r#"{{"id":"b1a7e6d0-6f0a-4d2c-9a51-{number:012}","walletAddressId":"c2b8f7e1-7a1b-4e3d-8b62-1d4a7b2e5f22","client":"https://shop.example/op","createdAt":"2026-08-17T12:00:00.000Z","expiresAt":"2026-09-16T12:00:00.000Z","receivedAmount":{amount},"completed":true,"incomingAmount":{amount},"approvedAt":"2026-08-17T12:00:01.000Z","metadata":{{"description":"Order {number} of the shop on the corner","orderId":"7c1f4f0d-2b02-4a6b-8b1f-{number:012}","customer":"cust_77","note":"two items, one of them gift-wrapped; please ring at the side door"}}}}"#
    );
    Ok(Event {
        id: EventId::parse(id)?,
        event_type: EventType::parse("incoming_payment.completed")?,
        data: Json::parse(data)?,
        at,
        source: Source::new("rafiki"),
        resource: Some(format!("b1a7e6d0-6f0a-4d2c-9a51-{number:012}")),
    })
}
