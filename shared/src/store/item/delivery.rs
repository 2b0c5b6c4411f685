//! Deliveries as items: the record whole, with an entry in the indexes only while it is parked or set aside, or once
//! it was given up.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{owner, partition};
use super::{
    BODY, DUE_INDEX, DUE_PK, DUE_SK, Fields, Find, Item, Key, SK, STATE, TIME_PK, TIME_SK, TTL,
    VERSION, WRITER, bytes, next, number, pack_json, shard, sortable, sortable_up, text,
};
use crate::delivery::{Delivery, DeliveryKey, Guard, Hold, State, Try};
use crate::ids::{EndpointId, EventId, Round, TenantId};
use crate::store::{Read, StoreError, Version};

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
    if let State::Parked { .. } | State::GivenUp { .. } | State::Quarantined { .. } = delivery.state
    {
        let first = delivery.tries.first().map_or(now, |first| first.at);
        set(TIME_PK, text(format!("F#{}#{}", key.tenant, key.endpoint)));
        set(TIME_SK, text(format!("{}#{}", sortable(first), key.event)));
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

fn due_partition(shard: u8) -> String {
    format!("DUE#{shard}")
}

/// All deliveries of an event.
pub(crate) fn find_deliveries(tenant: &TenantId, event: &EventId) -> Find {
    Find::beginning(&partition(tenant, event), "D#", true)
}

/// One find per shard for what is due at `now`, the longest due first.
pub(crate) fn find_due(now: Timestamp) -> Vec<Find> {
    // An entry's key goes on after its time with `#`, and `$` is the next character.
    let end = format!("{}$", sortable(now));
    let find = |shard| Find {
        index: Some(DUE_INDEX),
        expression: "dpk = :dpk AND dsk < :end",
        filter: None,
        values: vec![
            (":dpk", text(due_partition(shard))),
            (":end", text(end.clone())),
        ],
        newest_first: false,
        consistent: false,
    };
    (0..SHARDS).map(find).collect()
}
