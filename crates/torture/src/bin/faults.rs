//! `faults`: plants each fault in a copy of the tree, builds the simulation there, and runs it until
//! the fault is caught. A fault that is not caught is a failure of the rig.
//!
//! Owns the copy, the builds and the table; what is planted stands in the library.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use draftwire_torture::faults::{FAULTS, Fault};

/// Seeds after which a fault counts as not caught.
const SEEDS: u64 = 6_000;
/// Seeds that must keep every promise while no fault is planted.
const SOUND_SEEDS: u64 = 300;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<&Fault> = FAULTS
        .iter()
        .filter(|fault| wanted.is_empty() || wanted.iter().any(|name| name == fault.name))
        .collect();
    if chosen.is_empty() {
        eprintln!("usage: faults [NAME …]\nthere are:");
        FAULTS.iter().for_each(|fault| eprintln!("  {:32} {}", fault.name, fault.what));
        return ExitCode::from(2);
    }
    let bench = match Bench::set_up() {
        Ok(bench) => bench,
        Err(why) => {
            eprintln!("faults: {why}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(found) = bench.violations(SOUND_SEEDS) {
        eprintln!("faults: without a fault the simulation says {found:?}");
        return ExitCode::FAILURE;
    }
    println!("| fault | what is wrong then | caught by | first seed |\n|---|---|---|---|");
    let begun = Instant::now();
    let missed: Vec<_> = chosen.iter().filter(|fault| !bench.catches(fault)).collect();
    println!(
        "{} faults planted, {} caught, {:.0} s",
        chosen.len(),
        chosen.len() - missed.len(),
        begun.elapsed().as_secs_f64()
    );
    missed.iter().for_each(|fault| eprintln!("NOT CAUGHT: {}: {}", fault.name, fault.what));
    ExitCode::from(u8::from(!missed.is_empty()))
}

/// A copy of the tree in which things may be broken.
struct Bench {
    tree: PathBuf,
    target: PathBuf,
}

impl Bench {
    fn set_up() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().map_err(|error| error.to_string())?;
        let folder = root.join("target/faults");
        let bench = Self { tree: folder.join("tree"), target: folder.join("build") };
        let mut git = Command::new("git");
        git.arg("-C").arg(&root).args(["ls-files", "-co", "--exclude-standard"]);
        let listed = git.output().map_err(|error| format!("git: {error}"))?;
        let listed = String::from_utf8_lossy(&listed.stdout);
        let needed = |name: &&str| {
            let first = name.split('/').next().unwrap_or_default();
            matches!(first, "crates" | "Cargo.toml" | "Cargo.lock" | ".cargo")
        };
        for name in listed.lines().filter(needed) {
            copy(&root.join(name), &bench.tree.join(name)).map_err(|e| format!("{name}: {e}"))?;
        }
        bench.build()?;
        Ok(bench)
    }

    fn build(&self) -> Result<(), String> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        cargo.args([
            "build",
            "--quiet",
            "--locked",
            "-p",
            "draftwire-torture",
            "--bin",
            "simulate",
        ]);
        // A fault may leave something unused.
        cargo.env("RUSTFLAGS", std::env::var("RUSTFLAGS").unwrap_or_default());
        let built = cargo.output().map_err(|error| format!("cargo: {error}"))?;
        if built.status.success() {
            return Ok(());
        }
        Err(format!("it does not build:\n{}", String::from_utf8_lossy(&built.stderr)))
    }

    /// The first seed that breaks a promise, and the names of the checks that say so.
    fn violations(&self, seeds: u64) -> Option<(String, BTreeSet<String>)> {
        let mut simulate = Command::new(self.target.join("debug/simulate"));
        let output = simulate.arg("--until-broken").arg(seeds.to_string()).output();
        let output = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let text = output.unwrap_or_else(|error| format!("?: VIOLATION {error}:"));
        let found = text.lines().filter_map(|line| line.split_once(": VIOLATION "));
        let mut seed = None;
        let mut checks = BTreeSet::new();
        for (broken, rest) in found {
            seed = Some(broken.trim_start_matches("seed ").to_owned());
            checks.insert(rest.split(':').next().unwrap_or_default().to_owned());
        }
        seed.map(|seed| (seed, checks))
    }

    /// Plants a fault, runs, takes it out again.
    fn catches(&self, fault: &Fault) -> bool {
        let path = self.tree.join(fault.file);
        let right = fs::read_to_string(&path).unwrap_or_default();
        if fs::write(&path, right.replacen(fault.right, fault.wrong, 1)).is_err() {
            return false;
        }
        let built = self.build();
        let found = built.as_ref().ok().and_then(|()| self.violations(SEEDS));
        let mended = fs::write(&path, right);
        if let Err(why) = built {
            eprintln!("{}: {why}", fault.name);
            return false;
        }
        if let Err(error) = mended {
            eprintln!("{}: the source can't be mended: {error}", fault.name);
            return false;
        }
        let Some((seed, checks)) = found else { return false };
        let names: Vec<_> = checks.iter().map(|name| format!("`{name}`")).collect();
        println!("| `{}` | {} | {} | {seed} |", fault.name, fault.what, names.join(", "));
        let expected = fault.caught_by.iter().any(|check| checks.contains(&format!("{check:?}")));
        if !expected {
            eprintln!("{}: caught by {checks:?}, expected {:?}", fault.name, fault.caught_by);
        }
        expected
    }
}

/// Copies a file, unless it is the same: its time then stays, and nothing is built anew for it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let Ok(bytes) = fs::read(from) else { return Ok(()) };
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, bytes)
}
