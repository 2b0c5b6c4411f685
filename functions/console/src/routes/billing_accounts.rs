//! Billing accounts: which platform's webhooks a tenant hears from, how they are known to be genuine, and what was agreed
//! on for the recovery of its invoices.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use utoipa::ToSchema;

use shared::ids::{ConnectorAccountId, ProfileId, TenantId};
use shared::platform::account::{Locked, Settings};
use shared::platform::{BillingAccount, Platform, Proof};
use shared::recovery::Mode;
use shared::secret::Secret;
use shared::store::{AccountRecord, Claimed};

use super::endpoints::check_url;
use super::{App, created, deleted};
use crate::auth::Existing;
use crate::handler::{Console, Route};
use crate::openapi::schema;
use crate::reply::Refusal;
use crate::request::{Body, Id};
use crate::secrets::{SET_MOST, check_pair, check_text};
use crate::terms::Asked;
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
    "mode": "cascading",
    "retry_threshold": 3,
    "ladder_s": [86400, 172800, 259200],
    "payment_accounts": {"gw_stripe_eu": "mca_stripe_eu"},
}))]
pub(crate) struct AccountBody {
    /// The platform.
    #[schema(schema_with = schema::platform)]
    platform: Platform,
    /// Of a platform that signs (`stripe`, `recurly`): 1 to 5 live secrets of 16 to 256 characters; a webhook signed with
    /// any of them is genuine.
    #[serde(default)]
    webhook_secrets: Option<Vec<String>>,
    /// Of `chargebee`: 1 to 5 live pairs of user and password; a webhook that comes with any of them is genuine.
    #[serde(default)]
    basic: Option<Vec<BasicBody>>,
    /// The key for the platform's API; `recurly` needs it. Left out, none is kept.
    #[serde(default)]
    api_key: Option<String>,
    /// Where the platform's API is, if not at its usual place: https, a public host, port 443 or 8443. Chargebee's is at
    /// `https://{site}.chargebee.com`.
    #[serde(default)]
    api_base_url: Option<String>,
    /// Whether the timetable of retries is kept and shown (`monitoring`), or the merchant told to charge (`cascading`).
    #[serde(default)]
    #[schema(schema_with = schema::mode)]
    mode: Mode,
    /// How many tries the platform has before ours begin: 0 to 100.
    #[serde(default)]
    #[schema(maximum = 100)]
    retry_threshold: u32,
    /// How long to wait after the first failed charge, the second, and so on, in seconds: 1 to 50 steps of a minute to 30
    /// days. Left out, it is the usual one of 14 steps in about 141 hours.
    #[serde(default)]
    ladder_s: Option<Vec<u32>>,
    /// An invoice is charged at most so often, by whomever: 1 to 100. Left out, the end of the ladder is the only one.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    max_retry_count: Option<u32>,
    /// No charge so many seconds after the first one failed: 60 to 31536000. Left out, there is no such end.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 31_536_000)]
    grace_period_s: Option<u32>,
    /// How many seconds a merchant has for a retry: 60 to 86400, and at most the shortest step of the ladder. Left out, it
    /// is 7200.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 86_400)]
    retry_window_s: Option<u32>,
    /// Codes of declines after which a card is never charged again, beside those that are known here: at most 200.
    #[serde(default)]
    hard_declines: Vec<String>,
    /// Which payment account is behind each gateway of the platform: at most 100. A gateway that is not here keeps its
    /// name.
    #[serde(default)]
    payment_accounts: BTreeMap<String, String>,
    /// Whether the platform is told of a success that it does not know; needs `api_key`, and `api_base_url` where the
    /// platform's API has no usual place.
    #[serde(default)]
    record_back: bool,
}

/// A user and a password of HTTP Basic.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BasicBody {
    /// 1 to 64 characters of printable ASCII, without `:`.
    user: String,
    /// 16 to 256 characters of printable ASCII.
    password: String,
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

/// Takes 1 to 5 pairs, as the secrets `user:password`.
fn check_pairs(given: Vec<BasicBody>) -> Result<Vec<Secret>, Refusal> {
    if !(1..=SET_MOST).contains(&given.len()) {
        return Err(Refusal::field("basic", "must hold 1 to 5"));
    }
    let check = |(index, pair): (usize, BasicBody)| {
        check_pair(&pair.user, &Secret::new(pair.password)).map_err(|(field, error)| {
            Refusal::field(format!("basic[{index}].{field}"), error.to_string())
        })
    };
    given.into_iter().enumerate().map(check).collect()
}

