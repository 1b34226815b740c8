//! What holds, and why, stands in `src/explain.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::explain::check(bytes));
