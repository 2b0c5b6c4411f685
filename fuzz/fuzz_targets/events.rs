//! See `laws::events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::events::hold(input));
