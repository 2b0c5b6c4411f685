//! See `laws::signatures`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::signatures::hold(input));
