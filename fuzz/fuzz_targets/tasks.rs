//! See `laws::tasks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| laws::tasks::hold(input));
