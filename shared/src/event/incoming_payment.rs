//! The payloads (`data`) of the `incoming_payment.*` events. Version 1.
//!
//! Source: `packages/backend/src/open_payments/payment/incoming/model.ts` of interledger/rafiki, and its
//! `openapi/specs/webhooks.yaml`; a field is required here where both always have it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::amount::Amount;
use super::field::{Text, Time};

/// `incoming_payment.created`.
pub type Created = IncomingPayment;
/// `incoming_payment.completed`.
pub type Completed = IncomingPayment;
/// `incoming_payment.expired`.
pub type Expired = IncomingPayment;

/// An incoming payment, as it stood when the event happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncomingPayment {
    /// Its id.
    pub id: Text,
    /// The wallet address that is paid.
    pub wallet_address_id: Text,
    /// Who asked for it: a client's URL; none where the account servicing entity did itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Text>,
    /// When it was created.
    pub created_at: Time,
    /// When it takes no more money.
    pub expires_at: Time,
    /// What is to be received; none where the amount is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming_amount: Option<Amount>,
    /// What was received so far.
    pub received_amount: Amount,
    /// Whether it is completed.
    pub completed: bool,
    /// What the client attached, free in form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// When the account servicing entity approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Time>,
    /// When the account servicing entity cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Time>,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
}

/// `incoming_payment.partial_payment_received`: a part of the money is there and waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartialPaymentReceived {
    /// The partial payment to decide on.
    pub partial_incoming_payment_id: Text,
    /// What the sender's account servicing entity told, opaque to the payment backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_from_sender: Option<String>,
    /// The incoming payment.
    pub id: Text,
    /// The wallet address that is paid.
    pub wallet_address_id: Text,
    /// Who asked for it: a client's URL; none where the account servicing entity did itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Text>,
    /// When it was created.
    pub created_at: Time,
    /// When it takes no more money.
    pub expires_at: Time,
    /// What is to be received; none where the amount is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming_amount: Option<Amount>,
    /// What was received so far; this part is not counted yet.
    pub received_amount: Amount,
    /// Whether it is completed.
    pub completed: bool,
    /// What the client attached, free in form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// When the account servicing entity approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Time>,
    /// When the account servicing entity cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Time>,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
}

/// `incoming_payment.decision_requested`: whether an incoming payment may be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub struct DecisionRequested {
    /// Who is paid, a URL.
    pub wallet_address: Text,
    /// Who asked for it: a client's URL; none where the account servicing entity did itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Text>,
    /// What is to be received; none where the amount is to be open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming_amount: Option<Amount>,
    /// When it is to take no more money.
    pub expires_at: Time,
    /// What the client attached, free in form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// `incoming_payment.partial_decision_requested`: whether an open incoming payment may take a partial payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub struct PartialDecisionRequested {
    /// The incoming payment.
    pub incoming_payment_id: Text,
    /// The partial payment to decide on.
    pub partial_incoming_payment_id: Text,
    /// What was received so far.
    pub received_amount: Amount,
    /// What would be added.
    pub partial_amount: Amount,
    /// Who is paid, a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet_address: Option<Text>,
    /// Who asked for it: a client's URL; none where the account servicing entity did itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Text>,
    /// When the payment takes no more money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// What the client attached, free in form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// What the sender's account servicing entity told, opaque to the payment backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_from_sender: Option<String>,
}
