//! Anchors as items: how they work with us, their signing keys with all secrets sealed, and their wallet clients.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::error;

use super::{
    BODY, CREATED, Fields, Find, Item, Key, SECRETS, STATE, VERSION, Vault, id, json, milliseconds,
    nanoseconds, next, tenant_partition, text,
};
use crate::customer::{
    AnchorSettings, BusinessAuth, BusinessServer, Callbacks, Client, ErasePayloads, Mapping, Sep10,
    SigningKeys,
};
use crate::delivery::{BreakerPolicy, Policy};
use crate::ids::{EndpointId, TenantId};
use crate::secret::Secret;
use crate::signature::stellar::SignedHost;
use crate::store::{Read, StoreError, Version};

const CLIENT: &str = "CL#";
const SERVER_SECRET: &str = "sb";
const RPC_SECRET: &str = "sr";
const SEP10_SECRET: &str = "sw";

pub(crate) fn anchor_key(tenant: &TenantId) -> Key {
    Key::new(tenant_partition(tenant), "AN")
}

/// The part of an anchor's settings that is no secret.
#[derive(Serialize, Deserialize)]
struct AnchorBody {
    base_url: String,
    auth: AuthBody,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sep10: Option<Sep10Body>,
    status_map: Mapping,
    erase_payloads: ErasePayloads,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AuthBody {
    None,
    ApiKey { header: String },
    Jwt,
}

#[derive(Serialize, Deserialize)]
struct Sep10Body {
    issuer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
}

/// An anchor's settings, over what was `read`.
pub(crate) fn new_anchor(
    settings: &AnchorSettings,
    read: Option<Version>,
    vault: Vault<'_>,
) -> Item {
    let server = &settings.business_server;
    let (auth, server_secret) = match &server.auth {
        BusinessAuth::None => (AuthBody::None, None),
        BusinessAuth::ApiKey { header, key } => {
            let header = header.clone();
            (AuthBody::ApiKey { header }, Some(key))
        }
        BusinessAuth::Jwt { secret } => (AuthBody::Jwt, Some(secret)),
    };
    let body = AnchorBody {
        base_url: server.base_url.clone(),
        auth,
        sep10: settings.sep10.as_ref().map(|sep10| Sep10Body {
            issuer: sep10.issuer.clone(),
            audience: sep10.audience.clone(),
        }),
        status_map: settings.status_map,
        erase_payloads: settings.erase_payloads,
    };
    let sep10_secret = settings.sep10.as_ref().map(|sep10| &sep10.secret);
    let secrets = [
        (SERVER_SECRET, server_secret),
        (RPC_SECRET, settings.rpc_secret.as_ref()),
        (SEP10_SECRET, sep10_secret),
    ];
    let key = anchor_key(&settings.tenant);
    let mut item = key.item();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(CREATED, nanoseconds(settings.created_at));
    set(BODY, text(json(&body)));
    set(VERSION, next(read));
    for (name, secret) in secrets {
        if let Some(secret) = secret {
            set(name, vault.seal(secret, &settings.tenant, &key));
        }
    }
    item
}

pub(crate) fn anchor(
    tenant: &TenantId,
    item: &Item,
    vault: Vault<'_>,
) -> Result<Read<AnchorSettings>, StoreError> {
    let fields = Fields(item);
    let key = fields.key()?;
    let open = |name: &str| vault.open(fields.bytes(name)?, tenant, &key);
    let body: AnchorBody = fields.json(BODY)?;
    let auth = match body.auth {
        AuthBody::None => BusinessAuth::None,
        AuthBody::ApiKey { header } => BusinessAuth::ApiKey {
            header,
            key: open(SERVER_SECRET)?,
        },
        AuthBody::Jwt => BusinessAuth::Jwt {
            secret: open(SERVER_SECRET)?,
        },
    };
    let sep10 = |Sep10Body { issuer, audience }| {
        Ok::<_, StoreError>(Sep10 {
            issuer,
            audience,
            secret: open(SEP10_SECRET)?,
        })
    };
    let rpc_secret = item.contains_key(RPC_SECRET).then(|| open(RPC_SECRET));
    Ok(Read {
        value: AnchorSettings {
            tenant: tenant.clone(),
            business_server: BusinessServer {
                base_url: body.base_url,
                auth,
            },
            rpc_secret: rpc_secret.transpose()?,
            sep10: body.sep10.map(sep10).transpose()?,
            status_map: body.status_map,
            erase_payloads: body.erase_payloads,
            created_at: fields.time(CREATED)?,
        },
        version: fields.version()?,
    })
}

/// What becomes of what an anchor's wallets were told; its secrets stay sealed.
pub(crate) fn erase_payloads(item: &Item) -> Result<ErasePayloads, StoreError> {
    let body: AnchorBody = Fields(item).json(BODY)?;
    Ok(body.erase_payloads)
}

pub(crate) fn signing_keys_key(tenant: &TenantId) -> Key {
    Key::new(tenant_partition(tenant), "SK")
}

/// A tenant's signing keys, over what was `read`: the current one first, and the next one with the time from which it signs.
pub(crate) fn new_signing_keys(
    tenant: &TenantId,
    keys: &SigningKeys,
    read: Option<Version>,
    vault: Vault<'_>,
) -> Item {
    let next_one = keys.next.iter().map(|(seed, from)| (seed, Some(*from)));
    let seeds = std::iter::once((&keys.current, None)).chain(next_one);
    let key = signing_keys_key(tenant);
    let mut item = key.item();
    item.insert(SECRETS.to_owned(), vault.seal_all(seeds, tenant, &key));
    item.insert(VERSION.to_owned(), next(read));
    item
}

pub(crate) fn signing_keys(
    tenant: &TenantId,
    item: &Item,
    vault: Vault<'_>,
) -> Result<Read<SigningKeys>, StoreError> {
    let fields = Fields(item);
    let unknown = || fields.corrupt(SECRETS, "has an unknown form");
    let mut seeds = vault.open_all(fields, tenant, &fields.key()?)?.into_iter();
    let (current, _) = seeds.next().ok_or_else(unknown)?;
    let next = match seeds.next() {
        None => None,
        Some((seed, from)) => Some((seed, from.ok_or_else(unknown)?)),
    };
    Ok(Read {
        value: SigningKeys { current, next },
        version: fields.version()?,
    })
}

/// The seed that signs at `now`, as [`SigningKeys::live`] has it, if there is one and it opens.
pub(crate) fn live_seed(
    tenant: &TenantId,
    item: Option<&Item>,
    now: Timestamp,
    vault: Vault<'_>,
) -> Result<Option<Secret>, StoreError> {
    let Some(item) = item else {
        error!(
            tenant = tenant.as_str(),
            "there is no key to sign callbacks with"
        );
        return Ok(None);
    };
    let fields = Fields(item);
    let seeds = vault.try_all(fields, tenant, &fields.key()?)?;
    let live = seeds
        .into_iter()
        .rfind(|(_, from)| from.is_none_or(|from| from <= now));
    let (seed, _) = live.ok_or_else(|| fields.corrupt(SECRETS, "has an unknown form"))?;
    Ok(seed
        .inspect_err(|problem| error!(error = %problem, "a signing key can't be opened"))
        .ok())
}

pub(crate) fn client_key(tenant: &TenantId, id: &EndpointId) -> Key {
    Key::new(tenant_partition(tenant), format!("{CLIENT}{id}"))
}

/// The part of a wallet client that is neither its name nor its state.
#[derive(Serialize, Deserialize)]
struct ClientBody {
    #[serde(default)]
    domains: BTreeSet<String>,
    #[serde(default)]
    signing_keys: BTreeSet<String>,
    callbacks: Callbacks,
    signed_host: SignedHost,
    #[serde(default)]
    latest_only: bool,
    policy: Policy,
    #[serde(default)]
    breaker: BreakerPolicy,
    deadline_ms: i64,
}

/// A wallet client, over what was `read`.
pub(crate) fn new_client(client: &Client, read: Option<Version>) -> Item {
    let body = ClientBody {
        domains: client.domains.clone(),
        signing_keys: client.signing_keys.clone(),
        callbacks: client.callbacks.clone(),
        signed_host: client.signed_host,
        latest_only: client.latest_only,
        policy: client.policy.clone(),
        breaker: client.breaker,
        deadline_ms: milliseconds(client.deadline),
    };
    let mut item = client_key(&client.tenant, &client.id).item();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(CREATED, nanoseconds(client.created_at));
    set(BODY, text(json(&body)));
    set(STATE, text(client.state.as_str()));
    set(VERSION, next(read));
    item
}

pub(crate) fn client(tenant: &TenantId, item: &Item) -> Result<Read<Client>, StoreError> {
    let fields = Fields(item);
    let body: ClientBody = fields.json(BODY)?;
    let state = serde_json::from_value(fields.text(STATE)?.into())
        .map_err(|_| fields.corrupt(STATE, "has an unknown form"))?;
    Ok(Read {
        value: Client {
            tenant: tenant.clone(),
            id: id(fields, CLIENT)?,
            domains: body.domains,
            signing_keys: body.signing_keys,
            callbacks: body.callbacks,
            signed_host: body.signed_host,
            latest_only: body.latest_only,
            policy: body.policy,
            breaker: body.breaker,
            deadline: SignedDuration::from_millis(body.deadline_ms),
            state,
            created_at: fields.time(CREATED)?,
        },
        version: fields.version()?,
    })
}

pub(crate) fn find_clients(tenant: &TenantId) -> Find {
    Find::beginning(&tenant_partition(tenant), CLIENT, true)
}
