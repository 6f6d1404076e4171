//! `simulate`: runs seeds of the simulation, and shows what a seed does.
//!
//! Owns arguments and the report; what a seed does is the library's.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use draftwire_torture::simulation::{Counts, run};

const USAGE: &str = "usage: simulate SEEDS [FIRST]    runs so many seeds, from FIRST (0) on
       simulate --until-broken SEEDS   ends at the first that breaks a promise
       simulate --trace SEED      shows every step of one";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse::<u64>().ok());
    match (arguments.first().map(String::as_str), number(0), number(1)) {
        (Some("--trace"), _, Some(seed)) => trace(seed),
        (Some("--until-broken"), _, Some(seeds)) => until_broken(seeds),
        (Some(_), Some(seeds), first) => simulate(seeds, first.unwrap_or(0)),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn trace(seed: u64) -> ExitCode {
    let mut print = |line: &str| println!("{line}");
    let outcome = run(seed, Some(&mut print));
    println!("{}\ntrace {:016x}", outcome.counts, outcome.trace);
    for violation in &outcome.violations {
        println!("VIOLATION {violation}");
    }
    ExitCode::from(u8::from(!outcome.violations.is_empty()))
}

fn until_broken(seeds: u64) -> ExitCode {
    for seed in 0..seeds {
        let violations = run(seed, None).violations;
        if !violations.is_empty() {
            violations.iter().for_each(|broken| println!("seed {seed}: VIOLATION {broken}"));
            return ExitCode::FAILURE;
        }
    }
    println!("{seeds} seeds, and every promise was kept");
    ExitCode::SUCCESS
}

fn simulate(seeds: u64, first: u64) -> ExitCode {
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let total = Mutex::new((Counts::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut counts = Counts::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        break;
                    }
                    let outcome = run(seed, None);
                    counts.add(&outcome.counts);
                    if let Some(violation) = outcome.violations.first() {
                        println!("seed {seed}: VIOLATION {violation}");
                        total.lock().expect("nobody panics").1.push(seed);
                    }
                }
                total.lock().expect("nobody panics").0.add(&counts);
            });
        }
    });
    let (counts, broken) = total.into_inner().expect("nobody panics");
    println!("{seeds} seeds from {first} in {:.1} s: {counts}", begun.elapsed().as_secs_f64());
    if broken.is_empty() {
        println!("every promise was kept");
        return ExitCode::SUCCESS;
    }
    println!("{} seeds broke a promise; `simulate --trace {}` shows one", broken.len(), broken[0]);
    ExitCode::FAILURE
}
