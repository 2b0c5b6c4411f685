//! What a door answers when it says no: RFC 9457 problem documents.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

/// A problem document. Its texts are for outsiders: they name the field and what to do, never an internal cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A stable name of the situation, as a relative reference (`/problems/bad-signature`).
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The situation in a few words, always the same for a kind.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time and what to do.
    pub detail: String,
    /// How long to wait before trying again, in seconds.
    #[serde(skip)]
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem of a kind.
    #[must_use]
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            retry_after_s: None,
        }
    }

    /// 503: something we depend on can't be reached; nothing was accepted.
    #[must_use]
    pub fn unavailable() -> Self {
        Self {
            retry_after_s: Some(5),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "/problems/unavailable",
                "Temporarily unavailable",
                "Nothing was accepted; send it again after the time in Retry-After.",
            )
        }
    }

    /// 401: it is not known who asks.
    #[must_use]
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "/problems/unauthorized",
            "Not authenticated",
            detail,
        )
    }

    /// 405: the path exists, the method does not.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "/problems/method-not-allowed",
            "Method not allowed",
            "The methods of this path are in the Allow header.",
        )
    }

    /// 404: there is no such path.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "/problems/no-such-path",
            "No such path",
            "No route has this path.",
        )
    }

    /// The problem as a response.
    #[must_use]
    pub fn response(&self) -> Response<String> {
        let body = serde_json::to_string(self).expect("texts and a number always have a JSON form");
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_s {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An error with everything that caused it, for the operator's log; never for an outsider.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
