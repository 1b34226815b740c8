//! What holds, and why, stands in `src/body.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::body::check(bytes));
