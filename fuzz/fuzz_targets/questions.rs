//! See `laws::questions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::questions::hold(input));
