//! Configuration as items: tenants, keys, endpoints, billing accounts, publishers, with their secrets sealed.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::error;

use super::{
    BODY, CREATED, Change, Condition, Fields, Find, Item, Key, SK, STATE, TENANT, VERSION, bytes,
    json, nanoseconds, next, number, text, unchanged,
};
use crate::decision;
use crate::delivery::{BreakerPolicy, Endpoint, EndpointState, Filter, LiveSecret, Policy, Scheme};
use crate::entropy::Entropy;
use crate::event::Role;
use crate::ids::{ConnectorAccountId, EndpointId, KeyId, ProfileId, TenantId};
use crate::platform::account::{ApiKey, Locked, Settings};
use crate::platform::{BillingAccount, Platform, RecoveryAccount};
use crate::recovery::Terms;
use crate::secret::{Context, Keyring, Sealed, Secret};
use crate::signature::TOLERANCE;
use crate::signature::stellar::SignedHost;
use crate::store::{
    AccountRecord, Credential, EndpointRecord, KeyRecord, PublisherRecord, Read, Scope, StoreError,
    TenantRecord, Version,
};

pub(super) const SECRETS: &str = "ss";
const SEALED: &str = "s";
const UNTIL: &str = "u";
const API_KEY: &str = "ak";
const KEY_ID: &str = "id";
const KEY_HASH: &str = "kh";
const NAME: &str = "nm";
const PERSONAL: &str = "pd";
const FREE: &str = "fr";
const TOLERANCE_S: &str = "tl";

const TENANTS: &str = "TENANTS";
const ENDPOINT: &str = "EP#";
const KEY: &str = "KEY#";
const ACCOUNT: &str = "BA#";

/// Seals and opens the secrets of one item.
#[derive(Clone, Copy)]
pub(crate) struct Vault<'a> {
    pub(crate) keyring: &'a Keyring,
    pub(crate) entropy: &'a dyn Entropy,
}

/// A secret, if it opened, and until when it is good.
pub(super) type Tried = (Result<Secret, StoreError>, Option<Timestamp>);

impl Vault<'_> {
    pub(super) fn seal(self, secret: &Secret, tenant: &TenantId, key: &Key) -> AttributeValue {
        let name = key.name();
        let context = Context {
            tenant: tenant.as_str(),
            item: &name,
        };
        bytes(
            self.keyring
                .seal_secret(secret, context, self.entropy)
                .as_bytes(),
        )
    }

    pub(super) fn open(
        self,
        sealed: &[u8],
        tenant: &TenantId,
        key: &Key,
    ) -> Result<Secret, StoreError> {
        let name = key.name();
        let context = Context {
            tenant: tenant.as_str(),
            item: &name,
        };
        self.keyring
            .open_secret(&Sealed::from_bytes(sealed.to_vec()), context)
            .map_err(|error| StoreError::Corrupt {
                item: name.clone(),
                problem: error.to_string(),
            })
    }

    pub(super) fn seal_all<'s>(
        self,
        secrets: impl Iterator<Item = (&'s Secret, Option<Timestamp>)>,
        tenant: &TenantId,
        key: &Key,
    ) -> AttributeValue {
        let one = |(secret, until): (&Secret, Option<Timestamp>)| {
            let mut fields = Item::from([(SEALED.to_owned(), self.seal(secret, tenant, key))]);
            if let Some(until) = until {
                fields.insert(UNTIL.to_owned(), nanoseconds(until));
            }
            AttributeValue::M(fields)
        };
        AttributeValue::L(secrets.map(one).collect())
    }

    pub(super) fn open_all(
        self,
        fields: Fields<'_>,
        tenant: &TenantId,
        key: &Key,
    ) -> Result<Vec<(Secret, Option<Timestamp>)>, StoreError> {
        let one = |(secret, until): (Result<Secret, StoreError>, _)| Ok((secret?, until));
        self.try_all(fields, tenant, key)?
            .into_iter()
            .map(one)
            .collect()
    }

    /// Opens what can be opened of the secrets of an item, each with the time it is good until.
    pub(super) fn try_all(
        self,
        fields: Fields<'_>,
        tenant: &TenantId,
        key: &Key,
    ) -> Result<Vec<Tried>, StoreError> {
        let unknown = || fields.corrupt(SECRETS, "has an unknown form");
        let Some(AttributeValue::L(sealed)) = fields.0.get(SECRETS) else {
            return Err(unknown());
        };
        let one = |value: &AttributeValue| {
            let entry = Fields(value.as_m().map_err(|_| unknown())?);
            Ok((
                self.open(entry.bytes(SEALED)?, tenant, key),
                entry.optional_time(UNTIL)?,
            ))
        };
        sealed.iter().map(one).collect()
    }
}

