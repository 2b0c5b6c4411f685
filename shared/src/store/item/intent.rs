//! Intents as items: one each, with its attempts and the signals it has seen; and the ledgers of their tokens.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use jiff::Timestamp;

use super::{
    BODY, DUE_PK, DUE_SK, Fields, Find, Item, Key, PK, STATE, TIME_PK, TIME_SK, TTL, VERSION,
    WRITER, bytes, next, number, pack_json, shard, sortable, sortable_up, text,
};
use crate::ids::{ConnectorAccountId, InvoiceId, ProfileId, TenantId};
use crate::recovery::{Intent, IntentKey, State, TokenLedger};
use crate::store::{IntentQuery, IntentSummary, LedgerStep, Read, StoreError, Version};

/// A tenant's intents are listed from so many partitions of `time`, since one takes 1000 writes a second.
const SHARDS: u8 = 8;
/// And those that are due lie in so many of `due`.
const DUE_SHARDS: u8 = 16;
/// Later than every time in a key.
const END: &str = "~";

pub(crate) fn intent_key(tenant: &TenantId, key: &IntentKey) -> Key {
    Key::new(format!("T#{tenant}#I#{}", name(key)), "I")
}

/// The invoice id comes last, since it may hold what separates the others.
fn name(key: &IntentKey) -> String {
    let IntentKey {
        profile_id,
        connector_account_id,
        invoice_id,
    } = key;
    format!("{profile_id}#{connector_account_id}#{invoice_id}")
}

fn time_partition(tenant: &TenantId, shard: u8) -> String {
    format!("T#{tenant}#I#{shard}")
}

fn due_partition(shard: u8) -> String {
    format!("IDUE#{shard}")
}

/// An intent, written by somebody who drew `writer`, over what was `read`, kept until `ttl` (seconds) if ever.
pub(crate) fn new_intent(
    tenant: &TenantId,
    intent: &Intent,
    read: Option<Version>,
    writer: [u8; 8],
    ttl: Option<i64>,
) -> Item {
    let mut item = intent_key(tenant, &intent.key).item();
    let name = name(&intent.key);
    let mut set = |attribute: &str, value| item.insert(attribute.to_owned(), value);
    set(STATE, text(word(intent.state)));
    set(BODY, pack_json(intent));
    set(VERSION, next(read));
    set(WRITER, bytes(writer));
    // The same at every write, so that the entry is written once, and again when the state changes.
    set(TIME_PK, text(time_partition(tenant, shard(&name, SHARDS))));
    let place = format!("{}#{name}", sortable(intent.opened_at));
    set(TIME_SK, text(place));
    if let Some(due) = intent.retry.due_at() {
        set(DUE_PK, text(due_partition(shard(&name, DUE_SHARDS))));
        set(DUE_SK, text(sortable_up(due)));
    }
    if let Some(ttl) = ttl {
        set(TTL, number(ttl));
    }
    item
}

pub(crate) fn intent(item: &Item) -> Result<Read<Intent>, StoreError> {
    let fields = Fields(item);
    Ok(Read {
        value: fields.json(BODY)?,
        version: fields.version()?,
    })
}

/// The intent that an entry of an index stands for.
pub(crate) fn intent_named(item: &Item) -> Result<(TenantId, IntentKey), StoreError> {
    let fields = Fields(item);
    let parse = || {
        let (tenant, name) = fields
            .text(PK)
            .ok()?
            .strip_prefix("T#")?
            .split_once("#I#")?;
        let (profile, rest) = name.split_once('#')?;
        let (account, invoice) = rest.split_once('#')?;
        let key = IntentKey {
            profile_id: ProfileId::parse(profile).ok()?,
            connector_account_id: ConnectorAccountId::parse(account).ok()?,
            invoice_id: InvoiceId::parse(invoice).ok()?,
        };
        Some((TenantId::parse(tenant).ok()?, key))
    };
    parse().ok_or_else(|| fields.corrupt(PK, "has an unknown form"))
}

/// An entry of `time` as what a list shows.
pub(crate) fn intent_summary(item: &Item) -> Result<IntentSummary, StoreError> {
    let fields = Fields(item);
    let (_, key) = intent_named(item)?;
    let (opened_at, _) = fields.sorted_by(TIME_SK)?;
    let state = fields.text(STATE)?;
    let state = STATES.into_iter().find(|known| word(*known) == state);
    Ok(IntentSummary {
        key,
        state: state.ok_or_else(|| fields.corrupt(STATE, "has an unknown form"))?,
        opened_at,
    })
}

/// The place of an entry of `time`, given its keys.
pub(crate) fn intent_place(item: &Item) -> Result<String, StoreError> {
    Fields(item).text(TIME_SK).map(str::to_owned)
}

/// One find per shard for a list of intents opened since; none if nothing can lie between the bounds. An entry that is exactly at
/// the query's cursor is found as well.
pub(crate) fn find_intents(
    tenant: &TenantId,
    query: &IntentQuery,
    since: Option<Timestamp>,
) -> Vec<Find> {
    let since = sortable_up(since.unwrap_or(Timestamp::UNIX_EPOCH));
    let until = query.cursor.as_deref().unwrap_or(END);
    if since.as_str() > until {
        return Vec::new();
    }
    let find = |shard| {
        let find = Find::backwards(&time_partition(tenant, shard), &since, until);
        match query.state {
            Some(state) => find.only(STATE, ":st", word(state)),
            None => find,
        }
    };
    (0..SHARDS).map(find).collect()
}

/// One find per shard for the intents that are due at `now`, the longest due first.
pub(crate) fn find_due_intents(now: Timestamp) -> Vec<Find> {
    (0..DUE_SHARDS)
        .map(|shard| Find::due(&due_partition(shard), now))
        .collect()
}

pub(crate) fn ledger_key(tenant: &TenantId, token: &str) -> Key {
    let hash = HEXLOWER.encode(digest(&SHA256, token.as_bytes()).as_ref());
    Key::new(format!("T#{tenant}#L#{hash}"), "L")
}

/// A ledger, over what was read, kept until `ttl` (seconds).
pub(crate) fn new_ledger(tenant: &TenantId, step: &LedgerStep<'_>, ttl: i64) -> Item {
    let mut item = ledger_key(tenant, step.token).item();
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(BODY, pack_json(step.ledger));
    set(VERSION, next(step.read));
    set(TTL, number(ttl));
    item
}

pub(crate) fn ledger(item: &Item) -> Result<Read<TokenLedger>, StoreError> {
    let fields = Fields(item);
    Ok(Read {
        value: fields.json(BODY)?,
        version: fields.version()?,
    })
}

const STATES: [State; 4] = [
    State::Open,
    State::Processing,
    State::Cancelled,
    State::Recovered,
];

/// What a list shows and is filtered by; the body says the same.
fn word(state: State) -> &'static str {
    match state {
        State::Open => "open",
        State::Processing => "processing",
        State::Cancelled => "cancelled",
        State::Recovered => "recovered",
    }
}
