//! The files of the three regions, as every role reads them.

use bulkhead_chassis::config::Purpose;
use bulkhead_chassis::{Config, Role};

use crate::files::{REGIONS, read};

/// What a process says of itself and no file can.
fn environment(role: Role) -> Vec<(String, String)> {
    let own = ("BULKHEAD_ROUTER__ADVERTISE_URL".to_owned(), "https://10.0.0.1:7102".to_owned());
    if role == Role::Router { vec![own] } else { Vec::new() }
}

#[test]
fn every_role_reads_the_file_of_its_region_and_calls_nobody_elsewhere() {
    for region in REGIONS {
        let file = format!("deploy/config/{region}.toml");
        for role in Role::ALL {
            let config = Config::read(role, &file, &read(&file), environment(role));
            let config = config.unwrap_or_else(|error| panic!("{region}, {}: {error}", role.name()));
            assert_eq!(config.region.name(), region);
            let called: Vec<_> =
                config.configured.iter().filter(|address| address.purpose == Purpose::Called).collect();
            for setting in [
                "bus.shards",
                "endpoints.auth.url",
                "endpoints.router.url",
                "endpoints.storage.url",
                "storage.cql.contact_points",
                "storage.objects.endpoint",
                "telemetry.otlp_endpoint",
            ] {
                assert!(called.iter().any(|address| address.setting == setting), "{region}: {setting}");
            }
            for address in called {
                assert_eq!(address.region, region, "{}", address.setting);
                let other =
                    REGIONS.iter().find(|other| **other != region && address.address.contains(**other));
                assert_eq!(other, None, "{}: {}", address.setting, address.address);
            }
            let homes: Vec<_> = config.homes.keys().map(|home| home.name()).collect();
            assert_eq!(homes.len(), 2);
            assert!(!homes.contains(&region), "a region is not told as another one");
        }
    }
}
