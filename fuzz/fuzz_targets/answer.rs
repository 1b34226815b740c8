//! What holds, and why, stands in `src/answer.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::answer::check(bytes));
