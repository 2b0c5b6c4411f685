//! Endpoints: where a tenant's deliveries go, how they are signed and retried.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use utoipa::ToSchema;

use shared::delivery::{
    Breaker, BreakerPolicy, DEADLINE_MOST, Endpoint, EndpointState, Filter, LiveSecret, Policy,
    Scheme, Vetting,
};
use shared::entropy::Entropy;
use shared::event::Role;
use shared::ids::{EndpointId, TenantId};
use shared::secret::Secret;
use shared::signature::stellar::SignedHost;
use shared::store::{EndpointRecord, Read};

use super::breaker::{BreakerSwitch, Changed, after_change, current, turn_to};
use super::publishers::refuse_publishers_secrets;
use super::{App, RACES, created, deleted, kept};
use crate::auth::{Caller, Reached};
use crate::handler::{Console, Route};
use crate::openapi::schema;
use crate::reply::Refusal;
use crate::request::{Body, Id};
use crate::secrets::{SET_MOST, check, generate};
use crate::view::{EndpointView, List};

/// What Rafiki calls the deadline of a try, in milliseconds.
const WEBHOOK_TIMEOUT: &str = "WEBHOOK_TIMEOUT";
/// What Rafiki calls the number of retries.
const WEBHOOK_MAX_RETRY: &str = "WEBHOOK_MAX_RETRY";
/// The longest URL that is taken, in bytes.
const URL_MOST: usize = 2048;
/// The shortest deadline of a try.
pub(super) const DEADLINE_LEAST: SignedDuration = SignedDuration::from_millis(100);
/// The longest usefulness window: nothing is kept for longer by default.
const USEFUL_MOST: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("/v1/tenants/{tenant}/endpoints", get(list)),
        (
            "/v1/tenants/{tenant}/endpoints/{endpoint}",
            get(read).put(put).delete(delete),
        ),
    ]
}

/// What the operator sets an endpoint's state to.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Switch {
    /// It takes deliveries.
    Enabled,
    /// It takes none.
    Disabled,
}

/// An endpoint to be.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "url": "https://shop.example/hooks",
    "role": "merchant",
    "scheme": "standard-webhooks",
    "event_types": ["recovery.*"],
    "retry": {"policy": "linear", "step_s": 10, "max_retry": 10},
    "timeout_ms": 15000,
}))]
pub(crate) struct EndpointBody {
    /// Where deliveries are posted: https, a public host, port 443 or 8443.
    url: String,
    /// What it is to the tenant. One of role `operator` gets copies of what concerns the operator too, and only an
    /// operator's key may make, change or delete it.
    #[schema(schema_with = schema::role)]
    role: Role,
    /// How deliveries are written and signed.
    #[serde(deserialize_with = "scheme")]
    #[schema(schema_with = schema::scheme)]
    scheme: Scheme,
    /// 1 to 5 signing secrets, all of which sign: `whsec_..` or `whsk_..` for `standard-webhooks`, any 16 to 256
    /// characters for `rafiki`. Left out, those of an endpoint that is replaced are kept, and one is made for a new
    /// endpoint and told in the answer. Those of a `broken` endpoint can't be kept. None may be one that the tenant's
    /// publisher signs with.
    #[serde(default)]
    secrets: Option<Vec<String>>,
    /// The event types it wants: names, prefixes (`recovery.*`) and `*`. Left out, it wants every type of
    /// `GET /v1/event-types`; other types have to be asked for.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    event_types: Option<Filter>,
    /// How failed tries are followed up. Left out, as the scheme has it.
    #[serde(default)]
    #[schema(schema_with = schema::policy, required = false)]
    retry: Option<Policy>,
    /// When failed tries have it left alone for a while, `off` for never. Settings that are left out are as usual.
    #[serde(default)]
    #[schema(schema_with = schema::breaker, required = false)]
    breaker: Option<BreakerPolicy>,
    /// The deadline of a try in milliseconds, 100 to 20000. Left out, 2000 for `rafiki` and 15000 otherwise.
    #[serde(default)]
    #[schema(minimum = 100, maximum = 20_000)]
    timeout_ms: Option<u32>,
    /// `timeout_ms` as Rafiki's operators know it; for `rafiki` only.
    #[serde(default, rename = "WEBHOOK_TIMEOUT")]
    #[schema(minimum = 100, maximum = 20_000)]
    webhook_timeout: Option<u32>,
    /// How many retries follow the first try, 0 to 50, as Rafiki's operators know it; for `rafiki` only. It counts retries, as
    /// Rafiki's documentation does; Rafiki's code counts the first try too.
    #[serde(default, rename = "WEBHOOK_MAX_RETRY")]
    #[schema(maximum = 50)]
    webhook_max_retry: Option<u32>,
    /// Where it is asked to decide on incoming payments, under the rules of `url`; only for the role `ase`. Left out, it is
    /// not asked. Of several endpoints that are, the first by name that is switched on is asked.
    #[serde(default)]
    decision_url: Option<String>,
    /// How long after it happened an event is still worth a retry, in milliseconds, 1 to 2592000000 (30 days). Left
    /// out, it depends on the event's type.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 2_592_000_000_i64)]
    useful_for_ms: Option<u32>,
    /// Whether it takes deliveries. Left out, a new endpoint does, and one that is replaced stays as it is.
    #[serde(default)]
    state: Option<Switch>,
}

