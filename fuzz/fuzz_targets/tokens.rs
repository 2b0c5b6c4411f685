//! See `laws::tokens`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::tokens::hold(input));