pub(super) fn tenant_partition(tenant: &TenantId) -> String {
    format!("T#{tenant}")
}

/// The id at the end of a sort key.
pub(super) fn id<T: TryFrom<String>>(fields: Fields<'_>, prefix: &str) -> Result<T, StoreError> {
    let unknown = || fields.corrupt(SK, "has an unknown form");
    let id = fields.text(SK)?.strip_prefix(prefix).ok_or_else(unknown)?;
    T::try_from(id.to_owned()).map_err(|_| unknown())
}

pub(crate) fn tenant_key(tenant: &TenantId) -> Key {
    Key::new(TENANTS, tenant.as_str())
}

/// The part of a tenant that is neither its name nor what people call it. One that was made before there was such a part
/// has none.
#[derive(Default, Serialize, Deserialize)]
struct TenantBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decisions: Option<decision::Policy>,
}

/// Makes or changes a tenant, unless its name rests.
pub(crate) fn put_tenant(tenant: &TenantRecord) -> Change {
    let created = (":cr", nanoseconds(tenant.created_at));
    let condition = Some("attribute_not_exists(fr) OR fr <= :cr");
    let body = TenantBody {
        decisions: Some(tenant.decisions),
    };
    let body = (":d", text(json(&body)));
    match &tenant.display_name {
        Some(name) => Change {
            expression: "SET cr = if_not_exists(cr, :cr), d = :d, nm = :nm REMOVE fr, #ttl",
            condition,
            values: vec![created, body, (":nm", text(name))],
        },
        None => Change {
            expression: "SET cr = if_not_exists(cr, :cr), d = :d REMOVE nm, fr, #ttl",
            condition,
            values: vec![created, body],
        },
    }
}

/// Leaves of a tenant that is there only that its name rests until `free`.
pub(crate) fn bury_tenant(free: Timestamp) -> Change {
    Change {
        expression: "SET fr = :fr, #ttl = :ttl REMOVE cr, nm, d",
        condition: Some("attribute_exists(cr)"),
        values: vec![
            (":fr", nanoseconds(free)),
            (":ttl", number(free.as_second())),
        ],
    }
}

/// The tenant is there, and not deleted.
pub(crate) fn tenant_is_there() -> Condition {
    Condition {
        expression: "attribute_exists(cr)",
        values: Vec::new(),
    }
}

/// The tenant is not there: it never was, or was deleted.
pub(crate) fn tenant_is_not_there() -> Condition {
    Condition {
        expression: "attribute_not_exists(cr)",
        values: Vec::new(),
    }
}

/// Until when a tenant's name rests, if it does.
pub(crate) fn rests_until(item: &Item) -> Result<Option<Timestamp>, StoreError> {
    Fields(item).optional_time(FREE)
}

/// Whether a changed item had been there before: everything here knows when it was made.
pub(crate) fn was_made(before: &Item) -> bool {
    before.contains_key(CREATED)
}

/// The tenant of an item; `None` for one that was deleted.
pub(crate) fn tenant(item: &Item) -> Result<Option<TenantRecord>, StoreError> {
    let fields = Fields(item);
    let TenantBody { decisions } = match fields.0.get(BODY) {
        Some(_) => fields.json(BODY)?,
        None => TenantBody::default(),
    };
    let record = |created_at| {
        Ok(TenantRecord {
            id: id(fields, "")?,
            display_name: fields.optional_text(NAME)?.map(str::to_owned),
            decisions: decisions.unwrap_or_default(),
            created_at,
        })
    };
    fields.optional_time(CREATED)?.map(record).transpose()
}

pub(crate) fn find_tenants() -> Find {
    Find {
        index: None,
        expression: "pk = :pk",
        filter: None,
        values: vec![(":pk", text(TENANTS))],
        newest_first: false,
        consistent: true,
    }
}

/// An item of a tenant's configuration, as its deletion sees it.
pub(crate) struct Configured {
    pub(crate) key: Key,
    /// The item elsewhere that this one leads to; it must be removed first, or nothing would lead to it.
    pub(crate) elsewhere: Option<Key>,
}

