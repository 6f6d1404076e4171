//! The benchmark: starts servers, loads them, compares them in the same run.
//!
//! Runs are interleaved (every server once, then again), and what is printed are ratios with their
//! least, middle and most. The main figure is the server's processor time per delivery: other
//! programs on the machine hardly move it.
//!
//! ```text
//! bench [--rounds N] [--servers NAME,…] [--works W1,…] [--curves] [--write]
//! ```

mod http;
mod plot;
mod report;
mod results;
mod sqlite_alone;
mod subject;
mod swarm;
mod system;
mod works;

use std::process::Command;
use std::time::Instant;

use results::Results;
use subject::Who;
use works::{durable, growth, live, reconnect};

/// Works that one session of a server measures.
const LIVE: [&str; 7] = ["W1", "W1b", "W2", "W2h", "W3", "W4", "W5"];

#[derive(Default)]
struct Options {
    rounds: usize,
    servers: Vec<String>,
    works: Vec<String>,
    curves: bool,
    write: bool,
}

impl Options {
    fn parse() -> Result<Self, String> {
        let mut options = Self { rounds: 3, ..Self::default() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            let list = |text: String| text.split(',').map(str::to_owned).collect();
            match argument.as_str() {
                "--rounds" => {
                    options.rounds = value()?.parse().map_err(|_| "--rounds takes a number")?;
                }
                "--servers" => options.servers = list(value()?),
                "--works" => options.works = list(value()?),
                "--curves" => options.curves = true,
                "--write" => options.write = true,
                other => {
                    return Err(format!("{other} is unknown; see the top of bench/src/main.rs"));
                }
            }
        }
        Ok(options)
    }

    fn wants(&self, work: &str) -> bool {
        self.works.is_empty() || self.works.iter().any(|name| name == work)
    }

    fn wants_server(&self, who: Who) -> bool {
        self.servers.is_empty() || self.servers.iter().any(|name| name == who.name())
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("bench: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let options = Options::parse()?;
    let begun = Instant::now();
    system::raise_descriptors();
    let mut results = Results::default();
    if LIVE.iter().any(|work| options.wants(work)) {
        system::pin_load(true);
        measure_live(&options, &mut results)?;
    }
    // What writes to a disk or comes in storms is not bound to a core.
    system::pin_load(false);
    for _ in 0..options.rounds {
        measure_durable(&options, &mut results)?;
    }
    let about = about(&options, begun);
    println!("\n{}", report::figures(&results, &about));
    if options.write {
        report::write("figures", &report::figures(&results, &about), &[])?;
    }
    if options.curves {
        system::pin_load(true);
        let mut curves = growth::connections(&mut results)?.to_vec();
        curves.push(growth::devices()?);
        curves.push(growth::event_bytes()?);
        curves.extend(growth::documents()?);
        println!("{}", report::curves(&curves));
        if options.write {
            report::write("curves", &report::curves(&curves), &curves)?;
        }
    }
    Ok(())
}

fn measure_live(options: &Options, results: &mut Results) -> Result<(), String> {
    let size = live::Size::default();
    let named = |who: Who, error: String| format!("{}: {error}", who.name());
    let (whos, missing): (Vec<Who>, Vec<Who>) = Who::ALL
        .into_iter()
        .filter(|who| options.wants_server(*who))
        .partition(|who| who.is_installed());
    for who in missing {
        eprintln!("SKIPPED: {} is not installed", who.name());
    }
    let rate = if options.wants("W5") { Some(slowest_half(&whos, &size)?) } else { None };
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for who in &whos {
            live::measure(*who, &size, rate, &|work| options.wants(work), results)
                .map_err(|error| named(*who, error))?;
        }
    }
    Ok(())
}

/// Events a second at which the slowest server is half busy.
fn slowest_half(whos: &[Who], size: &live::Size) -> Result<f64, String> {
    let mut rate = f64::INFINITY;
    for who in whos {
        let mut own = Results::default();
        live::measure(*who, size, None, &|work| work == "W2", &mut own)
            .map_err(|error| format!("{}: {error}", who.name()))?;
        rate = rate.min(live::half_saturation(*who, size, &own).unwrap_or(f64::INFINITY));
    }
    eprintln!("W5 is measured at {rate:.0} events a second");
    Ok(rate)
}

fn measure_durable(options: &Options, results: &mut Results) -> Result<(), String> {
    let size = durable::Size::default();
    if options.wants("W6") {
        durable::many(Who::Draftwire, None, &size, results)?;
        match durable::Redis::start().filter(|_| Who::NodeWs.is_installed()) {
            Some(redis) => durable::many(Who::NodeWs, Some(&redis), &size, results)?,
            None => eprintln!("SKIPPED: ws + Redis is not installed"),
        }
    }
    if options.wants("W7") {
        durable::one(&size, results)?;
    }
    if options.wants("W8") {
        reconnect::measure(results)?;
    }
    Ok(())
}

/// What the tables are about: machine, versions, command.
fn about(options: &Options, begun: Instant) -> String {
    let says = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().map(|line| line.trim().to_owned())
    };
    let bun = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/node_modules/.bin/bun");
    let versions = [
        ("rustc", says("rustc", "--version").map(|v| v.replacen("rustc ", "", 1))),
        ("Node", says("node", "--version")),
        ("Bun", says(bun, "--version")),
        (
            "Redis",
            says("redis-server", "--version").map(|v| {
                v.split_whitespace()
                    .find(|word| word.starts_with("v="))
                    .unwrap_or_default()
                    .to_owned()
            }),
        ),
    ];
    let versions: Vec<String> = versions
        .into_iter()
        .map(|(name, version)| format!("{name} {}", version.unwrap_or_else(|| "missing".into())))
        .collect();
    format!(
        "Machine: {}; disk {}. Versions: {}; the peers' are in `bench/peers/package-lock.json`. \
         {} interleaved rounds, {:.0} minutes.",
        system::description(),
        durable::disk(),
        versions.join(", "),
        options.rounds,
        begun.elapsed().as_secs_f64() / 60.0
    )
}
