//! Configuration, for the operator's side: what `console` writes and the other functions read.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Read, StoreError, Version};
use crate::decision::Policy;
use crate::delivery::Endpoint;
use crate::ids::{ConnectorAccountId, EndpointId, KeyId, ProfileId, TenantId};
use crate::platform::BillingAccount;
use crate::secret::Secret;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRecord {
    /// Its name.
    pub id: TenantId,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What holds when an ASE does not decide on a payment.
    #[serde(default)]
    pub decisions: Policy,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How keeping a piece of a tenant's configuration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// It is new.
    New,
    /// It was there and was replaced.
    Replaced,
    /// Somebody else wrote first; nothing was written.
    Lost,
    /// The tenant is not there (any more); nothing was written.
    NoTenant,
    /// The tenant has a wallet client, or an endpoint, of this name, and deliveries are told apart by the name; nothing was
    /// written.
    NameTaken,
}

/// How making a tenant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Made {
    /// It is new.
    New,
    /// It was there and was changed.
    Changed,
    /// One of this name was deleted, and what was recorded for it is still kept; nothing was written.
    Resting {
        /// From then on nothing of it is left, and the name is free.
        until: Timestamp,
    },
}

/// Tenants.
#[async_trait]
pub trait Tenants: Send + Sync {
    /// Makes a tenant, or changes it and keeps when it was made. The name of a deleted one rests, so that a new one never
    /// inherits what was recorded for it; nor does it inherit what is still configured after an interrupted deletion.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn put_tenant(&self, tenant: &TenantRecord) -> Result<Made, StoreError>;

    /// One tenant.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn tenant(&self, id: &TenantId) -> Result<Option<TenantRecord>, StoreError>;

    /// Every tenant, by name.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError>;

    /// Removes a tenant with its configuration (keys, endpoints, wallet clients, billing accounts, publishers, its anchor with
    /// its signing keys): nothing of it is accepted or delivered any more. What was recorded stays until it expires, and
    /// the name rests for as long. Whether it, or anything of it, was there.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn delete_tenant(&self, id: &TenantId, now: Timestamp) -> Result<bool, StoreError>;
}

/// What a key may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "lowercase")]
pub enum Scope {
    /// Everything, for all tenants.
    Operator,
    /// Everything of one tenant.
    Tenant {
        /// The tenant.
        tenant: TenantId,
    },
}

/// An API key as it is kept: everything but the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its public name.
    pub id: KeyId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it may be shown personal data: the texts of callbacks.
    #[serde(default)]
    pub personal_data: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The keys of tenants, for the operator.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Keeps a new key under its SHA-256 (lower-case hex).
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn put_key(&self, key: &KeyRecord, hash: &str) -> Result<Put, StoreError>;

    /// The keys of a tenant.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn keys(&self, tenant: &TenantId) -> Result<Vec<KeyRecord>, StoreError>;

    /// Revokes a key: it opens nothing from now on. Whether it was there.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn revoke_key(&self, tenant: &TenantId, id: &KeyId) -> Result<bool, StoreError>;
}

/// Who a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The key's public name.
    pub key: KeyId,
    /// What it may do.
    pub scope: Scope,
    /// Whether it may be shown personal data.
    pub personal_data: bool,
}

/// Keys, for those who check them.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The credential whose key has this SHA-256 (lower-case hex).
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn credential(&self, hash: &str) -> Result<Option<Credential>, StoreError>;
}

/// An endpoint as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRecord {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Endpoints, for the operator. Reading is [`super::Endpoints`].
#[async_trait]
pub trait EndpointAdmin: Send + Sync {
    /// Keeps an endpoint if its tenant is there, it is still as `read` (`None`: not there), and no wallet client has its
    /// name.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn put_endpoint(
        &self,
        record: &EndpointRecord,
        read: Option<Version>,
    ) -> Result<Put, StoreError>;

    /// Every endpoint of a tenant, by name.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn endpoint_records(&self, tenant: &TenantId) -> Result<Vec<EndpointRecord>, StoreError>;

    /// One endpoint.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn endpoint_record(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Read<EndpointRecord>>, StoreError>;

    /// Removes an endpoint. Whether it was there.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn delete_endpoint(&self, tenant: &TenantId, id: &EndpointId)
    -> Result<bool, StoreError>;
}

/// A billing account as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// The account.
    pub account: BillingAccount,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What claiming a billing account's pair of ids found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Claimed {
    /// The pair was free and is the tenant's now.
    New,
    /// It was the tenant's already, and the account was replaced.
    Replaced,
    /// It is another tenant's; nothing was written.
    Taken,
    /// The claiming tenant is not there (any more); nothing was written.
    NoTenant,
}

/// Billing accounts, for the operator. Reading at the door is [`super::BillingAccounts`].
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Claims the account's pair of ids for its tenant and keeps the account.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn put_account(
        &self,
        account: &BillingAccount,
        now: Timestamp,
    ) -> Result<Claimed, StoreError>;

    /// The billing accounts of a tenant.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn accounts(&self, tenant: &TenantId) -> Result<Vec<AccountRecord>, StoreError>;

    /// One billing account of a tenant; another tenant's is not there.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn account(
        &self,
        tenant: &TenantId,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<AccountRecord>, StoreError>;

    /// Removes a billing account of a tenant and frees its pair of ids. Whether it was there.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn delete_account(
        &self,
        tenant: &TenantId,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<bool, StoreError>;
}

/// A payment backend that may publish events for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherRecord {
    /// Whose events it publishes.
    pub tenant: TenantId,
    /// Its live signature secrets.
    pub secrets: Vec<Secret>,
    /// How far a signature's timestamp may lie from our clock, either way.
    pub tolerance: SignedDuration,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The Rafiki publisher of a tenant, for the operator. Reading at the doors is [`super::PaymentBackends`].
#[async_trait]
pub trait Publishers: Send + Sync {
    /// Makes or replaces it, and keeps when it was made.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn put_rafiki(&self, publisher: &PublisherRecord) -> Result<Put, StoreError>;

    /// Reads it.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn rafiki(&self, tenant: &TenantId) -> Result<Option<PublisherRecord>, StoreError>;

    /// Removes it. Whether it was there.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn delete_rafiki(&self, tenant: &TenantId) -> Result<bool, StoreError>;
}
