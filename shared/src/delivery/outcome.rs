//! What came of one try, and what that means.

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::time::until;

/// So many bytes of an answer's body are kept with a try.
pub const EXCERPT_MOST: usize = 1024;

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// How long it asked us to wait.
        retry_after: Option<SignedDuration>,
        /// The beginning of the answer's body, as text.
        excerpt: String,
    },
    /// There was no answer.
    Failed(Failure),
}

impl Outcome {
    /// An answer with this status and nothing else.
    #[must_use]
    pub fn answered(status: u16) -> Self {
        Self::Answered {
            status,
            retry_after: None,
            excerpt: String::new(),
        }
    }

    /// How long the receiver asked us to wait, if it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<SignedDuration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            Self::Failed(_) => None,
        }
    }
}

/// Why there was no answer: a class that may be shown to the endpoint's owner, without internal detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The deadline passed, anywhere from name resolution to the last byte.
    Timeout,
    /// Nothing listens there.
    Refused,
    /// The name has no address.
    Dns,
    /// No secure connection could be made.
    Tls,
    /// The connection ended before the answer did.
    Closed,
    /// The answer was no HTTP.
    Protocol,
    /// The target must not be called: its address is not public, or not the right kind.
    Blocked,
    /// The endpoint has no secret that signs, so nothing was sent.
    Unsigned,
    /// A secret of the endpoint can't be opened, so nothing was sent.
    Locked,
}

impl Failure {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Blocked => "blocked",
            Self::Unsigned => "unsigned",
            Self::Locked => "locked",
        }
    }
}

/// What an outcome means for the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// To be tried again.
    Failed,
    /// The receiver wants nothing any more.
    Gone,
}

/// Reads a `Retry-After`: seconds, or a date of which `now` tells the distance (RFC 9110, section 10.2.3).
#[must_use]
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<SignedDuration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit is a very long wait; the policy caps it.
        return Some(SignedDuration::from_secs(value.parse().unwrap_or(i64::MAX)));
    }
    rfc2822::parse(value)
        .ok()
        .map(|date| until(now, date.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::from_second(784_111_777).expect("a time in range");
        let secs = |n| Some(SignedDuration::from_secs(n));
        let cases = [
            ("120", secs(120)),
            (" 0 ", secs(0)),
            ("99999999999999999999", secs(i64::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", secs(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", secs(0)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ];
        for (value, want) in cases {
            assert_eq!(parse_retry_after(value, now), want, "{value:?}");
        }
    }

    #[test]
    fn only_an_answer_asks_to_be_left_alone_for_a_while() {
        let secs = |n| Some(SignedDuration::from_secs(n));
        let asked = Outcome::Answered {
            status: 503,
            retry_after: secs(7),
            excerpt: String::new(),
        };
        assert_eq!(asked.retry_after(), secs(7));
        assert_eq!(Outcome::answered(503).retry_after(), None);
        assert_eq!(Outcome::Failed(Failure::Closed).retry_after(), None);
    }

    #[test]
    fn a_failure_has_one_name_wherever_it_is_written() {
        let cases = [
            (Failure::Timeout, "timeout"),
            (Failure::Refused, "refused"),
            (Failure::Dns, "dns"),
            (Failure::Tls, "tls"),
            (Failure::Closed, "closed"),
            (Failure::Protocol, "protocol"),
            (Failure::Blocked, "blocked"),
            (Failure::Unsigned, "unsigned"),
            (Failure::Locked, "locked"),
        ];
        for (failure, name) in cases {
            assert_eq!(failure.as_str(), name);
            let json = serde_json::to_string(&failure).ok();
            assert_eq!(json, Some(format!("\"{name}\"")));
        }
    }
}
