//! Customer callbacks: what a call of an anchor's business server does to a transaction, and what a wallet is told of it.
//!
//! The cast: an anchor's *business server* knows its customers and calls one JSON-RPC method. A [`Transaction`] (SEP-6, SEP-24,
//! SEP-31) belongs to a [`Client`], the wallet that its user came with. A [`Snapshot`] is what the business server last said
//! of a customer. A [`Registration`] is a URL that a wallet put for one customer, told until the verdict.
//!
//! What it promises: [`step`] and [`put`] are pure, and what they return is written whole or not at all; whoever is told of
//! something owns it; a change that was made before is told once.

mod answer;
mod client;
mod map;
mod settings;
mod snapshot;
mod status;
mod step;
mod transaction;

pub use answer::{Customer, Unusable};
pub use client::{Callbacks, Client, Registration};
pub use map::{Funds, Mapping, StatusRefused, next, takes};
pub use settings::{
    AnchorSettings, BusinessAuth, BusinessServer, ErasePayloads, Sep10, SigningKeys,
};
pub use snapshot::Snapshot;
pub use status::{CustomerStatus, TransactionStatus};
pub use step::{
    CUSTOMER_STATUS_CHANGED, CUSTOMER_UPDATED, Call, Change, Draft, Known, MESSAGE_MOST, Refused,
    TRANSACTION_STATUS_CHANGED, Telling, is_personal, put, step,
};
pub use transaction::{Customers, OURS, Transaction};

#[cfg(test)]
mod tests;
