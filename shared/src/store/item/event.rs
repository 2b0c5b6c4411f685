//! Events as items.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::{
    BODY, Change, Fields, Find, Item, Key, PK, RESOURCE, SEALED_BODY, STATE, TIME_PK, TIME_SK, TTL,
    TYPE, VERSION, Vault, json, nanoseconds, next, number, pack, shard, sortable, sortable_up,
    text,
};
use crate::event::{Event, Json, Recipients, Source};
use crate::ids::{EventId, TenantId};
use crate::store::{Cursor, EventQuery, EventRecord, EventSummary, Read, StoreError, Version};

const HAPPENED: &str = "ha";
const SOURCE: &str = "so";
const RECIPIENTS: &str = "rc";
const CONFLICTS: &str = "cf";

/// A tenant's events are listed from so many partitions of `time`, since one takes 1000 writes a second.
const SHARDS: u8 = 8;
/// Later than every time in a key.
const END: &str = "~";

/// The partition of an event and of its deliveries.
pub(super) fn partition(tenant: &TenantId, event: &EventId) -> String {
    format!("T#{tenant}#E#{event}")
}

pub(crate) fn event_key(tenant: &TenantId, event: &EventId) -> Key {
    Key::new(partition(tenant, event), "E")
}

fn time_partition(tenant: &TenantId, shard: u8) -> String {
    format!("T#{tenant}#{shard}")
}

/// The tenant and the event that a partition of an event names.
pub(super) fn owner(fields: Fields<'_>) -> Result<(TenantId, EventId), StoreError> {
    let unknown = || fields.corrupt(PK, "has an unknown form");
    let names = fields.text(PK)?.strip_prefix("T#").ok_or_else(unknown)?;
    let (tenant, event) = names.split_once("#E#").ok_or_else(unknown)?;
    Ok((
        TenantId::parse(tenant).map_err(|_| unknown())?,
        EventId::parse(event).map_err(|_| unknown())?,
    ))
}

/// A new event, recorded at `now`, kept until `ttl` (seconds).
pub(crate) fn new_event(
    tenant: &TenantId,
    event: &Event,
    recipients: &Recipients,
    now: Timestamp,
    ttl: i64,
    vault: Vault<'_>,
) -> Item {
    let key = event_key(tenant, &event.id);
    let mut item = key.item();
    let data = event.data.as_str();
    let (body, data) = if event.event_type.is_personal() {
        (SEALED_BODY, vault.seal_body(data, tenant, &key))
    } else {
        (BODY, pack(data.to_owned()))
    };
    let fields: [(&str, AttributeValue); 10] = [
        (
            TIME_PK,
            text(time_partition(tenant, shard(event.id.as_str(), SHARDS))),
        ),
        (TIME_SK, text(format!("{}#{}", sortable(now), event.id))),
        (TYPE, text(event.event_type.as_str())),
        (body, data),
        (HAPPENED, nanoseconds(event.at)),
        (SOURCE, text(event.source.as_str())),
        (RECIPIENTS, text(json(recipients))),
        (VERSION, next(None)),
        (CONFLICTS, number(0)),
        (TTL, number(ttl)),
    ];
    item.extend(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    );
    if let Some(resource) = &event.resource {
        item.insert(RESOURCE.to_owned(), text(resource));
    }
    item
}

pub(crate) fn event(item: &Item, vault: Vault<'_>) -> Result<Read<EventRecord>, StoreError> {
    let fields = Fields(item);
    let (tenant, id) = owner(fields)?;
    let (recorded_at, _) = fields.sorted_by(TIME_SK)?;
    let data = if item.contains_key(SEALED_BODY) {
        vault.open_body(fields, &tenant)?
    } else {
        fields.packed(BODY)?
    };
    let data = Json::parse(data).map_err(|_| fields.corrupt(BODY, "is no JSON"))?;
    let event = Event {
        id,
        event_type: fields.parsed(TYPE)?,
        data,
        at: fields.time(HAPPENED)?,
        source: Source::new(fields.text(SOURCE)?),
        resource: fields.optional_text(RESOURCE)?.map(str::to_owned),
    };
    Ok(Read {
        value: EventRecord {
            event,
            recipients: fields.json(RECIPIENTS)?,
            recorded_at,
            conflicts: fields.number(CONFLICTS)?,
        },
        version: fields.version()?,
    })
}

/// Who an event goes to.
pub(crate) fn recipients(item: &Item) -> Result<Recipients, StoreError> {
    Fields(item).json(RECIPIENTS)
}

/// An entry of `time` as what a list shows.
pub(crate) fn summary(item: &Item) -> Result<EventSummary, StoreError> {
    let fields = Fields(item);
    let (_, id) = owner(fields)?;
    let (recorded_at, _) = fields.sorted_by(TIME_SK)?;
    Ok(EventSummary {
        id,
        event_type: fields.parsed(TYPE)?,
        resource: fields.optional_text(RESOURCE)?.map(str::to_owned),
        recorded_at,
    })
}

/// The place of an entry of `time`, given its keys.
pub(crate) fn place(item: &Item) -> Result<Cursor, StoreError> {
    let fields = Fields(item);
    let (at, id) = fields.sorted_by(TIME_SK)?;
    let id = EventId::parse(id).map_err(|_| fields.corrupt(TIME_SK, "has an unknown form"))?;
    Ok(Cursor { at, id })
}

/// Replaces the recipients of the event that was read.
pub(crate) fn choose(recipients: &Recipients, read: Version) -> Change {
    Change {
        expression: "SET rc = :rc, v = :next",
        condition: Some("v = :read"),
        values: vec![
            (":rc", text(json(recipients))),
            (":read", number(read.0)),
            (":next", next(Some(read))),
        ],
    }
}

/// Counts a conflicting payload. What was read stays as it was read, so the version stays too.
pub(crate) fn count_conflict() -> Change {
    Change {
        expression: "ADD cf :one",
        condition: Some("attribute_exists(pk)"),
        values: vec![(":one", number(1))],
    }
}

/// Keeps an event until `ttl` (seconds) at least.
pub(crate) fn keep_until(ttl: i64) -> Change {
    Change {
        expression: "SET #ttl = :ttl",
        condition: Some("attribute_exists(pk) AND #ttl < :ttl"),
        values: vec![(":ttl", number(ttl))],
    }
}

/// One find per shard for a list of events; none if nothing can lie between the bounds. An entry that is exactly at
/// the query's cursor is found as well.
pub(crate) fn find_events(tenant: &TenantId, query: &EventQuery) -> Vec<Find> {
    let since = query
        .since
        .map(sortable_up)
        .unwrap_or_else(|| sortable(Timestamp::UNIX_EPOCH));
    let cursor = query
        .cursor
        .as_ref()
        .map(|cursor| format!("{}#{}", sortable(cursor.at), cursor.id));
    let until = query
        .until
        .map(sortable_up)
        .into_iter()
        .chain(cursor)
        .min()
        .unwrap_or_else(|| END.to_owned());
    if since > until {
        return Vec::new();
    }
    let find = |shard| {
        let mut find = Find::backwards(&time_partition(tenant, shard), &since, &until);
        if let Some(event_type) = &query.event_type {
            find = find.only(TYPE, ":ty", event_type.as_str());
        }
        if let Some(resource) = &query.resource {
            find = find.only(RESOURCE, ":rs", resource);
        }
        find
    };
    (0..SHARDS).map(find).collect()
}

/// What the index `time` carries beside the keys.
pub(crate) const PROJECTED: [&str; 3] = [TYPE, RESOURCE, STATE];
