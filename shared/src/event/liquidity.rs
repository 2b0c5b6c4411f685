//! The payloads (`data`) of the `asset.*` and `peer.*` events: liquidity. Version 1.
//!
//! Source: `packages/backend/src/{asset,payment-method/ilp/peer}/model.ts` of interledger/rafiki.

use serde::{Deserialize, Serialize};

use super::amount::Units;
use super::field::{Text, object};

/// `asset.liquidity_low`.
pub type AssetLow = Liquidity;
/// `asset.liquidity_high`.
pub type AssetHigh = Liquidity;
/// `peer.liquidity_low`.
pub type PeerLow = Liquidity;
/// `peer.liquidity_high`.
pub type PeerHigh = Liquidity;

/// The liquidity of an asset or of a peer passed a threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Liquidity {
    /// The asset or the peer.
    pub id: Text,
    /// The asset that is counted.
    #[serde(deserialize_with = "object")]
    pub asset: Asset,
    /// The threshold that was passed, in the asset's smallest units.
    pub liquidity_threshold: Units,
    /// What there is, in the asset's smallest units.
    pub balance: Units,
}

/// An asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Its id.
    pub id: Text,
    /// Its code, such as `USD`.
    pub code: Text,
    /// How many decimal digits it is counted in.
    pub scale: u8,
}
