//! Where a process's data can go: every address that it is configured for and every one that it has dialled, with their
//! regions. What an operator hands to an auditor.

use std::fmt::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::config::{ConfiguredAddress, Purpose};

/// One address that was dialled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialledAddress {
    /// The service that was expected there.
    pub service: String,
    pub address: String,
    /// The region that the other side has proven, by its certificate or its mark; `None` when it never has.
    pub proven_region: Option<String>,
    /// Connections that were made.
    pub connected: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Why the newest refused handshake was refused.
    pub refused: Option<String>,
}

/// What a process says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResidencyReport {
    /// The configured region of the process.
    pub region: String,
    /// The role, or the file that was read.
    pub process: String,
    /// The name in its certificate; `None` without one.
    pub identity: Option<String>,
    pub configured: Vec<ConfiguredAddress>,
    pub dialled: Vec<DialledAddress>,
}

/// Answers what one part of the process has dialled.
pub type DialledSource = Box<dyn Fn() -> Vec<DialledAddress> + Send + Sync>;

/// The report of a running process, which its parts contribute to; clones are the same.
#[derive(Clone)]
pub struct Residency {
    fixed: Arc<ResidencyReport>,
    sources: Arc<Mutex<Vec<DialledSource>>>,
}

impl Residency {
    /// What is known from the configuration; nothing has been dialled yet.
    pub fn new(fixed: ResidencyReport) -> Self {
        Self { fixed: Arc::new(fixed), sources: Arc::default() }
    }

    /// Adds what another part of the process dials.
    pub fn add_source(&self, source: DialledSource) {
        self.sources.lock().push(source);
    }

    /// Adds addresses of an engine that has proven, by the mark that was read there, that it is of the process's own region.
    /// Only the connection that read the mark is counted; further ones are the engine's own.
    pub fn add_marked(&self, engine: &str, addresses: &[String]) {
        let marked: Vec<_> = addresses
            .iter()
            .map(|address| DialledAddress {
                service: engine.to_owned(),
                address: address.clone(),
                proven_region: Some(self.fixed.region.clone()),
                connected: 1,
                failed: 0,
                refused: None,
            })
            .collect();
        self.add_source(Box::new(move || marked.clone()));
    }

    /// The report at this instant.
    pub fn report(&self) -> ResidencyReport {
        let mut report = ResidencyReport::clone(&self.fixed);
        report.dialled.extend(self.sources.lock().iter().flat_map(|source| source()));
        report
    }
}

impl ResidencyReport {
    /// One line for each address that the process could carry data to in another region, and for each whose region is
    /// not stated. Empty is what a regulator wants to see.
    pub fn findings(&self) -> Vec<String> {
        let configured = self
            .configured
            .iter()
            .filter(|address| address.purpose == Purpose::Called && address.region != self.region)
            .map(|address| {
                let stated = if address.region.is_empty() { "no region" } else { &address.region };
                format!("{} = {} is stated to be in {stated}", address.setting, address.address)
            });
        let dialled = self
            .dialled
            .iter()
            .filter(|dialled| dialled.proven_region.as_ref().is_some_and(|proven| *proven != self.region))
            .map(|dialled| format!("{} at {} has proven another region", dialled.service, dialled.address));
        configured.chain(dialled).collect()
    }
}

/// As text for people.
impl fmt::Display for ResidencyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: region {}", self.process, self.region)?;
        writeln!(
            f,
            "  identity    {}",
            self.identity.as_deref().unwrap_or("none (insecure, loopback only)")
        )?;
        writeln!(f, "  configured")?;
        for address in &self.configured {
            let told = if address.purpose == Purpose::ToldToClients {
                "  (told to clients, never called)"
            } else {
                ""
            };
            let clear = if address.in_the_clear { "  (in the clear)" } else { "" };
            let region = if address.region.is_empty() { "no region" } else { &address.region };
            writeln!(f, "    {:<28} {:<36} {region}{told}{clear}", address.setting, address.address)?;
        }
        writeln!(f, "  dialled")?;
        for dialled in &self.dialled {
            let region = dialled.proven_region.as_deref().unwrap_or("not proven");
            let mut more = String::new();
            if let Some(reason) = &dialled.refused {
                write!(more, ", last refused: {reason}")?;
            }
            let (connected, failed) = (dialled.connected, dialled.failed);
            writeln!(
                f,
                "    {:<28} {:<36} {region} ({connected} connections, {failed} failures{more})",
                dialled.service, dialled.address
            )?;
        }
        match self.findings().as_slice() {
            [] => writeln!(f, "  every address is in {}", self.region),
            findings => findings.iter().try_for_each(|finding| writeln!(f, "  FINDING: {finding}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> ResidencyReport {
        let configured = |setting: &str, region: &str, purpose| ConfiguredAddress {
            setting: setting.to_owned(),
            address: "https://a:1".to_owned(),
            region: region.to_owned(),
            purpose,
            in_the_clear: false,
        };
        ResidencyReport {
            region: "singapore".to_owned(),
            process: "router".to_owned(),
            identity: None,
            configured: vec![
                configured("endpoints.auth.url", "singapore", Purpose::Called),
                configured("homes.frankfurt", "frankfurt", Purpose::ToldToClients),
            ],
            dialled: Vec::new(),
        }
    }

    fn dialled(proven_region: Option<&str>) -> DialledAddress {
        DialledAddress {
            service: "auth".to_owned(),
            address: "10.0.0.1:7101".to_owned(),
            proven_region: proven_region.map(str::to_owned),
            connected: 1,
            failed: 0,
            refused: None,
        }
    }

    #[test]
    fn what_is_only_told_to_clients_is_no_finding_and_what_could_be_called_elsewhere_is() {
        assert_eq!(report().findings(), Vec::<String>::new());
        let mut elsewhere = report();
        elsewhere.configured[0].region = "virginia".to_owned();
        assert_eq!(elsewhere.findings().len(), 1);
        elsewhere.configured[0].region = String::new();
        assert!(elsewhere.findings()[0].ends_with("no region"));
        assert!(elsewhere.to_string().contains("FINDING"));
    }

    #[test]
    fn what_parts_have_dialled_is_in_the_report_with_what_it_has_proven() {
        let residency = Residency::new(report());
        residency.add_source(Box::new(|| vec![dialled(Some("singapore")), dialled(None)]));
        assert_eq!(residency.report().dialled.len(), 2);
        assert!(residency.report().findings().is_empty());
        residency.add_marked("object store", &["https://objects".to_owned()]);
        assert_eq!(residency.report().dialled[2].address, "https://objects");
        assert!(residency.report().findings().is_empty());
        residency.add_source(Box::new(|| vec![dialled(Some("frankfurt"))]));
        assert_eq!(residency.report().findings(), ["auth at 10.0.0.1:7101 has proven another region"]);
        let json = serde_json::to_string(&residency.report()).unwrap();
        assert_eq!(serde_json::from_str::<ResidencyReport>(&json).unwrap(), residency.report());
    }
}
