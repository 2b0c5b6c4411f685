//! `fanout`: records each event once, naming its endpoints, and queues one delivery for each of them.

pub mod handler;
