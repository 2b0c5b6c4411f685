//! See `laws::platforms`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::platforms::hold(input));
