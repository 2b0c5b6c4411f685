//! What the tests are made with: a table of their own, a meter on its requests, samples of every record.

pub mod meter;
pub mod queues;
pub mod sample;
pub mod table;
