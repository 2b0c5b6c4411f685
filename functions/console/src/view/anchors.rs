//! A tenant's anchor, its wallet clients and signing keys, as they are told.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use shared::customer::{
    AnchorSettings, BusinessAuth, Callbacks, Client, ErasePayloads, Mapping, SigningKeys,
};
use shared::delivery::{Breaker, BreakerPolicy, EndpointState, Policy};
use shared::ids::EndpointId;
use shared::secret::Secret;
use shared::signature::stellar::{PublicKey, SignedHost, SigningKey};

use super::BreakerView;
use crate::openapi::schema;
use crate::reply::Refusal;

/// A wallet client.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "lobby",
    "domains": ["wallet.example.com"],
    "signing_keys": [],
    "callback_urls": {"sep12": "https://wallet.example.com/callbacks/sep12"},
    "signed_host": "as_sent",
    "latest_only": false,
    "retry": {"policy": "ladder", "waits_s": [5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800]},
    "breaker": {
        "failures": 10, "share_percent": 90, "window_s": 300, "minimum": 20,
        "pause_s": 60, "pause_most_s": 3600, "release_per_minute": 600,
    },
    "breaker_state": {
        "state": "closed", "since": null, "opened_by": null, "failures": 0, "next_probe_at": null,
    },
    "timeout_ms": 15000,
    "state": "enabled",
    "created_at": "2026-11-22T09:00:00.000Z",
}))]
pub(crate) struct ClientView {
    /// Its name.
    #[schema(value_type = String)]
    id: EndpointId,
    /// Its home domains, in lower case.
    domains: BTreeSet<String>,
    /// The accounts that it signs in with.
    signing_keys: BTreeSet<String>,
    /// Where it is told of everything that is its own, by SEP (`sep6`, `sep12`, `sep24`, `sep31`).
    #[schema(schema_with = schema::callback_urls)]
    callback_urls: Callbacks,
    /// Which form of the host is signed.
    #[schema(schema_with = schema::signed_host)]
    signed_host: SignedHost,
    /// Whether what was overtaken while it waited is left out.
    latest_only: bool,
    /// How failed tries are followed up.
    #[schema(schema_with = schema::policy)]
    retry: Policy,
    /// When failed tries have it left alone for a while; `off`: never.
    #[schema(schema_with = schema::breaker)]
    breaker: BreakerPolicy,
    /// Whether it is being left alone.
    breaker_state: BreakerView,
    /// The deadline of a try, in milliseconds.
    timeout_ms: u64,
    /// Whether it is told at all: `enabled` or `disabled`.
    #[schema(schema_with = schema::endpoint_state)]
    state: EndpointState,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    created_at: Timestamp,
}

impl ClientView {
    /// A client, and how its breaker stands.
    pub(crate) fn new(client: Client, breaker: &Breaker) -> Self {
        Self {
            id: client.id,
            domains: client.domains,
            signing_keys: client.signing_keys,
            callback_urls: client.callbacks,
            signed_host: client.signed_host,
            latest_only: client.latest_only,
            retry: client.policy,
            breaker: client.breaker,
            breaker_state: BreakerView::from(breaker),
            timeout_ms: u64::try_from(client.deadline.as_millis()).unwrap_or_default(),
            state: client.state,
            created_at: client.created_at,
        }
    }
}

/// How a business server knows Payrelay, without the secret.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum AuthView {
    /// It does not ask.
    None {},
    /// By a key in a header.
    ApiKey {
        /// The header.
        header: String,
    },
    /// By a token of 30 seconds.
    Jwt {},
}

/// The business server.
#[derive(Serialize, ToSchema)]
pub(crate) struct BusinessView {
    /// What `/customer` is appended to.
    base_url: String,
    /// How it knows Payrelay.
    auth: AuthView,
}

/// Whose tokens of SEP-10 are taken.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sep10View {
    /// What a token's `iss` must be.
    issuer: String,
    /// What a token's `aud` must name; `null`: it is not looked at.
    audience: Option<String>,
}

