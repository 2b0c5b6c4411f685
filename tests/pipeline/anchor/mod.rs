//! Anchors: wallets hear of their customers, in order.

mod ordered;
mod wallet;