/// The names of [`Scheme::OF_ENDPOINTS`].
const SCHEMES: [&str; 2] = ["rafiki", "standard-webhooks"];

/// A scheme that endpoints can have.
fn scheme<'de, D: Deserializer<'de>>(given: D) -> Result<Scheme, D::Error> {
    let name = String::deserialize(given)?;
    let of_endpoints = Scheme::OF_ENDPOINTS;
    let known = of_endpoints.iter().find(|known| known.as_str() == name);
    match known {
        Some(scheme) => Ok(*scheme),
        None if name == Scheme::Stellar.as_str() => Err(D::Error::custom(
            "must be `rafiki` or `standard-webhooks`; what is signed as `stellar` goes to wallet clients, so register one \
             with `PUT /v1/tenants/{tenant}/clients/{client}`",
        )),
        None => Err(D::Error::unknown_variant("", &SCHEMES)),
    }
}

impl EndpointBody {
    /// The endpoint that the body describes, where `before` is the one it replaces, and the secrets made for it.
    fn endpoint(
        self,
        tenant: TenantId,
        id: EndpointId,
        before: Option<Endpoint>,
        vetting: &Vetting,
        entropy: &dyn Entropy,
    ) -> Result<(Endpoint, Vec<Secret>), Refusal> {
        check_url("url", &self.url, vetting)?;
        let timeout_ms = self.timeout()?;
        let policy = self.policy()?;
        if let Some(url) = &self.decision_url {
            check_url("decision_url", url, vetting)?;
            if self.role != Role::Ase {
                return Err(Refusal::field(
                    "decision_url",
                    "must be left out: only an endpoint of role `ase` decides",
                ));
            }
        }
        let state = match (self.state, &before) {
            (Some(Switch::Enabled), _) | (None, None) => EndpointState::Enabled,
            (Some(Switch::Disabled), _) => EndpointState::Disabled,
            (None, Some(before)) => before.state,
        };
        let (secrets, made) = match (self.secrets, before) {
            (Some(given), _) => (set(self.scheme, given)?, Vec::new()),
            (None, Some(before)) => (keep(self.scheme, before.secrets)?, Vec::new()),
            (None, None) => {
                let secret = generate(self.scheme, entropy);
                (
                    vec![LiveSecret {
                        secret: secret.clone(),
                        until: None,
                    }],
                    vec![secret],
                )
            }
        };
        let endpoint = Endpoint {
            tenant,
            id,
            role: self.role,
            scheme: self.scheme,
            secrets,
            locked: Vec::new(),
            filter: self.event_types,
            policy: policy
                .check()
                .map_err(|error| Refusal::field("retry", error.to_string()))?,
            breaker: breaker(self.breaker)?,
            deadline: millis(timeout_ms.0, timeout_ms.1, DEADLINE_LEAST, DEADLINE_MOST)?
                .unwrap_or_else(|| self.scheme.deadline()),
            useful_for: millis(
                "useful_for_ms",
                self.useful_for_ms,
                SignedDuration::from_millis(1),
                USEFUL_MOST,
            )?,
            signed_host: SignedHost::AsSent,
            decision_url: self.decision_url,
            state,
            url: self.url,
        };
        Ok((endpoint, made))
    }

    /// The deadline in milliseconds, under either of its names.
    fn timeout(&self) -> Result<(&'static str, Option<u32>), Refusal> {
        let Some(theirs) = self.webhook_timeout else {
            return Ok(("timeout_ms", self.timeout_ms));
        };
        self.rafiki_only(WEBHOOK_TIMEOUT)?;
        if self.timeout_ms.is_some_and(|ours| ours != theirs) {
            return Err(Refusal::field(
                WEBHOOK_TIMEOUT,
                "must be the same as `timeout_ms`; send one of them",
            ));
        }
        Ok((WEBHOOK_TIMEOUT, Some(theirs)))
    }

