//! See `laws::calls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::calls::hold(input));
