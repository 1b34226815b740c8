//! What holds, and why, stands in `src/preamble.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::preamble::check(bytes));
