//! The breakers of endpoints as items, with an entry in `due` while they want somebody.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::config::{id, tenant_partition};
use super::{
    BODY, DUE_PK, DUE_SK, Fields, Find, Item, Key, STATE, TTL, VERSION, WRITER, bytes, json, next,
    number, sortable_up, text,
};
use crate::delivery::Breaker;
use crate::ids::{EndpointId, TenantId};
use crate::store::{Read, StoreError, Version};

const BREAKER: &str = "BR#";
/// Breakers that want somebody are few, and each is written once a minute at most: one partition of `due` takes them.
const DUE: &str = "BRK";

pub(crate) fn breaker_key(tenant: &TenantId, endpoint: &EndpointId) -> Key {
    Key::new(tenant_partition(tenant), format!("{BREAKER}{endpoint}"))
}

/// A breaker, written by somebody who drew `writer`, over what was `read`; once it is closed it is kept until `ttl`
/// (seconds).
pub(crate) fn new_breaker(
    tenant: &TenantId,
    endpoint: &EndpointId,
    breaker: &Breaker,
    read: Option<Version>,
    writer: [u8; 8],
    ttl: i64,
) -> Item {
    let mut item = breaker_key(tenant, endpoint).item();
    let mut set = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
    set(STATE, text(breaker.as_str()));
    set(BODY, text(json(breaker)));
    set(VERSION, next(read));
    set(WRITER, bytes(writer));
    if let Some(due) = breaker.due() {
        set(DUE_PK, text(DUE));
        let place = format!("{}#{tenant}#{endpoint}", sortable_up(due));
        set(DUE_SK, text(place));
    }
    if let Breaker::Closed { .. } = breaker {
        set(TTL, number(ttl));
    }
    item
}

pub(crate) fn breaker(item: &Item) -> Result<Read<Breaker>, StoreError> {
    let fields = Fields(item);
    Ok(Read {
        value: fields.json(BODY)?,
        version: fields.version()?,
    })
}

/// A tenant's breakers.
pub(crate) fn find_breakers(tenant: &TenantId) -> Find {
    Find::beginning(&tenant_partition(tenant), BREAKER, true)
}

/// Whose breaker an item is, of a tenant that is known.
pub(crate) fn breaker_of(item: &Item) -> Result<EndpointId, StoreError> {
    id(Fields(item), BREAKER)
}

/// The breakers that want somebody at `now`, the longest due first.
pub(crate) fn find_due_breakers(now: Timestamp) -> Find {
    Find::due(DUE, now)
}

/// Whose breaker an entry of `due` stands for.
pub(crate) fn due_breaker(item: &Item) -> Result<(TenantId, EndpointId), StoreError> {
    let fields = Fields(item);
    let (_, names) = fields.sorted_by(DUE_SK)?;
    let unknown = || fields.corrupt(DUE_SK, "has an unknown form");
    let (tenant, endpoint) = names.split_once('#').ok_or_else(unknown)?;
    Ok((
        TenantId::parse(tenant).map_err(|_| unknown())?,
        EndpointId::parse(endpoint).map_err(|_| unknown())?,
    ))
}
