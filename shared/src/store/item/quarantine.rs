//! Messages set aside as items: the body deflated, cut into parts that an item can hold, and each part sealed.

use jiff::Timestamp;
use miniz_oxide::deflate::compress_to_vec;
use tracing::error;

use super::{
    BODY, Change, Fields, Find, Item, Key, RESOURCE, TENANT, TIME_PK, TIME_SK, TTL, Vault, bytes,
    inflate, number, sortable, text,
};
use crate::ids::{QuarantineId, TenantId};
use crate::queue::Queue;
use crate::secret::{Context, Sealed, Secret};
use crate::store::{Cause, Quarantined, StoreError};

const QUEUE: &str = "qu";
const CAUSE: &str = "ca";
const COUNT: &str = "ct";
const PARTS: &str = "pn";
const PANICS: &str = "n";

/// The partition of `time` that lists all of them: they are rare.
const LISTED: &str = "Q";
/// So much of a body goes into one item, which leaves room for its other attributes.
const PART_MOST: usize = 380 * 1024;

fn partition(id: &QuarantineId) -> String {
    format!("Q#{id}")
}

pub(crate) fn quarantine_key(id: &QuarantineId) -> Key {
    Key::new(partition(id), "Q")
}

/// A further part of a body, counting from 1.
pub(crate) fn part_key(id: &QuarantineId, part: u32) -> Key {
    Key::new(partition(id), format!("Q#{part:03}"))
}

pub(crate) fn panics_key(id: &QuarantineId) -> Key {
    Key::new(partition(id), "P")
}

pub(crate) fn count_panic(ttl: i64) -> Change {
    Change {
        expression: "ADD n :one SET #ttl = :ttl",
        condition: None,
        values: vec![(":one", number(1)), (":ttl", number(ttl))],
    }
}

/// How many panics were counted so far.
pub(crate) fn panics(item: &Item) -> Result<u32, StoreError> {
    Ok(Fields(item).optional_number(PANICS)?.unwrap_or_default())
}

/// What a part is bound to; not of every message is the tenant known.
fn context<'a>(tenant: Option<&'a TenantId>, name: &'a str) -> Context<'a> {
    Context {
        tenant: tenant.map_or("", TenantId::as_str),
        item: name,
    }
}

/// The items of a message set aside: the first one makes it visible, so it is to be written last.
pub(crate) fn new_quarantined(
    entry: &Quarantined,
    ttl: i64,
    vault: Vault<'_>,
) -> (Item, Vec<Item>) {
    let deflated = compress_to_vec(entry.body.expose().as_bytes(), 6);
    let mut parts = deflated.chunks(PART_MOST);
    let sealed = |key: &Key, part: &[u8]| {
        let mut item = key.item();
        let name = key.name();
        let context = context(entry.tenant.as_ref(), &name);
        item.insert(
            BODY.to_owned(),
            bytes(vault.keyring.seal(part, context, vault.entropy).as_bytes()),
        );
        item.insert(TTL.to_owned(), number(ttl));
        item
    };
    let mut first = sealed(&quarantine_key(&entry.id), parts.next().unwrap_or_default());
    let further: Vec<Item> = (1..)
        .zip(parts)
        .map(|(n, part)| sealed(&part_key(&entry.id, n), part))
        .collect();
    let mut set = |name: &str, value| first.insert(name.to_owned(), value);
    set(TIME_PK, text(LISTED));
    set(
        TIME_SK,
        text(format!("{}#{}", sortable(entry.at), entry.id)),
    );
    set(QUEUE, text(entry.queue.as_str()));
    set(CAUSE, text(entry.cause.as_str()));
    set(COUNT, number(entry.count));
    set(
        PARTS,
        number(u32::try_from(further.len()).unwrap_or(u32::MAX)),
    );
    if let Some(tenant) = &entry.tenant {
        set(TENANT, text(tenant.as_str()));
        set(RESOURCE, text(tenant.as_str()));
    }
    (first, further)
}

/// How many further parts the first item says there are.
pub(crate) fn parts(first: &Item) -> Result<u32, StoreError> {
    Fields(first).number(PARTS)
}

/// The body of a message set aside, from its items in their order.
fn body(
    first: &Item,
    further: &[Item],
    tenant: Option<&TenantId>,
    vault: Vault<'_>,
) -> Result<String, StoreError> {
    let mut deflated = Vec::new();
    for part in std::iter::once(first).chain(further) {
        let part = Fields(part);
        let name = part.key()?.name();
        let sealed = Sealed::from_bytes(part.bytes(BODY)?.to_vec());
        let plain = vault
            .keyring
            .open(&sealed, context(tenant, &name))
            .map_err(|error| part.corrupt(BODY, &error.to_string()))?;
        deflated.extend_from_slice(&plain);
    }
    inflate(&deflated).ok_or_else(|| Fields(first).corrupt(BODY, "does not inflate"))
}

/// A message set aside, from its first item and the further parts in their order.
pub(crate) fn quarantined(
    first: &Item,
    further: &[Item],
    vault: Vault<'_>,
) -> Result<Quarantined, StoreError> {
    let fields = Fields(first);
    let tenant = match fields.optional_text(TENANT)? {
        Some(_) => Some(fields.parsed(TENANT)?),
        None => None,
    };
    // One that can't be opened must not keep the others from being listed.
    let opened = body(first, further, tenant.as_ref(), vault).inspect_err(|problem| {
        error!(error = %problem, "a message that was set aside can't be opened");
    });
    let (at, _) = fields.sorted_by(TIME_SK)?;
    Ok(Quarantined {
        id: listed_id(first)?,
        queue: Queue::parse(fields.text(QUEUE)?)
            .ok_or_else(|| fields.corrupt(QUEUE, "has an unknown form"))?,
        cause: serde_json::from_value::<Cause>(fields.text(CAUSE)?.into())
            .map_err(|_| fields.corrupt(CAUSE, "has an unknown form"))?,
        tenant,
        at,
        count: fields.number(COUNT)?,
        locked: opened.is_err(),
        body: Secret::new(opened.unwrap_or_default()),
    })
}

/// The message that an entry of the list stands for.
pub(crate) fn listed_id(item: &Item) -> Result<QuarantineId, StoreError> {
    let fields = Fields(item);
    let (_, id) = fields.sorted_by(TIME_SK)?;
    QuarantineId::parse(id).map_err(|_| fields.corrupt(TIME_SK, "has an unknown form"))
}

/// Where a page ended, as a text that needs no escaping in a URL: ids hold no `.`.
pub(crate) fn page_end(item: &Item) -> Result<String, StoreError> {
    Ok(Fields(item).text(TIME_SK)?.replace('#', "."))
}

/// What was set aside before `after` (a [`page_end`]), newest first; `None` if nothing can lie before it. The entry
/// at `after` itself is found as well.
pub(crate) fn find_quarantined(tenant: Option<&TenantId>, after: Option<&str>) -> Option<Find> {
    let since = sortable(Timestamp::UNIX_EPOCH);
    let until = after.map_or_else(|| "~".to_owned(), |after| after.replace('.', "#"));
    if since > until {
        return None;
    }
    let find = Find::backwards(LISTED, &since, &until);
    Some(match tenant {
        Some(tenant) => find.only(RESOURCE, ":rs", tenant.as_str()),
        None => find,
    })
}
