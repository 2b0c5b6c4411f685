//! A tenant's account at a billing platform: which platform it is, and how to know that it speaks.

use serde::{Deserialize, Serialize};

use super::Platform;
use crate::ids::{ConnectorAccountId, ProfileId, TenantId};
use crate::recovery::Terms;
use crate::secret::Secret;

/// A billing account, with its secrets open for use. The door opens no API key: see
/// [`crate::store::BillingAccounts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingAccount {
    /// Whose it is.
    pub tenant: TenantId,
    /// The business profile; together with the account id it is claimed by one tenant only.
    pub profile_id: ProfileId,
    /// The billing account.
    pub connector_account_id: ConnectorAccountId,
    /// The platform.
    pub platform: Platform,
    /// The live webhook secrets; any of them verifies.
    pub webhook_secrets: Vec<Secret>,
    /// The key for the platform's API, where one was given.
    pub api_key: Option<Secret>,
    /// What is kept beside these and can't be opened.
    pub locked: Locked,
    /// What is not secret about the account.
    pub settings: Settings,
}

/// The secrets of a billing account that are kept and can't be opened, since the key that sealed them is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Locked {
    /// So many webhook secrets: what does not verify may have been signed with one of them.
    pub webhook_secrets: usize,
    /// Whether the key for the platform's API is one.
    pub api_key: bool,
}

impl Locked {
    /// Whether anything can't be opened.
    #[must_use]
    pub fn any(self) -> bool {
        self.api_key || self.webhook_secrets > 0
    }
}

/// A billing account, for those who act on its invoices behind the door: its webhook secrets stay sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryAccount {
    /// Whose it is.
    pub tenant: TenantId,
    /// The platform.
    pub platform: Platform,
    /// The key for the platform's API.
    pub api_key: ApiKey,
    /// What is not secret about the account.
    pub settings: Settings,
}

/// The key for a platform's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKey {
    /// The account was given none.
    Absent,
    /// It was given one that can't be opened, since the key that sealed it is not there.
    Locked,
    /// It is open for use.
    Open(Secret),
}

/// The settings of a billing account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Where the platform's API is, if not at its usual place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_base_url: Option<String>,
    /// What was agreed on for the recovery of its invoices.
    #[serde(default)]
    pub terms: Terms,
}
