//! `console`: the operator's API. Tenants, keys, endpoints, billing accounts, publishers, anchors and their wallet
//! clients are written here and read by the other functions; events, deliveries, intents and quarantined messages are
//! read here, replayed and redriven.
//!
//! A request passes [`auth`] (who asks, and whose data may be reached), [`request`] (what is asked, read strictly)
//! and one of the [`routes`]; the answer is a shape of [`view`] or a problem of [`reply`]. What the table and the
//! queues hold is decided elsewhere; the one decision made here is what became of an event ([`standing`]).

pub mod auth;
pub mod complaint;
mod cursor;
pub mod handler;
pub mod openapi;
pub mod reply;
pub mod request;
pub mod routes;
pub mod secrets;
pub mod standing;
pub mod terms;
pub mod view;
