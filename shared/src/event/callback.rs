//! What a wallet client is told by callback: through which of its URLs, and where in the order of its line.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{CustomerId, CustomerType, EndpointId, EventId, TenantId, TransactionId};

/// The Stellar Ecosystem Proposal whose callback it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Sep {
    /// SEP-6: programmatic deposit and withdrawal.
    #[serde(rename = "6")]
    Sep6,
    /// SEP-12: customers.
    #[serde(rename = "12")]
    Sep12,
    /// SEP-24: hosted deposit and withdrawal.
    #[serde(rename = "24")]
    Sep24,
    /// SEP-31: cross-border payments.
    #[serde(rename = "31")]
    Sep31,
}

impl Sep {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Sep6, Self::Sep12, Self::Sep24, Self::Sep31];

    /// Its number, as text: the wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sep6 => "6",
            Self::Sep12 => "12",
            Self::Sep24 => "24",
            Self::Sep31 => "31",
        }
    }
}

impl fmt::Display for Sep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SEP-{}", self.as_str())
    }
}

/// Through which URL a wallet client is told; the URL itself is read when it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "via", rename_all = "snake_case")]
pub enum Via {
    /// The client's own for a SEP, as the operator registered it.
    Static {
        /// Which SEP's.
        sep: Sep,
    },
    /// The one that the client put for a customer (SEP-12 `PUT /customer/callback`).
    Registered {
        /// The customer.
        customer: CustomerId,
    },
    /// The `on_change_callback` of a transaction.
    Transaction {
        /// The transaction.
        id: TransactionId,
    },
}

/// What is told in order: a wallet hears of it one after the other, never an older state after a newer one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Line {
    /// A customer, as one client knows it and in one type.
    Customer {
        /// The wallet client; none owns it where nobody is told.
        client: Option<EndpointId>,
        /// The customer.
        customer: CustomerId,
        /// The type that the status is of.
        #[serde(rename = "type")]
        kind: Option<CustomerType>,
    },
    /// A transaction.
    Transaction {
        /// The transaction.
        id: TransactionId,
    },
}

impl Line {
    /// The line as one text, different for every line of a tenant.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Customer {
                client,
                customer,
                kind,
            } => {
                let client = client.as_ref().map_or("", EndpointId::as_str);
                let kind = kind.as_ref().map_or("", CustomerType::as_str);
                // The separator is no character of an id.
                format!("c\u{1f}{client}\u{1f}{kind}\u{1f}{customer}")
            }
            Self::Transaction { id } => format!("t\u{1f}{id}"),
        }
    }

    /// The id of the event that is told as the `number`th of the line: known without looking.
    #[must_use]
    pub fn event(&self, tenant: &TenantId, number: u64) -> EventId {
        EventId::derive(tenant, &self.name(), &number.to_string(), "callback")
    }
}

/// A callback to a wallet client, and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// The client.
    pub client: EndpointId,
    /// Through which of its URLs.
    #[serde(flatten)]
    pub via: Via,
    /// What it is told in order with.
    pub line: Line,
    /// Its place in the line, from 1, without gaps.
    pub number: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_comes_back_from_its_wire_form() {
        let client = EndpointId::parse("lobby").expect("a valid id");
        let customer = CustomerId::parse("cus#1").expect("a valid id");
        let line = Line::Customer {
            client: Some(client.clone()),
            customer: customer.clone(),
            kind: Some(CustomerType::parse("sep6").expect("a valid type")),
        };
        let transaction = TransactionId::parse("tx-1").expect("a valid id");
        let cases = [
            (Via::Static { sep: Sep::Sep12 }, line.clone()),
            (Via::Registered { customer }, line),
            (
                Via::Transaction {
                    id: transaction.clone(),
                },
                Line::Transaction { id: transaction },
            ),
        ];
        for (via, line) in cases {
            let callback = Callback {
                client: client.clone(),
                via,
                line,
                number: 3,
            };
            let text = serde_json::to_string(&callback).expect("it has a JSON form");
            assert_eq!(serde_json::from_str(&text).ok(), Some(callback), "{text}");
        }
    }

    #[test]
    fn every_line_and_place_has_an_event_of_its_own() {
        let tenant = TenantId::parse("acme").expect("a valid id");
        let customer = |client: Option<&str>, customer: &str, kind: Option<&str>| Line::Customer {
            client: client.map(|it| EndpointId::parse(it).expect("a valid id")),
            customer: CustomerId::parse(customer).expect("a valid id"),
            kind: kind.map(|it| CustomerType::parse(it).expect("a valid type")),
        };
        let lines = [
            customer(None, "a", None),
            customer(Some("a"), "a", None),
            customer(None, "a", Some("a")),
            customer(None, "aa", None),
            Line::Transaction {
                id: TransactionId::parse("a").expect("a valid id"),
            },
        ];
        let ids: std::collections::BTreeSet<_> = lines
            .iter()
            .flat_map(|line| [1, 2, 12].map(|number| line.event(&tenant, number)))
            .collect();
        assert_eq!(ids.len(), 15);
    }
}
