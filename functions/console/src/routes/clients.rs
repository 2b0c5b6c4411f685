//! Wallet clients: whose customers and transactions of a tenant's anchor they are, and where each is called back.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;
use url::Host;
use utoipa::ToSchema;

use shared::customer::{Callbacks, Client};
use shared::delivery::{
    Breaker, BreakerPolicy, DEADLINE_MOST, EndpointState, Policy, Scheme, Vetting,
};
use shared::ids::{EndpointId, TenantId};
use shared::signature::stellar::{PublicKey, SignedHost};
use shared::store::Read;

use super::breaker::{BreakerBody, BreakerSwitch, Changed, after_change, current, turn_to};
use super::endpoints::{DEADLINE_LEAST, Switch, breaker, check_url, millis};
use super::{App, RACES, created, deleted, kept};
use crate::auth::Existing;
use crate::handler::{Console, Route};
use crate::openapi::schema;
use crate::reply::Refusal;
use crate::request::{Body, ClientName, Id};
use crate::view::{BreakerView, ClientView, List};

/// So many domains, and so many signing keys, a client may have.
const NAMES_MOST: usize = 50;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("/v1/tenants/{tenant}/clients", get(list)),
        (
            "/v1/tenants/{tenant}/clients/{client}",
            get(read).put(put).delete(delete),
        ),
        ("/v1/tenants/{tenant}/clients/{client}/breaker", post(turn)),
    ]
}

/// The callback URLs of a client, one for each SEP. A URL left out is not called.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CallbackUrls {
    /// Told of SEP-6 transactions: `{"transaction": {..}}`.
    sep6: Option<String>,
    /// Told of customers: the answer of the business server's `GET /customer`.
    sep12: Option<String>,
    /// Told of SEP-24 transactions.
    sep24: Option<String>,
    /// Told of SEP-31 transactions.
    sep31: Option<String>,
}

impl CallbackUrls {
    fn checked(self, vetting: &Vetting) -> Result<Callbacks, Refusal> {
        let urls = [
            ("callback_urls.sep6", &self.sep6),
            ("callback_urls.sep12", &self.sep12),
            ("callback_urls.sep24", &self.sep24),
            ("callback_urls.sep31", &self.sep31),
        ];
        for (field, url) in urls {
            if let Some(url) = url {
                check_url(field, url, vetting)?;
            }
        }
        Ok(Callbacks {
            sep6: self.sep6,
            sep12: self.sep12,
            sep24: self.sep24,
            sep31: self.sep31,
        })
    }
}

/// A wallet client to be.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "domains": ["wallet.example.com"],
    "signing_keys": [],
    "callback_urls": {"sep12": "https://wallet.example.com/callbacks/sep12"},
    "signed_host": "as_sent",
    "latest_only": false,
}))]
pub(crate) struct ClientBody {
    /// Its home domains: what SEP-10 tokens of its users have as `client_domain`. At most 50; with `signing_keys` there must
    /// be at least one, and none may be another client's.
    #[serde(default)]
    domains: Vec<String>,
    /// The accounts (`G..`) that it signs in with, if it keeps its users' keys. At most 50.
    #[serde(default)]
    signing_keys: Vec<String>,
    /// Where it is told of everything that is its own, under the rules of an endpoint's `url`: https, a public host, port 443
    /// or 8443. Beside them, it can put a URL for one customer with its SEP-10 token.
    #[serde(default)]
    #[schema(required = false)]
    callback_urls: CallbackUrls,
    /// Which form of the host is signed where the URL names a port: `as_sent` (`host:port`) or `name_only`. Wallets differ;
    /// without a port it is the same. Left out, `as_sent`.
    #[serde(default)]
    #[schema(schema_with = schema::signed_host, required = false)]
    signed_host: SignedHost,
    /// Whether what was overtaken while it waited is left out, and shown as `superseded`. Left out, `false`: every status
    /// is told, in order.
    #[serde(default)]
    latest_only: bool,
    /// How failed tries are followed up. Left out, after 5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 2 h, 4 h and 8 h.
    #[serde(default)]
    #[schema(schema_with = schema::policy, required = false)]
    retry: Option<Policy>,
    /// When failed tries have it left alone for a while, `off` for never. Settings that are left out are as usual.
    #[serde(default)]
    #[schema(schema_with = schema::breaker, required = false)]
    breaker: Option<BreakerPolicy>,
    /// The deadline of a try in milliseconds, 100 to 20000. Left out, 15000.
    #[serde(default)]
    #[schema(minimum = 100, maximum = 20_000)]
    timeout_ms: Option<u32>,
    /// Whether it is told at all. Left out, a new client is, and one that is replaced stays as it is.
    #[serde(default)]
    state: Option<Switch>,
}

