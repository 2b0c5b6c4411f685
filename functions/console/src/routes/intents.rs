//! Intents: what is known of an invoice that is to be collected.

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use serde::Deserialize;
use utoipa::IntoParams;

use shared::ids::{ConnectorAccountId, InvoiceId, ProfileId};
use shared::recovery::IntentKey;

use super::App;
use crate::auth::Within;
use crate::handler::Route;
use crate::reply::Refusal;
use crate::request::Query;
use crate::view::IntentView;

pub(crate) fn routes() -> Vec<Route> {
    vec![("/v1/tenants/{tenant}/intents", get(read))]
}

/// Which intent.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct IntentAsked {
    /// The business profile.
    #[param(example = "pro_1")]
    profile: String,
    /// The billing account.
    #[param(example = "mca_1")]
    account: String,
    /// The platform's invoice id.
    #[param(example = "in_1")]
    invoice: String,
}

impl IntentAsked {
    fn key(self) -> Result<IntentKey, Refusal> {
        Ok(IntentKey {
            profile_id: ProfileId::parse(self.profile)
                .map_err(|error| Refusal::parameter("profile", error.to_string()))?,
            connector_account_id: ConnectorAccountId::parse(self.account)
                .map_err(|error| Refusal::parameter("account", error.to_string()))?,
            invoice_id: InvoiceId::parse(self.invoice)
                .map_err(|error| Refusal::parameter("invoice", error.to_string()))?,
        })
    }
}

/// The intent of one invoice, with its charges and what was said of them.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/intents",
    tag = "intents",
    params(("tenant" = String, Path), IntentAsked),
    responses((status = 200, body = IntentView)),
)]
pub(crate) async fn read(
    Within(tenant): Within,
    State(console): App,
    Query(asked): Query<IntentAsked>,
) -> Result<Json<IntentView>, Refusal> {
    let key = asked.key()?;
    let found = console.intents.intent(&tenant, &key).await?;
    let intent = found.ok_or_else(|| Refusal::not_found("intent for invoice", &key.invoice_id))?;
    Ok(Json(intent.value.into()))
}
