//! Fuzz target: see `draftwire_fuzzing::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| draftwire_fuzzing::frames::body(data));
