//! Billing platforms: one module each, one neutral [`Signal`] out.
//!
//! An adapter knows its platform's signature, its notification's form and its money. Everything behind it speaks
//! of signals. To add a platform: a module here with a type that is an [`Adapter`], its line in [`Platform`], its
//! fixtures; nothing else changes.

pub mod account;
pub mod api;
pub mod chargebee;
pub mod custom;
mod enriched;
mod field;
#[cfg(test)]
mod hostile;
pub mod recurly;
pub mod stripe;

use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use account::{BillingAccount, RecoveryAccount};
pub use api::{Api, ApiRequest, Enriching};
pub use enriched::Enriched;
pub use field::{FieldError, Problem};

use crate::event::{EventType, Json, Source};
use crate::ids::{ConnectorAccountId, ProfileId, SignalId};
use crate::recovery::{IntentKey, Signal};
use crate::signature::{Verified, VerifyError};

/// What an adapter makes of an authentic notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interpretation {
    /// It tells of an invoice to collect.
    Signal(Box<Signal>),
    /// It tells of an invoice to collect, but not enough: the platform is to be asked for the rest.
    Thin(Box<Thin>),
    /// It is genuine and of no interest here.
    Ignored(Ignored),
}

/// A genuine notification that says too little by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thin {
    /// The platform's id of the notification.
    pub id: SignalId,
    /// The platform.
    pub platform: Platform,
    /// The business profile.
    pub profile_id: ProfileId,
    /// The billing account.
    pub connector_account_id: ConnectorAccountId,
    /// What the platform calls its type.
    pub platform_type: EventType,
    /// When the platform says that it happened.
    pub at: Timestamp,
    /// What the notification says of where to ask, in the adapter's own form.
    pub notification: Json,
    /// What it tells by itself, if that is a signal: what we go on with if the platform does not tell more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Signal>,
}

/// A genuine notification of a type that we don't handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// The platform's id of the notification.
    pub id: SignalId,
    /// The platform.
    pub source: Source,
    /// What the platform calls its type.
    pub platform_type: EventType,
    /// When the platform says that it happened.
    pub at: Timestamp,
}

/// What every billing platform's file provides.
pub trait Adapter: Send + Sync {
    /// Checks that the platform sent these bytes, before anything is read from them.
    ///
    /// # Errors
    /// Whatever the scheme finds wrong.
    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        account: &BillingAccount,
        now: Timestamp,
    ) -> Result<Verified, VerifyError>;

    /// Reads an authentic body: which is why it asks for the proof.
    ///
    /// # Errors
    /// [`FieldError`] names the field that is missing or wrong.
    fn interpret(
        &self,
        body: &[u8],
        account: &BillingAccount,
        proof: &Verified,
    ) -> Result<Interpretation, FieldError>;
}

/// The billing platforms that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Stripe Billing.
    Stripe,
    /// Recurly.
    Recurly,
    /// Chargebee.
    Chargebee,
    /// A merchant that bills by itself.
    Custom,
}

impl Platform {
    /// The platform's adapter; `None` if it has no webhooks, and all is reported with a key ([`custom`]).
    #[must_use]
    pub fn adapter(self) -> Option<&'static dyn Adapter> {
        match self {
            Self::Stripe => Some(&stripe::Stripe),
            Self::Recurly => Some(&recurly::Recurly),
            Self::Chargebee => Some(&chargebee::Chargebee),
            Self::Custom => None,
        }
    }

    /// What is asked of the platform's API behind the door; `None` where there is none to ask.
    #[must_use]
    pub fn api(self) -> Option<&'static dyn Api> {
        match self {
            Self::Stripe => Some(&stripe::Stripe),
            Self::Recurly => Some(&recurly::Recurly),
            Self::Chargebee => Some(&chargebee::Chargebee),
            Self::Custom => None,
        }
    }

    /// Whether its notifications tell nothing of an invoice until its API is asked, so that an account without a key is deaf.
    #[must_use]
    pub fn must_be_asked(self) -> bool {
        match self {
            Self::Recurly => true,
            Self::Stripe | Self::Chargebee | Self::Custom => false,
        }
    }

    /// How its notifications are known to be genuine, and so what its billing accounts keep.
    #[must_use]
    pub fn proof(self) -> Proof {
        match self {
            Self::Stripe | Self::Recurly => Proof::Secret,
            Self::Chargebee => Proof::Pair,
            Self::Custom => Proof::Key,
        }
    }

    /// The wire name, which is also the source of its events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Recurly => "recurly",
            Self::Chargebee => "chargebee",
            Self::Custom => "custom",
        }
    }
}

/// How a platform's notifications are known to be genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// They are signed with one of the account's webhook secrets.
    Secret,
    /// They come with a user and a password of HTTP Basic, which the account keeps as webhook secrets `user:password`.
    Pair,
    /// They come with a key of the tenant, so the account keeps nothing.
    Key,
}

/// A header that has to be text, if it is there.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, VerifyError> {
    let text = |value: &'h HeaderValue| value.to_str().map_err(|_| VerifyError::Malformed);
    headers.get(name).map(text).transpose()
}

fn intent_key(account: &BillingAccount, invoice: crate::ids::InvoiceId) -> IntentKey {
    IntentKey {
        profile_id: account.profile_id.clone(),
        connector_account_id: account.connector_account_id.clone(),
        invoice_id: invoice,
    }
}
