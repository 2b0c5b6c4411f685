//! The payloads (`data`) of the `wallet_address.*` events. Version 1.
//!
//! Source: `packages/backend/src/open_payments/wallet_address/` of interledger/rafiki.

use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::field::{Text, Time, object};

/// `wallet_address.not_found`: somebody asked for a wallet address that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotFound {
    /// The address that was asked for.
    pub wallet_address_url: Text,
}

/// `wallet_address.web_monetization`: a wallet address was paid directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebMonetization {
    /// The wallet address.
    #[serde(deserialize_with = "object")]
    pub wallet_address: Monetized,
}

/// A wallet address and what it received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "AsWritten")]
pub struct Monetized {
    /// Its id.
    pub id: Text,
    /// When it was created.
    pub created_at: Time,
    /// What it received since the last such event.
    pub received_amount: Amount,
}

/// The published specification requires the amount as `received` and describes it as `receivedAmount`, which is what is
/// sent; either is taken.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AsWritten {
    id: Text,
    created_at: Time,
    received_amount: Option<Amount>,
    received: Option<Amount>,
}

impl TryFrom<AsWritten> for Monetized {
    type Error = &'static str;

    fn try_from(written: AsWritten) -> Result<Self, Self::Error> {
        Ok(Self {
            id: written.id,
            created_at: written.created_at,
            received_amount: written
                .received_amount
                .or(written.received)
                .ok_or("missing field `receivedAmount`")?,
        })
    }
}
