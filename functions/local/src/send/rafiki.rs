//! Events of a Rafiki instance: the catalogue's samples, made new with ids of their own.

use anyhow::{Context, anyhow};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde_json::Value;
use shared::entropy::Entropy;
use shared::event::{Kind, Maker};

use super::{Signing, Webhook};

/// The types of what can be sent.
#[must_use]
pub fn event_types() -> Vec<&'static str> {
    Kind::ALL
        .iter()
        .filter(|kind| Maker::of(&kind.event_type()) == Maker::PaymentBackend)
        .map(|kind| kind.wire_name())
        .collect()
}

/// The sample of a type, as a new event about something new, or as the event `id`.
///
/// # Errors
/// If there is no such type.
pub fn fresh(
    event_type: &str,
    id: Option<&str>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> anyhow::Result<Webhook> {
    let kind = Kind::ALL.iter().find(|kind| kind.wire_name() == event_type);
    let kind = kind.ok_or_else(|| anyhow!("there is no type `{event_type}`"))?;
    let mut value: Value = serde_json::from_str(kind.sample())?;
    let event = id.map_or_else(|| uuid(entropy), ToOwned::to_owned);
    let mut set = |pointer: &str, new: String| {
        if let Some(place) = value.pointer_mut(pointer) {
            *place = new.into();
        }
    };
    set("/id", event.clone());
    // Under an id that was given, the same is said again.
    if id.is_none() {
        set("/data/id", uuid(entropy));
        set("/data/createdAt", format!("{now:.3}"));
    }
    let body = serde_json::to_vec(&value).context("the sample has a JSON form")?;
    Ok(Webhook {
        event,
        invoice: None,
        body: Bytes::from(body),
        signing: Signing::Rafiki,
        behind: Vec::new(),
    })
}

/// A random UUID (RFC 9562, version 4).
fn uuid(entropy: &dyn Entropy) -> String {
    let mut bytes = entropy.bytes::<16>();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = HEXLOWER.encode(&bytes);
    let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    parts
        .map(|(from, to)| hex.get(from..to).unwrap_or_default())
        .join("-")
}

#[cfg(test)]
mod tests {
    use shared::entropy::SeededEntropy;
    use shared::secret::Secret;
    use shared::signature::{TOLERANCE, rafiki};

    use super::*;

    #[test]
    fn every_type_makes_a_new_event_that_is_signed_as_rafiki_signs() {
        let entropy = SeededEntropy::new(1);
        let now = Timestamp::from_millisecond(1_787_000_000_123).expect("a time in range");
        let secret = Secret::new("rafiki-test-secret");
        for event_type in event_types() {
            let [first, second] =
                [(); 2].map(|()| fresh(event_type, None, now, &entropy).expect(event_type));
            assert_ne!(first.event, second.event, "{event_type}");
            let value: Value = serde_json::from_slice(&first.body).expect("JSON");
            assert_eq!(value.get("type"), Some(&event_type.into()));
            let headers = first.headers(&secret, now).expect("signed");
            let header = headers
                .get(rafiki::HEADER)
                .and_then(|value| value.to_str().ok());
            let secrets = std::slice::from_ref(&secret);
            let verified = rafiki::verify(header, &first.body, secrets, now, TOLERANCE);
            assert!(verified.is_ok(), "{event_type}");
        }
    }

    #[test]
    fn the_same_id_says_the_same_again() {
        let now = Timestamp::UNIX_EPOCH;
        let again = |seed| {
            let entropy = SeededEntropy::new(seed);
            fresh("outgoing_payment.created", Some("e-1"), now, &entropy).expect("a sample")
        };
        assert_eq!(again(1), again(2));
        assert!(fresh("nonsense", None, now, &SeededEntropy::new(1)).is_err());
    }
}
