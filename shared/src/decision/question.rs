//! What a payment backend asks, read strictly: a field that nobody knows may be a misspelt amount.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use url::Url;

use super::Decision;
use crate::event::amount::{Amount, Units};
use crate::event::{
    Event, EventType, FieldError, Json, Kind, Source, Time, read, text, unambiguous,
};
use crate::ids::EventId;

/// The longest `dataFromSender`, in bytes.
const SENDER_DATA_MOST: usize = 16 * 1024;
/// The longest URL, in bytes.
const URL_MOST: usize = 2048;

/// What is to be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionKind {
    /// Whether an incoming payment may be created.
    Creation,
    /// Whether an open incoming payment may take a partial payment.
    Partial,
}

impl QuestionKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Creation, Self::Partial];

    /// Its row of the catalogue.
    fn listed(self) -> Kind {
        match self {
            Self::Creation => Kind::IncomingPaymentDecisionRequested,
            Self::Partial => Kind::IncomingPaymentPartialDecisionRequested,
        }
    }

    /// The type of the event that it is.
    #[must_use]
    pub fn wire_name(self) -> &'static str {
        self.listed().wire_name()
    }

    /// The type of the event that it is.
    #[must_use]
    pub fn event_type(self) -> EventType {
        self.listed().event_type()
    }
}

/// A question, and the text that the ASE is asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    kind: QuestionKind,
    data: Json,
    incoming_amount: Option<Amount>,
    resource: String,
}

/// The name of what says that a question is about a partial payment.
#[derive(Deserialize)]
struct Probe {
    #[serde(default)]
    partial: Option<serde::de::IgnoredAny>,
}

/// An incoming payment that is about to be created.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct Creation {
    wallet_address: WebUrl,
    #[serde(default, rename = "client")]
    _client: Option<WebUrl>,
    #[serde(default)]
    incoming_amount: Option<Amount>,
    #[serde(rename = "expiresAt")]
    _expires_at: Time,
    #[serde(default, rename = "metadata")]
    _metadata: Option<Map<String, Value>>,
}

/// A partial payment that an incoming payment is about to take.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct Partial {
    incoming_payment_id: Name,
    #[serde(rename = "partialIncomingPaymentId")]
    _partial_incoming_payment_id: Name,
    received_amount: Amount,
    partial_amount: Amount,
    #[serde(default, rename = "walletAddress")]
    _wallet_address: Option<WebUrl>,
    #[serde(default, rename = "client")]
    _client: Option<WebUrl>,
    #[serde(default, rename = "expiresAt")]
    _expires_at: Option<Time>,
    #[serde(default, rename = "metadata")]
    _metadata: Option<Map<String, Value>>,
    #[serde(default)]
    data_from_sender: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPartial {
    partial: Partial,
}

#[derive(Deserialize)]
struct TextOfPartial {
    partial: Json,
}

/// Whether it is nothing at all.
pub(super) fn is_zero(amount: &Amount) -> bool {
    amount.value == Units(0)
}

/// Whether both are amounts of one asset.
pub(super) fn same_asset(one: &Amount, other: &Amount) -> bool {
    one.asset_code == other.asset_code && one.asset_scale == other.asset_scale
}

/// Reads a body that is a JSON object; the parser would take a list of the fields as well.
pub(super) fn object<T: DeserializeOwned>(body: &str) -> Result<T, FieldError> {
    if body.starts_with('{') {
        read("", body)
    } else {
        Err(wrong("body", "must be a JSON object"))
    }
}

fn json(text: &str) -> Result<Json, FieldError> {
    Json::parse(text.to_owned()).map_err(|_| wrong("body", "is not JSON"))
}

impl Question {
    /// Reads a question: the payment's members for one to be created, `partial` with its members for a partial payment.
    ///
    /// # Errors
    /// The field that is wrong, by its path from the root of the body.
    pub fn read(body: &[u8]) -> Result<Self, FieldError> {
        let body = std::str::from_utf8(body).map_err(|_| wrong("body", "is not UTF-8"))?;
        let body = body.trim();
        let Probe { partial } = object(body)?;
        unambiguous(body)?;
        if partial.is_some() {
            Self::partial(body)
        } else {
            Self::creation(body)
        }
    }

