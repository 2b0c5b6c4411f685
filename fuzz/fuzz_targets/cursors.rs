//! See `laws::cursors`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::cursors::hold(input));
