//! `recover`: what a billing platform told us becomes the state of an invoice and the events to tell of it.

pub mod handler;
mod lever;
mod signal;
