//! The body of a request at a door: declared as JSON, and received within bounds.

use std::error::Error;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::problem::Problem;

/// Why a body was not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is declared to be something else than JSON.
    #[error("not declared as JSON")]
    NotJson,
    /// It is longer than so many bytes.
    #[error("too long")]
    TooLong(usize),
    /// It did not arrive whole.
    #[error("cut short")]
    CutShort,
}

impl BodyError {
    /// The answer.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::NotJson => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "/problems/not-json-type",
                "Unsupported media type",
                "Send JSON, with `Content-Type: application/json`.",
            ),
            Self::TooLong(most) => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "/problems/too-long",
                "Body too long",
                format!("At most {most} bytes are taken."),
            ),
            Self::CutShort => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/cut-short",
                "Body cut short",
                "The body did not arrive whole; send it again.",
            ),
        }
    }
}

/// Receives a body of at most `most` bytes that is declared as JSON, or as nothing, since senders differ.
///
/// # Errors
/// See [`BodyError`].
pub async fn receive_json<B>(headers: &HeaderMap, body: B, most: usize) -> Result<Bytes, BodyError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if !is_json(headers) {
        return Err(BodyError::NotJson);
    }
    receive(body, most).await
}

/// Receives a body of at most `most` bytes.
///
/// # Errors
/// [`BodyError::TooLong`] and [`BodyError::CutShort`].
pub async fn receive<B>(body: B, most: usize) -> Result<Bytes, BodyError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLong(most)),
        Err(_) => Err(BodyError::CutShort),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let declared = value.to_str().unwrap_or_default();
    let media = declared.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}
