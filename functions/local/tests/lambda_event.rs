//! What `send --as-lambda-event` writes is what the deployed `ingest` takes.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use http::StatusCode;
use ingest::handler::{Ingest, router};
use local::demo;
use local::lambda_event;
use local::send::stripe;
use shared::access::Access;
use shared::ids::{ConnectorAccountId, ProfileId, TenantId};
use shared::platform::account::{Locked, Settings};
use shared::platform::{BillingAccount, Platform};
use shared::queue::Queue;
use shared::queue::memory::MemoryQueues;
use shared::secret::Secret;
use shared::store::{BillingAccounts, Credential, Credentials, KnownTenants, StoreError};
use shared::time::{Clock, SystemClock};
use tower::ServiceExt;

struct OneAccount(BillingAccount);

#[async_trait]
impl BillingAccounts for OneAccount {
    async fn billing_account(
        &self,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<BillingAccount>, StoreError> {
        let BillingAccount {
            profile_id,
            connector_account_id,
            ..
        } = &self.0;
        let ours = (profile_id, connector_account_id) == (profile, account);
        Ok(ours.then(|| self.0.clone()))
    }
}

#[async_trait]
impl Credentials for OneAccount {
    async fn credential(&self, _hash: &str) -> Result<Option<Credential>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl KnownTenants for OneAccount {
    async fn is_known(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        Ok(*tenant == self.0.tenant)
    }
}

fn demo_account() -> BillingAccount {
    BillingAccount {
        tenant: TenantId::parse(demo::TENANT).expect("a valid id"),
        profile_id: ProfileId::parse(demo::PROFILE).expect("a valid id"),
        connector_account_id: ConnectorAccountId::parse(demo::ACCOUNT).expect("a valid id"),
        platform: Platform::Stripe,
        webhook_secrets: vec![Secret::new(demo::STRIPE_SECRET)],
        api_key: None,
        locked: Locked::default(),
        settings: Settings::default(),
    }
}

#[tokio::test]
async fn the_runtime_reads_the_event_and_ingest_judges_its_signature() {
    let cases = [
        (demo::STRIPE_SECRET, StatusCode::OK, 1),
        ("whsec_of_somebody_else", StatusCode::UNAUTHORIZED, 0),
    ];
    for (secret, status, queued) in cases {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let queues = MemoryQueues::new(clock.clone());
        let accounts = Arc::new(OneAccount(demo_account()));
        let door = router(Ingest {
            access: Access {
                credentials: accounts.clone(),
                tenants: accounts.clone(),
                operator_key_hash: String::new(),
            },
            accounts,
            queues: Arc::new(queues.clone()),
            clock: clock.clone(),
        });

        let webhook = stripe::same("invoice.payment_failed").expect("a fixture");
        let headers = webhook
            .headers(&Secret::new(secret), clock.now())
            .expect("signed");
        let url = format!("http://127.0.0.1:3000{}", demo::webhook_path());
        let event = lambda_event::of(&url, &headers, &webhook.body, clock.now()).expect("an event");
        let request = lambda_http::request::from_str(&event.to_string()).expect("payload 2.0");
        let answer = door
            .oneshot(request.map(Body::new))
            .await
            .expect("it never fails");

        assert_eq!(answer.status(), status, "{secret}");
        assert_eq!(queues.len(Queue::Recover), queued, "{secret}");
    }
}

#[test]
fn a_body_that_is_no_text_is_encoded() {
    let event = lambda_event::of(
        "http://h/p?q=1",
        &http::HeaderMap::new(),
        &[0xff],
        SystemClock.now(),
    )
    .expect("an event");
    let text = |pointer| event.pointer(pointer).and_then(|value| value.as_str());
    assert_eq!(text("/body"), Some("/w=="));
    assert_eq!(event.pointer("/isBase64Encoded"), Some(&true.into()));
    assert_eq!(
        (text("/rawPath"), text("/rawQueryString")),
        (Some("/p"), Some("q=1"))
    );
}