impl ClientBody {
    /// The client that the body describes, where `before` is the one it replaces.
    fn client(
        self,
        tenant: TenantId,
        id: EndpointId,
        before: Option<&Client>,
        vetting: &Vetting,
        now: Timestamp,
    ) -> Result<Client, Refusal> {
        if self.domains.is_empty() && self.signing_keys.is_empty() {
            return Err(Refusal::field(
                "domains",
                "must name at least one, or `signing_keys` must: nobody could sign in as the client",
            ));
        }
        let policy = self
            .retry
            .unwrap_or_else(|| Policy::default_for(Scheme::Stellar));
        let timeout = millis("timeout_ms", self.timeout_ms, DEADLINE_LEAST, DEADLINE_MOST)?;
        let state = match (self.state, before) {
            (Some(Switch::Disabled), _) => EndpointState::Disabled,
            (None, Some(before)) => before.state,
            (Some(Switch::Enabled), _) | (None, None) => EndpointState::Enabled,
        };
        Ok(Client {
            tenant,
            id,
            domains: checked("domains", &self.domains, domain)?,
            signing_keys: checked("signing_keys", &self.signing_keys, signing_key)?,
            callbacks: self.callback_urls.checked(vetting)?,
            signed_host: self.signed_host,
            latest_only: self.latest_only,
            policy: policy
                .check()
                .map_err(|error| Refusal::field("retry", error.to_string()))?,
            breaker: breaker(self.breaker)?,
            deadline: timeout.unwrap_or_else(|| Scheme::Stellar.deadline()),
            state,
            created_at: before.map_or(now, |before| before.created_at),
        })
    }
}

fn checked(
    field: &'static str,
    given: &[String],
    check: impl Fn(&str) -> Result<String, String>,
) -> Result<BTreeSet<String>, Refusal> {
    if given.len() > NAMES_MOST {
        return Err(Refusal::field(field, "must hold at most 50"));
    }
    let given = given.iter().enumerate();
    given
        .map(|(index, text)| {
            check(text).map_err(|rule| Refusal::field(format!("{field}[{index}]"), rule))
        })
        .collect()
}

/// A domain in lower case, with a port where its `stellar.toml` is not at the usual one.
fn domain(text: &str) -> Result<String, String> {
    let rule =
        || "must be a domain such as `wallet.example.com`, without scheme and path".to_owned();
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let Ok(Host::Domain(name)) = Host::parse(name) else {
        return Err(rule());
    };
    match port {
        None => Ok(name),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Ok(format!("{name}:{port}"))
        }
        Some(_) => Err(rule()),
    }
}

fn signing_key(text: &str) -> Result<String, String> {
    PublicKey::parse(text)
        .map(String::from)
        .map_err(|error| error.to_string())
}

/// Refuses what another client is known by: a customer would be told to whichever comes first.
fn refuse_shared(client: &Client, others: &[Client]) -> Result<(), Refusal> {
    for other in others.iter().filter(|other| other.id != client.id) {
        let domain = client.domains.intersection(&other.domains).next();
        let key = client.signing_keys.intersection(&other.signing_keys).next();
        let shared = domain.map(|_| "domains").or(key.map(|_| "signing_keys"));
        if let Some(field) = shared {
            let rule = format!("must hold none of the client `{}`", other.id.as_str());
            return Err(Refusal::field(field, rule));
        }
    }
    Ok(())
}

/// Makes a wallet client, or replaces it. 201 when it is new.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/clients/{client}",
    tag = "clients",
    params(("tenant" = String, Path), ("client" = String, Path)),
    request_body = ClientBody,
    responses(
        (status = 200, description = "Replaced", body = ClientView),
        (status = 201, body = ClientView),
        (status = 409, description = "An endpoint has the name, or others kept changing it at the same time"),
    ),
)]
pub(crate) async fn put(
    Existing(tenant): Existing,
    Id(ClientName(id)): Id<ClientName>,
    State(console): App,
    Body(body): Body<ClientBody>,
) -> Result<(StatusCode, Json<ClientView>), Refusal> {
    // What is left out is kept as it is when it is written, so a lost race begins anew.
    for _ in 0..RACES {
        let (before, version) = match console.anchors.client(&tenant, &id).await? {
            Some(Read { value, version }) => (Some(value), Some(version)),
            None => (None, None),
        };
        let now = console.clock.now();
        let (body, id) = (body.clone(), id.clone());
        let client = body.client(tenant.clone(), id, before.as_ref(), &console.vetting, now)?;
        refuse_shared(&client, &console.anchors.clients(&tenant).await?)?;
        let put = console.anchor_admin.put_client(&client, version).await?;
        if let Some(new) = kept(put, &tenant)? {
            let changed = Changed {
                enabled: client.state == EndpointState::Enabled,
                another: before.is_none_or(|before| {
                    before.callbacks != client.callbacks || before.state != client.state
                }),
            };
            let (id, policy) = (&client.id, &client.breaker);
            let breaker = after_change(&console, &tenant, id, policy, changed).await?;
            return Ok((created(new), Json(ClientView::new(client, &breaker))));
        }
    }
    Err(Refusal::Contended)
}

