//! What holds whatever an outsider sends: one module for each fuzz target, with a `hold` that panics where it does not.
//!
//! `fuzz/fuzz_targets` runs them with inputs that a fuzzer makes, the test of this crate with those of `fuzz/corpus`. Inputs
//! are texts where that can be, so that a corpus can be read: lines first, then the rest. Parsers that lie in functions are
//! taken from there by their files, so that this crate needs neither the AWS SDK nor an HTTP client.

pub mod calls;
pub mod canonical;
pub mod cursors;
pub mod events;
pub mod platforms;
pub mod questions;
pub mod signatures;
pub mod targets;
pub mod tasks;
pub mod tokens;
pub mod words;

#[path = "../../../functions/publish/src/body.rs"]
pub mod body;
#[path = "../../../functions/console/src/cursor.rs"]
mod cursor;
#[path = "../../../functions/publish/src/recipients.rs"]
pub mod recipients;
#[path = "../../../functions/anchor/src/rpc.rs"]
pub mod rpc;

use aws_lc_rs::hmac;
use jiff::Timestamp;

/// A target: what takes an input, and panics if a law does not hold.
pub type Hold = fn(&[u8]);

/// Every target by its name, which is that of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Hold); 11] = [
    ("signatures", signatures::hold),
    ("tokens", tokens::hold),
    ("platforms", platforms::hold),
    ("events", events::hold),
    ("canonical", canonical::hold),
    ("targets", targets::hold),
    ("questions", questions::hold),
    ("calls", calls::hold),
    ("tasks", tasks::hold),
    ("cursors", cursors::hold),
    ("words", words::hold),
];

/// The clock of every target: inputs are found again only if it stands.
const NOW: i64 = 1_700_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time of 2023 is in range")
}

/// The first line of an input, and what follows it.
fn line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n');
    match end.and_then(|end| input.split_at_checked(end)) {
        Some((line, rest)) => (line, rest.get(1..).unwrap_or_default()),
        None => (input, &[]),
    }
}

/// The first line as text, and what follows it; `None` if it is none.
fn text_line(input: &[u8]) -> Option<(&str, &[u8])> {
    let (line, rest) = line(input);
    Some((std::str::from_utf8(line).ok()?, rest))
}

/// HMAC-SHA256, straight from the crypto library.
fn mac(key: &[u8], parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign()
}
