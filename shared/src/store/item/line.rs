//! What is told in order, as items: transactions, what was last said of customers, how far each line is settled, and the
//! outbox.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};

use super::event::owner;
use super::{
    BODY, CREATED, Change, Condition, DUE_INDEX, DUE_PK, DUE_SK, Fields, Find, Item, Key,
    SEALED_BODY, TTL, VERSION, Vault, WRITER, bytes, created, new_event, next, number, pack_json,
    shard, sortable, text, was_made,
};
use crate::customer::{Registration, Snapshot, Telling, Transaction};
use crate::delivery::Cursor;
use crate::event::{Json, Line};
use crate::ids::{CustomerId, EndpointId, EventId, TenantId, TransactionId};
use crate::store::{Read, StoreError, Version};

const TOLD: &str = "to";
const WRITTEN: &str = "lw";
const OF_CLIENT: &str = "cc";

/// What is in the outbox lies in so many partitions of `due`, since one takes 1000 writes a second.
const SHARDS: u8 = 16;
/// So far clocks may differ. The name of a deleted tenant rests for longer than two weeks, so what was written so long
/// before a tenant was made is of the one before it.
const SKEW: SignedDuration = SignedDuration::from_hours(24);

pub(crate) fn transaction_key(tenant: &TenantId, id: &TransactionId) -> Key {
    Key::new(format!("T#{tenant}#A#{id}"), "A")
}

/// A transaction, written at `now` over what was `read`, kept until `ttl` (seconds) if it is over.
pub(crate) fn new_transaction(
    tenant: &TenantId,
    transaction: &Transaction,
    read: Option<Version>,
    now: Timestamp,
    ttl: Option<i64>,
    vault: Vault<'_>,
) -> Item {
    let key = transaction_key(tenant, &transaction.id);
    let mut item = key.item();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(SEALED_BODY, vault.seal_json(transaction, tenant, &key));
    set(TOLD, number(transaction.told));
    set(WRITTEN, number(now.as_second()));
    set(VERSION, next(read));
    if let Some(ttl) = ttl {
        set(TTL, number(ttl));
    }
    item
}

pub(crate) fn transaction(
    tenant: &TenantId,
    item: &Item,
    vault: Vault<'_>,
) -> Result<Read<Transaction>, StoreError> {
    let fields = Fields(item);
    Ok(Read {
        value: vault.open_json(fields, tenant)?,
        version: fields.version()?,
    })
}

fn line_partition(tenant: &TenantId, line: &Line) -> String {
    let hash = HEXLOWER.encode(digest(&SHA256, line.name().as_bytes()).as_ref());
    format!("T#{tenant}#C#{hash}")
}

pub(crate) fn snapshot_key(tenant: &TenantId, line: &Line) -> Key {
    Key::new(line_partition(tenant, line), "S")
}

/// What is remembered of a customer, written at `now` over what was `read`.
pub(crate) fn new_snapshot(
    tenant: &TenantId,
    line: &Line,
    snapshot: &Snapshot,
    read: Option<Version>,
    now: Timestamp,
    vault: Vault<'_>,
) -> Item {
    let key = snapshot_key(tenant, line);
    let mut item = key.item();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(SEALED_BODY, vault.seal_json(snapshot, tenant, &key));
    set(TOLD, number(snapshot.told));
    set(WRITTEN, number(now.as_second()));
    set(VERSION, next(read));
    item
}

pub(crate) fn snapshot(
    tenant: &TenantId,
    item: &Item,
    vault: Vault<'_>,
) -> Result<Read<Snapshot>, StoreError> {
    let fields = Fields(item);
    Ok(Read {
        value: vault.open_json(fields, tenant)?,
        version: fields.version()?,
    })
}

/// What counts how much of a line was told.
pub(crate) fn counting_key(tenant: &TenantId, line: &Line) -> Key {
    match line {
        Line::Customer { .. } => snapshot_key(tenant, line),
        Line::Transaction { id } => transaction_key(tenant, id),
    }
}

/// How much of a line was told; what it was is not opened for that.
pub(crate) fn told(item: &Item) -> Result<u64, StoreError> {
    Fields(item).number(TOLD)
}

pub(crate) fn cursor_key(tenant: &TenantId, line: &Line) -> Key {
    Key::new(line_partition(tenant, line), "C")
}

/// How far a line is settled, written at `now` by somebody who drew `writer`, over what was `read`.
pub(crate) fn new_cursor(
    tenant: &TenantId,
    line: &Line,
    cursor: &Cursor,
    read: Option<Version>,
    now: Timestamp,
    writer: [u8; 8],
) -> Item {
    let mut item = cursor_key(tenant, line).item();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(BODY, pack_json(cursor));
    set(WRITTEN, number(now.as_second()));
    set(VERSION, next(read));
    set(WRITER, bytes(writer));
    item
}

pub(crate) fn cursor(item: &Item) -> Result<Read<Cursor>, StoreError> {
    let fields = Fields(item);
    Ok(Read {
        value: fields.json(BODY)?,
        version: fields.version()?,
    })
}

