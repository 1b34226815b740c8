//! What holds, and why, stands in `src/play.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::play::check(bytes));