/// All configuration of a tenant.
pub(crate) fn find_configured(tenant: &TenantId) -> Find {
    Find {
        index: None,
        expression: "pk = :pk",
        filter: None,
        values: vec![(":pk", text(tenant_partition(tenant)))],
        newest_first: false,
        consistent: true,
    }
}

pub(crate) fn configured(item: &Item) -> Result<Configured, StoreError> {
    let fields = Fields(item);
    let sk = fields.text(SK)?;
    let elsewhere = if sk.starts_with(KEY) {
        Some(credential_key(fields.text(KEY_HASH)?))
    } else if sk.starts_with(ACCOUNT) {
        Some(account_key_at(fields)?)
    } else {
        None
    };
    Ok(Configured {
        key: fields.key()?,
        elsewhere,
    })
}

/// The item is the tenant's, if it is there at all.
pub(crate) fn owned_or_absent(tenant: &TenantId) -> Condition {
    Condition {
        expression: "attribute_not_exists(pk) OR tn = :mine",
        values: vec![(":mine", text(tenant.as_str()))],
    }
}

/// The item is there and the tenant's.
pub(crate) fn owned(tenant: &TenantId) -> Condition {
    Condition {
        expression: "tn = :mine",
        values: vec![(":mine", text(tenant.as_str()))],
    }
}

pub(crate) fn key_key(tenant: &TenantId, id: &KeyId) -> Key {
    Key::new(tenant_partition(tenant), format!("{KEY}{id}"))
}

pub(crate) fn credential_key(hash: &str) -> Key {
    Key::new(format!("K#{hash}"), "K")
}

/// A key for the operator to see, which knows the hash so that it can be revoked.
pub(crate) fn new_key(key: &KeyRecord, hash: &str) -> Item {
    let mut item = key_key(&key.tenant, &key.id).item();
    item.insert(KEY_HASH.to_owned(), text(hash));
    item.insert(CREATED.to_owned(), nanoseconds(key.created_at));
    if let Some(label) = &key.label {
        item.insert(NAME.to_owned(), text(label));
    }
    allow_personal(&mut item, key);
    item
}

/// The right to personal data is there or not; no value of it means that it is not.
fn allow_personal(item: &mut Item, key: &KeyRecord) {
    if key.personal_data {
        item.insert(PERSONAL.to_owned(), text("shown"));
    }
}

fn may_see_personal(fields: Fields<'_>) -> Result<bool, StoreError> {
    Ok(fields.optional_text(PERSONAL)? == Some("shown"))
}

pub(crate) fn key(tenant: &TenantId, item: &Item) -> Result<KeyRecord, StoreError> {
    let fields = Fields(item);
    Ok(KeyRecord {
        id: id(fields, KEY)?,
        tenant: tenant.clone(),
        label: fields.optional_text(NAME)?.map(str::to_owned),
        personal_data: may_see_personal(fields)?,
        created_at: fields.time(CREATED)?,
    })
}

/// Where the hash of the key in this item leads to.
pub(crate) fn credential_of(item: &Item) -> Result<Key, StoreError> {
    Fields(item).text(KEY_HASH).map(credential_key)
}

pub(crate) fn find_keys(tenant: &TenantId) -> Find {
    Find::beginning(&tenant_partition(tenant), KEY, true)
}

/// What a key's hash opens.
pub(crate) fn new_credential(key: &KeyRecord, hash: &str) -> Item {
    let mut item = credential_key(hash).item();
    item.insert(TENANT.to_owned(), text(key.tenant.as_str()));
    item.insert(KEY_ID.to_owned(), text(key.id.as_str()));
    allow_personal(&mut item, key);
    item
}

pub(crate) fn credential(item: &Item) -> Result<Credential, StoreError> {
    let fields = Fields(item);
    Ok(Credential {
        key: fields.parsed(KEY_ID)?,
        scope: Scope::Tenant {
            tenant: fields.parsed(TENANT)?,
        },
        personal_data: may_see_personal(fields)?,
    })
}

/// The part of an endpoint that is neither its name, nor secret, nor its state.
#[derive(Serialize, Deserialize)]
struct EndpointBody {
    url: String,
    role: Role,
    scheme: Scheme,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<Filter>,
    policy: Policy,
    #[serde(default)]
    breaker: BreakerPolicy,
    deadline_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    useful_for_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision_url: Option<String>,
}

