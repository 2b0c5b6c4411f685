//! What the business server last said of a customer, by its digest: enough to know it again.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{Customer, CustomerStatus};

/// What was last said of a customer in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// How the customer stood.
    pub status: CustomerStatus,
    /// The SHA-256 of all that was said, in lower-case hex. The text itself is personal data, and is with its event.
    pub digest: String,
    /// How much of it was told: the number of the last callback of the line, 0 if there was none.
    pub told: u64,
}

impl Snapshot {
    /// What `customer` is remembered by, `told` callbacks later.
    #[must_use]
    pub fn of(customer: &Customer, told: u64) -> Self {
        Self {
            status: customer.status,
            digest: HEXLOWER.encode(digest(&SHA256, customer.body.as_str().as_bytes()).as_ref()),
            told,
        }
    }

    /// Whether that is what was said last, to the byte.
    #[must_use]
    pub fn says(&self, customer: &Customer) -> bool {
        *self == Self::of(customer, self.told)
    }
}
