//! Who makes events of a type: a payment backend, or this service alone.

use serde::{Deserialize, Serialize};

use super::EventType;

/// Who makes events of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Maker {
    /// Payrelay alone, of what it was told and has checked; nobody else may publish them.
    Payrelay,
    /// A payment backend, which publishes them.
    PaymentBackend,
}

/// The types that Payrelay alone makes, by name or prefix, also those that no version of it makes yet.
pub const OURS: [&str; 6] = [
    "recovery.*",
    "customer.status_changed",
    "customer.updated",
    "transaction.status_changed",
    "incoming_payment.decision_requested",
    "incoming_payment.partial_decision_requested",
];

/// The types whose payload is personal data: it is sealed at rest, and shown to few.
const PERSONAL: [&str; 3] = [
    "customer.status_changed",
    "customer.updated",
    "transaction.status_changed",
];

impl EventType {
    /// Whether the payload of such events is personal data.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        PERSONAL.contains(&self.as_str())
    }
}

impl Maker {
    /// Who makes events of this type. What we don't know is a payment backend's.
    #[must_use]
    pub fn of(event_type: &EventType) -> Self {
        let name = event_type.as_str();
        let ours = OURS.iter().any(|entry| match entry.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *entry,
        });
        if ours {
            Self::Payrelay
        } else {
            Self::PaymentBackend
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_tell_is_ours_to_make_and_all_else_a_payment_backends() {
        let cases = [
            ("recovery.recovered", Maker::Payrelay),
            ("recovery.not_known_yet", Maker::Payrelay),
            ("incoming_payment.decision_requested", Maker::Payrelay),
            (
                "incoming_payment.partial_decision_requested",
                Maker::Payrelay,
            ),
            (
                "incoming_payment.decision_requested.x",
                Maker::PaymentBackend,
            ),
            ("incoming_payment.completed", Maker::PaymentBackend),
            ("recovery", Maker::PaymentBackend),
            ("recoverything.done", Maker::PaymentBackend),
            ("something.new", Maker::PaymentBackend),
        ];
        for (name, want) in cases {
            let event_type = EventType::parse(name).expect("a valid type");
            assert_eq!(Maker::of(&event_type), want, "{name}");
        }
    }
}
