//! The receiver as its sender, its queue and its account see it, on a clock that is driven by hand.

mod crash;
mod door;
mod support;
mod vectors;
mod worker;
