//! Revenue recovery through the whole path.

mod billing;
mod enrichment;
mod guards;
mod record_back;
mod walk;
