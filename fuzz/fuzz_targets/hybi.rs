//! What holds, and why, stands in `src/hybi.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::hybi::check(bytes));
