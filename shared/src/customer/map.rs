//! What a customer's status makes of a transaction: one table per SEP and mapping.
//!
//! Sources: SEP-6, SEP-31; the Anchor Platform's `NotifyCustomerInfoUpdatedHandler` and what ANCHOR-746 asked of it.

use serde::{Deserialize, Serialize};

use super::{CustomerStatus, TransactionStatus};
use crate::event::Sep;

/// Which table a tenant's transactions follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mapping {
    /// As SEP-6 has it: an accepted customer goes on to pay, where all is known that is needed for it.
    #[default]
    Sep6,
    /// As the Anchor Platform does it: an accepted customer's transaction waits for the anchor.
    AnchorPlatform,
}

/// What is known of a transaction's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Funds {
    /// The user has paid.
    Received,
    /// The user has not paid, and could: amounts and instructions are known.
    Payable,
    /// The user has not paid, and does not know what or how yet.
    NotPayable,
}

/// Why a transaction does not take a customer's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatusRefused {
    /// No transaction of this SEP does.
    #[error("transactions of {0} don't take it")]
    Sep(Sep),
    /// Not in this status.
    #[error("a transaction in status `{}` does not take it", .0.as_str())]
    Status(TransactionStatus),
}

/// The status that a transaction gets by the status of its customer; `None` where the call names no customer.
#[must_use]
pub fn next(
    sep: Sep,
    mapping: Mapping,
    customer: Option<CustomerStatus>,
    funds: Funds,
) -> Option<TransactionStatus> {
    use CustomerStatus::{Accepted, NeedsInfo, Processing, Rejected};
    use TransactionStatus as To;
    let waits = match sep {
        Sep::Sep6 => To::PendingAnchor,
        Sep::Sep31 => To::PendingReceiver,
        Sep::Sep12 | Sep::Sep24 => return None,
    };
    Some(match (customer, sep, mapping, funds) {
        (Some(NeedsInfo), ..) => To::PendingCustomerInfoUpdate,
        (Some(Rejected), ..) => To::Error,
        (Some(Accepted), Sep::Sep6, Mapping::Sep6, Funds::Payable) => To::PendingUserTransferStart,
        (Some(Accepted | Processing) | None, ..) => waits,
    })
}

/// Whether a transaction in status `current` takes the status of its customer.
///
/// # Errors
/// See [`StatusRefused`].
pub fn takes(
    sep: Sep,
    mapping: Mapping,
    current: TransactionStatus,
    customer: Option<CustomerStatus>,
    funds: Funds,
) -> Result<(), StatusRefused> {
    use CustomerStatus::{NeedsInfo, Rejected};
    use TransactionStatus as In;
    let takes = match (sep, current) {
        (Sep::Sep12 | Sep::Sep24, _) => return Err(StatusRefused::Sep(sep)),
        (Sep::Sep6, In::Incomplete | In::PendingAnchor | In::PendingCustomerInfoUpdate)
        | (Sep::Sep31, In::PendingReceiver | In::PendingCustomerInfoUpdate) => true,
        // Told to pay already, but nothing was paid: a later verdict still counts.
        (Sep::Sep6, In::PendingUserTransferStart) => {
            mapping == Mapping::Sep6
                && funds != Funds::Received
                && matches!(customer, Some(NeedsInfo | Rejected))
        }
        (Sep::Sep6 | Sep::Sep31, _) => false,
    };
    if takes {
        Ok(())
    } else {
        Err(StatusRefused::Status(current))
    }
}
