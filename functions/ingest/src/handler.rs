//! A webhook in, a signal on the queue: account, signature on the raw bytes, meaning, one durable write, answer. What a
//! merchant reports itself comes in beside it ([`crate::report`]).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use shared::access::Access;
use shared::body::receive_json;
use shared::ids::{ConnectorAccountId, ProfileId, TenantId};
use shared::platform::{BillingAccount, Interpretation};
use shared::problem::Problem;
use shared::queue::task::{IgnoredTask, SignalTask, ThinTask, send};
use shared::queue::{Enqueue, Task};
use shared::signature::VerifyError;
use shared::store::BillingAccounts;
use shared::time::Clock;
use tracing::{info, warn};

use crate::reply::{Accepted, Refusal};

/// The longest body that is taken, in bytes.
pub const BODY_MOST: usize = 256 * 1024;

/// What the door may use.
#[derive(Clone)]
pub struct Ingest {
    /// Whose keys open it for reports.
    pub access: Access,
    /// Billing accounts by their pair of ids.
    pub accounts: Arc<dyn BillingAccounts>,
    /// Where signals go.
    pub queues: Arc<dyn Enqueue>,
    /// The time signatures are judged by.
    pub clock: Arc<dyn Clock>,
}

/// The door's routes. The longer form names the merchant, who must be the account's tenant.
pub fn router(ingest: Ingest) -> Router {
    Router::new()
        .route(
            "/v2/webhooks/revenue_recovery/{profile_id}/{connector_account_id}",
            post(short_form),
        )
        .route(
            "/v2/webhooks/recovery/{merchant_id}/{profile_id}/{connector_id}",
            post(long_form),
        )
        .route("/v1/tenants/{tenant}/recovery/attempts", post(reported))
        .method_not_allowed_fallback(async || Problem::method_not_allowed().response())
        .fallback(async || Problem::no_such_path().response())
        .layer(DefaultBodyLimit::disable())
        .with_state(ingest)
}

async fn short_form(
    State(ingest): State<Ingest>,
    Path((profile, account)): Path<(String, String)>,
    request: Request,
) -> Response {
    ingest.answer(None, &profile, &account, request).await
}

async fn long_form(
    State(ingest): State<Ingest>,
    Path((merchant, profile, account)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    ingest
        .answer(Some(&merchant), &profile, &account, request)
        .await
}

async fn reported(
    State(ingest): State<Ingest>,
    tenant: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // What is no text can be no tenant, and is refused as such.
    let tenant = tenant.map_or_else(|_| String::new(), |Path(tenant)| tenant);
    let response = match ingest.report(&tenant, request).await {
        Ok(accepted) => accepted.response(),
        Err(refusal) => {
            warn!(tenant, error = %refusal, cause = refusal.detail(), "report refused");
            refusal.response()
        }
    };
    response.map(Body::from)
}

impl Ingest {
    async fn answer(
        &self,
        merchant: Option<&str>,
        profile: &str,
        account: &str,
        request: Request,
    ) -> Response {
        let outcome = match self.find(merchant, profile, account).await {
            Ok(account) => self.take(&account, request).await,
            Err(refusal) => Err(refusal),
        };
        let response = match outcome {
            Ok(accepted) => {
                info!(
                    profile,
                    account,
                    outcome = accepted.as_str(),
                    "webhook accepted"
                );
                accepted.response()
            }
            Err(refusal) => {
                warn!(profile, account, error = %refusal, cause = refusal.detail(), "webhook refused");
                refusal.problem().response()
            }
        };
        response.map(Body::from)
    }

    pub(crate) async fn find(
        &self,
        merchant: Option<&str>,
        profile: &str,
        account: &str,
    ) -> Result<BillingAccount, Refusal> {
        let unknown = |_| Refusal::UnknownAccount;
        let profile = ProfileId::parse(profile).map_err(unknown)?;
        let account = ConnectorAccountId::parse(account).map_err(unknown)?;
        let merchant = merchant.map(TenantId::parse).transpose().map_err(unknown)?;
        self.accounts
            .billing_account(&profile, &account)
            .await?
            .filter(|found| merchant.is_none_or(|merchant| merchant == found.tenant))
            .ok_or(Refusal::UnknownAccount)
    }

    async fn take(&self, account: &BillingAccount, request: Request) -> Result<Accepted, Refusal> {
        let (parts, body) = request.into_parts();
        let body = receive_json(&parts.headers, body, BODY_MOST).await?;
        let adapter = account.platform.adapter().ok_or(Refusal::NoWebhooks)?;
        let proof = adapter
            .verify(&parts.headers, &body, account, self.clock.now())
            .map_err(|error| unproved(account, error))?;
        let tenant = account.tenant.clone();
        let (task, accepted) = match adapter.interpret(&body, account, &proof)? {
            Interpretation::Signal(signal) => (
                Task::Signal(SignalTask {
                    tenant,
                    signal: *signal,
                }),
                Accepted::Queued,
            ),
            Interpretation::Thin(thin) => (
                Task::Thin(ThinTask {
                    tenant,
                    thin: *thin,
                }),
                Accepted::Queued,
            ),
            Interpretation::Ignored(ignored) => (
                Task::Ignored(IgnoredTask { tenant, ignored }),
                Accepted::Ignored,
            ),
        };
        send(self.queues.as_ref(), [task]).await?;
        Ok(accepted)
    }
}

/// Why a body was not verified. What matches none of the secrets may match one that we can't open: that is our fault, so
/// the platform must send it again.
fn unproved(account: &BillingAccount, error: VerifyError) -> Refusal {
    match error {
        VerifyError::Mismatch | VerifyError::WrongPair | VerifyError::NoSecret
            if account.locked.webhook_secrets > 0 =>
        {
            Refusal::Locked
        }
        error => error.into(),
    }
}
