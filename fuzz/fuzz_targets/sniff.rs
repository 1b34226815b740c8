//! What holds, and why, stands in `src/sniff.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::sniff::check(bytes));
