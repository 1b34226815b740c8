//! What holds, and why, stands in `src/conversation.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hybridge_fuzz::conversation::check(bytes));
