//! Webhooks of Recurly: thin ones, with what the platform's API then tells of them. Both are the fixtures that the tests
//! read, made new with fresh ids and the present time.

use anyhow::{Context, anyhow};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde_json::Value;
use shared::entropy::Entropy;

use super::{Signing, Webhook};
use crate::platform_api::Kind;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            "../../../../tests/fixtures/recurly/",
            $name,
            ".json"
        ))
    };
}

/// What can be sent, by name: the notification, its transaction and its invoice.
const FIXTURES: [(&str, [&str; 3]); 3] = [
    (
        "failed",
        [
            fixture!("payment.failed"),
            fixture!("api/transaction.declined"),
            fixture!("api/invoice.past_due"),
        ],
    ),
    (
        "succeeded",
        [
            fixture!("payment.succeeded"),
            fixture!("api/transaction.success"),
            fixture!("api/invoice.paid"),
        ],
    ),
    (
        "processing",
        [
            fixture!("payment.processing"),
            fixture!("api/transaction.processing"),
            fixture!("api/invoice.processing"),
        ],
    ),
];

/// The names of what can be sent.
#[must_use]
pub fn fixture_names() -> [&'static str; 3] {
    FIXTURES.map(|(name, _)| name)
}

/// The fixture with ids of its own, about `invoice` or a new one, and happening `now`.
///
/// # Errors
/// If there is none of this name.
pub fn fresh(
    fixture: &str,
    invoice: Option<&str>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> anyhow::Result<Webhook> {
    let found = FIXTURES.iter().find(|(name, _)| *name == fixture);
    let (_, texts) = found.ok_or_else(|| anyhow!("there is no fixture `{fixture}`"))?;
    let [mut notification, mut transaction, mut bill] = [Value::Null, Value::Null, Value::Null];
    for (place, text) in [&mut notification, &mut transaction, &mut bill]
        .into_iter()
        .zip(texts)
    {
        *place = serde_json::from_str(text)?;
    }
    let id = || HEXLOWER.encode(&entropy.bytes::<6>());
    let (event, uuid) = (id(), HEXLOWER.encode(&entropy.bytes::<16>()));
    let invoice = invoice.map_or_else(|| format!("inv_{}", id()), ToOwned::to_owned);
    let (charged, at) = (format!("tx{}", id()), format!("{now:.0}"));
    set(&mut notification, "/id", &event);
    set(&mut notification, "/uuid", &uuid);
    set(&mut notification, "/event_time", &at);
    set(&mut transaction, "/id", &charged);
    set(&mut transaction, "/uuid", &uuid);
    set(&mut transaction, "/invoice/id", &invoice);
    set(&mut transaction, "/created_at", &at);
    set(
        &mut transaction,
        "/gateway_reference",
        &format!("ch_{}", id()),
    );
    set(&mut bill, "/id", &invoice);
    set(&mut bill, "/transactions/0/id", &charged);
    let body = serde_json::to_vec(&notification).context("a fixture has a JSON form")?;
    Ok(Webhook {
        signing: Signing::Recurly,
        event,
        invoice: Some(invoice),
        behind: vec![
            (Kind::RecurlyTransaction, transaction),
            (Kind::RecurlyInvoice, bill),
        ],
        body: Bytes::from(body),
    })
}

/// Sets what is there already.
fn set(value: &mut Value, pointer: &str, new: &str) {
    if let Some(place) = value.pointer_mut(pointer).filter(|place| !place.is_null()) {
        *place = new.into();
    }
}
