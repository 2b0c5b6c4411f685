//! Who an event goes to: chosen once per role when it is recorded, and kept with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Callback, Role};
use crate::ids::EndpointId;

/// What became of the choice for one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// It goes to these endpoints.
    Endpoints(Vec<EndpointId>),
    /// It goes to nobody.
    Nobody(NoReceiver),
}

/// Why an event goes to nobody of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoReceiver {
    /// The tenant has no endpoint of the role.
    NoEndpoint,
    /// Every endpoint of the role that is switched on filters the type out.
    Filtered,
    /// Every endpoint of the role is switched off.
    EndpointDisabled,
    /// The sender named the role, and the type is for card services alone.
    CardOnly,
}

impl NoReceiver {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoEndpoint => "no_endpoint",
            Self::Filtered => "filtered",
            Self::EndpointDisabled => "endpoint_disabled",
            Self::CardOnly => "card_only",
        }
    }
}

/// Why an event was recorded without being for anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetAside {
    /// A genuine notification of a type that we don't handle.
    NotHandled,
    /// A genuine notification that says too little by itself, and of which the platform did not tell the rest.
    NotEnriched,
    /// An incoming payment ended without having received anything.
    NothingReceived,
    /// What only card services are told, of a payment that no card started.
    NotCardInitiated,
    /// What a wallet would be told, of a transaction that no wallet client owns.
    NoClient,
    /// What the wallet client that owns it has no callback URL for.
    NoCallback,
}

impl SetAside {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotHandled => "not_handled",
            Self::NotEnriched => "not_enriched",
            Self::NothingReceived => "nothing_received",
            Self::NotCardInitiated => "not_card_initiated",
            Self::NoClient => "no_client",
            Self::NoCallback => "no_callback",
        }
    }
}

/// Who an event goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipients {
    /// What was chosen, role by role.
    Chosen(BTreeMap<Role, Chosen>),
    /// Nobody was to be chosen.
    SetAside(SetAside),
    /// The wallet client that owns what it tells of.
    Callback(Callback),
}

impl Recipients {
    /// The endpoints it goes to.
    pub fn endpoints(&self) -> impl Iterator<Item = &EndpointId> {
        let (chosen, client) = match self {
            Self::Chosen(roles) => (Some(roles.values()), None),
            Self::SetAside(_) => (None, None),
            Self::Callback(callback) => (None, Some(&callback.client)),
        };
        let chosen = chosen
            .into_iter()
            .flatten()
            .flat_map(|chosen| match chosen {
                Chosen::Endpoints(endpoints) => endpoints.iter(),
                Chosen::Nobody(_) => [].iter(),
            });
        chosen.chain(client)
    }

    /// Where it stands among what its wallet client is told, if it goes to one.
    #[must_use]
    pub fn callback(&self) -> Option<&Callback> {
        match self {
            Self::Callback(callback) => Some(callback),
            Self::Chosen(_) | Self::SetAside(_) => None,
        }
    }

    /// Why it goes to nobody, if so.
    #[must_use]
    pub fn skipped(&self) -> Option<&'static str> {
        match self {
            Self::SetAside(reason) => Some(reason.as_str()),
            Self::Callback(_) => None,
            Self::Chosen(_) if self.endpoints().next().is_some() => None,
            Self::Chosen(roles) => roles.values().find_map(|chosen| match chosen {
                Chosen::Nobody(reason) => Some(reason.as_str()),
                Chosen::Endpoints(_) => None,
            }),
        }
    }
}
