//! `sweep`: every minute it puts parked deliveries that are due back on their queue, and moves what the queues gave
//! up to the table. Overlapping runs are harmless.

pub mod handler;
mod intents;
