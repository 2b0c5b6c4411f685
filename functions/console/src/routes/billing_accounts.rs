//! Billing accounts: which platform's webhooks a tenant hears from, and how they are known to be genuine.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use utoipa::ToSchema;

use shared::ids::{ConnectorAccountId, ProfileId, TenantId};
use shared::platform::account::{Locked, Settings};
use shared::platform::{BillingAccount, Platform};
use shared::recovery::Terms;
use shared::secret::Secret;
use shared::store::{AccountRecord, Claimed};

use super::endpoints::check_url;
use super::{App, created, deleted};
use crate::auth::Existing;
use crate::handler::{Console, Route};
use crate::openapi::schema;
use crate::reply::Refusal;
use crate::request::{Body, Id};
use crate::secrets::{SET_MOST, check_text};
use crate::view::{AccountView, List};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("/v1/tenants/{tenant}/billing-accounts", get(list)),
        (
            "/v1/tenants/{tenant}/billing-accounts/{profile_id}/{connector_account_id}",
            get(read).put(put).delete(delete),
        ),
    ]
}

/// A billing account to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "platform": "stripe",
    "webhook_secrets": ["whsec_4dR7uGmAZq0vXw2cPb9sTn5yKf8hJe1L"],
    "retry_threshold": 3,
}))]
pub(crate) struct AccountBody {
    /// The platform.
    #[schema(schema_with = schema::platform)]
    platform: Platform,
    /// 1 to 5 live secrets of 16 to 256 characters; a webhook signed with any of them is genuine.
    webhook_secrets: Vec<String>,
    /// The key for the platform's API. Left out, none is kept.
    #[serde(default)]
    api_key: Option<String>,
    /// Where the platform's API is, if not at its usual place: https, a public host, port 443 or 8443.
    #[serde(default)]
    api_base_url: Option<String>,
    /// How many tries the platform has before ours begin: 0 to 100.
    #[serde(default)]
    #[schema(maximum = 100)]
    retry_threshold: u32,
}

/// Takes 1 to 5 secrets that are texts.
pub(super) fn check_secrets(
    field: &'static str,
    given: Vec<String>,
) -> Result<Vec<Secret>, Refusal> {
    if !(1..=SET_MOST).contains(&given.len()) {
        return Err(Refusal::field(field, "must hold 1 to 5"));
    }
    let check = |(index, text): (usize, String)| {
        let secret = Secret::new(text);
        match check_text(&secret) {
            Ok(()) => Ok(secret),
            Err(error) => Err(Refusal::field(
                format!("{field}[{index}]"),
                error.to_string(),
            )),
        }
    };
    given.into_iter().enumerate().map(check).collect()
}

impl AccountBody {
    fn account(
        self,
        tenant: TenantId,
        profile_id: ProfileId,
        connector_account_id: ConnectorAccountId,
        console: &Console,
    ) -> Result<BillingAccount, Refusal> {
        let webhook_secrets = check_secrets("webhook_secrets", self.webhook_secrets)?;
        let api_key = self.api_key.map(Secret::new);
        if let Some(key) = &api_key {
            check_text(key).map_err(|error| Refusal::field("api_key", error.to_string()))?;
        }
        if let Some(url) = &self.api_base_url {
            check_url("api_base_url", url, &console.vetting)?;
        }
        if self.retry_threshold > 100 {
            return Err(Refusal::field("retry_threshold", "must be 0 to 100"));
        }
        let settings = Settings {
            api_base_url: self.api_base_url,
            terms: Terms {
                retry_threshold: self.retry_threshold,
                ..Terms::default()
            },
        };
        let platform = self.platform;
        Ok(BillingAccount {
            tenant,
            profile_id,
            connector_account_id,
            platform,
            webhook_secrets,
            api_key,
            locked: Locked::default(),
            settings,
        })
    }
}

/// Makes a billing account, or replaces it. Its pair of ids belongs to one tenant only. 201 when it is new.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/billing-accounts/{profile_id}/{connector_account_id}",
    tag = "billing accounts",
    params(("tenant" = String, Path), ("profile_id" = String, Path), ("connector_account_id" = String, Path)),
    request_body = AccountBody,
    responses(
        (status = 200, description = "Replaced", body = AccountView),
        (status = 201, body = AccountView),
        (status = 409, description = "Another tenant has this pair of ids"),
    ),
)]
pub(crate) async fn put(
    Existing(tenant): Existing,
    Id(profile): Id<ProfileId>,
    Id(id): Id<ConnectorAccountId>,
    State(console): App,
    Body(body): Body<AccountBody>,
) -> Result<(StatusCode, Json<AccountView>), Refusal> {
    let now = console.clock.now();
    let account = body.account(tenant, profile, id, &console)?;
    let claimed = console.accounts.put_account(&account, now).await?;
    let (new, kept) = match claimed {
        Claimed::Taken => return Err(Refusal::PairTaken),
        Claimed::NoTenant => return Err(Refusal::not_found("tenant", &account.tenant)),
        Claimed::New => (true, None),
        Claimed::Replaced => {
            let (tenant, profile, id) = (
                &account.tenant,
                &account.profile_id,
                &account.connector_account_id,
            );
            (false, console.accounts.account(tenant, profile, id).await?)
        }
    };
    let record = kept.unwrap_or(AccountRecord {
        account,
        created_at: now,
    });
    Ok((created(new), Json(record.into())))
}

/// The billing accounts of a tenant.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/billing-accounts",
    tag = "billing accounts",
    params(("tenant" = String, Path)),
    responses((status = 200, body = List<AccountView>)),
)]
pub(crate) async fn list(
    Existing(tenant): Existing,
    State(console): App,
) -> Result<Json<List<AccountView>>, Refusal> {
    let accounts = console.accounts.accounts(&tenant).await?;
    Ok(Json(List::whole(
        accounts.into_iter().map(AccountView::from).collect(),
    )))
}

/// One billing account.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/billing-accounts/{profile_id}/{connector_account_id}",
    tag = "billing accounts",
    params(("tenant" = String, Path), ("profile_id" = String, Path), ("connector_account_id" = String, Path)),
    responses((status = 200, body = AccountView)),
)]
pub(crate) async fn read(
    Existing(tenant): Existing,
    Id(profile): Id<ProfileId>,
    Id(id): Id<ConnectorAccountId>,
    State(console): App,
) -> Result<Json<AccountView>, Refusal> {
    let found = console.accounts.account(&tenant, &profile, &id).await?;
    let account =
        found.ok_or_else(|| Refusal::not_found("billing account", &format!("{profile}/{id}")))?;
    Ok(Json(account.into()))
}

/// Removes a billing account and frees its pair of ids.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/billing-accounts/{profile_id}/{connector_account_id}",
    tag = "billing accounts",
    params(("tenant" = String, Path), ("profile_id" = String, Path), ("connector_account_id" = String, Path)),
    responses((status = 204)),
)]
pub(crate) async fn delete(
    Existing(tenant): Existing,
    Id(profile): Id<ProfileId>,
    Id(id): Id<ConnectorAccountId>,
    State(console): App,
) -> Result<StatusCode, Refusal> {
    let there = console
        .accounts
        .delete_account(&tenant, &profile, &id)
        .await?;
    deleted(there, "billing account", &format!("{profile}/{id}"))
}