pub(crate) fn endpoint_key(tenant: &TenantId, id: &EndpointId) -> Key {
    Key::new(tenant_partition(tenant), format!("{ENDPOINT}{id}"))
}

pub(super) fn milliseconds(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// An endpoint, over what was `read`.
pub(crate) fn new_endpoint(
    EndpointRecord {
        endpoint,
        created_at,
    }: &EndpointRecord,
    read: Option<Version>,
    vault: Vault<'_>,
) -> Item {
    let body = EndpointBody {
        url: endpoint.url.clone(),
        role: endpoint.role,
        scheme: endpoint.scheme,
        filter: endpoint.filter.clone(),
        policy: endpoint.policy.clone(),
        breaker: endpoint.breaker,
        deadline_ms: milliseconds(endpoint.deadline),
        useful_for_ms: endpoint.useful_for.map(milliseconds),
        decision_url: endpoint.decision_url.clone(),
    };
    let key = endpoint_key(&endpoint.tenant, &endpoint.id);
    let secrets = endpoint
        .secrets
        .iter()
        .map(|live| (&live.secret, live.until));
    let mut item = key.item();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(CREATED, nanoseconds(*created_at));
    set(BODY, text(json(&body)));
    set(STATE, text(endpoint.state.as_str()));
    set(SECRETS, vault.seal_all(secrets, &endpoint.tenant, &key));
    set(VERSION, next(read));
    item
}

/// If an item is an endpoint that takes deliveries at `url`, the change by which it takes none any more. One that the
/// operator switched off stays switched off.
pub(crate) fn mark_gone(item: &Item, url: &str) -> Result<Option<Change>, StoreError> {
    let fields = Fields(item);
    let body: EndpointBody = fields.json(BODY)?;
    if body.url != url || fields.text(STATE)? != EndpointState::Enabled.as_str() {
        return Ok(None);
    }
    let read = endpoint_version(fields)?;
    let condition = unchanged(Some(read));
    let mut values = condition.values;
    values.push((":gone", text(EndpointState::Gone.as_str())));
    values.push((":next", next(Some(read))));
    Ok(Some(Change {
        expression: "SET st = :gone, v = :next",
        condition: Some(condition.expression),
        values,
    }))
}

/// Endpoints were kept without a version once.
fn endpoint_version(fields: Fields<'_>) -> Result<Version, StoreError> {
    Ok(Version(
        fields.optional_number(VERSION)?.unwrap_or_default(),
    ))
}

pub(crate) fn endpoint(
    tenant: &TenantId,
    item: &Item,
    vault: Vault<'_>,
) -> Result<Read<EndpointRecord>, StoreError> {
    let fields = Fields(item);
    let body: EndpointBody = fields.json(BODY)?;
    let state = serde_json::from_value(fields.text(STATE)?.into())
        .map_err(|_| fields.corrupt(STATE, "has an unknown form"))?;
    // One endpoint that can't be used must not keep the tenant's others from being read.
    let (mut secrets, mut locked) = (Vec::new(), Vec::new());
    for (secret, until) in vault.try_all(fields, tenant, &fields.key()?)? {
        match secret {
            Ok(secret) => secrets.push(LiveSecret { secret, until }),
            Err(problem) => {
                error!(error = %problem, "a secret of an endpoint can't be opened");
                locked.push(until);
            }
        }
    }
    let value = EndpointRecord {
        endpoint: Endpoint {
            tenant: tenant.clone(),
            id: id(fields, ENDPOINT)?,
            url: body.url,
            role: body.role,
            scheme: body.scheme,
            secrets,
            locked,
            filter: body.filter,
            policy: body.policy,
            breaker: body.breaker,
            deadline: SignedDuration::from_millis(body.deadline_ms),
            useful_for: body.useful_for_ms.map(SignedDuration::from_millis),
            // Only wallet clients choose, and they are kept elsewhere.
            signed_host: SignedHost::AsSent,
            decision_url: body.decision_url,
            state,
        },
        created_at: fields.time(CREATED)?,
    };
    Ok(Read {
        value,
        version: endpoint_version(fields)?,
    })
}

/// A tenant's endpoints; `consistent` costs twice as much.
pub(crate) fn find_endpoints(tenant: &TenantId, consistent: bool) -> Find {
    Find::beginning(&tenant_partition(tenant), ENDPOINT, consistent)
}

/// The part of a billing account that is neither its name, nor secret.
#[derive(Serialize, Deserialize)]
struct AccountBody {
    platform: Platform,
    settings: Settings,
}

pub(crate) fn account_key(profile: &ProfileId, account: &ConnectorAccountId) -> Key {
    Key::new(format!("{ACCOUNT}{profile}#{account}"), "BA")
}

/// What leads from a tenant to its account.
pub(crate) fn pointer_key(
    tenant: &TenantId,
    profile: &ProfileId,
    account: &ConnectorAccountId,
) -> Key {
    Key::new(
        tenant_partition(tenant),
        format!("{ACCOUNT}{profile}#{account}"),
    )
}

fn account_key_at(fields: Fields<'_>) -> Result<Key, StoreError> {
    Ok(Key::new(fields.text(SK)?, "BA"))
}

/// The account that a pointer leads to.
pub(crate) fn pointed_at(item: &Item) -> Result<Key, StoreError> {
    account_key_at(Fields(item))
}

pub(crate) fn new_account(account: &BillingAccount, created: Timestamp, vault: Vault<'_>) -> Item {
    let key = account_key(&account.profile_id, &account.connector_account_id);
    let body = AccountBody {
        platform: account.platform,
        settings: account.settings.clone(),
    };
    let secrets = account.webhook_secrets.iter().map(|secret| (secret, None));
    let mut item = key.item();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(TENANT, text(account.tenant.as_str()));
    set(CREATED, nanoseconds(created));
    set(BODY, text(json(&body)));
    set(SECRETS, vault.seal_all(secrets, &account.tenant, &key));
    if let Some(api_key) = &account.api_key {
        set(API_KEY, vault.seal(api_key, &account.tenant, &key));
    }
    item
}

/// The account, if it is the tenant's.
pub(crate) fn account_of(
    tenant: &TenantId,
    item: &Item,
    vault: Vault<'_>,
) -> Result<Option<AccountRecord>, StoreError> {
    let (owner, _) = account_owner(item)?;
    if owner == *tenant {
        account(item, vault).map(Some)
    } else {
        Ok(None)
    }
}

/// A billing account with all that it holds, for the operator, who sees what can't be opened.
pub(crate) fn account(item: &Item, vault: Vault<'_>) -> Result<AccountRecord, StoreError> {
    let sealed = SealedAccount::read(item)?;
    let mut account = sealed.at_the_door(vault)?;
    match sealed.api_key(vault)? {
        ApiKey::Absent => {}
        ApiKey::Locked => account.locked.api_key = true,
        ApiKey::Open(key) => account.api_key = Some(key),
    }
    Ok(AccountRecord {
        created_at: sealed.fields.time(CREATED)?,
        account,
    })
}

/// A billing account as its door sees it: without its API key.
pub(crate) fn account_at_the_door(
    item: &Item,
    vault: Vault<'_>,
) -> Result<BillingAccount, StoreError> {
    SealedAccount::read(item)?.at_the_door(vault)
}

/// A billing account as it is seen behind its door: without its webhook secrets.
pub(crate) fn account_behind_the_door(
    item: &Item,
    vault: Vault<'_>,
) -> Result<RecoveryAccount, StoreError> {
    let sealed = SealedAccount::read(item)?;
    Ok(RecoveryAccount {
        api_key: sealed.api_key(vault)?,
        tenant: sealed.tenant,
        platform: sealed.body.platform,
        settings: sealed.body.settings,
    })
}

/// A billing account of which nothing was opened yet.
struct SealedAccount<'a> {
    fields: Fields<'a>,
    key: Key,
    tenant: TenantId,
    body: AccountBody,
}

