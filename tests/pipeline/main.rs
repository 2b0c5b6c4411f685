//! Scenarios through the whole path, on a driven clock and the real store: what a user of Payrelay is promised.

mod anchor;
mod bill;
mod breaker;
mod crash;
mod decide;
mod doors;
mod duplicates;
mod endpoints;
mod fairness;
mod fanout;
mod happy;
mod isolation;
mod locked;
mod outbox;
mod publish;
mod quarantine;
mod rafiki;
mod receiver;
mod recovery;
mod replay;
mod retries;
mod swapped;
mod usefulness;

use serde_json::Value;

/// Stripe's failed payment, as its fixture has it.
const FAILED: &str = include_str!("../fixtures/stripe/invoice.payment_failed.json");
/// The payment of the same invoice by another charge.
const PAID: &str = include_str!("../fixtures/stripe/invoice.paid.json");

/// The text at a path of a JSON value, empty if there is none.
fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// What is at a path of a JSON value, as a list.
fn list<'a>(value: &'a Value, pointer: &str) -> Vec<&'a Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect()
}

/// Type and state of events, in a line each.
fn states(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|event| format!("{} {}", text(event, "/type"), text(event, "/state")))
        .collect()
}
