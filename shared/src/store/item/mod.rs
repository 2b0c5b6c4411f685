//! What is kept in the table and under which keys. Nothing else knows a key's shape or an attribute's name.
//!
//! | what | `pk` | `sk` | index `time`: `tpk`, `tsk` | index `due`: `dpk`, `dsk` |
//! |---|---|---|---|---|
//! | event | `T#<tenant>#E#<event>` | `E` | `T#<tenant>#<shard of 8>`, `<recorded>#<event>` | for a wallet client, until it is sent: `OUT#<shard of 16>`, `<recorded>#<event>` |
//! | delivery, once tried | `T#<tenant>#E#<event>` | `D#<endpoint>#<round>` | parked, given up, expired, skipped or set aside: `F#<tenant>#<endpoint>`, held: `H#<tenant>#<endpoint>#<shard of 4>`; `<first try, or when held or set aside>#<event>#<round>` | parked: `DUE#<shard of 16>`, `<due>#<event>`; held: `HELD#<shard of 8>`, `<until>#<event>` |
//! | breaker of an endpoint or wallet client | `T#<tenant>` | `BR#<endpoint>` | | while it is to be probed, or lets go what it held: `BRK`, `<when>#<tenant>#<endpoint>` |
//! | intent | `T#<tenant>#I#<profile>#<account>#<invoice>` | `I` | `T#<tenant>#I#<shard of 8>`, `<opened>#<profile>#<account>#<invoice>` | while time moves its retries on: `IDUE#<shard of 16>`, `<due>` |
//! | ledger of a token | `T#<tenant>#L#<sha256>` | `L` | | |
//! | transaction of an anchor | `T#<tenant>#A#<transaction>` | `A` | | |
//! | what was last said of a customer | `T#<tenant>#C#<sha256 of the line>` | `S` | | |
//! | how far a line is settled | `T#<tenant>#C#<sha256 of the line>` | `C` | | |
//! | callback URL that a wallet put | `T#<tenant>#R#<client>#<customer>` | `R` | | |
//! | what a platform told of a thin notification | `T#<tenant>#S#<profile>#<account>#<notification>` | `S` | | |
//! | tenant | `TENANTS` | `<tenant>` | | |
//! | endpoint | `T#<tenant>` | `EP#<endpoint>` | | |
//! | wallet client | `T#<tenant>` | `CL#<client>` | | |
//! | how an anchor works with us | `T#<tenant>` | `AN` | | |
//! | what its callbacks are signed with | `T#<tenant>` | `SK` | | |
//! | API key | `T#<tenant>` | `KEY#<key id>` | | |
//! | what the key's hash opens | `K#<sha256>` | `K` | | |
//! | pointer to a billing account | `T#<tenant>` | `BA#<profile>#<account>` | | |
//! | billing account | `BA#<profile>#<account>` | `BA` | | |
//! | Rafiki publisher | `T#<tenant>` | `PUB#rafiki` | | |
//! | message set aside | `Q#<id>` | `Q` | `Q`, `<set aside>#<id>` | |
//! | more of its body | `Q#<id>` | `Q#<part from 001>` | | |
//! | its panics | `Q#<id>` | `P` | | |
//!
//! Ids of ours hold no `#`; other people's ids of invoices, notifications and customers may, and come last. Times in keys are milliseconds since 1970 in
//! 15 digits, a round has 10, so that text order is their order.
//!
//! | attribute | what |
//! |---|---|
//! | `d` | the body as JSON: text, or bytes where deflating made it smaller; of a message set aside: sealed bytes |
//! | `sd` | in the place of `d` where the body is personal data: sealed bytes, deflated where that makes them smaller |
//! | `v` | the version, one more with every write; `w`: what the last writer drew, to know its own write again |
//! | `ttl` | when it expires, in seconds; intents and transactions that are open, lines, configuration and breakers that are not closed have none, but a deleted tenant has |
//! | `ty` `rs` `st` | type, resource and state: what the index `time` carries; of a message set aside, `rs` is the tenant |
//! | `ha` `so` `rc` `cf` | of an event: when it happened (ns), its source, its recipients, conflicting payloads |
//! | `cr` | when it was made (ns) |
//! | `ss` `ak` | sealed secrets, each with `s` (sealed) and `u` (until, ns; of the next signing key: from); the sealed API key |
//! | `sb` `sr` `sw` | of an anchor: the sealed secrets of its business server, of its RPC door and of its wallets' tokens |
//! | `to` | of a transaction, and of what was last said of a customer: how much of the line was told |
//! | `lw` | of those two, and of how far a line is settled: when it was last written (s) |
//! | `cc` | of a callback URL: when the client that put it was made (ns) |
//! | `tn` `id` `kh` `nm` | tenant, key id, a key's hash, a display name or label |
//! | `fr` | of a deleted tenant, and all it has left: from when on its name is free (ns) |
//! | `tl` | of a publisher: how old its signatures may be (s) |
//! | `qu` `ca` `ct` `pn` `n` | of a message set aside: queue, cause, receipts, number of further parts; panics |
//!
//! Of a deleted tenant, what is open of an anchor's may be left when its name is free again. So `lw` is compared with when the
//! tenant was made, which is read along with it by one request: what was written more than a day before that is not there,
//! and is written over. What wallets put, and what is configured, is known by the client's `cr`, or was removed with the
//! tenant. A check in each write would have all changes of a tenant collide over one item.
//!
//! Names are short because a write is billed by the kilobyte, names included.

