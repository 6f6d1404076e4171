//! What was measured, as tables for people: on the terminal and in `docs/benchmarks.md`.
//!
//! Owns the goals and how a figure is held against them. Text that people have written stands
//! outside the marks and is left alone.

use std::fs;
use std::path::{Path, PathBuf};

use crate::plot::{self, number};
use crate::results::{Results, Spread};
use crate::subject::Who;
use crate::works::growth::Curve;
use crate::works::live::LOAD_MAX;

/// A work as it is shown: key, what it is, unit.
const WORKS: [(&str, &str, &str); 9] = [
    ("W1", "one event at a time to 10,000 connections", "µs of CPU per delivery"),
    ("W1b", "16 events in flight to 10,000 connections", "µs of CPU per delivery"),
    ("W2", "events to random users' 2 devices, through the library", "µs of CPU per delivery"),
    ("W2h", "the same, published over HTTP", "µs of CPU per request"),
    ("W3", "an idle authenticated connection", "bytes of user memory"),
    ("W4", "a handshake with HS256", "µs of CPU"),
    ("W5", "publish → device at half of the slowest peer's saturation, 99th percentile", "ms"),
    ("W6", "durable commands, 200 users × 3 devices, 4 in flight each", "commands a second"),
    ("W7", "one durable command at a time → the other device, median", "ms"),
];

/// A bound on a ratio of two servers' figures, or on a figure.
struct Goal {
    work: &'static str,
    text: &'static str,
    server: &'static str,
    to: Option<&'static str>,
    bound: Bound,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

const fn goal(
    work: &'static str,
    text: &'static str,
    server: &'static str,
    to: Option<&'static str>,
    bound: Bound,
) -> Goal {
    Goal { work, text, server, to, bound }
}

const GOALS: [Goal; 16] = [
    goal("W1", "≤ 1.08 × floor", "draftwire", Some("floor"), Bound::AtMost(1.08)),
    goal("W1", "below Bun", "draftwire", Some("Bun"), Bound::AtMost(1.0)),
    goal("W1b", "≤ 1.2 × joined floor", "draftwire", Some("joined floor"), Bound::AtMost(1.2)),
    goal("W2", "≤ 1.08 × floor", "draftwire", Some("floor"), Bound::AtMost(1.08)),
    goal("W2", "below Bun", "draftwire", Some("Bun"), Bound::AtMost(1.0)),
    goal(
        "W2h",
        "≥ 7 × cheaper than ws + Express",
        "ws + Express",
        Some("draftwire"),
        Bound::AtLeast(7.0),
    ),
    goal("W2h", "≥ 2 × cheaper than Bun", "Bun", Some("draftwire"), Bound::AtLeast(2.0)),
    goal("W3", "≤ 1,000 bytes", "draftwire", None, Bound::AtMost(1_000.0)),
    goal("W4", "≤ 1.25 × floor", "draftwire", Some("floor"), Bound::AtMost(1.25)),
    goal("W5", "best of the peers", "draftwire", Some("Bun"), Bound::AtMost(1.0)),
    goal("W5", "≤ 1.2 × floor", "draftwire", Some("floor"), Bound::AtMost(1.2)),
    goal("W6", "≥ 0.7 × SQLite alone", "draftwire", Some("SQLite alone"), Bound::AtLeast(0.7)),
    goal("W6", "≥ 3 × ws + Redis", "draftwire", Some("ws + Redis"), Bound::AtLeast(3.0)),
    goal(
        "W7",
        "≤ 1.3 × (commit + round trip)",
        "draftwire",
        Some("commit + trip"),
        Bound::AtMost(1.3),
    ),
    goal(
        "W8",
        "10,000 devices with 20 missed events each: all live within 3 s",
        "draftwire",
        None,
        Bound::AtMost(3.0),
    ),
    goal(
        "W8 p99",
        "meanwhile others' 99th percentile < 20 ms",
        "draftwire",
        None,
        Bound::AtMost(20.0),
    ),
];

fn servers(work: &str) -> Vec<&'static str> {
    match work {
        "W6" => vec!["SQLite alone", "draftwire", "ws + Redis"],
        "W7" => vec!["commit + trip", "draftwire"],
        _ => Who::ALL.iter().map(|who| who.name()).collect(),
    }
}

