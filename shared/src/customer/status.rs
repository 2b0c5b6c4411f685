//! The statuses of customers (SEP-12) and of transactions (SEP-6, SEP-24, SEP-31), by their wire names.

use serde::{Deserialize, Serialize};

use crate::event::Sep;

/// How a customer stands with an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CustomerStatus {
    /// All that was asked for is accepted.
    Accepted,
    /// It is being looked at.
    Processing,
    /// More is asked for.
    NeedsInfo,
    /// It will not be served.
    Rejected,
}

impl CustomerStatus {
    /// Every one of them.
    pub const ALL: [Self; 4] = [
        Self::Accepted,
        Self::Processing,
        Self::NeedsInfo,
        Self::Rejected,
    ];

    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Processing => "PROCESSING",
            Self::NeedsInfo => "NEEDS_INFO",
            Self::Rejected => "REJECTED",
        }
    }

    /// The one with this wire name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }

    /// Whether a callback URL that a wallet put for one customer has been told enough with it.
    #[must_use]
    pub fn is_verdict(self) -> bool {
        matches!(self, Self::Accepted | Self::Rejected)
    }
}

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $wire:literal [$($sep:ident)*],)*) => {
        /// How a transaction stands.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum TransactionStatus {
            $($(#[$doc])* #[serde(rename = $wire)] $name,)*
        }

        impl TransactionStatus {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The wire name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $wire,)*
                }
            }

            /// Whether transactions of this SEP have it.
            #[must_use]
            pub fn is_of(self, sep: Sep) -> bool {
                match self {
                    $(Self::$name => [$(Sep::$sep),*].contains(&sep),)*
                }
            }
        }
    };
}

statuses! {
    /// More is needed before it begins.
    Incomplete = "incomplete" [Sep6 Sep24],
    /// The user has not sent the funds.
    PendingUserTransferStart = "pending_user_transfer_start" [Sep6 Sep24],
    /// The user has sent the funds.
    PendingUserTransferComplete = "pending_user_transfer_complete" [Sep6 Sep24],
    /// Something outside is waited for.
    PendingExternal = "pending_external" [Sep6 Sep24 Sep31],
    /// The anchor is at work.
    PendingAnchor = "pending_anchor" [Sep6 Sep24],
    /// Held back for a check.
    OnHold = "on_hold" [Sep6 Sep24],
    /// The Stellar network is waited for.
    PendingStellar = "pending_stellar" [Sep6 Sep24 Sep31],
    /// The user has to add a trustline.
    PendingTrust = "pending_trust" [Sep6 Sep24],
    /// The user has to do something.
    PendingUser = "pending_user" [Sep6 Sep24],
    /// More is asked of the customer.
    PendingCustomerInfoUpdate = "pending_customer_info_update" [Sep6 Sep31],
    /// More is asked about the transaction.
    PendingTransactionInfoUpdate = "pending_transaction_info_update" [Sep6 Sep31],
    /// The sending anchor has not paid.
    PendingSender = "pending_sender" [Sep31],
    /// The receiving anchor is at work.
    PendingReceiver = "pending_receiver" [Sep31],
    /// Done.
    Completed = "completed" [Sep6 Sep24 Sep31],
    /// The funds went back.
    Refunded = "refunded" [Sep6 Sep24 Sep31],
    /// It was not begun in time.
    Expired = "expired" [Sep6 Sep24 Sep31],
    /// There was no market.
    NoMarket = "no_market" [Sep6 Sep24],
    /// The amount is too small.
    TooSmall = "too_small" [Sep6 Sep24],
    /// The amount is too large.
    TooLarge = "too_large" [Sep6 Sep24],
    /// It failed.
    Error = "error" [Sep6 Sep24 Sep31],
}

impl TransactionStatus {
    /// The one with this wire name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.as_str() == name)
    }

    /// Whether it is over, for good or ill.
    #[must_use]
    pub fn is_final(self) -> bool {
        self.is_completed()
            || matches!(
                self,
                Self::Expired | Self::NoMarket | Self::TooSmall | Self::TooLarge | Self::Error
            )
    }

    /// Whether it is over and well: what `completed_at` tells.
    #[must_use]
    pub fn is_completed(self) -> bool {
        matches!(self, Self::Completed | Self::Refunded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_comes_back_from_its_wire_name_and_is_of_some_sep() {
        for status in CustomerStatus::ALL {
            assert_eq!(CustomerStatus::parse(status.as_str()), Some(status));
            let json = serde_json::to_string(&status).ok();
            assert_eq!(json, Some(format!("\"{}\"", status.as_str())));
        }
        for &status in TransactionStatus::ALL {
            assert_eq!(TransactionStatus::parse(status.as_str()), Some(status));
            assert!(Sep::ALL.iter().any(|sep| status.is_of(*sep)), "{status:?}");
            assert!(!status.is_of(Sep::Sep12), "{status:?}");
        }
        assert_eq!(TransactionStatus::parse("PENDING_ANCHOR"), None);
        assert_eq!(CustomerStatus::parse("accepted"), None);
    }

    #[test]
    fn a_transaction_is_over_in_seven_statuses_and_well_in_two_of_them() {
        use TransactionStatus as S;
        let well = [S::Completed, S::Refunded];
        let ill = [S::Expired, S::NoMarket, S::TooSmall, S::TooLarge, S::Error];
        for status in S::ALL {
            let is_well = well.contains(status);
            assert_eq!(status.is_completed(), is_well, "{status:?}");
            let is_over = is_well || ill.contains(status);
            assert_eq!(status.is_final(), is_over, "{status:?}");
        }
    }
}
