//! Revenue recovery through the whole path.

mod billing;
mod concurrency;
mod crash;
mod enrichment;
mod guards;
mod large;
mod record_back;
mod walk;
