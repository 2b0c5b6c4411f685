//! Configuration read through a cache of 10 s: a change is in force at the latest so long after it was made. What is not
//! there is not kept, so what was just made is found at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{BillingAccounts, Endpoints, StoreError};
use crate::delivery::Endpoint;
use crate::ids::{ConnectorAccountId, EndpointId, ProfileId, TenantId};
use crate::platform::BillingAccount;
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
    one: Cache<(TenantId, EndpointId), Option<Endpoint>>,
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
        if let Some(endpoints) = self.all.get(tenant) {
            return Ok(endpoints);
        }
        let read_at = self.all.clock.now();
        let endpoints = self.inner.endpoints(tenant).await?;
        self.all.put(tenant.clone(), endpoints.clone(), read_at);
        Ok(endpoints)
    }

    async fn endpoint(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        let key = (tenant.clone(), id.clone());
        if let Some(endpoint) = self.one.get(&key) {
            return Ok(endpoint);
        }
        let read_at = self.one.clock.now();
        let endpoint = self.inner.endpoint(tenant, id).await?;
        if endpoint.is_some() {
            self.one.put(key, endpoint.clone(), read_at);
        }
        Ok(endpoint)
    }

    async fn mark_gone(&self, tried: &Endpoint) -> Result<(), StoreError> {
        self.inner.mark_gone(tried).await
    }
}

/// Billing accounts through the cache.
pub struct CachedAccounts {
    inner: Arc<dyn BillingAccounts>,
    cache: Cache<(ProfileId, ConnectorAccountId), Option<BillingAccount>>,
}

impl CachedAccounts {
    /// Reads through to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn BillingAccounts>, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            cache: Cache::new(clock),
        }
    }
}

#[async_trait]
impl BillingAccounts for CachedAccounts {
    async fn billing_account(
        &self,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<BillingAccount>, StoreError> {
        let key = (profile.clone(), account.clone());
        if let Some(found) = self.cache.get(&key) {
            return Ok(found);
        }
        let read_at = self.cache.clock.now();
        let found = self.inner.billing_account(profile, account).await?;
        if found.is_some() {
            self.cache.put(key, found.clone(), read_at);
        }
        Ok(found)
    }
}
