//! An event as its sender tells it, in either scheme, once the signature was checked.

use http::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::body::BodyError;
use shared::event::{EventType, Json};
use shared::ids::EventId;
use shared::queue::MESSAGE_MOST;
use shared::secret::Secret;
use shared::signature::{TOLERANCE, rafiki, standard};

use crate::reply::Refusal;

/// What a sender told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The same in every delivery of this event: what duplicates are known by.
    pub id: EventId,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// The payload, as the exact text it came with.
    pub data: Json,
}

/// How a delivery is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `Rafiki-Signature`.
    Rafiki,
    /// Standard Webhooks.
    Standard,
}

impl Scheme {
    /// The name in logs, which is the sender's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rafiki => "rafiki",
            Self::Standard => "standard-webhooks",
        }
    }
}

/// What deliveries are checked with; while a secret is rotated there are two.
///
/// Each scheme has its own: a public key of Standard Webhooks (`whpk_..`), which anybody may know, must never be taken for
/// a secret that Rafiki's scheme signs with.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Secrets of `Rafiki-Signature`, any text.
    pub rafiki: Vec<Secret>,
    /// Secrets (`whsec_..`) and public keys (`whpk_..`) of Standard Webhooks.
    pub standard: Vec<Secret>,
}

/// Rafiki's body has all; that of Standard Webhooks has its id in a header.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    id: Option<String>,
    #[serde(default, rename = "type")]
    event_type: Option<String>,
    #[serde(default)]
    data: Option<Json>,
}

/// The event of a delivery that one of `secrets` signed within five minutes of `now`, either way.
///
/// The id is taken from what the signature covers: an id that anybody could change would let an old delivery pass for a new
/// event.
///
/// # Errors
/// [`Refusal::Unauthentic`] before anything of the body is looked at, [`Refusal::Malformed`] for what is genuine and no
/// event.
pub fn verified(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &Secrets,
    now: Timestamp,
) -> Result<(Scheme, Event), Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (scheme, signed_id) = match header(rafiki::HEADER) {
        signature @ Some(_) => {
            let _proof = rafiki::verify(signature, body, &secrets.rafiki, now, TOLERANCE)?;
            (Scheme::Rafiki, None)
        }
        None => {
            let id = header(standard::ID_HEADER);
            let headers = standard::Headers {
                id,
                timestamp: header(standard::TIMESTAMP_HEADER),
                signature: header(standard::SIGNATURE_HEADER),
            };
            let _proof = standard::verify(headers, body, &secrets.standard, now, TOLERANCE)?;
            (Scheme::Standard, id)
        }
    };
    Ok((scheme, read(body, signed_id)?))
}

fn read(body: &[u8], signed_id: Option<&str>) -> Result<Event, Refusal> {
    let body: Body = serde_json::from_slice(body).map_err(|_| Refusal::Malformed {
        field: "body",
        must: "be a JSON object with the texts `id` and `type`, and `data`".to_owned(),
    })?;
    let missing = |field| Refusal::Malformed {
        field,
        must: "be there".to_owned(),
    };
    let id = signed_id
        .map(ToOwned::to_owned)
        .or(body.id)
        .ok_or_else(|| missing("id"))?;
    let event_type = body.event_type.ok_or_else(|| missing("type"))?;
    Ok(Event {
        id: EventId::parse(id).map_err(|_| Refusal::Malformed {
            field: "id",
            must: "be 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`".to_owned(),
        })?,
        event_type: EventType::parse(event_type).map_err(|_| Refusal::Malformed {
            field: "type",
            must: "be 1 to 128 characters of A-Z, a-z, 0-9, `_` and `.`".to_owned(),
        })?,
        data: body.data.ok_or_else(|| missing("data"))?,
    })
}

impl Event {
    /// The event as the body of a message.
    ///
    /// # Errors
    /// [`BodyError::TooLong`] if no queue takes it.
    pub fn encode(&self) -> Result<String, Refusal> {
        let body = serde_json::to_string(self)
            .expect("ids, types and JSON texts always have a JSON form")
            // SQS refuses these two, which JSON allows; inside a JSON text they can be escaped.
            .replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff");
        if body.len() > MESSAGE_MOST {
            return Err(BodyError::TooLong(MESSAGE_MOST).into());
        }
        Ok(body)
    }

    /// The event of a message.
    ///
    /// # Errors
    /// The parser's, for what [`Event::encode`] did not write.
    pub fn decode(body: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(body)
    }
}
