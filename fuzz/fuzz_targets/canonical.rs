//! See `laws::canonical`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::canonical::hold(input));
