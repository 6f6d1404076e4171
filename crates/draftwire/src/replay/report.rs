//! What a person sees of a replay: a progress bar while it runs, a table at the end.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const BAR_CHARS: usize = 40;

/// A bar on standard error; where that is no terminal, a line at each tenth.
pub(super) struct Progress {
    total: usize,
    done: AtomicUsize,
    terminal: bool,
    started: Instant,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { total, done: AtomicUsize::new(0), terminal, started: Instant::now() }
    }

    /// One more is done.
    pub(super) fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let filled = BAR_CHARS * done / self.total.max(1);
        let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR_CHARS - filled));
        let text = format!("  {bar} {done}/{} orders", self.total);
        let mut out = std::io::stderr().lock();
        // A terminal that is gone is no reason to stop.
        let _ = if self.terminal {
            let end = if done == self.total { "\n" } else { "" };
            write!(out, "\r{text}{end}")
        } else if done * 10 / self.total.max(1) > (done - 1) * 10 / self.total.max(1) {
            writeln!(out, "{text}")
        } else {
            Ok(())
        };
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The figures of a replay.
pub(super) struct Summary {
    pub(super) customers: usize,
    pub(super) devices: usize,
    pub(super) orders: usize,
    pub(super) cancelled: usize,
    pub(super) nothing_to_cancel: usize,
    pub(super) commands: u64,
    pub(super) events: u64,
    pub(super) elapsed: Duration,
    pub(super) latencies: Vec<Duration>,
}

impl Summary {
    /// Prints the table.
    pub(super) fn print(mut self) {
        self.latencies.sort_unstable();
        let seconds = self.elapsed.as_secs_f64();
        let rate = self.commands as f64 / seconds.max(0.001);
        let millis = |part: f64| {
            percentile(&self.latencies, part)
                .map_or_else(|| "–".into(), |time| format!("{:.2} ms", time.as_secs_f64() * 1000.0))
        };
        let rows = [
            ("customers", format!("{} ({} devices)", self.customers, self.devices)),
            ("orders placed", self.orders.to_string()),
            (
                "cancellations",
                format!(
                    "{} (and {} that had no pending order)",
                    self.cancelled, self.nothing_to_cancel
                ),
            ),
            ("commands", format!("{} in {seconds:.1} s ({rate:.0}/s)", self.commands)),
            ("events delivered", self.events.to_string()),
            (
                "command → other device",
                format!("p50 {}   p95 {}   p99 {}", millis(0.50), millis(0.95), millis(0.99)),
            ),
        ];
        println!();
        for (name, value) in rows {
            println!("  {name:<24}{value}");
        }
    }
}

/// The smallest value that at least `part` of all values do not exceed.
fn percentile(sorted: &[Duration], part: f64) -> Option<Duration> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 0.50), Some(Duration::from_millis(50)));
        assert_eq!(percentile(&sorted, 0.99), Some(Duration::from_millis(99)));
        assert_eq!(percentile(&sorted[..1], 0.99), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
