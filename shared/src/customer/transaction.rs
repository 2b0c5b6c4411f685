//! An anchor's transaction as we keep it: what decides its next status, and what its wallet is told of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Funds, TransactionStatus};
use crate::event::{Json, Sep};
use crate::ids::{CustomerId, EndpointId, TransactionId};

/// Who a transaction is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customers {
    /// Who pays; of SEP-6 the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<CustomerId>,
    /// Who is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<CustomerId>,
}

impl Customers {
    /// Whether `customer` is one of them.
    #[must_use]
    pub fn name(&self, customer: &CustomerId) -> bool {
        let mut named = [&self.sender, &self.receiver].into_iter().flatten();
        named.any(|named| named == customer)
    }
}

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Its id.
    pub id: TransactionId,
    /// The SEP it follows.
    pub sep: Sep,
    /// `deposit`, `withdrawal`, `receive` and the like, as the SEP has it.
    pub kind: String,
    /// How it stands.
    pub status: TransactionStatus,
    /// The wallet client that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<EndpointId>,
    /// Who it is about.
    #[serde(default)]
    pub customers: Customers,
    /// What the user is told with its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the user's funds arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_received_at: Option<Timestamp>,
    /// Whether amounts and fee are known.
    #[serde(default)]
    pub amounts_known: bool,
    /// Whether it is known how the user is to pay.
    #[serde(default)]
    pub instructions_known: bool,
    /// Where the wallet wants to hear of it, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_change_callback: Option<String>,
    /// When it was first put.
    pub started_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was completed or refunded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// What else its SEP has of a transaction, as the anchor put it; the wallet is told that too.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
    /// How much of it was told: the number of the last callback of its line, 0 if there was none.
    #[serde(default)]
    pub told: u64,
    /// How often it changed since it was put.
    #[serde(default)]
    pub revision: u64,
}

/// What we set of what a wallet is told; the anchor's details can't.
pub const OURS: [&str; 7] = [
    "id",
    "kind",
    "status",
    "message",
    "started_at",
    "updated_at",
    "completed_at",
];

impl Transaction {
    /// What is known of its money.
    #[must_use]
    pub fn funds(&self) -> Funds {
        if self.transfer_received_at.is_some() {
            Funds::Received
        } else if self.amounts_known && self.instructions_known {
            Funds::Payable
        } else {
            Funds::NotPayable
        }
    }

    /// The transaction as its SEP shows it: what `GET /transaction` answers, in its wrapper.
    #[must_use]
    pub fn shown(&self) -> Json {
        let mut shown = self.details.clone();
        let message = match self.sep {
            Sep::Sep31 => "required_info_message",
            Sep::Sep6 | Sep::Sep12 | Sep::Sep24 => "message",
        };
        let text = |text: &str| Some(Value::from(text));
        let time = |at: Timestamp| Some(Value::from(at.to_string()));
        let ours = [
            ("id", text(self.id.as_str())),
            ("kind", text(&self.kind).filter(|_| self.sep != Sep::Sep31)),
            ("status", text(self.status.as_str())),
            (message, self.message.as_deref().and_then(text)),
            ("started_at", time(self.started_at)),
            ("updated_at", time(self.updated_at)),
            ("completed_at", self.completed_at.and_then(time)),
        ];
        for (name, value) in ours {
            match value {
                Some(value) => shown.insert(name.to_owned(), value),
                None => shown.remove(name),
            };
        }
        let wrapped = Map::from_iter([("transaction".to_owned(), Value::Object(shown))]);
        Json::of(&wrapped).expect("texts and JSON values always have a JSON form")
    }
}
