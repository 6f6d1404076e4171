//! Fuzz target: see `draftwire_fuzzing::commands`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| draftwire_fuzzing::commands::body(data));
