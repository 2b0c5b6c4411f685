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

/// What is in the body.
#[derive(Serialize, Deserialize)]
struct Body {
    state: State,
    tries: Vec<Try>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hop: Option<u32>,
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
    if Undelivered::of(delivery.state).is_some() {
        let first = delivery.tries.first().map_or(now, |first| first.at);
        set(
            TIME_PK,
            text(undelivered_partition(&key.tenant, &key.endpoint)),
        );
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
    item
}

pub(crate) fn delivery(item: &Item) -> Result<Read<Delivery>, StoreError> {
    let fields = Fields(item);
    let Body {
        state,
        tries,
        hop,
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

/// The entries of `time` for deliveries that did not get through, newest first; `None` if nothing can lie between the
/// bounds. The entry at the query's `after` (a [`page_end`](super::page_end)) is found as well.
pub(crate) fn find_undelivered(
    tenant: &TenantId,
    endpoint: &EndpointId,
    query: &UndeliveredQuery,
) -> Option<Find> {
    let since = sortable_up(query.since.unwrap_or(Timestamp::UNIX_EPOCH));
    let until = query
        .after
        .as_ref()
        .map_or_else(|| "~".to_owned(), |after| after.replace('.', "#"));
    if since > until {
        return None;
    }
    let find = Find::backwards(&undelivered_partition(tenant, endpoint), &since, &until);
    Some(match query.state {
        Some(state) => find.only(STATE, ":st", state.as_str()),
        None => find,
    })
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