    /// The retries, under either of their names.
    fn policy(&self) -> Result<Policy, Refusal> {
        let ours = self.retry.clone();
        let Some(theirs) = self.webhook_max_retry else {
            return Ok(ours.unwrap_or_else(|| Policy::default_for(self.scheme)));
        };
        self.rafiki_only(WEBHOOK_MAX_RETRY)?;
        if theirs > 50 {
            return Err(Refusal::field(WEBHOOK_MAX_RETRY, "must be 0 to 50"));
        }
        match ours {
            None => Ok(Policy::rafiki(theirs)),
            Some(policy) if policy.retries() == theirs => Ok(policy),
            Some(_) => Err(Refusal::field(
                WEBHOOK_MAX_RETRY,
                "must be the number of retries that `retry` has; send one of them",
            )),
        }
    }

    fn rafiki_only(&self, field: &'static str) -> Result<(), Refusal> {
        match self.scheme {
            Scheme::Rafiki => Ok(()),
            Scheme::StandardWebhooks | Scheme::Stellar => {
                let rule = "is for the scheme `rafiki`; send `timeout_ms` and `retry` for others";
                Err(Refusal::field(field, rule))
            }
        }
    }
}

/// The settings of a breaker, if each is within its bounds.
pub(super) fn breaker(given: Option<BreakerPolicy>) -> Result<BreakerPolicy, Refusal> {
    let policy = given.unwrap_or_default();
    policy
        .check()
        .map_err(|error| Refusal::field(format!("breaker.{}", error.field), error.to_string()))
}

/// Judges a URL that is to be called.
pub(super) fn check_url(field: &'static str, url: &str, vetting: &Vetting) -> Result<(), Refusal> {
    if url.len() > URL_MOST {
        return Err(Refusal::field(field, "must be at most 2048 bytes long"));
    }
    vetting
        .url(url)
        .map(|_| ())
        .map_err(|error| Refusal::field(field, error.to_string()))
}

pub(super) fn millis(
    field: &'static str,
    value: Option<u32>,
    least: SignedDuration,
    most: SignedDuration,
) -> Result<Option<SignedDuration>, Refusal> {
    let Some(value) = value else { return Ok(None) };
    let duration = SignedDuration::from_millis(i64::from(value));
    if (least..=most).contains(&duration) {
        return Ok(Some(duration));
    }
    Err(Refusal::field(
        field,
        format!(
            "must be {} to {} milliseconds",
            least.as_millis(),
            most.as_millis()
        ),
    ))
}

fn set(scheme: Scheme, given: Vec<String>) -> Result<Vec<LiveSecret>, Refusal> {
    if !(1..=SET_MOST).contains(&given.len()) {
        return Err(Refusal::field(
            "secrets",
            "must hold 1 to 5; leave it out to keep those there are or have one made",
        ));
    }
    let mut secrets = Vec::<LiveSecret>::new();
    for (index, text) in given.into_iter().enumerate() {
        let secret = Secret::new(text);
        check(scheme, &secret)
            .map_err(|error| Refusal::field(format!("secrets[{index}]"), error.to_string()))?;
        if secrets.iter().any(|other| other.secret == secret) {
            return Err(Refusal::field(
                format!("secrets[{index}]"),
                "must differ from the others",
            ));
        }
        secrets.push(LiveSecret {
            secret,
            until: None,
        });
    }
    Ok(secrets)
}

/// Secrets that outlive a replacement have to fit its scheme.
fn keep(scheme: Scheme, secrets: Vec<LiveSecret>) -> Result<Vec<LiveSecret>, Refusal> {
    if secrets
        .iter()
        .all(|live| check(scheme, &live.secret).is_ok())
    {
        return Ok(secrets);
    }
    Err(Refusal::field(
        "secrets",
        format!(
            "those there are do not fit `{}`; send new ones",
            scheme.as_str()
        ),
    ))
}

