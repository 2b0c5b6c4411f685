//! `cargo local demo`: stories that are told to their end, on a clock that is driven.
//!
//! Everything of Payrelay is the real thing, wired as everywhere else. Played is everybody outside. Nothing leaves the
//! process, so a story takes seconds and is the same every time.

mod customer;
mod recovery;
mod stage;

pub use customer::customer;
pub use recovery::recovery;