mod breaker;
mod client;
mod config;
mod delivery;
mod enriched;
mod event;
mod intent;
mod line;
mod quarantine;
mod sealed;

pub(crate) use breaker::*;
pub(crate) use client::*;
pub(crate) use config::*;
pub(crate) use delivery::*;
pub(crate) use enriched::*;
pub(crate) use event::*;
pub(crate) use intent::*;
pub(crate) use line::*;
pub(crate) use quarantine::*;
use sealed::SEALED_BODY;

use std::collections::HashMap;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{StoreError, Version};

/// An item as the SDK has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The attributes of the keys and of the projection of `time`.
pub(crate) const PK: &str = "pk";
pub(crate) const SK: &str = "sk";
pub(crate) const TIME_PK: &str = "tpk";
pub(crate) const TIME_SK: &str = "tsk";
pub(crate) const DUE_PK: &str = "dpk";
pub(crate) const DUE_SK: &str = "dsk";
pub(crate) const TTL: &str = "ttl";
pub(crate) const TYPE: &str = "ty";
pub(crate) const RESOURCE: &str = "rs";
pub(crate) const STATE: &str = "st";
/// The indexes.
pub(crate) const TIME_INDEX: &str = "time";
pub(crate) const DUE_INDEX: &str = "due";

const BODY: &str = "d";
const VERSION: &str = "v";
const WRITER: &str = "w";
const CREATED: &str = "cr";
const TENANT: &str = "tn";

/// The longest item DynamoDB takes, in bytes, names included.
const ITEM_MOST: usize = 400 * 1024;
/// A shorter body fits, with its keys, the kilobyte that is billed anyway; deflating it would take more CPU time than all
/// the rest of what is done with it.
const DEFLATE_FROM: usize = 800;
/// What a body may inflate to: more than any message that a queue takes.
const INFLATED_MOST: usize = 8 * 1024 * 1024;

/// Where an item is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pk: String,
    sk: String,
}

impl Key {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self {
            pk: pk.into(),
            sk: sk.into(),
        }
    }

    /// The key as attributes.
    pub(crate) fn item(&self) -> Item {
        Item::from([
            (PK.to_owned(), text(&self.pk)),
            (SK.to_owned(), text(&self.sk)),
        ])
    }

    /// The key as one text, for errors and as what sealed secrets are bound to.
    pub(crate) fn name(&self) -> String {
        format!("{}|{}", self.pk, self.sk)
    }

    pub(crate) fn too_large(&self) -> StoreError {
        StoreError::TooLarge { item: self.name() }
    }
}

/// The key of an item, if it has one.
pub(crate) fn key_of(item: &Item) -> Option<Key> {
    Fields(item).key().ok()
}

/// Something that must hold for a write to be made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    pub(crate) expression: &'static str,
    pub(crate) values: Vec<(&'static str, AttributeValue)>,
}

const ABSENT: &str = "attribute_not_exists(pk)";

/// The item is not there.
pub(crate) fn absent() -> Condition {
    Condition {
        expression: ABSENT,
        values: Vec::new(),
    }
}

