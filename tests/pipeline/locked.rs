//! A billing account of which a secret can't be opened: our fault, so nothing is refused for good, and no other account
//! is held up.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use http::Request;
use ingest::handler::{Ingest, router};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::access::Access;
use shared::ids::{ConnectorAccountId, ProfileId, TenantId};
use shared::platform::BillingAccount;
use shared::platform::account::Locked;
use shared::queue::Queue;
use shared::queue::memory::MemoryQueues;
use shared::secret::Secret;
use shared::signature::stripe;
use shared::store::{BillingAccounts, Credential, Credentials, KnownTenants, StoreError};
use shared::time::Clock;
use tests::scene::{BEGIN, DOOR, Scene};
use tests::stories::{STRIPE_SECRET, account};
use tower::ServiceExt;

use crate::{FAILED, text};

const ACCOUNTS: &str = "/v1/tenants/acme/billing-accounts";

#[tokio::test]
async fn a_billing_account_that_is_broken_says_so_and_what_was_sent_to_it_can_come_again()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let settings = json!({ "platform": "stripe", "webhook_secrets": [STRIPE_SECRET] });
    let other = format!("{ACCOUNTS}/pro_1/mca_2");
    scene.operator("PUT", &other, settings.clone()).await?;
    scene.lock_account().await?;

    let listed = scene.operator("GET", ACCOUNTS, Value::Null).await?;
    assert!(
        text(&listed, "/data/0/broken").contains("PAYRELAY_SEAL_KEYS"),
        "{listed}"
    );
    assert_eq!(text(&listed, "/data/1/broken"), "");
    assert_eq!(text(&listed, "/data/1/connector_account_id"), "mca_2");
    let own = format!("{ACCOUNTS}/pro_1/mca_1");
    let read = scene.operator("GET", &own, Value::Null).await?;
    assert_eq!(Some(&read), listed.pointer("/data/0"));

    let refused = scene.webhook(FAILED).await?;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(scene.queues.len(Queue::Recover), 0);
    let door = "/v2/webhooks/revenue_recovery/pro_1/mca_2";
    let sent = signed(door, STRIPE_SECRET, &*scene.clock)?;
    assert_eq!(scene.send(sent).await?.status, 200);
    assert_eq!(scene.queues.len(Queue::Recover), 1);

    let healed = scene.operator("PUT", &own, settings).await?;
    assert_eq!(text(&healed, "/broken"), "");
    // The door keeps what it read for 10 s.
    scene.pass(SignedDuration::from_secs(11)).await?;
    assert_eq!(scene.webhook(FAILED).await?.status, 200);
    Ok(())
}

/// Keys of nobody.
struct Nobody;

#[async_trait]
impl Credentials for Nobody {
    async fn credential(&self, _hash: &str) -> Result<Option<Credential>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl KnownTenants for Nobody {
    async fn is_known(&self, _tenant: &TenantId) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// A webhook signed now.
fn signed(path: &str, secret: &str, clock: &dyn Clock) -> anyhow::Result<Request<Body>> {
    let header = stripe::sign(&Secret::new(secret), clock.now(), FAILED.as_bytes());
    Ok(Request::builder()
        .method("POST")
        .uri(path)
        .header("content-type", "application/json")
        .header(stripe::HEADER, header.unwrap_or_default())
        .body(Body::from(FAILED))?)
}

/// The one billing account that there is.
struct One(BillingAccount);

#[async_trait]
impl BillingAccounts for One {
    async fn billing_account(
        &self,
        _: &ProfileId,
        _: &ConnectorAccountId,
    ) -> Result<Option<BillingAccount>, StoreError> {
        Ok(Some(self.0.clone()))
    }
}

#[tokio::test]
async fn only_what_a_locked_secret_may_have_signed_has_to_come_again() -> anyhow::Result<()> {
    let clock = Arc::new(shared::time::ManualClock::new(
        jiff::Timestamp::from_second(BEGIN)?,
    ));
    let queues = MemoryQueues::new(clock.clone());
    let (known, another) = (STRIPE_SECRET, "whsec_somebody_else's");
    let cases = [
        ("all open, genuine", 0, false, Some(known), 200),
        ("all open, of another secret", 0, false, Some(another), 401),
        ("only the API key locked", 0, true, Some(another), 401),
        ("one locked, of an open one", 1, false, Some(known), 200),
        ("one locked, perhaps of that", 1, false, Some(another), 503),
        ("one locked, unsigned", 1, false, None, 401),
    ];
    for (name, webhook_secrets, api_key, secret, status) in cases {
        let mut account = account()?;
        account.locked = Locked {
            webhook_secrets,
            api_key,
        };
        let door = router(Ingest {
            access: Access {
                credentials: Arc::new(Nobody),
                tenants: Arc::new(Nobody),
                operator_key_hash: String::new(),
            },
            accounts: Arc::new(One(account)),
            queues: Arc::new(queues.clone()),
            clock: clock.clone(),
        });
        let mut request = signed(DOOR, secret.unwrap_or(known), &*clock)?;
        if secret.is_none() {
            request.headers_mut().remove(stripe::HEADER);
        }
        let before = queues.len(Queue::Recover);
        let answer = door.oneshot(request).await?;
        assert_eq!(answer.status(), status, "{name}");
        let sent = queues.len(Queue::Recover) - before;
        assert_eq!(sent, usize::from(status == 200), "{name}");
    }
    Ok(())
}
