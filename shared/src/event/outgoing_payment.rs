//! The payloads (`data`) of the `outgoing_payment.*` events. Version 1.
//!
//! Source: `packages/backend/src/open_payments/payment/outgoing/model.ts` of interledger/rafiki, and its
//! `openapi/specs/webhooks.yaml`; a field is required here where both always have it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::amount::{Amount, Units};
use super::field::{Text, Time, optional_object};

/// `outgoing_payment.created`.
pub type Created = OutgoingPayment;
/// `outgoing_payment.completed`.
pub type Completed = OutgoingPayment;
/// `outgoing_payment.failed`.
pub type Failed = OutgoingPayment;
/// `outgoing_payment.funded`.
pub type Funded = OutgoingPayment;
/// `outgoing_payment.cancelled`.
pub type Cancelled = OutgoingPayment;

/// An outgoing payment, as it stood when the event happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutgoingPayment {
    /// Its id.
    pub id: Text,
    /// The wallet address that pays.
    pub wallet_address_id: Text,
    /// Who asked for it: a client's URL; none where the account servicing entity did itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Text>,
    /// How it stands: `FUNDING`, `SENDING`, `COMPLETED`, `FAILED`, `CANCELLED`, or what may come yet.
    pub state: Text,
    /// The incoming payment that it pays, a URL.
    pub receiver: Text,
    /// What the payer is charged.
    pub debit_amount: Amount,
    /// What the receiver is to get.
    pub receive_amount: Amount,
    /// What was sent so far, in the asset of the debit amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_amount: Option<Amount>,
    /// How often the present state was attempted.
    pub state_attempts: u32,
    /// When it was created.
    pub created_at: Time,
    /// What is left in the payment's liquidity account, in the asset of the debit amount.
    pub balance: Units,
    /// What the client attached, free in form; also why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The grant that it was made under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<Text>,
    /// There where a card started it.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub card_details: Option<CardDetails>,
}

/// The request of a card service that a payment was started by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CardDetails {
    /// The card service's request.
    pub request_id: Text,
    /// What the card signed; cards use `signature` and `payload`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
    /// When the card was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiated_at: Option<Time>,
}
