use std::fmt;
use std::str::FromStr;

use bulkhead_model::Region;

use super::Refusal;

/// What every service certificate of every Bulkhead region begins with: the scheme and the trust domain.
const TRUST_DOMAIN: &str = "spiffe://bulkhead/";

/// The kinds of process that call each other (design: five kinds of process).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    Gateway,
    Auth,
    Router,
    Storage,
    /// Operators and app owners: the console, and `bulkhead admin` on their behalf.
    Console,
}

impl Service {
    /// Every service.
    pub const ALL: [Service; 5] =
        [Service::Gateway, Service::Auth, Service::Router, Service::Storage, Service::Console];

    /// The lower-case name used in certificates, configuration and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Service::Gateway => "gateway",
            Service::Auth => "auth",
            Service::Router => "router",
            Service::Storage => "storage",
            Service::Console => "console",
        }
    }

    /// Finds a service by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }
}

/// Who a process is: one service of one region, as its certificate says (design: region pinning, layer 2). Displays
/// as the URI that stands in the certificate, `spiffe://bulkhead/<region>/<service>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceName {
    pub region: Region,
    pub service: Service,
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TRUST_DOMAIN}{}/{}", self.region, self.service.name())
    }
}

/// `OtherRegion` for a name of a region that does not exist, `NoName` for anything else that is no name.
impl FromStr for ServiceName {
    type Err = Refusal;

    fn from_str(uri: &str) -> Result<Self, Refusal> {
        let path = uri.strip_prefix(TRUST_DOMAIN).ok_or(Refusal::NoName)?;
        let (region, service) = path.split_once('/').ok_or(Refusal::NoName)?;
        let service = Service::from_name(service).ok_or(Refusal::NoName)?;
        let region = region.parse().map_err(|_| Refusal::OtherRegion)?;
        Ok(Self { region, service })
    }
}

/// The region that an authority says it is for, by the URI `spiffe://bulkhead/<region>`; `None` for any other URI.
pub(super) fn region_in(uri: &str) -> Option<Result<Region, Refusal>> {
    let region = uri.strip_prefix(TRUST_DOMAIN)?;
    Some(region.parse().map_err(|_| Refusal::OtherRegion))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_from_its_uri() {
        for region in Region::ALL {
            for service in Service::ALL {
                let name = ServiceName { region, service };
                assert_eq!(name.to_string().parse(), Ok(name));
            }
        }
        let name = ServiceName { region: Region::Singapore, service: Service::Router };
        assert_eq!(name.to_string(), "spiffe://bulkhead/singapore/router");
    }

    #[test]
    fn what_is_not_exactly_a_name_is_refused() {
        for wrong in [
            "",
            "spiffe://bulkhead/",
            "spiffe://bulkhead/singapore",
            "spiffe://bulkhead/singapore/",
            "spiffe://bulkhead/singapore/router/",
            "spiffe://bulkhead/singapore/router/x",
            "spiffe://bulkhead/singapore/Router",
            "spiffe://bulkhead//router",
            "spiffe://other/singapore/router",
            "SPIFFE://bulkhead/singapore/router",
            "https://bulkhead/singapore/router",
        ] {
            assert!(wrong.parse::<ServiceName>().is_err(), "{wrong}");
        }
        assert_eq!("spiffe://bulkhead/tokyo/router".parse::<ServiceName>(), Err(Refusal::OtherRegion));
    }
}
