//! Requests over HTTPS.
