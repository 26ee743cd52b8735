use std::path::Path;
use std::time::Duration;

use bulkhead_api::path;
use bulkhead_model::Region;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tonic::transport::{Certificate, ClientTlsConfig};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::StartError;
use crate::config::{Role, TracesConfig};

/// How long the collector may take for one batch of spans.
const EXPORT_LIMIT: Duration = Duration::from_secs(5);

/// How long the last spans may take at the end of the process.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// The way to the collector. Spans wait for it in a bounded queue, and what does not fit is dropped.
pub struct Traces {
    provider: Option<SdkTracerProvider>,
}

impl Traces {
    pub(super) fn off() -> Self {
        Self { provider: None }
    }

    /// Prepares the way; connects when there is something to send.
    pub(super) fn start(config: &TracesConfig, role: Role, region: Region) -> Result<Self, StartError> {
        let mut exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&config.otlp_endpoint)
            .with_timeout(EXPORT_LIMIT);
        if config.otlp_endpoint.starts_with("https://") {
            exporter = exporter.with_tls_config(collector_tls(config.tls_ca_file.as_deref())?);
        }
        let exporter = exporter
            .build()
            .map_err(|error| StartError::Usage(format!("telemetry.otlp_endpoint: {error}")))?;
        // Nothing from the environment: what a node tells about itself is what stands here.
        let resource = Resource::builder_empty()
            .with_service_name(format!("bulkhead-{}", role.name()))
            .with_attribute(KeyValue::new("bulkhead.region", region.name()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        Ok(Self { provider: Some(provider) })
    }

    /// What turns spans of the message path into spans of the collector.
    pub(super) fn layer<S>(&self, sample_ratio: f64) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer = self.provider.as_ref()?.tracer("bulkhead");
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(Sampled { below: (sample_ratio * RANGE) as u64 }))
    }

    /// Sends what waits. Blocks for a moment at most.
    pub fn stop(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown_with_timeout(STOP_LIMIT)
        {
            tracing::warn!(%error, "the last traces were not taken by the collector");
        }
    }
}

/// Random numbers of 32 bits are compared with the share of the messages.
const RANGE: f64 = (1_u64 << 32) as f64;

/// Lets spans of the message path through: a share of those that begin a trace, and all that belong to one. A message
/// that is not traced has no span at all, so that nothing is made, carried or dropped for it.
struct Sampled {
    below: u64,
}

impl Sampled {
    /// Whether a message that begins is one of the share.
    fn takes_one(&self) -> bool {
        random() < self.below
    }
}

impl<S> Filter<S> for Sampled {
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !metadata.is_span() || metadata.target() != path::TARGET {
            Interest::never()
        } else if metadata.name() == path::ROOT {
            Interest::sometimes()
        } else {
            Interest::always()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        metadata.target() == path::TARGET && (metadata.name() != path::ROOT || self.takes_one())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

/// 32 random bits; which messages are traced is no secret.
fn random() -> u64 {
    use std::cell::Cell;
    use std::hash::{BuildHasher, RandomState};
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
    }
    STATE.with(|state| {
        // Xorshift (Marsaglia 2003), whose upper half is good enough for a share.
        let mut bits = state.get();
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        state.set(bits);
        bits >> 32
    })
}

/// The collector has to prove its name, to the authority of the file or to one that the system trusts.
fn collector_tls(ca_file: Option<&Path>) -> Result<ClientTlsConfig, StartError> {
    crate::tls::install_provider();
    let Some(file) = ca_file else { return Ok(ClientTlsConfig::new().with_enabled_roots()) };
    let pem = std::fs::read(file).map_err(|error| StartError::file(file, &error))?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry::Registry;

    use super::*;

    /// How many of 10,000 messages are taken.
    fn begun(share: f64) -> usize {
        let sampled = Sampled { below: (share * RANGE) as u64 };
        (0..10_000).filter(|_| sampled.takes_one()).count()
    }

    #[test]
    fn a_share_of_the_messages_is_taken() {
        assert_eq!(begun(1.0), 10_000);
        let tenth = begun(0.1);
        assert!((700..1300).contains(&tenth), "{tenth}");
        assert_eq!(begun(0.0), 0);
    }

    #[test]
    fn without_a_collector_a_message_has_no_span() {
        tracing::subscriber::with_default(Registry::default().with(LevelFilter::INFO), || {
            assert!(path::begin().is_disabled());
            assert!(path::current().is_disabled());
            assert!(path::sequence().is_disabled());
        });
    }
}
