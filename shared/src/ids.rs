//! The names of things: one type per id, each parsed once and never mixed up with another.
//!
//! Ids of ours and of the operator are path segments (`[A-Za-z0-9_-]{1,64}`), so they need no escaping in
//! URLs, in keys of the table or in headers. Ids of a billing platform are kept as the platform wrote them.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An id that does not have the form its kind requires.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {rule}")]
pub struct IdError {
    kind: &'static str,
    rule: &'static str,
}

fn is_segment(value: &str) -> bool {
    (1..=64).contains(&value.len())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn is_foreign(value: &str) -> bool {
    (1..=255).contains(&value.len()) && !value.chars().any(|c| c.is_whitespace() || c.is_control())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes `value` if it has the form of this kind of id.
            ///
            /// # Errors
            /// [`IdError`] names the kind and the form it must have.
            pub fn parse(value: impl Into<String>) -> Result<Self, IdError> {
                let value = value.into();
                if $check(&value) { Ok(Self(value)) } else { Err(IdError { kind: $kind, rule: $rule }) }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(value: String) -> Result<Self, IdError> {
                Self::parse(value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! segment {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        id!($(#[$doc])* $name, $kind, is_segment, "1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`");
    };
}

macro_rules! foreign {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        id!($(#[$doc])* $name, $kind, is_foreign, "1 to 255 bytes without white space or control characters");
    };
}

segment!(
    /// One customer of the operator: the wall between whose data nothing crosses.
    TenantId, "tenant"
);
segment!(
    /// A receiver of deliveries, an endpoint or a wallet client, unique within its tenant.
    EndpointId, "endpoint"
);
segment!(
    /// An event; the `webhook-id` its receivers deduplicate by. Ids that pass through carry no prefix of ours.
    EventId, "event id"
);
segment!(
    /// A tenant's business profile, as its billing accounts are grouped.
    ProfileId, "profile_id"
);
segment!(
    /// A billing account within a profile (the connector account of the platform).
    ConnectorAccountId, "connector_account_id"
);
segment!(
    /// An API key's public name, safe to show and to log.
    KeyId, "key id"
);
segment!(
    /// A message set aside because of an accident of ours.
    QuarantineId, "quarantine id"
);
segment!(
    /// An anchor's transaction (SEP-6, SEP-24, SEP-31), as its business server names it.
    TransactionId, "transaction id"
);
foreign!(
    /// A customer of an anchor (SEP-12), as its business server names it.
    CustomerId, "customer id"
);
foreign!(
    /// What a customer is asked to be (SEP-12 `type`, such as `sep31-sender`): each has a status of its own.
    CustomerType, "customer type"
);
foreign!(
    /// What the billing platform calls one notification (`evt_..`, `ev_..`): the same on every redelivery.
    SignalId, "signal id"
);
foreign!(
    /// The billing platform's id of an invoice.
    InvoiceId, "invoice id"
);
foreign!(
    /// What tells one charge of an invoice from another; see [`crate::recovery::Charge::key`].
    ChargeKey, "charge key"
);

impl EventId {
    /// The id of an event that we make ourselves: the same parts always give the same id, so a replay makes
    /// the same event again instead of a second one (UUIDv5, RFC 9562).
    #[must_use]
    pub fn derive(tenant: &TenantId, subject: &str, transition: &str, event_type: &str) -> Self {
        let name = [tenant.as_str(), subject, transition, event_type].join("\u{1f}");
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string())
    }
}

/// The namespace of all ids that we derive; itself derived from a name, and never to be changed.
const NAMESPACE: Uuid = Uuid::from_u128(0x7061_7972_656c_6179_8000_6964_732e_7631);

/// Which time round an event goes to an endpoint: 1 at first, one more with every replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Round(u32);

impl Round {
    /// The round that fanout starts.
    pub const FIRST: Self = Self(1);

    /// The round a replay starts.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The round with this number, counting from 1.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// The number, counting from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_segment_is_taken_and_everything_else_is_refused_by_name() {
        struct Case {
            value: String,
            ok: bool,
        }
        let cases = [
            Case {
                value: "acme".into(),
                ok: true,
            },
            Case {
                value: "A_z-9".into(),
                ok: true,
            },
            Case {
                value: "x".repeat(64),
                ok: true,
            },
            Case {
                value: "x".repeat(65),
                ok: false,
            },
            Case {
                value: String::new(),
                ok: false,
            },
            Case {
                value: "a b".into(),
                ok: false,
            },
            Case {
                value: "a#b".into(),
                ok: false,
            },
            Case {
                value: "a.b".into(),
                ok: false,
            },
            Case {
                value: "é".into(),
                ok: false,
            },
        ];
        for Case { value, ok } in cases {
            assert_eq!(TenantId::parse(value.clone()).is_ok(), ok, "{value:?}");
        }
        assert_eq!(
            TenantId::parse("a b").map_err(|error| error.to_string()),
            Err("tenant must be 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`".into())
        );
    }

    #[test]
    fn a_platform_id_may_hold_any_printable_text_but_no_white_space() {
        assert!(InvoiceId::parse("INV/2026-1#é").is_ok());
        assert!(InvoiceId::parse("INV 1").is_err());
        assert!(InvoiceId::parse("a\u{7f}").is_err());
    }

    #[test]
    fn derived_ids_repeat_and_differ_with_every_part() {
        let tenant = TenantId::parse("acme").expect("a valid id");
        let base = EventId::derive(&tenant, "in_1", "ch_1", "recovery.payment_failed");
        assert_eq!(
            base,
            EventId::derive(&tenant, "in_1", "ch_1", "recovery.payment_failed")
        );
        assert_ne!(
            base,
            EventId::derive(&tenant, "in_1", "ch_2", "recovery.payment_failed")
        );
        assert_ne!(
            base,
            EventId::derive(&tenant, "in_1ch", "_1", "recovery.payment_failed")
        );
        assert!(EventId::parse(base.as_str()).is_ok());
    }
}
