//! What holds, and why, stands in `src/config.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::config::check(bytes));
