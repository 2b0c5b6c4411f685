//! What a body says: JSON that can be signed again, and an event.

use serde_json::Value;
use shared::event::{Envelope, FieldError, Maker, OURS};

/// The longest event that is taken, in bytes.
pub const EVENT_MOST: usize = 256 * 1024;
/// The longest array of events that is taken, in bytes.
pub const ARRAY_MOST: usize = 700 * 1024;

/// What is wrong with a field.
pub(crate) fn wrong(field: &str, rule: impl Into<String>) -> FieldError {
    // Somebody may have made up a very long name.
    FieldError {
        field: field.chars().take(128).collect(),
        rule: rule.into(),
    }
}

/// A body, or an item of one, as text.
pub(crate) fn text(body: &[u8]) -> Result<&str, FieldError> {
    std::str::from_utf8(body).map_err(|_| wrong("body", "is not UTF-8"))
}

/// Parses a body, or an item of one. What passes has a canonical form, so it can be signed again when it is delivered.
pub(crate) fn parse(text: &str) -> Result<Value, FieldError> {
    serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        wrong("body", format!("is not JSON at {place}"))
    })
}

/// Reads an event. What we tell receivers ourselves is nobody else's to say.
pub(crate) fn event(text: &str) -> Result<Envelope, FieldError> {
    let event = Envelope::read(text)?;
    match Maker::of(&event.event_type) {
        Maker::PaymentBackend => Ok(event),
        Maker::Payrelay => {
            let ours = OURS.map(|entry| format!("`{entry}`")).join(", ");
            let rule =
                format!("must be one that payment backends make; only Payrelay makes {ours}");
            Err(wrong("type", rule))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_signed_again_is_no_json_here_and_is_not_quoted() {
        let deep = "[".repeat(200);
        let cases = [
            ("", "`body` is not JSON at line 1, column 0"),
            ("hush", "`body` is not JSON at line 1, column 1"),
            ("{} x", "`body` is not JSON at line 1, column 4"),
            (&deep, "`body` is not JSON at line 1, column 128"),
            (r#""\ud800""#, "`body` is not JSON at line 1, column 8"),
            ("1e400", "`body` is not JSON at line 1, column 5"),
        ];
        for (text, want) in cases {
            let got = parse(text).map_err(|wrong| wrong.to_string());
            assert_eq!(got, Err(want.to_owned()), "{text}");
        }
        assert!(parse(r#"{"a":[12345678901234567890,1e21,"\ud83d\ude00"]}"#).is_ok());
    }
}