/// A field that an account of this platform does not have.
fn unwanted(field: &'static str, platform: Platform, instead: &str) -> Refusal {
    let platform = platform.as_str();
    Refusal::field(
        field,
        format!("is of no use with `{platform}`; leave it out{instead}"),
    )
}

/// A field that an account of this platform must have.
fn wanted(field: &'static str, platform: Platform) -> Refusal {
    Refusal::field(
        field,
        format!("is missing; `{}` needs it", platform.as_str()),
    )
}

/// What proves that the platform speaks: what fits its kind, and nothing else.
fn check_proof(
    platform: Platform,
    secrets: Option<Vec<String>>,
    basic: Option<Vec<BasicBody>>,
) -> Result<Vec<Secret>, Refusal> {
    match (platform.proof(), secrets, basic) {
        (Proof::Secret, Some(secrets), None) => check_secrets("webhook_secrets", secrets),
        (Proof::Secret, None, None) => Err(wanted("webhook_secrets", platform)),
        (Proof::Secret, _, Some(_)) => {
            Err(unwanted("basic", platform, " and give `webhook_secrets`"))
        }
        (Proof::Pair, None, Some(pairs)) => check_pairs(pairs),
        (Proof::Pair, None, None) => Err(wanted("basic", platform)),
        (Proof::Pair, Some(_), _) => {
            Err(unwanted("webhook_secrets", platform, " and give `basic`"))
        }
        (Proof::Key, None, None) => Ok(Vec::new()),
        (Proof::Key, Some(_), _) => Err(unwanted("webhook_secrets", platform, "")),
        (Proof::Key, None, Some(_)) => Err(unwanted("basic", platform, "")),
    }
}

impl AccountBody {
    fn account(
        self,
        tenant: TenantId,
        profile_id: ProfileId,
        connector_account_id: ConnectorAccountId,
        console: &Console,
    ) -> Result<BillingAccount, Refusal> {
        let platform = self.platform;
        let webhook_secrets = check_proof(platform, self.webhook_secrets, self.basic)?;
        let api_key = self.api_key.map(Secret::new);
        if let Some(key) = &api_key {
            check_text(key).map_err(|error| Refusal::field("api_key", error.to_string()))?;
        }
        if let Some(url) = &self.api_base_url {
            check_url("api_base_url", url, &console.vetting)?;
        }
        let terms = Asked {
            mode: self.mode,
            retry_threshold: self.retry_threshold,
            ladder_s: self.ladder_s,
            max_retry_count: self.max_retry_count,
            grace_period_s: self.grace_period_s,
            retry_window_s: self.retry_window_s,
            hard_declines: self.hard_declines,
            payment_accounts: self.payment_accounts,
            record_back: self.record_back,
        };
        let settings = Settings {
            api_base_url: self.api_base_url,
            terms: terms.check()?,
        };
        let account = BillingAccount {
            tenant,
            profile_id,
            connector_account_id,
            platform,
            webhook_secrets,
            api_key,
            locked: Locked::default(),
            settings,
        };
        check_api(&account)?;
        Ok(account)
    }
}

/// What is needed to call the platform is there if it is to be called, and is not where there is nothing to call.
fn check_api(account: &BillingAccount) -> Result<(), Refusal> {
    let (platform, settings) = (account.platform, &account.settings);
    let record_back = settings.terms.record_back;
    if platform.proof() == Proof::Key {
        return match (&account.api_key, &settings.api_base_url, record_back) {
            (Some(_), ..) => Err(unwanted("api_key", platform, "")),
            (None, Some(_), _) => Err(unwanted("api_base_url", platform, "")),
            (None, None, true) => Err(unwanted("record_back", platform, "")),
            (None, None, false) => Ok(()),
        };
    }
    if account.api_key.is_none() && platform.must_be_asked() {
        return Err(Refusal::field(
            "api_key",
            format!(
                "is missing; `{}` needs it, since its webhooks tell nothing of an invoice until its API is asked",
                platform.as_str()
            ),
        ));
    }
    if !record_back {
        return Ok(());
    }
    if account.api_key.is_none() {
        return Err(Refusal::field(
            "record_back",
            "needs `api_key`, the key for the platform's API; give it, or leave `record_back` out",
        ));
    }
    let elsewhere = platform.api().is_some_and(|api| api.base_url().is_none());
    if elsewhere && settings.api_base_url.is_none() {
        return Err(Refusal::field(
            "record_back",
            "needs `api_base_url`, where the API of your site is; give it, or leave `record_back` out",
        ));
    }
    Ok(())
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
