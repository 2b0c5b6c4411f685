//! What a tenant's callbacks to wallets are signed with: its `SIGNING_KEY`, announced before it is changed.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use shared::customer::SigningKeys;
use shared::entropy::Entropy;
use shared::secret::Secret;
use shared::signature::stellar::{SigningKey, generate};
use shared::time::later;

use super::{App, RACES, deleted, kept};
use crate::auth::Existing;
use crate::handler::Route;
use crate::reply::Refusal;
use crate::request::Body;
use crate::view::SigningKeyView;

/// How long a new key is announced before it signs, if it is not said.
const ANNOUNCED: SignedDuration = SignedDuration::from_hours(24);
/// How far ahead a key may be announced.
const ANNOUNCED_MOST: SignedDuration = SignedDuration::from_hours(90 * 24);

pub(crate) fn routes() -> Vec<Route> {
    vec![
        (
            "/v1/tenants/{tenant}/anchor/signing-key",
            get(read).put(put).delete(delete),
        ),
        (
            "/v1/tenants/{tenant}/anchor/signing-key/rotate",
            post(rotate),
        ),
    ]
}

/// The first signing key to be.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub(crate) struct SigningKeyBody {
    /// Its seed (`S..`): that of the `SIGNING_KEY` which the anchor's `stellar.toml` has. Left out, one is made and told in
    /// the answer.
    #[serde(default)]
    seed: Option<String>,
}

/// The next signing key to be.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "2026-11-23T09:00:00.000Z"}))]
pub(crate) struct NextKeyBody {
    /// Its seed (`S..`). Left out, one is made and told in the answer.
    #[serde(default)]
    seed: Option<String>,
    /// It signs from then on (RFC 3339), at most 90 days from now; a time that is over means at once. Left out, 24 hours
    /// from now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
}

/// The seed that is given, or a new one; and the new one once more, to be told.
fn seed(
    given: Option<&String>,
    entropy: &dyn Entropy,
) -> Result<(Secret, Option<Secret>), Refusal> {
    match given {
        Some(text) => {
            let seed = Secret::new(text.as_str());
            SigningKey::parse(&seed).map_err(|error| Refusal::field("seed", error.to_string()))?;
            Ok((seed, None))
        }
        None => {
            let seed = generate(entropy);
            Ok((seed.clone(), Some(seed)))
        }
    }
}

/// Gives a tenant its first signing key. Later ones are announced with `POST .../anchor/signing-key/rotate`.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/anchor/signing-key",
    tag = "signing key",
    params(("tenant" = String, Path)),
    request_body = SigningKeyBody,
    responses(
        (status = 201, body = SigningKeyView),
        (status = 409, description = "There is one"),
    ),
)]
pub(crate) async fn put(
    Existing(tenant): Existing,
    State(console): App,
    Body(body): Body<SigningKeyBody>,
) -> Result<(StatusCode, Json<SigningKeyView>), Refusal> {
    if console.anchor_admin.signing_keys(&tenant).await?.is_some() {
        return Err(Refusal::SigningKeyThere);
    }
    let (current, made) = seed(body.seed.as_ref(), &*console.entropy)?;
    let keys = SigningKeys {
        current,
        next: None,
    };
    let put = console
        .anchor_admin
        .put_signing_keys(&tenant, &keys, None)
        .await?;
    kept(put, &tenant)?.ok_or(Refusal::SigningKeyThere)?;
    let view = SigningKeyView::new(&keys, made.as_ref(), console.clock.now())?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// The public key that wallets verify with, and the next one, if it was announced.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/anchor/signing-key",
    tag = "signing key",
    params(("tenant" = String, Path)),
    responses((status = 200, body = SigningKeyView)),
)]
pub(crate) async fn read(
    Existing(tenant): Existing,
    State(console): App,
) -> Result<Json<SigningKeyView>, Refusal> {
    let found = console.anchor_admin.signing_keys(&tenant).await?;
    let keys = found.ok_or_else(none)?.value;
    let view = SigningKeyView::new(&keys, None, console.clock.now())?;
    Ok(Json(view))
}

/// Removes a tenant's signing keys. Callbacks fail, and are retried, until there is one again.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/anchor/signing-key",
    tag = "signing key",
    params(("tenant" = String, Path)),
    responses((status = 204)),
)]
pub(crate) async fn delete(
    Existing(tenant): Existing,
    State(console): App,
) -> Result<StatusCode, Refusal> {
    let there = console.anchor_admin.delete_signing_keys(&tenant).await?;
    deleted(there, "signing key", &"SIGNING_KEY")
}

fn none() -> Refusal {
    Refusal::not_found("signing key", &"SIGNING_KEY")
}

/// Announces the next signing key.
///
/// A callback has one signature, so old and new key never sign together: wallets must know the new one, from the anchor's
/// `stellar.toml`, when it begins to sign. One that was announced and does not sign yet is replaced.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/anchor/signing-key/rotate",
    tag = "signing key",
    params(("tenant" = String, Path)),
    request_body = NextKeyBody,
    responses(
        (status = 200, body = SigningKeyView),
        (status = 409, description = "Others kept changing it at the same time"),
    ),
)]
pub(crate) async fn rotate(
    Existing(tenant): Existing,
    State(console): App,
    Body(body): Body<NextKeyBody>,
) -> Result<Json<SigningKeyView>, Refusal> {
    for _ in 0..RACES {
        let read = console.anchor_admin.signing_keys(&tenant).await?;
        let read = read.ok_or_else(none)?;
        let now = console.clock.now();
        let (next, made) = seed(body.seed.as_ref(), &*console.entropy)?;
        let keys = announced(&read.value, next, from(body.from.as_deref(), now)?, now)?;
        let put = console
            .anchor_admin
            .put_signing_keys(&tenant, &keys, Some(read.version))
            .await?;
        if kept(put, &tenant)?.is_some() {
            let view = SigningKeyView::new(&keys, made.as_ref(), now)?;
            return Ok(Json(view));
        }
    }
    Err(Refusal::Contended)
}

fn from(given: Option<&str>, now: Timestamp) -> Result<Timestamp, Refusal> {
    let Some(text) = given else {
        return Ok(later(now, ANNOUNCED));
    };
    let from = text.parse::<Timestamp>().map_err(|_| {
        Refusal::field(
            "from",
            "must be a time such as 2026-01-31T12:00:00Z (RFC 3339)",
        )
    })?;
    if from > later(now, ANNOUNCED_MOST) {
        return Err(Refusal::field("from", "must be at most 90 days from now"));
    }
    Ok(from.max(now))
}

/// The keys with `next` announced for `from`; what signs at `now` is the current one.
fn announced(
    keys: &SigningKeys,
    next: Secret,
    from: Timestamp,
    now: Timestamp,
) -> Result<SigningKeys, Refusal> {
    let current = keys.live(now).clone();
    if current == next {
        return Err(Refusal::field(
            "seed",
            "must differ from that of the key that signs now",
        ));
    }
    Ok(SigningKeys {
        current,
        next: Some((next, from)),
    })
}
