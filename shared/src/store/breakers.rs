//! The breakers of endpoints, and the deliveries that are held for them.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Read, Saved, StoreError, Version};
use crate::delivery::{Breaker, DeliveryKey, Endpoint};
use crate::ids::{EndpointId, TenantId};

/// An endpoint, with its breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its breaker.
    pub breaker: Breaker,
}

/// Endpoints with their breakers, for who delivers to them; what is read may be some seconds old.
#[async_trait]
pub trait Receivers: Send + Sync {
    /// One endpoint and its breaker, by one request.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn receiver(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Receiver>, StoreError>;

    /// As [`super::Endpoints::mark_gone`].
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn mark_gone(&self, tried: &Endpoint) -> Result<(), StoreError>;
}

/// Breakers. An endpoint, or wallet client, without a record has one that is closed.
#[async_trait]
pub trait Breakers: Send + Sync {
    /// Reads a breaker, consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn breaker(
        &self,
        tenant: &TenantId,
        endpoint: &EndpointId,
    ) -> Result<Option<Read<Breaker>>, StoreError>;

    /// Every breaker of a tenant that has a record, read consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn breakers(&self, tenant: &TenantId) -> Result<Vec<(EndpointId, Breaker)>, StoreError>;

    /// Writes a breaker if it is still as `read` (`None`: no record).
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn save_breaker(
        &self,
        tenant: &TenantId,
        endpoint: &EndpointId,
        breaker: &Breaker,
        read: Option<Version>,
        now: Timestamp,
    ) -> Result<Saved, StoreError>;
}

/// A delivery that is held, and its place among those of its endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldEntry {
    /// The delivery.
    pub key: DeliveryKey,
    /// Its place: those tried first, or held first where they were never tried, come first.
    pub place: String,
}

/// What waits for endpoints, for who lets it go. What is listed may lag a moment behind.
#[async_trait]
pub trait Backlogs: Send + Sync {
    /// The breakers that want somebody at `now`: those to be probed, and those that are releasing. The longest due come
    /// first.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn due_breakers(&self, now: Timestamp)
    -> Result<Vec<(TenantId, EndpointId)>, StoreError>;

    /// The oldest deliveries that are held for an endpoint, after the place where the last page ended; at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn held(
        &self,
        tenant: &TenantId,
        endpoint: &EndpointId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<HeldEntry>, StoreError>;

    /// Deliveries, of any endpoint, that were to be held until `now` at most; at most `limit` of each shard.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn overdue(&self, now: Timestamp, limit: usize) -> Result<Vec<DeliveryKey>, StoreError>;
}
