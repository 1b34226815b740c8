//! What holds, and why, stands in `src/claims.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::claims::check(bytes));
