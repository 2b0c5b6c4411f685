//! Intents: what is known of an invoice that is to be collected, and what can be done to its retries by hand.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use utoipa::IntoParams;

use shared::ids::{ConnectorAccountId, InvoiceId, ProfileId};
use shared::queue::Task;
use shared::queue::task::{self, LeverTask};
use shared::recovery::{IntentKey, Lever, Pull};

use super::App;
use crate::auth::{Reached, Within};
use crate::handler::Route;
use crate::reply::Refusal;
use crate::request::{Id, PathId, Query};
use crate::view::{IntentView, PullView};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("/v1/tenants/{tenant}/intents", get(read)),
        ("/v1/tenants/{tenant}/intents/{lever}", post(pull)),
    ]
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

/// The intent of one invoice, with its charges and its retries.
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
    let (found, account) = futures::try_join!(
        console.intents.intent(&tenant, &key),
        console
            .accounts
            .account(&tenant, &key.profile_id, &key.connector_account_id)
    )?;
    let intent = found.ok_or_else(|| unknown(&key))?;
    let terms = account.map(|record| record.account.settings.terms);
    Ok(Json(IntentView::new(&intent.value, terms.as_ref())))
}

fn unknown(key: &IntentKey) -> Refusal {
    Refusal::not_found("intent for invoice", &key.invoice_id)
}

impl PathId for Lever {
    const NAME: &'static str = "lever";

    fn read(text: String) -> Result<Self, Refusal> {
        match text.as_str() {
            "pause" => Ok(Lever::Pause),
            "resume" => Ok(Lever::Resume),
            "cancel" => Ok(Lever::Cancel),
            "retry-now" => Ok(Lever::RetryNow),
            _ => Err(Refusal::parameter(
                "lever",
                "must be `pause`, `resume`, `cancel` or `retry-now`",
            )),
        }
    }
}

/// Pauses or resumes the retries of an invoice, ends them, or asks for the next one at once.
///
/// `recover` does it, so the answer tells that it will be done: look at the intent's `pulls` and `retry` afterwards.
/// After an unknown outcome `retry-now` tells the merchant of the same retry again, under the same idempotency key.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/intents/{lever}",
    tag = "intents",
    params(("tenant" = String, Path), ("lever" = String, Path), IntentAsked),
    responses(
        (status = 202, description = "It is queued", body = PullView),
        (status = 409, description = "It makes no sense as the intent stands; the detail says why"),
    ),
)]
pub(crate) async fn pull(
    Reached { tenant, caller }: Reached,
    Id(lever): Id<Lever>,
    State(console): App,
    Query(asked): Query<IntentAsked>,
) -> Result<(StatusCode, Json<PullView>), Refusal> {
    let key = asked.key()?;
    let found = console.intents.intent(&tenant, &key).await?;
    let intent = found.ok_or_else(|| unknown(&key))?.value;
    if let Some(why) = intent.refuses(lever) {
        return Err(Refusal::LeverRefused { why });
    }
    let pull = Pull {
        id: format!("pull_{}", HEXLOWER.encode(&console.entropy.bytes::<16>())),
        lever,
        by: caller.key().cloned(),
        at: console.clock.now(),
    };
    let view = PullView::from(&pull);
    let task = LeverTask {
        tenant,
        intent: key,
        pull,
    };
    task::send(&*console.queues, [Task::Lever(task)]).await?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}
