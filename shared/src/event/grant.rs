//! The payload (`data`) of the `grant.*` events. Version 1.
//!
//! Source: branch `revoked-grant-event` of interledger/rafiki (`packages/auth`), not released there yet.

use serde::{Deserialize, Serialize};

use super::field::{Text, Time};

/// `grant.revoked`: a grant is no longer good for anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    /// The grant.
    pub id: Text,
    /// When it was revoked.
    pub revoked_at: Time,
}
