//! What tests and benchmarks are made with: a table of their own, a whole Payrelay on a driven clock, receivers that
//! misbehave, meters, and stand-ins for what surrounds a function.

pub mod alarms;
pub mod bill;
pub mod effects;
pub mod faults;
pub mod hostile;
pub mod invocation;
pub mod meter;
pub mod queues;
pub mod runtime;
pub mod sample;
pub mod scene;
pub mod standin;
pub mod stories;
pub mod table;
pub mod tally;
pub mod throughput;
