//! Revenue recovery through the whole path.

mod guards;
