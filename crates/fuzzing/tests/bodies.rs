//! The fuzz targets without a fuzzer: every seed, and some hundred seeds with bytes changed.
//!
//! An input that the fuzzer finds is put beside the seeds of its target, and is a test from then on.

use std::path::Path;

use draftwire_fuzzing::TARGETS;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut seeds: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 3, "{target} has seeds");
    seeds
}

/// A seed with a few bytes changed, taken out or put in, and sometimes another one's end.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let interesting = prop_oneof![
        any::<u8>(),
        prop::sample::select(&b"\0\x7f\x80\xff\n\r\"\\{}[],:.%/0-9eE"[..]),
    ];
    let edit = (any::<prop::sample::Index>(), 0..4_u8, interesting);
    let seed = prop::sample::select(seeds);
    (seed.clone(), seed, any::<prop::sample::Index>(), prop::collection::vec(edit, 0..6)).prop_map(
        |(mut bytes, other, place, edits)| {
            if edits.len() == 5 {
                bytes.truncate(place.index(bytes.len() + 1));
                bytes.extend(&other[place.index(other.len() + 1)..]);
            }
            for (place, what, byte) in edits {
                let at = place.index(bytes.len() + 1);
                match what {
                    0 => bytes.insert(at, byte),
                    1 if at < bytes.len() => drop(bytes.remove(at)),
                    2 if at < bytes.len() => bytes[at] ^= 1 << (byte & 7),
                    _ if at < bytes.len() => bytes[at] = byte,
                    _ => {}
                }
            }
            bytes
        },
    )
}

/// Tries the seeds, and so many changed ones, the same every time. `CASES` in the environment is another
/// number of them.
#[track_caller]
fn try_out(target: &str, cases: u32) {
    let (_, body) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    let seeds = seeds(target);
    for (path, bytes) in &seeds {
        println!("{path}");
        body(bytes);
    }
    let config = ProptestConfig {
        cases: std::env::var("CASES").map_or(cases, |cases| cases.parse().unwrap()),
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..Default::default()
    };
    let bytes = seeds.into_iter().map(|(_, bytes)| bytes).collect();
    let outcome = TestRunner::new(config).run(&changed(bytes), |bytes| {
        body(&bytes);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{target}: {error}"));
}

#[test]
fn frames() {
    try_out("frames", 2000);
}

#[test]
fn handshake() {
    try_out("handshake", 300);
}

#[test]
fn deflate() {
    try_out("deflate", 600);
}

#[test]
fn commands() {
    try_out("commands", 2000);
}

#[test]
fn tokens() {
    try_out("tokens", 1000);
}

#[test]
fn stored() {
    try_out("stored", 150);
}
