//! `recover`: what a billing platform told us becomes the state of an invoice and the events to tell of it.

mod asking;
mod enrich;
pub mod handler;
mod lever;
mod record_back;
mod signal;
