//! `ingest`: the door for billing platforms. It finds the billing account, checks that the platform sent these very
//! bytes, turns them into a signal, and answers 200 once the signal is durable on `q:recover`. What a merchant reports with
//! a key becomes a signal in the same way ([`report`]).

pub mod handler;
pub mod reply;
pub mod report;
