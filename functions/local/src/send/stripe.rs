//! Webhooks of Stripe Billing: the fixtures that the tests read, made new with fresh ids and the present time, so that
//! each tells a new story.

use anyhow::{Context, anyhow};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde_json::Value;
use shared::entropy::Entropy;

use super::{Signing, Webhook};

macro_rules! fixtures {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../../tests/fixtures/stripe/", $name, ".json")))),+]
    };
}

/// What can be sent, by name.
const FIXTURES: [(&str, &str); 9] = fixtures![
    "invoice.payment_failed",
    "invoice.payment_failed.basil",
    "invoice.paid",
    "invoice.paid.basil",
    "invoice.paid.zero",
    "invoice.payment_succeeded",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "customer.created",
];

/// The names of what can be sent.
#[must_use]
pub fn fixture_names() -> [&'static str; 9] {
    FIXTURES.map(|(name, _)| name)
}

/// The fixture to the byte.
///
/// # Errors
/// If there is none of this name.
pub fn same(fixture: &str) -> anyhow::Result<Webhook> {
    let text = text(fixture)?;
    of(
        &serde_json::from_str(text)?,
        Bytes::from_static(text.as_bytes()),
    )
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
    let id = |prefix: &str| format!("{prefix}_{}", HEXLOWER.encode(&entropy.bytes::<12>()));
    let mut value: Value = serde_json::from_str(text(fixture)?)?;
    let mut set = |pointer: &str, new: Value| {
        if let Some(place) = value.pointer_mut(pointer).filter(|place| !place.is_null()) {
            *place = new;
        }
    };
    set("/id", id("evt").into());
    set("/created", now.as_second().into());
    if fixture.starts_with("invoice.") {
        set(
            "/data/object/id",
            invoice.map_or_else(|| id("in"), ToOwned::to_owned).into(),
        );
        set("/data/object/charge", id("ch").into());
        set("/data/object/payment_intent", id("pi").into());
    }
    let body = Bytes::from(serde_json::to_vec(&value)?);
    of(&value, body)
}

fn of(value: &Value, body: Bytes) -> anyhow::Result<Webhook> {
    let text = |pointer| value.pointer(pointer).and_then(Value::as_str);
    let about_invoice = text("/data/object/object") == Some("invoice");
    Ok(Webhook {
        signing: Signing::Stripe,
        behind: Vec::new(),
        event: text("/id").context("the fixture has no id")?.to_owned(),
        invoice: text("/data/object/id")
            .filter(|_| about_invoice)
            .map(ToOwned::to_owned),
        body,
    })
}

fn text(fixture: &str) -> anyhow::Result<&'static str> {
    let found = FIXTURES.iter().find(|(name, _)| *name == fixture);
    found
        .map(|(_, text)| *text)
        .ok_or_else(|| anyhow!("there is no fixture `{fixture}`"))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use shared::entropy::SeededEntropy;
    use shared::secret::Secret;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time in range")
    }

    #[test]
    fn the_signature_is_what_stripe_documents() {
        let webhook = same("invoice.paid").expect("a fixture");
        let headers = webhook
            .headers(&Secret::new("whsec_x"), at(1_700_000_000))
            .expect("signed");
        let header = headers
            .get("stripe-signature")
            .and_then(|value| value.to_str().ok());
        // Stripe, "Verify webhook signatures manually": HMAC-SHA256 of `timestamp.body`.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"whsec_x");
        let tag = hmac::sign(&key, &[b"1700000000.", webhook.body.as_ref()].concat());
        let want = format!("t=1700000000,v1={}", HEXLOWER.encode(tag.as_ref()));
        assert_eq!(header, Some(want.as_str()));
    }

    #[test]
    fn a_fresh_webhook_differs_from_the_fixture_in_its_ids_and_its_time_only() {
        let (now, entropy) = (at(1_800_000_000), SeededEntropy::new(1));
        for (name, text) in FIXTURES {
            let webhook = fresh(name, None, now, &entropy).expect("a fixture");
            let mut fixture: Value = serde_json::from_str(text).expect("JSON");
            let sent: Value = serde_json::from_slice(&webhook.body).expect("JSON");
            assert_eq!(
                sent.pointer("/created"),
                Some(&now.as_second().into()),
                "{name}"
            );
            assert_ne!(sent.pointer("/id"), fixture.pointer("/id"), "{name}");
            assert_eq!(
                webhook.invoice.is_some(),
                name.starts_with("invoice."),
                "{name}"
            );
            let invoice = [
                "/data/object/id",
                "/data/object/charge",
                "/data/object/payment_intent",
            ];
            for pointer in ["/id", "/created"].iter().chain(&invoice) {
                if let Some((place, new)) = fixture.pointer_mut(pointer).zip(sent.pointer(pointer))
                {
                    *place = new.clone();
                }
            }
            assert_eq!(sent, fixture, "{name}");
        }
    }

    #[test]
    fn one_more_word_about_an_invoice_keeps_the_invoice_and_makes_a_new_charge() {
        let (now, entropy) = (at(1_800_000_000), SeededEntropy::new(1));
        let about = |name| fresh(name, Some("in_1"), now, &entropy).expect("a fixture");
        let [failed, paid] = ["invoice.payment_failed", "invoice.paid"].map(about);
        let charge = |webhook: &Webhook| {
            let value: Value = serde_json::from_slice(&webhook.body).expect("JSON");
            value.pointer("/data/object/charge").cloned()
        };
        assert_eq!(
            (failed.invoice.as_deref(), paid.invoice.as_deref()),
            (Some("in_1"), Some("in_1"))
        );
        assert_ne!(failed.event, paid.event);
        assert_ne!(charge(&failed), charge(&paid));
    }

    #[test]
    fn an_empty_secret_signs_nothing() {
        let webhook = same("invoice.paid").expect("a fixture");
        assert!(webhook.headers(&Secret::new(""), at(0)).is_err());
    }
}