/// How a tenant's anchor is set up, without its secrets.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "business_server": {"base_url": "https://business.anchor.example/callbacks", "auth": {"type": "jwt"}},
    "has_rpc_secret": true,
    "sep10": {"issuer": "https://anchor.example/auth", "audience": null},
    "status_map": "sep6",
    "erase_payloads": "with_event",
    "created_at": "2026-11-22T09:00:00.000Z",
}))]
pub(crate) struct AnchorView {
    /// Who knows the customers.
    business_server: BusinessView,
    /// Whether tokens can call `POST .../anchor/rpc`, beside the tenant's keys.
    has_rpc_secret: bool,
    /// Whose tokens of SEP-10 are taken; `null`: nobody's.
    sep10: Option<Sep10View>,
    /// What becomes of a transaction when its customer is accepted.
    #[schema(schema_with = schema::mapping)]
    status_map: Mapping,
    /// When the texts of callbacks are erased.
    #[schema(schema_with = schema::erase_payloads)]
    erase_payloads: ErasePayloads,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    created_at: Timestamp,
}

impl From<AnchorSettings> for AnchorView {
    fn from(settings: AnchorSettings) -> Self {
        let business = settings.business_server;
        Self {
            business_server: BusinessView {
                base_url: business.base_url,
                auth: match business.auth {
                    BusinessAuth::None => AuthView::None {},
                    BusinessAuth::ApiKey { header, key: _ } => AuthView::ApiKey { header },
                    BusinessAuth::Jwt { secret: _ } => AuthView::Jwt {},
                },
            },
            has_rpc_secret: settings.rpc_secret.is_some(),
            sep10: settings.sep10.map(|sep10| Sep10View {
                issuer: sep10.issuer,
                audience: sep10.audience,
            }),
            status_map: settings.status_map,
            erase_payloads: settings.erase_payloads,
            created_at: settings.created_at,
        }
    }
}

/// A signing key that was announced.
#[derive(Serialize, ToSchema)]
pub(crate) struct NextKeyView {
    /// What wallets verify with from then on.
    #[schema(value_type = String)]
    public_key: PublicKey,
    /// It signs from then on.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "super::millis")]
    from: Timestamp,
    /// The line for the anchor's `stellar.toml` from then on.
    stellar_toml: String,
}

/// The keys that a tenant's callbacks are signed with. Only a seed that was made for the request is shown, this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "public_key": "GAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZ6Q",
    "stellar_toml": "SIGNING_KEY=\"GAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZ6Q\"",
    "next": null,
}))]
pub(crate) struct SigningKeyView {
    /// What wallets verify with now.
    #[schema(value_type = String)]
    public_key: PublicKey,
    /// The line for the anchor's `stellar.toml`.
    stellar_toml: String,
    /// The key that signs next; `null` where none was announced.
    next: Option<NextKeyView>,
    /// The seed that was made for this request. It can't be shown again; the anchor's SEP-10 server signs with it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<String>,
}

impl SigningKeyView {
    /// The keys at `now`, with the seed that was `made` for this request.
    pub(crate) fn new(
        keys: &SigningKeys,
        made: Option<&Secret>,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let public = |seed: &Secret| {
            let key = SigningKey::parse(seed).map_err(|_| Refusal::SeedUnusable)?;
            Ok::<_, Refusal>(key.public())
        };
        let public_key = public(keys.live(now))?;
        let announced = keys.next.as_ref().filter(|(_, from)| *from > now);
        let next = announced.map(|(seed, from)| {
            let public_key = public(seed)?;
            Ok::<_, Refusal>(NextKeyView {
                stellar_toml: line(&public_key),
                public_key,
                from: *from,
            })
        });
        Ok(Self {
            stellar_toml: line(&public_key),
            public_key,
            next: next.transpose()?,
            seed: made.map(|seed| seed.expose().to_owned()),
        })
    }
}

fn line(key: &PublicKey) -> String {
    format!("SIGNING_KEY=\"{key}\"")
}
