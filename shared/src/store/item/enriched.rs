//! What platforms told of thin notifications, as items.

use super::{BODY, Fields, Item, Key, TTL, number, pack_json};
use crate::ids::TenantId;
use crate::platform::{Enriched, Thin};
use crate::store::StoreError;

pub(crate) fn enriched_key(tenant: &TenantId, thin: &Thin) -> Key {
    let Thin {
        profile_id,
        connector_account_id,
        id,
        ..
    } = thin;
    Key::new(
        format!("T#{tenant}#S#{profile_id}#{connector_account_id}#{id}"),
        "S",
    )
}

/// What a notification came to, kept until `ttl` (seconds).
pub(crate) fn new_enriched(tenant: &TenantId, thin: &Thin, enriched: &Enriched, ttl: i64) -> Item {
    let mut item = enriched_key(tenant, thin).item();
    item.insert(BODY.to_owned(), pack_json(enriched));
    item.insert(TTL.to_owned(), number(ttl));
    item
}

pub(crate) fn enriched(item: &Item) -> Result<Enriched, StoreError> {
    Fields(item).json(BODY)
}
