//! What holds, and why, stands in `src/sse.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::sse::check(bytes));