/// The wallet clients of a tenant, by name.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/clients",
    tag = "clients",
    params(("tenant" = String, Path)),
    responses((status = 200, body = List<ClientView>)),
)]
pub(crate) async fn list(
    Existing(tenant): Existing,
    State(console): App,
) -> Result<Json<List<ClientView>>, Refusal> {
    let (clients, breakers) = futures::try_join!(
        console.anchors.clients(&tenant),
        console.breakers.breakers(&tenant)
    )?;
    let breakers: BTreeMap<EndpointId, Breaker> = breakers.into_iter().collect();
    let closed = Breaker::default();
    let views = clients.into_iter().map(|client| {
        let breaker = breakers.get(&client.id).unwrap_or(&closed);
        ClientView::new(client, breaker)
    });
    Ok(Json(List::whole(views.collect())))
}

async fn find(console: &Console, tenant: &TenantId, id: &EndpointId) -> Result<Client, Refusal> {
    let found = console.anchors.client(tenant, id).await?;
    let found = found.ok_or_else(|| Refusal::not_found("client", id))?;
    Ok(found.value)
}

/// One wallet client.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/clients/{client}",
    tag = "clients",
    params(("tenant" = String, Path), ("client" = String, Path)),
    responses((status = 200, body = ClientView)),
)]
pub(crate) async fn read(
    Existing(tenant): Existing,
    Id(ClientName(id)): Id<ClientName>,
    State(console): App,
) -> Result<Json<ClientView>, Refusal> {
    let client = find(&console, &tenant, &id).await?;
    let breaker = current(&console, &tenant, &id).await?;
    Ok(Json(ClientView::new(client, &breaker)))
}

/// Opens or closes the breaker of a wallet client.
///
/// As that of an endpoint: while it is open, callbacks are held, and with them what follows each in its order.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/clients/{client}/breaker",
    tag = "clients",
    params(("tenant" = String, Path), ("client" = String, Path)),
    request_body = BreakerBody,
    responses((status = 200, body = BreakerView), (status = 409, description = "Others kept changing it at the same time")),
)]
pub(crate) async fn turn(
    Existing(tenant): Existing,
    Id(ClientName(id)): Id<ClientName>,
    State(console): App,
    Body(body): Body<BreakerBody>,
) -> Result<Json<BreakerView>, Refusal> {
    let client = find(&console, &tenant, &id).await?;
    let breaker = turn_to(&console, &tenant, &id, body.state, &client.breaker).await?;
    Ok(Json(BreakerView::from(&breaker)))
}

/// Removes a wallet client. Callbacks on their way to it end as skipped, and nobody is told of its customers any more.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/clients/{client}",
    tag = "clients",
    params(("tenant" = String, Path), ("client" = String, Path)),
    responses((status = 204)),
)]
pub(crate) async fn delete(
    Existing(tenant): Existing,
    Id(ClientName(id)): Id<ClientName>,
    State(console): App,
) -> Result<StatusCode, Refusal> {
    let there = console.anchor_admin.delete_client(&tenant, &id).await?;
    let usual = BreakerPolicy::default();
    turn_to(&console, &tenant, &id, BreakerSwitch::Closed, &usual).await?;
    deleted(there, "client", &id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_a_host_name_in_lower_case() {
        let cases = [
            ("wallet.example.com", Some("wallet.example.com")),
            ("Wallet.Example.COM", Some("wallet.example.com")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("wallet-server:8092", Some("wallet-server:8092")),
            ("https://wallet.example.com", None),
            ("wallet.example.com/path", None),
            ("wallet.example.com:", None),
            ("wallet.example.com:0", None),
            ("wallet.example.com:70000", None),
            ("user@wallet.example.com", None),
            ("10.0.0.1", None),
            ("", None),
            ("a b", None),
        ];
        for (text, want) in cases {
            assert_eq!(domain(text).ok().as_deref(), want, "{text:?}");
        }
    }
}
