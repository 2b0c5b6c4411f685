//! `sweep`: every minute it puts parked deliveries that are due back on their queue, probes
//! endpoints and lets go what was held for those that are back, sends callbacks that were left, tells
//! of retries that are due, and moves what the queues gave up to the table. Overlapping runs are harmless.

mod backlog;
pub mod handler;
mod intents;
mod outbox;
mod pages;
