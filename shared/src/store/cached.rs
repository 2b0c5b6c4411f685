//! Configuration read through a cache of 10 s: a change is in force so long after it was made, and the moment later by which
//! a read without consistency may lag. What is not there is not kept, so what was just made is found at once, give or take that.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{
    AccountTerms, BillingAccounts, Credential, Credentials, Endpoints, KnownTenants,
    PaymentBackends, PublisherRecord, Receiver, Receivers, RecoveryAccounts, StoreError,
};
use crate::delivery::Endpoint;
use crate::ids::{ConnectorAccountId, EndpointId, ProfileId, TenantId};
use crate::platform::{BillingAccount, RecoveryAccount};
use crate::recovery::Terms;
use crate::time::Clock;

const FRESH_FOR: SignedDuration = SignedDuration::from_secs(10);
/// When so many entries are kept, all are dropped: keys may come from outside, and memory is bounded.
const ENTRIES_MOST: usize = 4096;

struct Cache<K, V> {
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<K, (Timestamp, V)>>,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            entries: Mutex::new(HashMap::new()),
        }
    }

    /// What is kept under `key`, or what `read` finds.
    async fn through<E>(
        &self,
        key: K,
        read: impl Future<Output = Result<Option<V>, E>> + Send,
    ) -> Result<Option<V>, E> {
        if let Some(value) = self.get(&key) {
            return Ok(Some(value));
        }
        let read_at = self.clock.now();
        let found = read.await?;
        if let Some(value) = &found {
            self.put(key, value.clone(), read_at);
        }
        Ok(found)
    }

    fn get(&self, key: &K) -> Option<V> {
        let now = self.clock.now();
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .get(key)
            .filter(|(at, _)| now.duration_since(*at) < FRESH_FOR)
            .map(|(_, value)| value.clone())
    }

    /// `read_at` is when the reading began: what changed during it must not look fresh for longer.
    fn put(&self, key: K, value: V, read_at: Timestamp) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES_MOST {
            entries.clear();
        }
        entries.insert(key, (read_at, value));
    }
}

/// Endpoints through the cache.
pub struct CachedEndpoints {
    inner: Arc<dyn Endpoints>,
    all: Cache<TenantId, Vec<Endpoint>>,
    one: Cache<(TenantId, EndpointId), Endpoint>,
}

impl CachedEndpoints {
    /// Reads through to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Endpoints>, clock: &Arc<dyn Clock>) -> Self {
        Self {
            inner,
            all: Cache::new(clock.clone()),
            one: Cache::new(clock.clone()),
        }
    }
}

#[async_trait]
impl Endpoints for CachedEndpoints {
    async fn endpoints(&self, tenant: &TenantId) -> Result<Vec<Endpoint>, StoreError> {
        let read = async { self.inner.endpoints(tenant).await.map(Some) };
        let found = self.all.through(tenant.clone(), read).await?;
        Ok(found.unwrap_or_default())
    }

    async fn endpoint(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        let key = (tenant.clone(), id.clone());
        self.one.through(key, self.inner.endpoint(tenant, id)).await
    }

    async fn mark_gone(&self, tried: &Endpoint) -> Result<(), StoreError> {
        self.inner.mark_gone(tried).await
    }
}

/// Endpoints with their breakers through the cache.
pub struct CachedReceivers {
    inner: Arc<dyn Receivers>,
    cache: Cache<(TenantId, EndpointId), Receiver>,
}

impl CachedReceivers {
    /// Reads through to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Receivers>, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            cache: Cache::new(clock),
        }
    }
}

#[async_trait]
impl Receivers for CachedReceivers {
    async fn receiver(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Receiver>, StoreError> {
        let key = (tenant.clone(), id.clone());
        self.cache
            .through(key, self.inner.receiver(tenant, id))
            .await
    }

    async fn mark_gone(&self, tried: &Endpoint) -> Result<(), StoreError> {
        self.inner.mark_gone(tried).await
    }
}

/// A port of one question through the cache.
pub struct Cached<P: ?Sized, K, V> {
    inner: Arc<P>,
    cache: Cache<K, V>,
}

impl<P: ?Sized, K: Eq + Hash, V: Clone> Cached<P, K, V> {
    /// Reads through to `inner`.
    #[must_use]
    pub fn new(inner: Arc<P>, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            cache: Cache::new(clock),
        }
    }
}

/// Billing accounts through the cache.
pub type CachedAccounts =
    Cached<dyn BillingAccounts, (ProfileId, ConnectorAccountId), BillingAccount>;

#[async_trait]
impl BillingAccounts for CachedAccounts {
    async fn billing_account(
        &self,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<BillingAccount>, StoreError> {
        let key = (profile.clone(), account.clone());
        let read = self.inner.billing_account(profile, account);
        self.cache.through(key, read).await
    }
}

/// Billing accounts behind the door through the cache.
pub type CachedRecoveryAccounts =
    Cached<dyn RecoveryAccounts, (TenantId, ProfileId, ConnectorAccountId), RecoveryAccount>;

#[async_trait]
impl RecoveryAccounts for CachedRecoveryAccounts {
    async fn recovery_account(
        &self,
        tenant: &TenantId,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<RecoveryAccount>, StoreError> {
        let key = (tenant.clone(), profile.clone(), account.clone());
        let read = self.inner.recovery_account(tenant, profile, account);
        self.cache.through(key, read).await
    }
}

/// Terms through the cache.
pub type CachedTerms = Cached<dyn AccountTerms, (TenantId, ProfileId, ConnectorAccountId), Terms>;

#[async_trait]
impl AccountTerms for CachedTerms {
    async fn terms(
        &self,
        tenant: &TenantId,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<Terms>, StoreError> {
        let key = (tenant.clone(), profile.clone(), account.clone());
        let read = self.inner.terms(tenant, profile, account);
        self.cache.through(key, read).await
    }
}

/// Keys through the cache: one that is revoked opens doors for as long.
pub type CachedCredentials = Cached<dyn Credentials, String, Credential>;

#[async_trait]
impl Credentials for CachedCredentials {
    async fn credential(&self, hash: &str) -> Result<Option<Credential>, StoreError> {
        let read = self.inner.credential(hash);
        self.cache.through(hash.to_owned(), read).await
    }
}

/// Payment backends through the cache.
pub type CachedBackends = Cached<dyn PaymentBackends, TenantId, PublisherRecord>;

#[async_trait]
impl PaymentBackends for CachedBackends {
    async fn payment_backend(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<PublisherRecord>, StoreError> {
        let read = self.inner.payment_backend(tenant);
        self.cache.through(tenant.clone(), read).await
    }
}

/// Which tenants there are, through the cache.
pub type CachedTenants = Cached<dyn KnownTenants, TenantId, ()>;

#[async_trait]
impl KnownTenants for CachedTenants {
    async fn is_known(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        let read = async { Ok(self.inner.is_known(tenant).await?.then_some(())) };
        let found = self.cache.through(tenant.clone(), read).await?;
        Ok(found.is_some())
    }
}