impl<'a> SealedAccount<'a> {
    fn read(item: &'a Item) -> Result<Self, StoreError> {
        let fields = Fields(item);
        Ok(Self {
            fields,
            key: fields.key()?,
            tenant: fields.parsed(TENANT)?,
            body: fields.json(BODY)?,
        })
    }

    fn at_the_door(&self, vault: Vault<'_>) -> Result<BillingAccount, StoreError> {
        let unknown = || self.fields.corrupt(super::PK, "has an unknown form");
        let (profile, id) = self
            .key
            .pk
            .strip_prefix(ACCOUNT)
            .and_then(|names| names.split_once('#'))
            .ok_or_else(unknown)?;
        let tried = vault.try_all(self.fields, &self.tenant, &self.key)?;
        let kept = tried.len();
        let webhook_secrets: Vec<_> = tried
            .into_iter()
            .filter_map(|(secret, _)| opened(secret, "a webhook secret"))
            .collect();
        Ok(BillingAccount {
            tenant: self.tenant.clone(),
            profile_id: ProfileId::parse(profile).map_err(|_| unknown())?,
            connector_account_id: ConnectorAccountId::parse(id).map_err(|_| unknown())?,
            platform: self.body.platform,
            locked: Locked {
                webhook_secrets: kept - webhook_secrets.len(),
                api_key: false,
            },
            webhook_secrets,
            api_key: None,
            settings: self.body.settings.clone(),
        })
    }