/// The item is as it was read; `None`: it was not there.
pub(crate) fn unchanged(read: Option<Version>) -> Condition {
    match read {
        None => absent(),
        // Configuration was kept without a version once.
        Some(Version(0)) => Condition {
            expression: "attribute_exists(pk) AND attribute_not_exists(v)",
            values: Vec::new(),
        },
        Some(version) => Condition {
            expression: "v = :read",
            values: vec![(":read", number(version.0))],
        },
    }
}

impl Condition {
    /// Whether it says that the item is not there.
    pub(crate) fn is_absent(&self) -> bool {
        self.expression == ABSENT
    }
}

/// A change of some attributes of an item.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) expression: &'static str,
    pub(crate) condition: Option<&'static str>,
    pub(crate) values: Vec<(&'static str, AttributeValue)>,
}

/// Names that can't be written into an expression, because they are words of its language.
pub(crate) fn aliases(expressions: &[Option<&str>]) -> Option<HashMap<String, String>> {
    let used = expressions
        .iter()
        .flatten()
        .any(|expression| expression.contains("#ttl"));
    used.then(|| HashMap::from([("#ttl".to_owned(), TTL.to_owned())]))
}

/// Which items to read, in the order of their sort keys.
#[derive(Debug, Clone)]
pub(crate) struct Find {
    pub(crate) index: Option<&'static str>,
    pub(crate) expression: &'static str,
    pub(crate) filter: Option<String>,
    pub(crate) values: Vec<(&'static str, AttributeValue)>,
    pub(crate) newest_first: bool,
    pub(crate) consistent: bool,
}

impl Find {
    /// The items of one partition of the table whose sort key begins with `prefix`.
    fn beginning(pk: &str, prefix: &str, consistent: bool) -> Self {
        Self {
            index: None,
            expression: "pk = :pk AND begins_with(sk, :prefix)",
            filter: None,
            values: vec![(":pk", text(pk)), (":prefix", text(prefix))],
            newest_first: false,
            consistent,
        }
    }

    /// The entries of one partition of `time` before `until`, from `since` on, newest first. An entry that is exactly
    /// at `until` is found as well.
    fn backwards(tpk: &str, since: &str, until: &str) -> Self {
        Self {
            index: Some(TIME_INDEX),
            expression: "tpk = :tpk AND tsk BETWEEN :since AND :until",
            filter: None,
            values: vec![
                (":tpk", text(tpk)),
                (":since", text(since)),
                (":until", text(until)),
            ],
            newest_first: true,
            consistent: false,
        }
    }

    /// The entries of one partition of `time` from `since` on, before `until`, oldest first.
    fn forwards(tpk: &str, since: &str, until: &str) -> Self {
        Self {
            newest_first: false,
            ..Self::backwards(tpk, since, until)
        }
    }

    /// The entries of one partition of `due` whose time has come at `now`, the longest due first.
    fn due(dpk: &str, now: Timestamp) -> Self {
        Self {
            index: Some(DUE_INDEX),
            expression: "dpk = :dpk AND dsk < :end",
            filter: None,
            // What follows the time in a key begins with `#`, and `$` is the next character.
            values: vec![
                (":dpk", text(dpk)),
                (":end", text(format!("{}$", sortable(now)))),
            ],
            newest_first: false,
            consistent: false,
        }
    }

    fn only(mut self, name: &'static str, placeholder: &'static str, value: &str) -> Self {
        let filter = self.filter.get_or_insert_default();
        if !filter.is_empty() {
            filter.push_str(" AND ");
        }
        filter.push_str(&format!("{name} = {placeholder}"));
        self.values.push((placeholder, text(value)));
        self
    }
}

/// The size that DynamoDB counts: names and values.
pub(crate) fn size(item: &Item) -> usize {
    fn of(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::B(bytes) => bytes.as_ref().len(),
            AttributeValue::N(digits) => digits.len().div_ceil(2) + 2,
            AttributeValue::L(values) => {
                3 + values.iter().map(|value| 1 + of(value)).sum::<usize>()
            }
            AttributeValue::M(fields) => 3 + size(fields) + fields.len(),
            _ => 1,
        }
    }
    item.iter()
        .map(|(name, value)| name.len() + of(value))
        .sum()
}

