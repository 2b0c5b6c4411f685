//! Events: what happened, recorded once under an id that every receiver deduplicates by.
//!
//! An event is immutable: `{id, type, data}` and when it happened. `data` is kept as the exact text it came with.
//! The catalogue ([`Kind`]) names the types we know; a type we don't know is carried all the same.

#[cfg(test)]
mod agreement;
pub mod amount;
mod callback;
mod catalogue;
mod envelope;
mod field;
pub mod grant;
pub mod incoming_payment;
pub mod liquidity;
mod maker;
pub mod outgoing_payment;
mod page;
mod recipients;
pub mod recovery;
mod rules;
mod unambiguous;
pub mod wallet_address;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use callback::{Callback, Line, Sep, Via};
pub use catalogue::{Kind, check, resource, useful_for};
pub use envelope::Envelope;
pub(crate) use field::text;
pub use field::{FieldError, Text, Time, read};
pub use maker::{Maker, OURS};
pub use page::page;
pub use recipients::{Chosen, NoReceiver, Recipients, SetAside};
pub use rules::{Audience, Route, Told, audience, route};
pub use unambiguous::unambiguous;

use crate::ids::EventId;

/// A dotted event type in the past tense, such as `recovery.payment_failed`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventType(String);

/// A type that is not of the form events have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event type must be 1 to 128 characters of A-Z, a-z, 0-9, `_` and `.`")]
pub struct EventTypeError;

impl EventType {
    /// Takes a type of the form Standard Webhooks asks for (`[a-zA-Z0-9_.]`).
    ///
    /// # Errors
    /// [`EventTypeError`] for any other text.
    pub fn parse(value: impl Into<String>) -> Result<Self, EventTypeError> {
        let value = value.into();
        let fits = (1..=128).contains(&value.len())
            && value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
        if fits {
            Ok(Self(value))
        } else {
            Err(EventTypeError)
        }
    }

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EventType {
    type Error = EventTypeError;
    fn try_from(value: String) -> Result<Self, EventTypeError> {
        Self::parse(value)
    }
}

impl From<EventType> for String {
    fn from(value: EventType) -> Self {
        value.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// JSON kept as the exact text it was received or made with.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Takes a JSON text as it is.
    ///
    /// # Errors
    /// The parser's, if the text is no JSON.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// The serialiser's, if `value` has no JSON form.
    pub fn of<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Whether both are the same JSON value, however they are written.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let value = |json: &Self| serde_json::from_str::<serde_json::Value>(json.as_str()).ok();
        self == other || value(self).is_some_and(|ours| value(other) == Some(ours))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    /// Payloads are not logged, so only the size shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.as_str().len())
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id; the same in every delivery.
    pub id: EventId,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// The payload, as the exact text it came with.
    pub data: Json,
    /// When it happened (not when it was sent).
    pub at: Timestamp,
    /// Who told us: `stripe`, `rafiki`, ...
    pub source: Source,
    /// What it is about (an invoice, a payment), to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

impl Event {
    /// Whether its payload was erased, which reads as `null` then: what wallets are told never is.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.data.as_str() == "null"
    }

    /// Whether `other`, under the same id, tells of the same happening, and no other payload took its id.
    #[must_use]
    pub fn tells_the_same(&self, other: &Self) -> bool {
        self.event_type == other.event_type
            && (self.data.says_the_same(&other.data)
                || Kind::of(&self.event_type)
                    .is_some_and(|kind| recovery::same_happening(kind, &self.data, &other.data)))
    }
}

/// Where an event came from: a billing platform, a payment backend, an anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(String);

impl Source {
    /// A source by its name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a receiver is to the tenant; events go to roles, endpoints have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An account servicing entity.
    Ase,
    /// A point-of-sale service.
    Pos,
    /// A card service.
    Card,
    /// A merchant's backend.
    Merchant,
    /// A wallet.
    Wallet,
    /// The operator of this service.
    Operator,
}

impl Role {
    /// Every role, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Ase,
        Self::Pos,
        Self::Card,
        Self::Merchant,
        Self::Wallet,
        Self::Operator,
    ];

    /// The role with this wire name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ase => "ase",
            Self::Pos => "pos",
            Self::Card => "card",
            Self::Merchant => "merchant",
            Self::Wallet => "wallet",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_comes_back_from_its_wire_name() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(
                serde_json::to_string(&role).ok(),
                Some(format!("\"{role}\""))
            );
        }
        assert_eq!(Role::parse("Merchant"), None);
    }

    #[test]
    fn a_payload_keeps_its_text_to_the_byte() {
        let text = r#"{ "b":1.50, "a":[ ] }"#;
        let json = Json::parse(text.into()).expect("valid JSON");
        let carried = serde_json::to_string(&json).expect("it has a JSON form");
        assert_eq!(carried, text);
        assert_eq!(format!("{json:?}"), "Json(21 bytes)");
    }
}