    fn api_key(&self, vault: Vault<'_>) -> Result<ApiKey, StoreError> {
        if !self.fields.0.contains_key(API_KEY) {
            return Ok(ApiKey::Absent);
        }
        let sealed = self.fields.bytes(API_KEY)?;
        let key = opened(vault.open(sealed, &self.tenant, &self.key), "the API key");
        Ok(key.map_or(ApiKey::Locked, ApiKey::Open))
    }
}

/// A secret, if it opened: one account that can't be used must not keep the tenant's others from being read.
fn opened(secret: Result<Secret, StoreError>, what: &str) -> Option<Secret> {
    secret
        .inspect_err(
            |problem| error!(error = %problem, "{what} of a billing account can't be opened"),
        )
        .ok()
}

/// Whose an account is, and when it was made; its secrets stay sealed.
pub(crate) fn account_owner(item: &Item) -> Result<(TenantId, Timestamp), StoreError> {
    let fields = Fields(item);
    Ok((fields.parsed(TENANT)?, fields.time(CREATED)?))
}

/// What was agreed on for the recovery of its invoices, if the account is the tenant's; its secrets stay sealed.
pub(crate) fn terms_of(tenant: &TenantId, item: &Item) -> Result<Option<Terms>, StoreError> {
    let (owner, _) = account_owner(item)?;
    if owner != *tenant {
        return Ok(None);
    }
    let body: AccountBody = Fields(item).json(BODY)?;
    Ok(Some(body.settings.terms))
}

pub(crate) fn find_pointers(tenant: &TenantId) -> Find {
    Find::beginning(&tenant_partition(tenant), ACCOUNT, true)
}

pub(crate) fn rafiki_key(tenant: &TenantId) -> Key {
    Key::new(tenant_partition(tenant), "PUB#rafiki")
}

/// A publisher, made at `created`.
pub(crate) fn new_rafiki(
    publisher: &PublisherRecord,
    created: Timestamp,
    vault: Vault<'_>,
) -> Item {
    let key = rafiki_key(&publisher.tenant);
    let secrets = publisher.secrets.iter().map(|secret| (secret, None));
    let mut item = key.item();
    item.insert(CREATED.to_owned(), nanoseconds(created));
    let sealed = vault.seal_all(secrets, &publisher.tenant, &key);
    item.insert(SECRETS.to_owned(), sealed);
    let tolerance = number(publisher.tolerance.as_secs());
    item.insert(TOLERANCE_S.to_owned(), tolerance);
    item
}

/// When an item of configuration was made.
pub(crate) fn created(item: &Item) -> Result<Timestamp, StoreError> {
    Fields(item).time(CREATED)
}

/// The item is the one that was made then.
pub(crate) fn made_at(created: Timestamp) -> Condition {
    Condition {
        expression: "cr = :cr",
        values: vec![(":cr", nanoseconds(created))],
    }
}

pub(crate) fn rafiki(
    tenant: &TenantId,
    item: &Item,
    vault: Vault<'_>,
) -> Result<PublisherRecord, StoreError> {
    let fields = Fields(item);
    let secrets = vault.open_all(fields, tenant, &fields.key()?)?;
    // One that was made before it could be set has none.
    let tolerance = fields.optional_number(TOLERANCE_S)?;
    Ok(PublisherRecord {
        tenant: tenant.clone(),
        secrets: secrets.into_iter().map(|(secret, _)| secret).collect(),
        tolerance: tolerance.map_or(TOLERANCE, SignedDuration::from_secs),
        created_at: fields.time(CREATED)?,
    })
}
