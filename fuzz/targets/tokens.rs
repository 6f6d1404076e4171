//! Fuzz target: see `draftwire_fuzzing::tokens`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| draftwire_fuzzing::tokens::body(data));
