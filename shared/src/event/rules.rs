//! Who hears of an event: what its type says, what its sender asks for, and what nobody needs to hear.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::amount::{Amount, Units};
use super::{EventType, Json, Kind, Role, SetAside};

/// Who is told of events of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    /// Who is told when the sender names nobody.
    pub told: Role,
    /// Who is told as well where the sender says so; it may name other roles too.
    pub on_request: Option<Role>,
    /// Who gets a copy, if the tenant has an endpoint of the role.
    pub copied: Option<Role>,
    /// Whether nobody else can be told, whoever the sender names.
    pub only: bool,
}

impl Audience {
    const fn of(told: Role) -> Self {
        Self {
            told,
            on_request: None,
            copied: None,
            only: false,
        }
    }
}

/// Who is told of events of a kind.
#[must_use]
pub fn audience(kind: Kind) -> Audience {
    match kind {
        Kind::RecoveryPaymentFailed
        | Kind::RecoveryPaymentSucceeded
        | Kind::RecoveryPaymentPending
        | Kind::RecoveryRecovered
        | Kind::RecoveryRetryScheduled
        | Kind::RecoveryRetryDue
        | Kind::RecoveryLimitsExhausted
        | Kind::RecoveryCancelled => Audience::of(Role::Merchant),
        Kind::IncomingPaymentCompleted
        | Kind::IncomingPaymentExpired
        | Kind::IncomingPaymentPartialPaymentReceived => Audience {
            on_request: Some(Role::Pos),
            ..Audience::of(Role::Ase)
        },
        Kind::OutgoingPaymentFunded | Kind::OutgoingPaymentCancelled => Audience {
            only: true,
            ..Audience::of(Role::Card)
        },
        Kind::WalletAddressNotFound
        | Kind::AssetLiquidityLow
        | Kind::AssetLiquidityHigh
        | Kind::PeerLiquidityLow
        | Kind::PeerLiquidityHigh => Audience {
            copied: Some(Role::Operator),
            ..Audience::of(Role::Ase)
        },
        Kind::IncomingPaymentCreated
        | Kind::IncomingPaymentDecisionRequested
        | Kind::IncomingPaymentPartialDecisionRequested
        | Kind::OutgoingPaymentCreated
        | Kind::OutgoingPaymentCompleted
        | Kind::OutgoingPaymentFailed
        | Kind::WalletAddressWebMonetization
        | Kind::GrantRevoked => Audience::of(Role::Ase),
    }
}

/// Where an event goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Nowhere: it is recorded, with the reason.
    SetAside(SetAside),
    /// To endpoints of these roles.
    To(Told),
}

/// The roles that an event goes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Who must hear of it: where the tenant has no receiver of the role, the reason is recorded.
    pub roles: BTreeSet<Role>,
    /// Who hears of it where the tenant has a receiver of the role that wants it; else nothing is recorded.
    pub copies: BTreeSet<Role>,
    /// Who the sender named and must not hear of it.
    pub refused: BTreeSet<Role>,
}

impl Told {
    /// The roles that are told or refused, but for those that `known` says are settled.
    #[must_use]
    pub fn without(&self, known: impl Fn(Role) -> bool) -> Self {
        let open =
            |roles: &BTreeSet<Role>| roles.iter().copied().filter(|role| !known(*role)).collect();
        Self {
            roles: open(&self.roles),
            copies: BTreeSet::new(),
            refused: open(&self.refused),
        }
    }

    /// Whether nobody is told and nobody refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.copies.is_empty() && self.refused.is_empty()
    }
}

/// Where an event goes, given the roles that its sender named, if it named any.
///
/// The sender's word stands before the type's, but for two things: an event that tells of nothing is set aside, and what
/// only card services are told goes to nobody else. A type that we don't know goes to endpoints of any role that ask
/// for it; where there is none, to account servicing entities, so that the reason is recorded.
#[must_use]
pub fn route(event_type: &EventType, data: &Json, named: Option<&BTreeSet<Role>>) -> Route {
    let named = named.filter(|named| !named.is_empty());
    let Some(kind) = Kind::of(event_type) else {
        return Route::To(match named {
            Some(named) => Told {
                roles: named.clone(),
                ..Told::default()
            },
            None => Told {
                roles: BTreeSet::from([Role::Ase]),
                copies: Role::ALL
                    .into_iter()
                    .filter(|role| *role != Role::Ase)
                    .collect(),
                ..Told::default()
            },
        });
    };
    if let Some(reason) = set_aside(kind, data) {
        return Route::SetAside(reason);
    }
    let audience = audience(kind);
    let told = BTreeSet::from([audience.told]);
    if audience.only {
        let refused = named.map_or_else(BTreeSet::new, |named| named - &told);
        return Route::To(Told {
            roles: told,
            refused,
            ..Told::default()
        });
    }
    let roles = named.cloned().unwrap_or(told);
    let copies = audience.copied.into_iter().collect::<BTreeSet<_>>();
    Route::To(Told {
        copies: &copies - &roles,
        roles,
        refused: BTreeSet::new(),
    })
}

/// Why nobody needs to hear of an event, if so. A payload that can't be read is told: better once too often than never.
fn set_aside(kind: Kind, data: &Json) -> Option<SetAside> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Received {
        received_amount: Amount,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Started {
        card_details: Option<serde::de::IgnoredAny>,
    }
    match kind {
        Kind::IncomingPaymentCompleted | Kind::IncomingPaymentExpired => {
            let received: Received = serde_json::from_str(data.as_str()).ok()?;
            (received.received_amount.value == Units(0)).then_some(SetAside::NothingReceived)
        }
        Kind::OutgoingPaymentFunded | Kind::OutgoingPaymentCancelled => {
            let started: Started = serde_json::from_str(data.as_str()).ok()?;
            started
                .card_details
                .is_none()
                .then_some(SetAside::NotCardInitiated)
        }
        _ => None,
    }
}
