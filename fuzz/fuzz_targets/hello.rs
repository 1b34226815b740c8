//! What holds, and why, stands in `src/hello.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::hello::check(bytes));
