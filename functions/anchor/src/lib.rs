//! `anchor`: the door of an anchor's business server and of its wallets. A JSON-RPC call moves a transaction by what the
//! business server says of its customer, and its wallet is told, in order, until it is final; transactions are put and read;
//! a wallet puts where it wants to hear of a customer.

pub mod business;
pub mod callback;
pub mod handler;
pub mod notify;
pub mod reply;
pub mod rpc;
pub mod transactions;
