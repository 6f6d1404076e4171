//! Fuzz target: see `draftwire_fuzzing::stored`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| draftwire_fuzzing::stored::body(data));
