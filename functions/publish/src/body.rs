//! What a body says: text that holds an event.

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