    fn creation(body: &str) -> Result<Self, FieldError> {
        let asked: Creation = object(body)?;
        if asked.incoming_amount.as_ref().is_some_and(is_zero) {
            return Err(wrong("incomingAmount.value", NOT_ZERO));
        }
        Ok(Self {
            kind: QuestionKind::Creation,
            data: json(body)?,
            incoming_amount: asked.incoming_amount,
            resource: asked.wallet_address.0,
        })
    }

    fn partial(body: &str) -> Result<Self, FieldError> {
        let OfPartial { partial: asked } = object(body)?;
        let TextOfPartial { partial: text } = read("", body)?;
        let from_sender = asked.data_from_sender.as_ref().map_or(0, String::len);
        if from_sender > SENDER_DATA_MOST {
            let rule = "must be a string of at most 16384 bytes";
            return Err(wrong("partial.dataFromSender", rule));
        }
        if is_zero(&asked.partial_amount) {
            return Err(wrong("partial.partialAmount.value", NOT_ZERO));
        }
        if !same_asset(&asked.partial_amount, &asked.received_amount) {
            return Err(wrong(
                "partial.partialAmount",
                "must be of the asset and scale of `partial.receivedAmount`",
            ));
        }
        Ok(Self {
            kind: QuestionKind::Partial,
            data: text,
            incoming_amount: None,
            resource: asked.incoming_payment_id.0,
        })
    }

    /// What is to be decided.
    #[must_use]
    pub fn kind(&self) -> QuestionKind {
        self.kind
    }

    /// The amount that was asked for; none where the payment is to be open, or partial.
    #[must_use]
    pub fn incoming_amount(&self) -> Option<&Amount> {
        self.incoming_amount.as_ref()
    }

    /// The event that asks the ASE, at `at`.
    #[must_use]
    pub fn event(&self, id: EventId, at: Timestamp, source: Source) -> Event {
        Event {
            id,
            event_type: self.kind.event_type(),
            data: self.data.clone(),
            at,
            source,
            resource: Some(self.resource.clone()),
        }
    }

    /// The data of the event that is kept: the question's, and what was decided.
    #[must_use]
    pub fn decided(&self, decision: &Decision) -> Json {
        let question = self.data.as_str().trim_end();
        let open = question.strip_suffix('}').unwrap_or(question);
        let decision = Json::of(decision).expect("texts and amounts always have a JSON form");
        Json::parse(format!("{open},\"decision\":{}}}", decision.as_str()))
            .expect("the question is an object with members, and `decision` is none of them")
    }
}

/// What is found under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// The decision on this very question.
    Same(Decision),
    /// The decision on another question.
    Other,
    /// An event that is no decision.
    Foreign,
}

#[derive(Deserialize)]
struct Stored {
    decision: Decision,
}

impl Kept {
    /// What a kept event is to a question that comes under its key.
    #[must_use]
    pub fn of(event: &Event, question: &Question) -> Self {
        let text = event.data.as_str();
        let stored = serde_json::from_str::<Stored>(text).ok();
        let members = serde_json::from_str::<Map<String, Value>>(text).ok();
        let (true, Some(Stored { decision }), Some(mut members)) =
            (super::is_decision(event), stored, members)
        else {
            return Self::Foreign;
        };
        members.remove("decision");
        let asked = serde_json::from_str::<Map<String, Value>>(question.data.as_str()).ok();
        if event.event_type == question.kind.event_type() && asked == Some(members) {
            Self::Same(decision)
        } else {
            Self::Other
        }
    }
}

const NOT_ZERO: &str = "must be more than 0";

fn wrong(field: &str, rule: &str) -> FieldError {
    FieldError {
        field: field.to_owned(),
        rule: rule.to_owned(),
    }
}

/// A text that passes what it is called after.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $fits:expr) => {
        $(#[$doc])*
        struct $name(String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
                let fits: fn(&str) -> bool = $fits;
                text(json, $rule, |text| fits(text).then(|| Self(text.to_owned())))
            }
        }
    };
}

checked!(
    /// An address on the web.
    WebUrl,
    "an https or http URL of at most 2048 bytes",
    |text| text.len() <= URL_MOST
        && Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
);
checked!(
    /// What a payment backend calls something.
    Name,
    "a string of 1 to 255 bytes without white space or control characters",
    |text| (1..=255).contains(&text.len())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
);
