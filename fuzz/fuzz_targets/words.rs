//! See `laws::words`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::words::hold(input));
