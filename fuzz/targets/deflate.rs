//! Fuzz target: see `draftwire_fuzzing::deflate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| draftwire_fuzzing::deflate::body(data));
