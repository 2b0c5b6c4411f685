//! Revenue recovery through the whole path.

mod billing;
mod cards;
mod chargebee;
mod concurrency;
mod crash;
mod custom;
mod echo;
mod enrichment;
mod guards;
mod large;
mod record_back;
mod walk;
