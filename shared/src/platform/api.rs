//! What we ask of a billing platform's API: the rest of a thin notification, and to record what it does not know.
//!
//! Nothing here calls out. An adapter says what to ask next, given the answers so far, and whoever holds the account's
//! key asks it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::{FieldError, Ignored, Thin};
use crate::recovery::{Intent, Signal};
use crate::secret::Secret;

/// One request to a platform's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// `GET`, `POST` or `PUT`.
    pub method: Method,
    /// Path and query, from the base URL on, beginning with `/`.
    pub path: String,
    /// What it needs beside the authorization.
    pub headers: HeaderMap,
    /// The body; empty for `GET`.
    pub body: Bytes,
}

/// What comes next for a thin notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enriching {
    /// The platform must be asked this, and the answer's body be added to the answers.
    Ask(ApiRequest),
    /// All is known.
    Signal(Box<Signal>),
    /// What the platform answered shows that it is of no interest here.
    Ignored(Ignored),
}

/// What every billing platform with an API provides.
pub trait Api: Send + Sync {
    /// Where the API is, unless the account says otherwise; `None` if it depends on the account.
    fn base_url(&self) -> Option<&'static str>;

    /// The `Authorization` header for the account's key.
    fn authorization(&self, key: &Secret) -> Option<HeaderValue>;

    /// What to ask about `thin` next, given the bodies of the successful answers so far, in order, or what they make.
    /// Pure: the same answers always give the same.
    ///
    /// # Errors
    /// [`FieldError`] names the field of an answer that is missing or wrong.
    fn enrich(&self, thin: &Thin, answers: &[Bytes]) -> Result<Enriching, FieldError>;

    /// How to tell the platform that the invoice was collected by a charge that it does not know; `idempotency_key` is the
    /// same on every try, but see [`Api::keeps_answers`]. `None` if the platform can't be told.
    fn record_back(&self, intent: &Intent, idempotency_key: &str) -> Option<ApiRequest>;

    /// Whether it keeps its first answer to an idempotency key, a 5xx included, so that what it answered so must be told
    /// under another key; and says 409 only while something else is done to the same thing.
    fn keeps_answers(&self) -> bool {
        false
    }

    /// The platform's own id of what it recorded, from its answer.
    fn recorded_id(&self, answer: &[u8]) -> Option<String>;
}

/// An id as one segment of a path; `None` for what would be no segment, or another one.
pub(super) fn segment(id: &str) -> Option<String> {
    if id.bytes().all(|byte| byte == b'.') {
        return None;
    }
    let mut segment = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'-' | b'_' | b'.' | b'~' => segment.push(char::from(byte)),
            plain if plain.is_ascii_alphanumeric() => segment.push(char::from(plain)),
            other => segment.push_str(&format!("%{other:02X}")),
        }
    }
    Some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_of_a_path_whatever_it_holds() {
        let cases = [
            ("in_1QfInv", Some("in_1QfInv")),
            ("INV/2026?x=1#é", Some("INV%2F2026%3Fx%3D1%23%C3%A9")),
            ("%2e%2e", Some("%252e%252e")),
            ("a..b", Some("a..b")),
            ("..", None),
            (".", None),
            ("", None),
        ];
        for (id, want) in cases {
            assert_eq!(segment(id).as_deref(), want, "{id:?}");
        }
    }
}