/// Makes an endpoint, or replaces it. 201 when it is new.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/endpoints/{endpoint}",
    tag = "endpoints",
    params(("tenant" = String, Path), ("endpoint" = String, Path)),
    request_body = EndpointBody,
    responses(
        (status = 200, description = "Replaced", body = EndpointView),
        (status = 201, body = EndpointView),
        (status = 409, description = "Others kept changing it at the same time, a wallet client has the name, or it is broken and no secrets are given"),
    ),
)]
pub(crate) async fn put(
    Reached { tenant, caller }: Reached,
    Id(id): Id<EndpointId>,
    State(console): App,
    Body(body): Body<EndpointBody>,
) -> Result<(StatusCode, Json<EndpointView>), Refusal> {
    // What is left out is kept as it is when it is written, so a lost race begins anew.
    for _ in 0..RACES {
        let (before, version) = match console.endpoints.endpoint_record(&tenant, &id).await? {
            Some(Read { value, version }) => (Some(value), Some(version)),
            None => (None, None),
        };
        may_change(&caller, body.role)?;
        if let Some(before) = &before {
            may_change(&caller, before.endpoint.role)?;
        }
        let now = console.clock.now();
        let created_at = before.as_ref().map_or(now, |before| before.created_at);
        let before = before.map(|before| before.endpoint);
        let replaced = before.clone();
        if body.secrets.is_none() && before.as_ref().is_some_and(|before| before.is_locked(now)) {
            return Err(Refusal::SecretLocked);
        }
        let (tenant, id) = (tenant.clone(), id.clone());
        let (endpoint, made) =
            body.clone()
                .endpoint(tenant, id, before, &console.vetting, &*console.entropy)?;
        if body.secrets.is_some() {
            let given = endpoint.secrets.iter().enumerate();
            let given = given.map(|(index, live)| (format!("secrets[{index}]"), &live.secret));
            refuse_publishers_secrets(&console, &endpoint.tenant, given).await?;
        }
        let record = EndpointRecord {
            endpoint,
            created_at,
        };
        let put = console.endpoints.put_endpoint(&record, version).await?;
        if let Some(new) = kept(put, &record.endpoint.tenant)? {
            let after = &record.endpoint;
            let changed = Changed {
                enabled: after.state == EndpointState::Enabled,
                another: replaced
                    .is_none_or(|before| before.url != after.url || before.state != after.state),
            };
            let (tenant, id) = (&after.tenant, &after.id);
            let breaker = after_change(&console, tenant, id, &after.breaker, changed).await?;
            let view = EndpointView::new(record, &breaker, &made, now, &caller);
            return Ok((created(new), Json(view)));
        }
    }
    Err(Refusal::Contended)
}

/// The endpoints of a tenant, by name.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/endpoints",
    tag = "endpoints",
    params(("tenant" = String, Path)),
    responses((status = 200, body = List<EndpointView>)),
)]
pub(crate) async fn list(
    Reached { tenant, caller }: Reached,
    State(console): App,
) -> Result<Json<List<EndpointView>>, Refusal> {
    let now = console.clock.now();
    let (records, breakers) = futures::try_join!(
        console.endpoints.endpoint_records(&tenant),
        console.breakers.breakers(&tenant)
    )?;
    let breakers: BTreeMap<EndpointId, Breaker> = breakers.into_iter().collect();
    let closed = Breaker::default();
    let views = records.into_iter().map(|record| {
        let breaker = breakers.get(&record.endpoint.id).unwrap_or(&closed);
        EndpointView::new(record, breaker, &[], now, &caller)
    });
    Ok(Json(List::whole(views.collect())))
}

/// An endpoint of the operator's is no tenant's to make, change or delete.
pub(super) fn may_change(caller: &Caller, role: Role) -> Result<(), Refusal> {
    if role == Role::Operator && !caller.is_operator() {
        return Err(Refusal::OperatorsEndpoint);
    }
    Ok(())
}

pub(super) async fn find(
    console: &Console,
    tenant: &TenantId,
    id: &EndpointId,
) -> Result<Read<EndpointRecord>, Refusal> {
    let found = console.endpoints.endpoint_record(tenant, id).await?;
    found.ok_or_else(|| Refusal::not_found("endpoint", id))
}

/// One endpoint.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/endpoints/{endpoint}",
    tag = "endpoints",
    params(("tenant" = String, Path), ("endpoint" = String, Path)),
    responses((status = 200, body = EndpointView)),
)]
pub(crate) async fn read(
    Reached { tenant, caller }: Reached,
    Id(id): Id<EndpointId>,
    State(console): App,
) -> Result<Json<EndpointView>, Refusal> {
    let record = find(&console, &tenant, &id).await?.value;
    let breaker = current(&console, &tenant, &id).await?;
    let now = console.clock.now();
    let view = EndpointView::new(record, &breaker, &[], now, &caller);
    Ok(Json(view))
}

/// Removes an endpoint. Deliveries on their way to it end as skipped, and so do those that are held for it.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/endpoints/{endpoint}",
    tag = "endpoints",
    params(("tenant" = String, Path), ("endpoint" = String, Path)),
    responses((status = 204)),
)]
pub(crate) async fn delete(
    Reached { tenant, caller }: Reached,
    Id(id): Id<EndpointId>,
    State(console): App,
) -> Result<StatusCode, Refusal> {
    let read = find(&console, &tenant, &id).await?;
    let endpoint = read.value.endpoint;
    may_change(&caller, endpoint.role)?;
    let there = console.endpoints.delete_endpoint(&tenant, &id).await?;
    turn_to(
        &console,
        &tenant,
        &id,
        BreakerSwitch::Closed,
        &endpoint.breaker,
    )
    .await?;
    deleted(there, "endpoint", &id)
}
