//! What holds, and why, stands in `src/challenge.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::challenge::check(bytes));