/// Before when what was written is of the tenant before this one, in seconds; `None` if there is no tenant.
fn settled_before(tenant: Option<&Item>) -> Result<Option<i64>, StoreError> {
    match tenant.filter(|tenant| was_made(tenant)) {
        None => Ok(None),
        Some(tenant) => {
            let made = created(tenant)?.as_second();
            Ok(Some(made.saturating_sub(SKEW.as_secs())))
        }
    }
}

/// Whether an item was left by a deleted tenant, now that another one has its name.
pub(crate) fn is_left_over(item: &Item, tenant: Option<&Item>) -> Result<bool, StoreError> {
    let written: i64 = Fields(item).number(WRITTEN)?;
    Ok(settled_before(tenant)?.is_some_and(|before| written < before))
}

/// The item is not there, or a deleted tenant left it.
pub(crate) fn absent_or_left_over(tenant: Option<&Item>) -> Result<Condition, StoreError> {
    Ok(match settled_before(tenant)? {
        None => super::absent(),
        Some(before) => Condition {
            expression: "attribute_not_exists(pk) OR lw < :before",
            values: vec![(":before", number(before))],
        },
    })
}

/// The customer's id comes last, since it may hold what separates the others.
pub(crate) fn registration_key(
    tenant: &TenantId,
    client: &EndpointId,
    customer: &CustomerId,
) -> Key {
    Key::new(format!("T#{tenant}#R#{client}#{customer}"), "R")
}

/// A registration over what was `read`, good for the client that was made at `of_client` (see [`of_client`]).
pub(crate) fn new_registration(
    tenant: &TenantId,
    registration: &Registration,
    of_client: i128,
    read: Option<Version>,
) -> Item {
    let key = registration_key(tenant, &registration.client, &registration.customer);
    let mut item = key.item();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(BODY, pack_json(registration));
    set(OF_CLIENT, number(of_client));
    set(VERSION, next(read));
    item
}

/// Replaces what a registration says, if it is as it was read; it stays good for the same client.
pub(crate) fn change_registration(registration: &Registration, read: Version) -> Change {
    Change {
        expression: "SET d = :d, v = :next",
        condition: Some("v = :read"),
        values: vec![
            (":d", pack_json(registration)),
            (":read", number(read.0)),
            (":next", next(Some(read))),
        ],
    }
}

/// The registration, if the client that it was put with is still there.
pub(crate) fn registration(
    item: &Item,
    client: Option<&Item>,
) -> Result<Option<Read<Registration>>, StoreError> {
    let fields = Fields(item);
    let with: i128 = fields.number(OF_CLIENT)?;
    let client = client.map(of_client).transpose()?;
    if client != Some(with) {
        return Ok(None);
    }
    Ok(Some(Read {
        value: fields.json(BODY)?,
        version: fields.version()?,
    }))
}

/// What tells a client from another one that had its name: when it was made, in nanoseconds.
pub(crate) fn of_client(client: &Item) -> Result<i128, StoreError> {
    Fields(client).number(CREATED)
}

/// An event that is told, recorded at `now`, kept until `ttl` (seconds), with its entry in the outbox if a wallet client is
/// to hear of it.
pub(crate) fn new_telling(
    tenant: &TenantId,
    telling: &Telling,
    now: Timestamp,
    ttl: i64,
    vault: Vault<'_>,
) -> Item {
    let event = &telling.event;
    let mut item = new_event(tenant, event, &telling.recipients, now, ttl, vault);
    if telling.recipients.callback().is_some() {
        let shard = shard(event.id.as_str(), SHARDS);
        item.insert(DUE_PK.to_owned(), text(outbox_partition(shard)));
        let place = format!("{}#{}", sortable(now), event.id);
        item.insert(DUE_SK.to_owned(), text(place));
    }
    item
}

fn outbox_partition(shard: u8) -> String {
    format!("OUT#{shard}")
}

/// One find per shard for what was recorded before `before` and not noted as sent, the oldest first.
pub(crate) fn find_unsent(before: Timestamp) -> Vec<Find> {
    let find = |shard| Find {
        index: Some(DUE_INDEX),
        expression: "dpk = :dpk AND dsk < :before",
        filter: None,
        values: vec![
            (":dpk", text(outbox_partition(shard))),
            (":before", text(sortable(before))),
        ],
        newest_first: false,
        consistent: false,
    };
    (0..SHARDS).map(find).collect()
}

/// The event that an entry of the outbox stands for.
pub(crate) fn unsent_event(item: &Item) -> Result<(TenantId, EventId), StoreError> {
    owner(Fields(item))
}

/// Takes an event out of the outbox. What was read of it stays as it was read, so the version stays too.
pub(crate) fn note_sent() -> Change {
    Change {
        expression: "REMOVE dpk, dsk",
        condition: Some("attribute_exists(dpk)"),
        values: Vec::new(),
    }
}

/// Puts `null` in the place of a sealed payload.
pub(crate) fn erase() -> Change {
    let null = Json::of(&()).expect("nothing has a JSON form");
    Change {
        expression: "SET d = :null REMOVE sd",
        condition: Some("attribute_exists(sd)"),
        values: vec![(":null", text(null.as_str()))],
    }
}

/// The version of an item.
pub(crate) fn version(item: &Item) -> Result<Version, StoreError> {
    Fields(item).version()
}
