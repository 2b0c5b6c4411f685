//! The API keys of a tenant. Only their hashes are kept.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{self, get};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::Deserialize;
use utoipa::ToSchema;

use shared::entropy::Entropy;
use shared::ids::KeyId;
use shared::secret::{Secret, key_hash};
use shared::store::KeyRecord;

use super::{App, deleted, kept};
use crate::auth::{Existing, Reached};
use crate::handler::Route;
use crate::reply::Refusal;
use crate::request::{Body, Id, label};
use crate::view::{KeyView, List, NewKeyView};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("/v1/tenants/{tenant}/keys", get(list).post(post)),
        ("/v1/tenants/{tenant}/keys/{key}", routing::delete(delete)),
    ]
}

/// A key to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"label": "backend", "personal_data": false}))]
pub(crate) struct KeyBody {
    /// What people call it: 1 to 100 characters.
    #[serde(default)]
    label: Option<String>,
    /// Whether it is shown personal data: what wallets are told of customers and transactions. Only an operator's key, or one
    /// that has this right, can give it.
    #[serde(default)]
    personal_data: bool,
}

fn draw(entropy: &dyn Entropy) -> (KeyId, Secret) {
    let id = format!("key_{}", HEXLOWER.encode(&entropy.bytes::<8>()));
    let key = format!("prk_{}", BASE64URL_NOPAD.encode(&entropy.bytes::<32>()));
    (
        KeyId::parse(id).expect("a prefix and hex digits make a valid id"),
        Secret::new(key),
    )
}

/// Makes a key that reaches everything of the tenant and nothing else. It is shown this once.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/keys",
    tag = "keys",
    params(("tenant" = String, Path)),
    request_body = KeyBody,
    responses(
        (status = 201, body = NewKeyView),
        (status = 403, description = "Forbidden, or the key that asks can't give the right to personal data"),
    ),
)]
pub(crate) async fn post(
    Reached { tenant, caller }: Reached,
    State(console): App,
    Body(body): Body<KeyBody>,
) -> Result<(StatusCode, Json<NewKeyView>), Refusal> {
    if body.personal_data && !caller.grants_personal_data() {
        return Err(Refusal::PersonalData);
    }
    let label = label("label", body.label)?;
    let (id, key) = draw(&*console.entropy);
    let record = KeyRecord {
        id,
        tenant,
        label,
        personal_data: body.personal_data,
        created_at: console.clock.now(),
    };
    let put = console.keys.put_key(&record, &key_hash(&key)).await?;
    kept(put, &record.tenant)?.ok_or(Refusal::Contended)?;
    Ok((
        StatusCode::CREATED,
        Json(NewKeyView {
            key: key.expose().to_owned(),
            record: record.into(),
        }),
    ))
}

/// The keys of a tenant, without the keys themselves.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/keys",
    tag = "keys",
    params(("tenant" = String, Path)),
    responses((status = 200, body = List<KeyView>)),
)]
pub(crate) async fn list(
    Existing(tenant): Existing,
    State(console): App,
) -> Result<Json<List<KeyView>>, Refusal> {
    let keys = console.keys.keys(&tenant).await?;
    Ok(Json(List::whole(
        keys.into_iter().map(KeyView::from).collect(),
    )))
}

/// Revokes a key: it opens nothing from now on.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/keys/{key}",
    tag = "keys",
    params(("tenant" = String, Path), ("key" = String, Path, description = "The key's public name (`key_..`)")),
    responses((status = 204)),
)]
pub(crate) async fn delete(
    Existing(tenant): Existing,
    Id(id): Id<KeyId>,
    State(console): App,
) -> Result<StatusCode, Refusal> {
    deleted(console.keys.revoke_key(&tenant, &id).await?, "key", &id)
}
