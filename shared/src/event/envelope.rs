//! The envelope that events are published in: exactly `id`, `type` and `data`.
//!
//! Source: `webhooks.yaml` of interledger/rafiki, which closes the envelope and leaves `data` open.

use serde::Deserialize;

use super::field::{self, FieldError};
use super::{EventType, Json, catalogue};
use crate::ids::EventId;

/// An event as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Its id; the same however often it is published.
    #[serde(deserialize_with = "id")]
    pub id: EventId,
    /// What happened.
    #[serde(rename = "type", deserialize_with = "event_type")]
    pub event_type: EventType,
    /// The payload, as the exact text it came with.
    pub data: Json,
}

impl Envelope {
    /// Reads an event and checks it: strictly the envelope, by the catalogue the payload.
    ///
    /// # Errors
    /// The field that is wrong; the field is `body` where the text is no event at all.
    pub fn read(text: &str) -> Result<Self, FieldError> {
        let envelope: Self = field::read("", text)?;
        catalogue::check(&envelope.event_type, &envelope.data)?;
        Ok(envelope)
    }
}

fn id<'de, D: serde::Deserializer<'de>>(json: D) -> Result<EventId, D::Error> {
    let rule = "a string of 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`";
    field::text(json, rule, |text| EventId::parse(text).ok())
}

fn event_type<'de, D: serde::Deserializer<'de>>(json: D) -> Result<EventType, D::Error> {
    let rule = "a string of 1 to 128 characters of A-Z, a-z, 0-9, `_` and `.`";
    field::text(json, rule, |text| EventType::parse(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_has_exactly_its_three_fields_and_its_payload_keeps_its_text() {
        let text = r#" {"id":"e-1","data":{ "walletAddressUrl": "https://w.example/a", "more": 1.50 },"type":"wallet_address.not_found"} "#;
        let envelope = Envelope::read(text).expect("it is an event");
        assert_eq!(envelope.id.as_str(), "e-1");
        assert_eq!(
            envelope.data.as_str(),
            r#"{ "walletAddressUrl": "https://w.example/a", "more": 1.50 }"#
        );

        let cases = [
            ("", "`body` is not JSON"),
            ("[]", "`body` must be an object"),
            (r#"{"type":"a.b","data":{}}"#, "`id` is missing"),
            (r#"{"id":"e","data":{}}"#, "`type` is missing"),
            (r#"{"id":"e","type":"a.b"}"#, "`data` is missing"),
            (
                r#"{"id":"e","type":"a.b","data":{},"tenantId":"t"}"#,
                "`tenantId` is not a field that may stand here",
            ),
            (
                r#"{"id":"a b","type":"a.b","data":{}}"#,
                "`id` must be a string of 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`",
            ),
            (
                r#"{"id":7,"type":"a.b","data":{}}"#,
                "`id` must be a string of 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`",
            ),
            (
                r#"{"id":"e","type":"a-b","data":{}}"#,
                "`type` must be a string of 1 to 128 characters of A-Z, a-z, 0-9, `_` and `.`",
            ),
            (
                r#"{"id":"e","id":"f","type":"a.b","data":{}}"#,
                "`id` stands there twice",
            ),
            (
                r#"{"id":"e","type":"a.b","data":7}"#,
                "`data` must be an object",
            ),
            (
                r#"{"id":"e","type":"wallet_address.not_found","data":{}}"#,
                "`data.walletAddressUrl` is missing",
            ),
            (
                r#"{"id":"e","type":"a.b","data":{}} x"#,
                "`body` is not JSON",
            ),
        ];
        for (text, want) in cases {
            let error = Envelope::read(text).expect_err(text);
            assert_eq!(error.to_string(), want, "{text}");
        }
    }
}
