//! A wallet client: who it is, where it wants to hear of its customers and transactions, and how it is signed to.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::delivery::{BreakerPolicy, EndpointState, Policy};
use crate::event::Sep;
use crate::ids::{CustomerId, EndpointId, TenantId};
use crate::signature::stellar::SignedHost;

/// The URLs of a client, each told of everything of its SEP for as long as it is registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callbacks {
    /// Of SEP-6 transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sep6: Option<String>,
    /// Of customers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sep12: Option<String>,
    /// Of SEP-24 transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sep24: Option<String>,
    /// Of SEP-31 transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sep31: Option<String>,
}

impl Callbacks {
    /// The URL of a SEP.
    #[must_use]
    pub fn of(&self, sep: Sep) -> Option<&str> {
        match sep {
            Sep::Sep6 => self.sep6.as_deref(),
            Sep::Sep12 => self.sep12.as_deref(),
            Sep::Sep24 => self.sep24.as_deref(),
            Sep::Sep31 => self.sep31.as_deref(),
        }
    }
}

/// A wallet client of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Whose client it is.
    pub tenant: TenantId,
    /// Its name; no endpoint of the tenant has the same.
    pub id: EndpointId,
    /// Its home domains, in lower case: the `client_domain` of its SEP-10 tokens.
    pub domains: BTreeSet<String>,
    /// The accounts (`G..`) that a custodial wallet signs in with.
    pub signing_keys: BTreeSet<String>,
    /// Where it is told.
    pub callbacks: Callbacks,
    /// Which form of the host is signed.
    pub signed_host: SignedHost,
    /// Whether what was overtaken while it waited is left out.
    pub latest_only: bool,
    /// How failed tries are followed up.
    pub policy: Policy,
    /// When failed tries have it left alone for a while.
    pub breaker: BreakerPolicy,
    /// The deadline of a try, from name resolution to the last byte.
    pub deadline: SignedDuration,
    /// Whether it is told at all.
    pub state: EndpointState,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Client {
    /// Who of `clients` a SEP-10 token is of: the one with its client domain, else the one with its account (`G..`).
    #[must_use]
    pub fn find<'a>(clients: &'a [Self], account: &str, domain: Option<&str>) -> Option<&'a Self> {
        let domain = domain.map(str::to_ascii_lowercase);
        let by_domain = domain.and_then(|domain| {
            clients
                .iter()
                .find(|client| client.domains.contains(&domain))
        });
        by_domain.or_else(|| {
            clients
                .iter()
                .find(|client| client.signing_keys.contains(account))
        })
    }
}

/// Where a wallet wants to hear of one customer, until a verdict was told (SEP-12 `PUT /customer/callback`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The wallet client.
    pub client: EndpointId,
    /// The customer.
    pub customer: CustomerId,
    /// The newest URL that was put.
    pub url: String,
    /// The types (an empty text: no type) of which a verdict was told since it was put. What was told before it is still
    /// on its way goes there all the same.
    #[serde(default)]
    pub ended: BTreeSet<String>,
    /// When it was put.
    pub registered_at: Timestamp,
}
