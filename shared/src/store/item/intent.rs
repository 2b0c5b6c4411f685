//! Intents as items: one each, with its attempts and the signals it has seen.

use super::{
    BODY, Fields, Item, Key, STATE, TTL, VERSION, WRITER, bytes, next, number, pack_json, text,
};
use crate::ids::TenantId;
use crate::recovery::{Intent, IntentKey, State};
use crate::store::{Read, StoreError, Version};

pub(crate) fn intent_key(tenant: &TenantId, key: &IntentKey) -> Key {
    let IntentKey {
        profile_id,
        connector_account_id,
        invoice_id,
    } = key;
    Key::new(
        format!("T#{tenant}#I#{profile_id}#{connector_account_id}#{invoice_id}"),
        "I",
    )
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
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(STATE, text(word(intent.state)));
    set(BODY, pack_json(intent));
    set(VERSION, next(read));
    set(WRITER, bytes(writer));
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

/// For whoever looks at the table; the body says the same.
fn word(state: State) -> &'static str {
    match state {
        State::Open => "open",
        State::Processing => "processing",
        State::Cancelled => "cancelled",
        State::Recovered => "recovered",
    }
}
