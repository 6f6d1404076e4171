//! Fuzz target: see `draftwire_fuzzing::handshake`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| draftwire_fuzzing::handshake::body(data));