/// Whether the table takes the item.
pub(crate) fn fits(item: &Item) -> bool {
    size(item) <= ITEM_MOST
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

fn bytes(value: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

fn nanoseconds(at: Timestamp) -> AttributeValue {
    number(at.as_nanosecond())
}

/// A time in a sort key, rounded down; times before 1970 count as 1970.
fn sortable(at: Timestamp) -> String {
    format!("{:015}", at.as_millisecond().max(0))
}

/// A time in a sort key, rounded up: so that nothing is found before its time.
fn sortable_up(at: Timestamp) -> String {
    let fraction = i64::from(at.subsec_nanosecond() % 1_000_000 > 0);
    format!(
        "{:015}",
        at.as_millisecond().saturating_add(fraction).max(0)
    )
}

/// One of so many shards, by the name of what is put there.
fn shard(name: &str, shards: u8) -> u8 {
    digest(&SHA256, name.as_bytes())
        .as_ref()
        .first()
        .map_or(0, |byte| byte % shards)
}

/// A body as small as it gets.
fn pack(body: String) -> AttributeValue {
    match deflate(&body) {
        Some(deflated) => bytes(deflated),
        None => text(body),
    }
}

/// A body deflated, if that makes it smaller.
fn deflate(body: &str) -> Option<Vec<u8>> {
    if body.len() < DEFLATE_FROM {
        return None;
    }
    let deflated = compress_to_vec(body.as_bytes(), 6);
    (deflated.len() < body.len()).then_some(deflated)
}

fn pack_json<T: Serialize>(value: &T) -> AttributeValue {
    pack(json(value))
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .expect("records of ours are made of texts, numbers, times and maps keyed by texts")
}

fn inflate(deflated: &[u8]) -> Option<String> {
    decompress_to_vec_with_limit(deflated, INFLATED_MOST)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
}

/// An item being read: every attribute that is missing or of the wrong form is an error that names it.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a Item);

impl<'a> Fields<'a> {
    fn key(self) -> Result<Key, StoreError> {
        Ok(Key::new(self.text(PK)?, self.text(SK)?))
    }

    fn corrupt(self, name: &str, problem: &str) -> StoreError {
        let part = |name: &str| {
            self.0
                .get(name)
                .and_then(|value| value.as_s().ok())
                .map_or("?", String::as_str)
        };
        StoreError::Corrupt {
            item: format!("{}|{}", part(PK), part(SK)),
            problem: format!("attribute `{name}` {problem}"),
        }
    }

    fn optional_text(self, name: &str) -> Result<Option<&'a str>, StoreError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(self.corrupt(name, "is no text")),
        }
    }

    fn text(self, name: &str) -> Result<&'a str, StoreError> {
        self.optional_text(name)?
            .ok_or_else(|| self.corrupt(name, "is missing"))
    }

    fn optional_number<T: FromStr>(self, name: &str) -> Result<Option<T>, StoreError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => digits
                .parse()
                .map(Some)
                .map_err(|_| self.corrupt(name, "is out of range")),
            Some(_) => Err(self.corrupt(name, "is no number")),
        }
    }

    fn number<T: FromStr>(self, name: &str) -> Result<T, StoreError> {
        self.optional_number(name)?
            .ok_or_else(|| self.corrupt(name, "is missing"))
    }

    fn optional_time(self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        match self.optional_number(name)? {
            None => Ok(None),
            Some(at) => Timestamp::from_nanosecond(at)
                .map(Some)
                .map_err(|_| self.corrupt(name, "is out of range")),
        }
    }

    fn time(self, name: &str) -> Result<Timestamp, StoreError> {
        self.optional_time(name)?
            .ok_or_else(|| self.corrupt(name, "is missing"))
    }

    fn bytes(self, name: &str) -> Result<&'a [u8], StoreError> {
        match self.0.get(name) {
            Some(AttributeValue::B(bytes)) => Ok(bytes.as_ref()),
            Some(_) => Err(self.corrupt(name, "is no binary")),
            None => Err(self.corrupt(name, "is missing")),
        }
    }

    /// A text of ours in its type; the parser's own message is kept back, since it may quote the text.
    fn parsed<T: TryFrom<String>>(self, name: &str) -> Result<T, StoreError> {
        T::try_from(self.text(name)?.to_owned())
            .map_err(|_| self.corrupt(name, "has an unknown form"))
    }

    fn version(self) -> Result<Version, StoreError> {
        self.number(VERSION).map(Version)
    }

    /// What [`pack`] made.
    fn packed(self, name: &str) -> Result<String, StoreError> {
        match self.0.get(name) {
            Some(AttributeValue::S(text)) => Ok(text.clone()),
            Some(AttributeValue::B(deflated)) => {
                inflate(deflated.as_ref()).ok_or_else(|| self.corrupt(name, "does not inflate"))
            }
            Some(_) => Err(self.corrupt(name, "is neither text nor binary")),
            None => Err(self.corrupt(name, "is missing")),
        }
    }

    fn json<T: DeserializeOwned>(self, name: &str) -> Result<T, StoreError> {
        self.parse_json(name, &self.packed(name)?)
    }

    /// The JSON `text` that was in an attribute.
    fn parse_json<T: DeserializeOwned>(self, name: &str, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| {
            self.corrupt(
                name,
                &format!(
                    "is not as expected at line {}, column {}",
                    error.line(),
                    error.column()
                ),
            )
        })
    }

    /// The time that begins a sort key, and what follows it.
    fn sorted_by(self, name: &str) -> Result<(Timestamp, &'a str), StoreError> {
        let unknown = || self.corrupt(name, "has an unknown form");
        let (at, rest) = self.text(name)?.split_once('#').ok_or_else(unknown)?;
        let at = at
            .parse()
            .ok()
            .and_then(|at| Timestamp::from_millisecond(at).ok())
            .ok_or_else(unknown)?;
        Ok((at, rest))
    }
}