/// What the others of a work are compared with.
fn reference(work: &str) -> &'static str {
    match work {
        "W1b" => "joined floor",
        "W6" => "SQLite alone",
        "W7" => "commit + trip",
        "W2h" => "draftwire",
        _ => "floor",
    }
}

/// The tables.
pub fn figures(results: &Results, about: &str) -> String {
    let mut out = format!("{about}\n\n");
    out += "| work | goal | measured (median; least–most) | met |\n|---|---|---|---|\n";
    for goal in &GOALS {
        let measured = match goal.to {
            Some(to) => results.ratio(goal.work, goal.server, to),
            None => results.spread(goal.work, goal.server),
        };
        let Some(measured) = measured else { continue };
        let met = match goal.bound {
            Bound::AtMost(most) => measured.median <= most,
            Bound::AtLeast(least) => measured.median >= least,
        };
        let verdict = if met { "yes" } else { "**no**" };
        let work = goal.work.split(' ').next().unwrap_or(goal.work);
        out += &format!("| {work} | {} | {} | {verdict} |\n", goal.text, shown(measured));
    }
    for (work, what, unit) in WORKS {
        out += &table(results, work, what, unit);
    }
    out
}

fn table(results: &Results, work: &str, what: &str, unit: &str) -> String {
    let reference = reference(work);
    let Some(least) = results.spread(work, reference) else { return String::new() };
    let mut out = format!("\n**{work}: {what}** ({unit})");
    if let Some(load) = results.load(work) {
        let busy = if load > LOAD_MAX { ": **it may have been the bottleneck**" } else { "" };
        out += &format!("; the load generator used {:.0} % of a core{busy}", load * 100.0);
    }
    let more = work == "W6";
    let above = if more { "" } else { " above it |" };
    out += &format!("\n\n| server | median (least–most) | × {reference} |{above}\n|---|---|---|");
    out += if more { "\n" } else { "---|\n" };
    for server in servers(work) {
        let Some(figure) = results.spread(work, server) else { continue };
        let ratio = results.ratio(work, server, reference).map_or_else(String::new, shown);
        let name = if server == "draftwire" { "**draftwire**" } else { server };
        out += &format!("| {name} | {} | {ratio} |", shown(figure));
        if !more {
            out += &format!(" {} |", signed(figure.median - least.median));
        }
        out.push('\n');
    }
    out
}

fn signed(value: f64) -> String {
    if value < 0.0 { format!("−{}", number(-value)) } else { number(value) }
}

fn shown(spread: Spread) -> String {
    let Spread { min, median, max } = spread;
    format!("{} ({}–{})", number(median), number(min), number(max))
}

/// The curves with their figures.
pub fn curves(curves: &[Curve]) -> String {
    let mut out = String::new();
    for curve in curves {
        out += &format!("![{}](bench/{}.svg)\n\n| {} |", curve.title, curve.name, curve.x);
        let points = curve.lines.first().map_or(&[][..], |(_, points)| points);
        for (x, _) in points {
            out += &format!(" {} |", number(*x));
        }
        out += &format!("\n|---|{}\n", "---|".repeat(points.len()));
        for (name, points) in &curve.lines {
            out += &format!("| {name}, {} |", curve.y);
            for (_, y) in points {
                out += &format!(" {} |", number(*y));
            }
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

/// Puts a text between its marks in `docs/benchmarks.md`, and the drawings beside it.
pub fn write(mark: &str, text: &str, drawn: &[Curve]) -> Result<(), String> {
    let docs = docs();
    let page = docs.join("benchmarks.md");
    let failed = |error: std::io::Error| format!("{}: {error}", page.display());
    let before = fs::read_to_string(&page).map_err(failed)?;
    let (open, close) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
    let missing = || format!("{} has no marks {open}", page.display());
    let (head, rest) = before.split_once(&open).ok_or_else(missing)?;
    let (_, tail) = rest.split_once(&close).ok_or_else(missing)?;
    fs::write(&page, format!("{head}{open}\n{text}\n{close}{tail}")).map_err(failed)?;
    let folder = docs.join("bench");
    fs::create_dir_all(&folder).map_err(failed)?;
    for curve in drawn {
        fs::write(folder.join(format!("{}.svg", curve.name)), plot::svg(curve)).map_err(failed)?;
    }
    Ok(())
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}
