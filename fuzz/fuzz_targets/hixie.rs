//! What holds, and why, stands in `src/hixie.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::hixie::check(bytes));