/// Whether `found` is what `written` had put there: the version and the writer's draw are the same.
pub(crate) fn same_write(written: &Item, found: &Item) -> bool {
    [VERSION, WRITER]
        .iter()
        .all(|name| written.contains_key(*name) && written.get(*name) == found.get(*name))
}

/// The next version of what was read.
fn next(read: Option<Version>) -> AttributeValue {
    number(read.map_or(1, |version| version.0.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_and_a_long_one_is_deflated() {
        let noise: String = (0..600_u32)
            .map(|n| char::from_u32(0x4e00 + n * 31 % 20_000).unwrap_or('x'))
            .collect();
        let cases = [
            ("short", "[1,2]".to_owned(), false),
            ("long", "[1,2],".repeat(134), true),
            ("just not", "[1,2],".repeat(133), false),
            ("noise", noise, false),
        ];
        for (name, body, deflated) in cases {
            let packed = pack(body.clone());
            if name != "noise" {
                assert_eq!(packed.is_b(), deflated, "{name}");
            }
            let item = Item::from([(BODY.to_owned(), packed)]);
            assert_eq!(Fields(&item).packed(BODY).ok(), Some(body), "{name}");
        }
    }

    #[test]
    fn times_in_keys_sort_as_times_and_round_as_asked() {
        let at = |ns: i128| Timestamp::from_nanosecond(ns).expect("a time in range");
        assert_eq!(sortable(at(1_999_999)), "000000000000001");
        assert_eq!(sortable_up(at(1_999_999)), "000000000000002");
        assert_eq!(sortable_up(at(2_000_000)), "000000000000002");
        assert_eq!(sortable(at(-5_000_000)), "000000000000000");
        assert!(sortable(Timestamp::MAX) > sortable(at(1_767_225_600_000_000_000)));
        assert_eq!(sortable(Timestamp::MAX).len(), 15);
    }

    #[test]
    fn what_is_wrong_with_an_item_is_said_without_quoting_it() {
        let item = Item::from([
            (PK.to_owned(), text("T#acme")),
            (SK.to_owned(), text("EP#shop")),
            (BODY.to_owned(), text("{\"secret\":\"hush\"}")),
        ]);
        let got = Fields(&item)
            .json::<Vec<u8>>(BODY)
            .map_err(|error| error.to_string());
        let want = "the item T#acme|EP#shop can't be read: attribute `d` is not as expected at line 1, column 0";
        assert_eq!(got, Err(want.to_owned()));
        let got = Fields(&item)
            .time(CREATED)
            .map_err(|error| error.to_string());
        assert_eq!(
            got,
            Err("the item T#acme|EP#shop can't be read: attribute `cr` is missing".to_owned())
        );
    }
}
