//! Intents: what is known of an invoice that is to be collected, and what can be done to its retries by hand.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use data_encoding::HEXLOWER;
use futures::future::try_join_all;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

use shared::ids::{ConnectorAccountId, InvoiceId, ProfileId, TenantId};
use shared::queue::Task;
use shared::queue::task::{self, LeverTask};
use shared::recovery::{Intent, IntentKey, Lever, Pull, State as IntentState};
use shared::store::{IntentQuery, StoreError};

use super::App;
use crate::auth::{Reached, Within};
use crate::cursor;
use crate::handler::{Console, Route};
use crate::openapi::schema;
use crate::reply::Refusal;
use crate::request::{Id, PathId, Query, from_cursor, given, limit, time};
use crate::view::{IntentAnswer, IntentSummaryView, IntentView, List, PullView};

/// So many intents of a page are read at the same time.
const AT_ONCE: usize = 16;

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

/// Which intent, or which intents to list.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct IntentsAsked {
    /// Of one invoice: the business profile. The three of these go together, and with none of the others.
    #[param(required = false, example = "pro_1")]
    #[serde(deserialize_with = "text")]
    profile: Option<String>,
    /// Of one invoice: the billing account.
    #[param(required = false, example = "mca_1")]
    #[serde(deserialize_with = "text")]
    account: Option<String>,
    /// Of one invoice: the platform's id of it.
    #[param(required = false, example = "in_1")]
    #[serde(deserialize_with = "text")]
    invoice: Option<String>,
    /// Of the list: only those that are `open`, `processing`, `cancelled` or `recovered`. A page may be short, or empty, and
    /// still have a `next_cursor`.
    #[param(required = false, example = "open")]
    #[serde(deserialize_with = "text")]
    state: Option<String>,
    /// Of the list: only those first recorded at or after this time (RFC 3339).
    #[param(required = false, format = DateTime, example = "2026-11-22T00:00:00Z")]
    #[serde(deserialize_with = "text")]
    since: Option<String>,
    /// Of the list: the `next_cursor` of the page before.
    #[param(required = false)]
    #[serde(deserialize_with = "text")]
    cursor: Option<String>,
    /// Of the list: at most so many, 1 to 100, 50 if left out.
    #[param(required = false, value_type = u8, minimum = 1, maximum = 100)]
    #[serde(deserialize_with = "text")]
    limit: Option<String>,
}

/// A parameter that is there: texts of a query have no `null`.
fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    String::deserialize(value).map(Some)
}

/// What was asked for: the two forms of one path.
enum Wanted {
    One(IntentKey),
    List(IntentQuery),
}

impl IntentsAsked {
    fn read(self) -> Result<Wanted, Refusal> {
        if (&self.profile, &self.account, &self.invoice) == (&None, &None, &None) {
            return self.list().map(Wanted::List);
        }
        let of_list = [
            ("state", &self.state),
            ("since", &self.since),
            ("cursor", &self.cursor),
            ("limit", &self.limit),
        ];
        if let Some((name, _)) = of_list.into_iter().find(|(_, value)| value.is_some()) {
            return Err(Refusal::parameter(
                name,
                "belongs to the list; leave it out to read the intent of one invoice",
            ));
        }
        let missing = |name: &'static str| {
            move || {
                let rule = "is missing; `profile`, `account` and `invoice` name an intent together";
                Refusal::parameter(name, rule)
            }
        };
        let asked = IntentAsked {
            profile: self.profile.ok_or_else(missing("profile"))?,
            account: self.account.ok_or_else(missing("account"))?,
            invoice: self.invoice.ok_or_else(missing("invoice"))?,
        };
        asked.key().map(Wanted::One)
    }

    fn list(&self) -> Result<IntentQuery, Refusal> {
        let state = self.state.as_deref().and_then(given).map(read_state);
        let cursor = self.cursor.as_deref().and_then(given).map(from_cursor);
        Ok(IntentQuery {
            state: state.transpose()?,
            since: time("since", self.since.as_deref().unwrap_or_default())?,
            cursor: cursor.transpose()?,
            limit: limit(self.limit.as_deref().unwrap_or_default())?,
        })
    }
}

fn read_state(name: &str) -> Result<IntentState, Refusal> {
    serde_json::from_value(name.into()).map_err(|_| {
        let known = schema::names::<IntentState>().join(", ");
        Refusal::parameter("state", format!("must be one of {known}"))
    })
}

/// The intent of one invoice, with its charges and its retries; or, without an invoice, those of the tenant, the ones
/// first recorded last at the front.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/intents",
    tag = "intents",
    params(("tenant" = String, Path), IntentsAsked),
    responses((status = 200, body = IntentAnswer)),
)]
pub(crate) async fn read(
    Within(tenant): Within,
    State(console): App,
    Query(asked): Query<IntentsAsked>,
) -> Result<Json<IntentAnswer>, Refusal> {
    let answer = match asked.read()? {
        Wanted::One(key) => IntentAnswer::One(Box::new(one(&console, &tenant, &key).await?)),
        Wanted::List(query) => IntentAnswer::List(list(&console, &tenant, &query).await?),
    };
    Ok(Json(answer))
}

async fn one(console: &Console, tenant: &TenantId, key: &IntentKey) -> Result<IntentView, Refusal> {
    let (found, account) = futures::try_join!(
        console.intents.intent(tenant, key),
        console
            .accounts
            .account(tenant, &key.profile_id, &key.connector_account_id)
    )?;
    let intent = found.ok_or_else(|| unknown(key))?;
    let terms = account.map(|record| record.account.settings.terms);
    Ok(IntentView::new(&intent.value, terms.as_ref()))
}

/// The list says which intents there are; how each stands is read.
async fn list(
    console: &Console,
    tenant: &TenantId,
    query: &IntentQuery,
) -> Result<List<IntentSummaryView>, StoreError> {
    let page = console.intent_list.intents(tenant, query).await?;
    let mut data = Vec::with_capacity(page.items.len());
    for some in page.items.chunks(AT_ONCE) {
        let reads = some
            .iter()
            .map(|found| console.intents.intent(tenant, &found.key));
        let found = try_join_all(reads).await?.into_iter().flatten();
        let stands = |intent: &Intent| query.state.is_none_or(|state| state == intent.state);
        data.extend(
            found
                .filter(|read| stands(&read.value))
                .map(|read| IntentSummaryView::from(&read.value)),
        );
    }
    Ok(List {
        data,
        next_cursor: page.next.as_deref().map(cursor::write),
    })
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
        refused: None,
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
