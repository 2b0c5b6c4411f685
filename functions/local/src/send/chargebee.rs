//! Webhooks of Chargebee: the fixtures that the tests read, made new with fresh ids and the present time.

use anyhow::{Context, anyhow};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde_json::Value;
use shared::entropy::Entropy;

use super::{Signing, Webhook};

macro_rules! fixtures {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../../tests/fixtures/chargebee/", $name, ".json")))),+]
    };
}

/// What can be sent, by name.
const FIXTURES: [(&str, &str); 5] = fixtures![
    "payment_failed",
    "payment_failed.exhausted",
    "payment_failed.late_failure",
    "payment_succeeded",
    "invoice_deleted",
];

/// A fixture's next try of the platform is so many seconds away.
const NEXT_RETRY_S: i64 = 24 * 3600;

/// The names of what can be sent.
#[must_use]
pub fn fixture_names() -> [&'static str; 5] {
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
    let (_, text) = found.ok_or_else(|| anyhow!("there is no fixture `{fixture}`"))?;
    let mut value: Value = serde_json::from_str(text)?;
    let id = |prefix: &str| format!("{prefix}_{}", HEXLOWER.encode(&entropy.bytes::<8>()));
    let (event, transaction) = (id("ev"), id("txn"));
    let invoice = invoice.map_or_else(|| id("INV"), ToOwned::to_owned);
    let mut set = |pointer: &str, new: Value| {
        if let Some(place) = value.pointer_mut(pointer).filter(|place| !place.is_null()) {
            *place = new;
        }
    };
    set("/id", event.clone().into());
    set("/occurred_at", now.as_second().into());
    set("/content/invoice/id", invoice.clone().into());
    set(
        "/content/invoice/next_retry_at",
        (now.as_second() + NEXT_RETRY_S).into(),
    );
    set("/content/transaction/id", transaction.clone().into());
    set("/content/transaction/id_at_gateway", id("ch").into());
    set("/content/transaction/date", now.as_second().into());
    set(
        "/content/invoice/linked_payments/0/txn_id",
        transaction.into(),
    );
    for object in ["transaction", "invoice"] {
        set(
            &format!("/content/{object}/resource_version"),
            now.as_millisecond().into(),
        );
    }
    let body = serde_json::to_vec(&value).context("a fixture has a JSON form")?;
    Ok(Webhook {
        signing: Signing::Basic,
        event,
        invoice: Some(invoice),
        behind: Vec::new(),
        body: Bytes::from(body),
    })
}

#[cfg(test)]
mod tests {
    use shared::entropy::SeededEntropy;
    use shared::secret::Secret;

    use super::*;

    #[test]
    fn every_fixture_is_made_new_and_comes_with_the_pair() {
        let (now, entropy) = (
            Timestamp::from_second(1_800_000_000).expect("a time in range"),
            SeededEntropy::new(1),
        );
        for (name, text) in FIXTURES {
            let webhook = fresh(name, Some("INV-7"), now, &entropy).expect("a fixture");
            let fixture: Value = serde_json::from_str(text).expect("JSON");
            let sent: Value = serde_json::from_slice(&webhook.body).expect("JSON");
            let of = |pointer| sent.pointer(pointer).cloned().unwrap_or_default();
            assert_eq!(of("/content/invoice/id"), "INV-7", "{name}");
            assert_eq!(of("/occurred_at"), now.as_second(), "{name}");
            assert_eq!(sent.get("event_type"), fixture.get("event_type"), "{name}");
            for pointer in ["/id", "/content/transaction/id_at_gateway"] {
                let was = fixture.pointer(pointer);
                assert!(
                    was.is_none() || was != sent.pointer(pointer),
                    "{name}: {pointer} is as it was"
                );
            }
            let headers = webhook.headers(&Secret::new("hook_user:hook_pass"), now);
            let headers = headers.expect("there is a pair");
            // The published vector of HTTP Basic for this pair.
            let sent = headers.get("authorization").map(|value| value.as_bytes());
            assert_eq!(
                sent,
                Some(b"Basic aG9va191c2VyOmhvb2tfcGFzcw==".as_slice()),
                "{name}"
            );
        }
    }
}
