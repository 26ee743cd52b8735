//! Logs on standard error, the metrics recorder, and traces of single messages to a collector of the region.

mod traces;

use bulkhead_model::Region;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::StartError;
use crate::config::{Log, LogFormat, Role, TracesConfig};
pub use traces::Traces;

/// Upper bounds of histogram buckets; the unit is in the name of the metric.
const BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 100.0, 1000.0];

/// Starts logging alone; `RUST_LOG` overrules `filter`. Call once, and not beside [`start`].
pub fn start_logs(format: LogFormat, filter: &str) -> Result<(), StartError> {
    init(Registry::default().with(log_layer(format, filter)?))
}

/// Starts logging, and traces when they are configured. Call once, within a tokio runtime; hand what it answers to
/// [`Traces::stop`] at the end.
pub fn start(
    log: &Log,
    traces: Option<&TracesConfig>,
    role: Role,
    region: Region,
) -> Result<Traces, StartError> {
    let subscriber = Registry::default().with(log_layer(log.format, &log.filter)?);
    match traces {
        None => {
            init(subscriber)?;
            Ok(Traces::off())
        }
        Some(config) => {
            let traces = Traces::start(config, role, region)?;
            init(subscriber.with(traces.layer(config.sample_ratio)))?;
            Ok(traces)
        }
    }
}

/// Starts the metrics recorder of this process. Call once.
pub fn start_metrics() -> Result<PrometheusHandle, StartError> {
    PrometheusBuilder::new()
        .set_buckets(BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| StartError::Usage(format!("metrics cannot start: {error}")))
}

fn log_layer<S>(format: LogFormat, filter: &str) -> Result<Box<dyn Layer<S> + Send + Sync>, StartError>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let directives = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| filter.to_owned());
    let filter =
        EnvFilter::try_new(&directives).map_err(|error| StartError::Usage(format!("log.filter: {error}")))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    Ok(match format {
        LogFormat::Text => {
            layer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).with_filter(filter).boxed()
        }
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    })
}

fn init(subscriber: impl SubscriberInitExt) -> Result<(), StartError> {
    subscriber.try_init().map_err(|error| StartError::Usage(format!("logging cannot start: {error}")))
}
