//! Revenue recovery through the whole path.

mod billing;
mod guards;
mod walk;
