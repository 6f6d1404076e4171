//! A short run of the simulation: promises kept, and the same seed gives the same trace.

use draftwire_torture::simulation::{Counts, run};

/// `make simulate SEEDS=…` runs more.
const SEEDS: u64 = 150;

#[test]
fn every_promise_is_kept() {
    let mut counts = Counts::default();
    for seed in 0..SEEDS {
        let outcome = run(seed, None);
        assert!(
            outcome.violations.is_empty(),
            "`simulate --trace {seed}` shows how:\n{}",
            outcome.violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        );
        counts.add(&outcome.counts);
    }
    // A simulation in which nothing happens keeps every promise too.
    assert!(counts.events > 5 * SEEDS && counts.connections > 5 * SEEDS, "{counts}");
    assert!(counts.deltas > SEEDS && counts.snapshots > SEEDS, "{counts}");
    assert!(counts.crashes > 0 && counts.cuts > 0 && counts.drains > 0, "{counts}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let traced = |seed| {
        let mut lines = Vec::new();
        let outcome = run(seed, Some(&mut |line: &str| lines.push(line.to_owned())));
        (outcome.trace, outcome.counts, lines)
    };
    let mut traces = Vec::new();
    for seed in 0..20 {
        let (first, second) = (traced(seed), traced(seed));
        assert_eq!(first.2, second.2, "seed {seed}");
        assert_eq!((first.0, first.1), (second.0, second.1), "seed {seed}");
        traces.push(first.0);
    }
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 20, "another seed is another run");
}
