//! `fanout`: records each event once, naming its endpoints, and queues one delivery for each of them.

mod choose;
pub mod handler;
