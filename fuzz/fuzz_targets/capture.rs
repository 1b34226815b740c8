//! What holds, and why, stands in `src/capture.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::capture::check(bytes));
