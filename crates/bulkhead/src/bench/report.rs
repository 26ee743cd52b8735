//! The result of a run, for programs and for people.

use std::fmt;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::window::Measured;

/// Settings and figures in the order in which they were added.
pub(super) struct Report {
    scenario: &'static str,
    settings: Vec<(&'static str, Value)>,
    figures: Vec<(String, Value)>,
}

impl Report {
    pub(super) fn new(scenario: &'static str) -> Self {
        Self { scenario, settings: Vec::new(), figures: Vec::new() }
    }

    pub(super) fn setting(&mut self, name: &'static str, value: impl Into<Value>) {
        self.settings.push((name, value.into()));
    }

    /// A count; the unit is the end of the name.
    pub(super) fn count(&mut self, name: &str, value: u64) {
        self.figures.push((name.to_owned(), json!(value)));
    }

    /// A measured number, kept to a thousandth.
    pub(super) fn number(&mut self, name: &str, value: f64) {
        let rounded = (value * 1000.0).round() / 1000.0;
        self.figures.push((name.to_owned(), json!(rounded)));
    }

    /// What happened in a window, per second and per second of the server's CPU.
    pub(super) fn rate(&mut self, what: &str, count: u64, measured: &Measured) {
        self.count(what, count);
        self.number(&format!("{what}_per_s"), count as f64 / measured.elapsed.as_secs_f64());
        // Below the resolution of the process's clock there is nothing to divide by.
        if !measured.server_cpu.is_zero() {
            let per_cpu_s = count as f64 / measured.server_cpu.as_secs_f64();
            self.number(&format!("{what}_per_server_cpu_s"), per_cpu_s);
        }
    }

    /// Percentiles of a histogram of microseconds, in milliseconds.
    pub(super) fn latency(&mut self, name: &str, histogram: &Histogram<u64>) {
        for (percentile, label) in [(50.0, "p50"), (99.0, "p99"), (99.9, "p99_9"), (100.0, "max")] {
            let ms = histogram.value_at_percentile(percentile) as f64 / 1000.0;
            self.number(&format!("{name}_{label}_ms"), ms);
        }
    }

    pub(super) fn to_json(&self) -> String {
        let settings: Map<String, Value> =
            self.settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let figures: Map<String, Value> = self.figures.iter().cloned().collect();
        json!({ "scenario": self.scenario, "settings": settings, "figures": figures }).to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scenario)?;
        for (name, value) in &self.settings {
            write!(f, " {name}={value}")?;
        }
        writeln!(f)?;
        for (name, value) in &self.figures {
            writeln!(f, "  {name:<40} {value:>14}")?;
        }
        Ok(())
    }
}

/// A histogram of microseconds up to a minute, exact to three digits.
pub(super) fn histogram() -> Histogram<u64> {
    const MINUTE_US: u64 = 60_000_000;
    Histogram::new_with_bounds(1, MINUTE_US, 3).expect("the bounds are in order and three digits are allowed")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn both_forms_show_every_figure() {
        let mut report = Report::new("direct");
        report.setting("seed", 1);
        let measured = Measured::of(Duration::from_secs(2), Duration::from_millis(500));
        report.rate("messages", 100, &measured);
        let mut latency = histogram();
        latency.record(1500).unwrap();
        report.latency("receipt", &latency);
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["figures"]["messages_per_s"], 50.0);
        assert_eq!(json["figures"]["messages_per_server_cpu_s"], 200.0);
        assert_eq!(json["figures"]["receipt_p99_9_ms"], 1.5);
        let text = report.to_string();
        assert!(text.starts_with("direct: seed=1\n") && text.contains("receipt_max_ms"));
    }
}
