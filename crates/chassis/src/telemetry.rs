//! Logs on standard error and the metrics recorder.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::StartError;
use crate::config::LogFormat;

/// Upper bounds of histogram buckets; the unit is in the name of the metric.
const BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 100.0, 1000.0];

/// Starts logging; `RUST_LOG` overrules `filter`. Call once.
pub fn start_logs(format: LogFormat, filter: &str) -> Result<(), StartError> {
    let directives = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| filter.to_owned());
    let filter =
        EnvFilter::try_new(&directives).map_err(|error| StartError::Usage(format!("log.filter: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| StartError::Usage(format!("logging cannot start: {error}")))
}

/// Starts the metrics recorder of this process. Call once.
pub fn start_metrics() -> Result<PrometheusHandle, StartError> {
    PrometheusBuilder::new()
        .set_buckets(BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| StartError::Usage(format!("metrics cannot start: {error}")))
}
