//! The signing secrets of an endpoint: rotated, with a time in which old and new sign side by side.

use axum::Json;
use axum::extract::State;
use axum::routing::post;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use shared::delivery::LiveSecret;
use shared::ids::EndpointId;
use shared::secret::Secret;
use shared::store::EndpointRecord;
use shared::time::later;

use super::breaker::current;
use super::endpoints::{find, may_change};
use super::publishers::refuse_publishers_secrets;
use super::{App, RACES, kept};
use crate::auth::Reached;
use crate::handler::{Console, Route};
use crate::reply::Refusal;
use crate::request::{Body, Id};
use crate::secrets::{check, generate};
use crate::view::EndpointView;

/// How long an old secret goes on signing beside a new one, if it is not said, in seconds.
const OVERLAP_S: u32 = 24 * 3600;
/// The longest time it may, in seconds.
const OVERLAP_MOST_S: u32 = 7 * 24 * 3600;
/// So many secrets may sign at once; receivers look at 16 signatures of a header at most.
const LIVE_MOST: usize = 10;

pub(crate) fn routes() -> Vec<Route> {
    vec![(
        "/v1/tenants/{tenant}/endpoints/{endpoint}/secrets",
        post(rotate),
    )]
}

/// A rotation to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"overlap_s": 86400}))]
pub(crate) struct RotationBody {
    /// The new secret, of the scheme's form, and none that the tenant's publisher signs with. Left out, one is made and
    /// told in the answer.
    #[serde(default)]
    secret: Option<String>,
    /// How long the old secrets go on signing beside it, in seconds, 0 to 604800 (7 days); 86400 if left out.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 604_800)]
    overlap_s: Option<u32>,
}

/// Puts a new secret in front; those before it go on signing until the overlap is over, or to their own earlier end.
fn rotated(
    secrets: Vec<LiveSecret>,
    new: Secret,
    overlap_s: u32,
    now: Timestamp,
) -> Vec<LiveSecret> {
    let end = later(now, SignedDuration::from_secs(i64::from(overlap_s)));
    let old = secrets.into_iter().map(|live| LiveSecret {
        until: Some(live.until.map_or(end, |until| until.min(end))),
        ..live
    });
    let old = old.filter(|live| live.until.is_none_or(|until| now < until));
    std::iter::once(LiveSecret {
        secret: new,
        until: None,
    })
    .chain(old)
    .collect()
}

/// Rotates the secret of an endpoint.
///
/// Deliveries are signed with the new secret and, while the overlap lasts, with the old ones too.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/endpoints/{endpoint}/secrets",
    tag = "endpoints",
    params(("tenant" = String, Path), ("endpoint" = String, Path)),
    request_body = RotationBody,
    responses((status = 200, body = EndpointView), (status = 409, description = "Too many live secrets, the endpoint is broken, or others kept changing it")),
)]
pub(crate) async fn rotate(
    Reached { tenant, caller }: Reached,
    Id(id): Id<EndpointId>,
    State(console): App,
    Body(body): Body<RotationBody>,
) -> Result<Json<EndpointView>, Refusal> {
    let overlap_s = body.overlap_s.unwrap_or(OVERLAP_S);
    if overlap_s > OVERLAP_MOST_S {
        return Err(Refusal::field("overlap_s", "must be 0 to 604800 seconds"));
    }
    for _ in 0..RACES {
        let read = find(&console, &tenant, &id).await?;
        may_change(&caller, read.value.endpoint.role)?;
        let now = console.clock.now();
        let (record, made) = rotation(read.value, &body, overlap_s, &console)?;
        if body.secret.is_some() {
            let given = record.endpoint.secrets.first();
            let given = given.map(|live| ("secret".to_owned(), &live.secret));
            refuse_publishers_secrets(&console, &tenant, given).await?;
        }
        let put = console
            .endpoints
            .put_endpoint(&record, Some(read.version))
            .await?;
        if kept(put, &tenant)?.is_some() {
            let breaker = current(&console, &tenant, &id).await?;
            let view = EndpointView::new(record, &breaker, &made, now, &caller);
            return Ok(Json(view));
        }
    }
    Err(Refusal::Contended)
}

/// The endpoint with its new secret, and the secret if it was made.
fn rotation(
    mut record: EndpointRecord,
    body: &RotationBody,
    overlap_s: u32,
    console: &Console,
) -> Result<(EndpointRecord, Vec<Secret>), Refusal> {
    let endpoint = &mut record.endpoint;
    if endpoint.is_locked(console.clock.now()) {
        return Err(Refusal::SecretLocked);
    }
    let (secret, made) = match &body.secret {
        Some(text) => {
            let secret = Secret::new(text.as_str());
            check(endpoint.scheme, &secret)
                .map_err(|error| Refusal::field("secret", error.to_string()))?;
            (secret, Vec::new())
        }
        None => {
            let secret = generate(endpoint.scheme, &*console.entropy);
            (secret.clone(), vec![secret])
        }
    };
    let now = console.clock.now();
    if endpoint.live_secrets(now).any(|live| *live == secret) {
        return Err(Refusal::field(
            "secret",
            "must differ from those that sign already",
        ));
    }
    endpoint.secrets = rotated(
        std::mem::take(&mut endpoint.secrets),
        secret,
        overlap_s,
        now,
    );
    if endpoint.secrets.len() > LIVE_MOST {
        return Err(Refusal::SecretsFull);
    }
    Ok((record, made))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time in range")
    }

    fn live(secret: &str, until: Option<i64>) -> LiveSecret {
        LiveSecret {
            secret: Secret::new(secret),
            until: until.map(at),
        }
    }

    #[test]
    fn the_new_secret_comes_first_and_the_old_ones_end_with_the_overlap() {
        struct Case {
            name: &'static str,
            before: Vec<LiveSecret>,
            overlap_s: u32,
            want: Vec<LiveSecret>,
        }
        let cases = [
            Case {
                name: "the current one gets an end",
                before: vec![live("a", None)],
                overlap_s: 60,
                want: vec![live("new", None), live("a", Some(160))],
            },
            Case {
                name: "an earlier end stays, a later one moves",
                before: vec![live("a", None), live("b", Some(130)), live("c", Some(500))],
                overlap_s: 60,
                want: vec![
                    live("new", None),
                    live("a", Some(160)),
                    live("b", Some(130)),
                    live("c", Some(160)),
                ],
            },
            Case {
                name: "what has ended is dropped",
                before: vec![live("a", None), live("b", Some(100))],
                overlap_s: 60,
                want: vec![live("new", None), live("a", Some(160))],
            },
            Case {
                name: "without overlap only the new one is left",
                before: vec![live("a", None), live("b", Some(500))],
                overlap_s: 0,
                want: vec![live("new", None)],
            },
        ];
        for Case {
            name,
            before,
            overlap_s,
            want,
        } in cases
        {
            assert_eq!(
                rotated(before, Secret::new("new"), overlap_s, at(100)),
                want,
                "{name}"
            );
        }
    }
}
