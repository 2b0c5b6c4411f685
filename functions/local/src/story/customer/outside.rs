//! Everybody outside of the story: the anchor's business server, and the wallet.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, StatusCode};
use shared::delivery::{Failure, Outcome, Request};
use shared::secret::Secret;
use shared::time::Clock;
use shared::transport::{Answer, Call, Caller, Transport};

use crate::business::Business;
use crate::story::stage::answered;
use crate::wallet::Wallet;

/// The business server's key.
pub(super) const BUSINESS_KEY: &str = "business-story-key";
/// Where the wallet is.
pub(super) const WALLET_HOST: &str = "wallet.example";

/// The business server, and the wallet.
pub(super) struct Outside {
    pub(super) business: Business,
    pub(super) wallet: Wallet,
}

impl Outside {
    /// A wallet that knows its anchor's `signing_key`, and a business server that knows nobody yet.
    pub(super) fn new(signing_key: &str, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let host = WALLET_HOST.to_owned();
        Ok(Self {
            business: Business::new(Secret::new(BUSINESS_KEY)),
            wallet: Wallet::new(signing_key, host, StatusCode::OK, clock)?,
        })
    }
}

#[async_trait]
impl Transport for Outside {
    async fn post(&self, request: Request) -> Outcome {
        let call = Call {
            method: Method::POST,
            url: request.url,
            headers: request.headers,
            body: request.body,
            deadline: request.deadline,
            most: request.keep,
        };
        match answered(self.wallet.router(), call).await {
            Ok(answer) => Outcome::answered(answer.status),
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

#[async_trait]
impl Caller for Outside {
    async fn call(&self, call: Call) -> Result<Answer, Failure> {
        answered(self.business.router(), call).await
    }
}
