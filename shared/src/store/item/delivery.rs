//! Deliveries as items: the record whole, with an entry in the indexes only while it did not get through.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{owner, partition};
use super::{
    BODY, DUE_PK, DUE_SK, Fields, Find, Item, Key, SK, STATE, TIME_PK, TIME_SK, TTL, VERSION,
    WRITER, bytes, next, number, pack_json, shard, sortable, sortable_up, text,
};
use crate::delivery::{Delivery, DeliveryKey, Guard, Hold, State, Try};
use crate::ids::{EndpointId, EventId, Round, TenantId};
use crate::store::{Read, StoreError, Undelivered, UndeliveredQuery, Version};

/// Parked deliveries wait in so many partitions of `due`, since one takes 1000 writes a second.
const SHARDS: u8 = 16;
/// And so many those that are held, of all endpoints, by when they are given up.
const OVERDUE_SHARDS: u8 = 8;
/// What is held for one endpoint lies in so many partitions of `time`: it may be all that a busy tenant has.
const HELD_SHARDS: u8 = 4;
/// Later than every time in a key.
const END: &str = "~";

/// What is in the body.
#[derive(Serialize, Deserialize)]
struct Body {
    state: State,
    tries: Vec<Try>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hop: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    guard: Option<Guard>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
}

pub(crate) fn delivery_key(key: &DeliveryKey) -> Key {
    Key::new(
        partition(&key.tenant, &key.event),
        format!("D#{}#{:010}", key.endpoint, key.round.number()),
    )
}

/// A delivery, written at `now` by somebody who drew `writer`, over what was `read`, kept until `ttl` (seconds).
pub(crate) fn new_delivery(
    delivery: &Delivery,
    read: Option<Version>,
    now: Timestamp,
    writer: [u8; 8],
    ttl: i64,
) -> Item {
    let key = &delivery.key;
    let body = Body {
        state: delivery.state,
        tries: delivery.tries.clone(),
        hop: (delivery.hop > 0).then_some(delivery.hop),
        held_until: delivery.held_until,
        guard: delivery.guard.clone(),
        hold: delivery.hold.clone(),
    };
    let mut item = delivery_key(key).item();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(STATE, text(delivery.state.as_str()));
    set(BODY, pack_json(&body));
    set(VERSION, next(read));
    set(WRITER, bytes(writer));
    set(TTL, number(ttl));
    if let Some(undelivered) = Undelivered::of(delivery.state) {
        let first = delivery.tries.first().map_or(now, |first| first.at);
        let partition = match undelivered {
            Undelivered::Held => {
                let shard = shard(key.event.as_str(), HELD_SHARDS);
                held_partition(&key.tenant, &key.endpoint, shard)
            }
            Undelivered::Parked
            | Undelivered::GivenUp
            | Undelivered::Expired
            | Undelivered::Skipped
            | Undelivered::Quarantined => undelivered_partition(&key.tenant, &key.endpoint),
        };
        set(TIME_PK, text(partition));
        let round = key.round.number();
        let place = format!("{}#{}#{round:010}", sortable(first), key.event);
        set(TIME_SK, text(place));
    }
    if let State::Parked { due } = delivery.state {
        set(
            DUE_PK,
            text(due_partition(shard(key.event.as_str(), SHARDS))),
        );
        set(DUE_SK, text(format!("{}#{}", sortable_up(due), key.event)));
    }
    if let State::Held { until } = delivery.state {
        let shard = shard(key.event.as_str(), OVERDUE_SHARDS);
        set(DUE_PK, text(overdue_partition(shard)));
        set(
            DUE_SK,
            text(format!("{}#{}", sortable_up(until), key.event)),
        );
    }
    item
}

pub(crate) fn delivery(item: &Item) -> Result<Read<Delivery>, StoreError> {
    let fields = Fields(item);
    let Body {
        state,
        tries,
        hop,
        held_until,
        guard,
        hold,
    } = fields.json(BODY)?;
    let key = parked_key(item)?;
    Ok(Read {
        value: Delivery {
            key,
            state,
            tries,
            hop: hop.unwrap_or_default(),
            held_until,
            guard,
            hold,
        },
        version: fields.version()?,
    })
}

