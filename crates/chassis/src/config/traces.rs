//! Where traces of sampled messages go: `[telemetry]`.

use std::path::PathBuf;

use bulkhead_model::Region;
use serde::Deserialize;

use super::check::{Check, is_web_address};

/// Traces are on.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesConfig {
    /// `https://host:port` or `http://host:port` of a collector that speaks OTLP over gRPC, in the node's own region.
    pub otlp_endpoint: String,
    /// The authority of its certificate; `None` for those that the system trusts.
    pub tls_ca_file: Option<PathBuf>,
    /// The share of the messages that are traced, above 0 and at most 1.
    pub sample_ratio: f64,
}

/// The values as they stand in the files.
#[derive(Deserialize)]
pub(super) struct RawTelemetry {
    otlp_endpoint: String,
    region: String,
    tls_ca_file: String,
    sample_ratio: f64,
}

impl Check<'_> {
    /// A collector is an endpoint like any other (design: region pinning, layer 7). `None` when traces are off.
    pub(super) fn telemetry(&mut self, own: Option<Region>, raw: &RawTelemetry) -> Option<TracesConfig> {
        if raw.otlp_endpoint.is_empty() {
            return None;
        }
        if !is_web_address(&raw.otlp_endpoint) {
            self.problem("telemetry.otlp_endpoint", "must have the form https://host:port");
        }
        match raw.region.parse::<Region>() {
            Err(_) => self.problem("telemetry.region", "must state the region of the endpoint"),
            Ok(stated) if own.is_some_and(|own| own != stated) => {
                self.problem("telemetry.region", "is another region than this node's");
            }
            Ok(_) => {}
        }
        if !(raw.sample_ratio > 0.0 && raw.sample_ratio <= 1.0) {
            self.problem("telemetry.sample_ratio", "must be above 0.0 and at most 1.0");
        }
        let tls_ca_file = (!raw.tls_ca_file.is_empty()).then(|| PathBuf::from(&raw.tls_ca_file));
        let (otlp_endpoint, sample_ratio) = (raw.otlp_endpoint.clone(), raw.sample_ratio);
        Some(TracesConfig { otlp_endpoint, tls_ca_file, sample_ratio })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Role};

    fn read(telemetry: &str) -> Result<Config, String> {
        let file = format!(
            "region = \"singapore\"\nstorage.region_key_file = \"k\"\nidentity.insecure = true\n[telemetry]\n{telemetry}"
        );
        Config::read(Role::Storage, "f", &file, Vec::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn traces_are_off_until_a_collector_of_this_region_is_named() {
        assert_eq!(read("").unwrap().traces, None);
        let traces = read("otlp_endpoint = \"https://c:4317\"\nregion = \"singapore\"\nsample_ratio = 0.5");
        let traces = traces.unwrap().traces.unwrap();
        assert_eq!((&*traces.otlp_endpoint, traces.sample_ratio), ("https://c:4317", 0.5));
    }

    #[test]
    fn a_collector_of_another_region_or_of_none_is_refused() {
        for (region, expected) in [
            ("frankfurt", "telemetry.region: is another region than this node's"),
            ("", "telemetry.region: must state the region of the endpoint"),
        ] {
            let wrong =
                read(&format!("otlp_endpoint = \"https://c:4317\"\nregion = \"{region}\"")).err().unwrap();
            assert!(wrong.contains(expected), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_share_of_the_messages_is_refused() {
        for ratio in ["0.0", "1.01", "-0.5"] {
            let telemetry =
                format!("otlp_endpoint = \"https://c:4317\"\nregion = \"singapore\"\nsample_ratio = {ratio}");
            assert!(read(&telemetry).err().unwrap().contains("telemetry.sample_ratio"), "{ratio}");
        }
    }
}
