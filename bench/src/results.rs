//! What was measured: figures by work and server, one per run.
//!
//! Owns the table and its medians and ratios. It knows no units beyond a work's own text.

use std::collections::BTreeMap;

/// Figures of all runs.
#[derive(Default)]
pub struct Results {
    figures: BTreeMap<(String, String), Vec<f64>>,
    order: Vec<String>,
    /// Share of a core that the load generator used, at most, by work.
    load: BTreeMap<String, f64>,
}

/// Least, middle, most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The most.
    pub max: f64,
}

impl Results {
    /// Adds a figure.
    pub fn add(&mut self, work: &str, server: &str, figure: f64) {
        eprintln!("  {work:<6} {server:<14} {figure:.3}");
        if !self.order.iter().any(|known| known == work) {
            self.order.push(work.to_owned());
        }
        self.figures.entry((work.to_owned(), server.to_owned())).or_default().push(figure);
    }

    /// Notes how busy the load generator was.
    pub fn note_load(&mut self, work: &str, share: f64) {
        let most = self.load.entry(work.to_owned()).or_default();
        *most = most.max(share);
    }

    /// How busy the load generator was at most in a work, as a share of one core.
    pub fn load(&self, work: &str) -> Option<f64> {
        self.load.get(work).copied()
    }

    /// All figures of a work and server.
    pub fn of(&self, work: &str, server: &str) -> &[f64] {
        self.figures.get(&(work.to_owned(), server.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Their spread.
    pub fn spread(&self, work: &str, server: &str) -> Option<Spread> {
        spread(self.of(work, server))
    }

    /// Ratios of two servers, run by run: what was measured in the same round is compared.
    pub fn ratio(&self, work: &str, server: &str, to: &str) -> Option<Spread> {
        let pairs = self.of(work, server).iter().zip(self.of(work, to));
        spread(&pairs.map(|(a, b)| a / b).collect::<Vec<_>>())
    }
}

/// The spread of some figures; `None` where there are none.
pub fn spread(figures: &[f64]) -> Option<Spread> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = match sorted.len() % 2 {
        1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    };
    Some(Spread { min, median, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_run_by_run() {
        let mut results = Results::default();
        for (a, b) in [(2.0, 1.0), (9.0, 3.0), (4.0, 4.0)] {
            results.add("W1", "draftwire", a);
            results.add("W1", "floor", b);
        }
        let ratio = results.ratio("W1", "draftwire", "floor").unwrap();
        assert_eq!(ratio, Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(results.ratio("W1", "draftwire", "nobody"), None);
    }
}