/// The delivery that an item, or an entry of `due`, stands for.
pub(crate) fn parked_key(item: &Item) -> Result<DeliveryKey, StoreError> {
    let fields = Fields(item);
    let (tenant, event) = owner(fields)?;
    let unknown = || fields.corrupt(SK, "has an unknown form");
    let names = fields.text(SK)?.strip_prefix("D#").ok_or_else(unknown)?;
    let (endpoint, round) = names.split_once('#').ok_or_else(unknown)?;
    Ok(DeliveryKey {
        tenant,
        event,
        endpoint: EndpointId::parse(endpoint).map_err(|_| unknown())?,
        round: round
            .parse()
            .ok()
            .and_then(Round::new)
            .ok_or_else(unknown)?,
    })
}

fn undelivered_partition(tenant: &TenantId, endpoint: &EndpointId) -> String {
    format!("F#{tenant}#{endpoint}")
}

fn held_partition(tenant: &TenantId, endpoint: &EndpointId, shard: u8) -> String {
    format!("H#{tenant}#{endpoint}#{shard}")
}

/// One find per partition of `time` for deliveries that did not get through, newest first; none if nothing can lie between
/// the bounds. The entry at the query's `after` (a [`page_end`](super::page_end)) is found as well.
pub(crate) fn find_undelivered(
    tenant: &TenantId,
    endpoint: &EndpointId,
    query: &UndeliveredQuery,
) -> Vec<Find> {
    let since = sortable_up(query.since.unwrap_or(Timestamp::UNIX_EPOCH));
    let until = query
        .after
        .as_ref()
        .map_or_else(|| END.to_owned(), |after| after.replace('.', "#"));
    if since > until {
        return Vec::new();
    }
    let backwards = |partition: String| Find::backwards(&partition, &since, &until);
    let held = (0..HELD_SHARDS).map(|shard| held_partition(tenant, endpoint, shard));
    let others = undelivered_partition(tenant, endpoint);
    match query.state {
        Some(Undelivered::Held) => held.map(backwards).collect(),
        Some(state) => vec![backwards(others).only(STATE, ":st", state.as_str())],
        None => held.chain([others]).map(backwards).collect(),
    }
}

/// One find per shard for what is held for an endpoint, the oldest first, after a place of one of them.
pub(crate) fn find_held(
    tenant: &TenantId,
    endpoint: &EndpointId,
    after: Option<&str>,
) -> Vec<Find> {
    // Nothing follows a round in a key, so this is the least that is greater.
    let since = after.map_or_else(String::new, |after| format!("{after}#"));
    (0..HELD_SHARDS)
        .map(|shard| Find::forwards(&held_partition(tenant, endpoint, shard), &since, END))
        .collect()
}

/// The place of an entry of `time` among those of its endpoint.
pub(crate) fn held_place(item: &Item) -> Result<String, StoreError> {
    Fields(item).text(TIME_SK).map(str::to_owned)
}

fn overdue_partition(shard: u8) -> String {
    format!("HELD#{shard}")
}

/// One find per shard for what was to be held until `now` at most, the longest due first.
pub(crate) fn find_overdue(now: Timestamp) -> Vec<Find> {
    (0..OVERDUE_SHARDS)
        .map(|shard| Find::due(&overdue_partition(shard), now))
        .collect()
}

fn due_partition(shard: u8) -> String {
    format!("DUE#{shard}")
}

/// All deliveries of an event.
pub(crate) fn find_deliveries(tenant: &TenantId, event: &EventId) -> Find {
    Find::beginning(&partition(tenant, event), "D#", true)
}

/// One find per shard for what is due at `now`, the longest due first.
pub(crate) fn find_due(now: Timestamp) -> Vec<Find> {
    (0..SHARDS)
        .map(|shard| Find::due(&due_partition(shard), now))
        .collect()
}
