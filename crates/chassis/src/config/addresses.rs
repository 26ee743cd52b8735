//! Every address that a configuration names, with the region it is said to be in, for the residency report.

use figment::value::{Dict, Value};
use serde::{Deserialize, Serialize};

use super::identity::is_loopback;

/// Keys whose values are addresses, in a section that states its region.
const ADDRESS_KEYS: &[&str] = &[
    "address",
    "addresses",
    "endpoint",
    "nodes",
    "otlp_endpoint",
    "contact_points",
    "servers",
    "shards",
    "url",
    "urls",
];

/// The setting of a section that allows its addresses to be spoken to without TLS.
const IN_THE_CLEAR: &str = "in_the_clear";

/// The section of what is told to clients of other regions' apps.
const HOMES: &str = "homes";

/// One address of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredAddress {
    /// The full key, like `endpoints.auth.url`.
    pub setting: String,
    /// Without user names and passwords.
    pub address: String,
    /// The region that is stated for it; empty when none is.
    pub region: String,
    pub purpose: Purpose,
    /// It is called, is not of this machine, and nothing encrypts what goes there.
    #[serde(default)]
    pub in_the_clear: bool,
}

/// What an address is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The node connects to it.
    Called,
    /// The node only tells it to clients, whose apps live there.
    ToldToClients,
}

/// Walks the merged configuration: a section with a `region` and an address is an endpoint. Sorted by setting.
pub(super) fn addresses_in(merged: &Dict) -> Vec<ConfiguredAddress> {
    let mut found = Vec::new();
    for (name, value) in merged {
        if name == HOMES {
            told(value, &mut found);
        } else {
            called(name, value, &mut found);
        }
    }
    found
}

fn told(homes: &Value, found: &mut Vec<ConfiguredAddress>) {
    let Value::Dict(_, homes) = homes else { return };
    for (region, address) in homes {
        for address in texts(address) {
            found.push(ConfiguredAddress {
                setting: format!("{HOMES}.{region}"),
                address: without_credentials(address),
                region: region.clone(),
                purpose: Purpose::ToldToClients,
                in_the_clear: false,
            });
        }
    }
}

fn called(key: &str, value: &Value, found: &mut Vec<ConfiguredAddress>) {
    match value {
        Value::Dict(_, section) => {
            if let Some(Value::String(_, region)) = section.get("region") {
                for (name, value) in section.iter().filter(|(name, _)| is_address_key(name)) {
                    for address in texts(value) {
                        found.push(ConfiguredAddress {
                            setting: format!("{key}.{name}"),
                            address: without_credentials(address),
                            region: region.clone(),
                            purpose: Purpose::Called,
                            in_the_clear: is_in_the_clear(address, section),
                        });
                    }
                }
            }
            for (name, value) in section {
                called(&format!("{key}.{name}"), value, found);
            }
        }
        Value::Array(_, values) => {
            for (index, value) in values.iter().enumerate() {
                called(&format!("{key}[{index}]"), value, found);
            }
        }
        _ => {}
    }
}

/// What would leave the machine unencrypted without the setting of its section that says so.
pub(super) fn in_the_clear_unasked(merged: &Dict, configured: &[ConfiguredAddress]) -> Vec<String> {
    let unencrypted = configured.iter().filter(|address| address.in_the_clear);
    let unasked = unencrypted.filter_map(|address| {
        let (section, _) = address.setting.rsplit_once('.')?;
        let values = section.split('.').try_fold(merged, |values, name| match values.get(name) {
            Some(Value::Dict(_, section)) => Some(section),
            _ => None,
        })?;
        // Without this setting, a section has a rule of its own.
        let Some(Value::Bool(_, false)) = values.get(IN_THE_CLEAR) else { return None };
        let ConfiguredAddress { setting, address, .. } = address;
        Some(format!(
            "{setting}: {address} would be spoken to in the clear; use TLS, or set {section}.{IN_THE_CLEAR}"
        ))
    });
    unasked.collect()
}

fn is_in_the_clear(address: &str, section: &Dict) -> bool {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let is_encrypted = match scheme {
        "https" | "rediss" => true,
        "" => matches!(section.get("tls_ca_file"), Some(Value::String(_, file)) if !file.is_empty()),
        _ => false,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).trim_matches(['[', ']']);
    !is_encrypted && !is_loopback(host)
}

fn is_address_key(name: &str) -> bool {
    ADDRESS_KEYS
        .iter()
        .any(|key| name.strip_suffix(key).is_some_and(|before| before.is_empty() || before.ends_with('_')))
}

/// The texts of a value: one, several with commas between them, or a list.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(_, text) => {
            text.split(',').map(str::trim).filter(|address| !address.is_empty()).collect()
        }
        Value::Array(_, values) => values.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn without_credentials(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((credentials, _)) => format!("{scheme}://{}", &rest[credentials.len() + 1..]),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use figment::Figment;
    use figment::providers::{Format, Toml};

    use super::*;

    #[test]
    fn every_section_with_a_region_and_an_address_is_found_without_its_credentials() {
        let file = r#"
            region = "singapore"
            [homes]
            frankfurt = "https://fra.example.com"
            virginia = ""
            [endpoints.auth]
            url = "https://a:1, https://b:2"
            region = "singapore"
            [endpoints.router]
            url = ""
            region = ""
            [bus]
            region = "frankfurt"
            urls = ["redis://user:pass@r:1/0", "redis://r:2"]
            [telemetry]
            otlp_endpoint = "http://t:4"
            region = "singapore"
            [[shards]]
            url = "redis://c:3"
            region = "virginia"
        "#;
        let merged: Dict = Figment::from(Toml::string(file)).extract().unwrap();
        let found: Vec<_> = addresses_in(&merged)
            .into_iter()
            .map(|found| (found.setting, found.address, found.region, found.purpose))
            .collect();
        let row = |setting: &str, address: &str, region: &str, purpose| {
            (setting.to_owned(), address.to_owned(), region.to_owned(), purpose)
        };
        assert_eq!(
            found,
            [
                row("bus.urls", "redis://r:1/0", "frankfurt", Purpose::Called),
                row("bus.urls", "redis://r:2", "frankfurt", Purpose::Called),
                row("endpoints.auth.url", "https://a:1", "singapore", Purpose::Called),
                row("endpoints.auth.url", "https://b:2", "singapore", Purpose::Called),
                row("homes.frankfurt", "https://fra.example.com", "frankfurt", Purpose::ToldToClients),
                row("shards[0].url", "redis://c:3", "virginia", Purpose::Called),
                row("telemetry.otlp_endpoint", "http://t:4", "singapore", Purpose::Called),
            ]
        );
    }

    #[test]
    fn what_leaves_the_machine_without_tls_is_asked_for() {
        let with = |more: &str| -> (Vec<ConfiguredAddress>, Vec<String>) {
            let file = format!(
                "[bus]\nregion = \"singapore\"\nin_the_clear = false\n{more}\n\
                 [endpoints.auth]\nurl = \"http://a:1\"\nregion = \"singapore\"\n"
            );
            let merged: Dict = Figment::from(Toml::string(&file)).extract().unwrap();
            let found = addresses_in(&merged);
            let problems = in_the_clear_unasked(&merged, &found);
            (found.into_iter().filter(|found| found.setting.starts_with("bus")).collect(), problems)
        };
        for (safe, in_the_clear) in [
            (
                "shards = [\"rediss://r:1\", \"redis://127.0.0.1:1\", \"redis://localhost:1\", \"redis://[::1]:1\"]",
                false,
            ),
            ("url = \"https://r\"", false),
            ("contact_points = \"db:1, db2:1\"\ntls_ca_file = \"ca\"", false),
            ("contact_points = \"127.0.0.1:1\"\ntls_ca_file = \"\"", false),
            ("contact_points = \"127.0.0.1:1, db:1\"\ntls_ca_file = \"\"", true),
            ("url = \"http://u:p@r:1/x\"", true),
            ("shards = [\"redis://10.0.0.1:1\"]", true),
        ] {
            let (found, problems) = with(safe);
            assert_eq!(found.iter().any(|found| found.in_the_clear), in_the_clear, "{safe}");
            assert_eq!(problems.len(), usize::from(in_the_clear), "{problems:?}");
        }
        let (_, problems) = with("url = \"http://u:p@r:1/x\"");
        let expected =
            "bus.url: http://r:1/x would be spoken to in the clear; use TLS, or set bus.in_the_clear";
        assert_eq!(problems, [expected]);
    }

    #[test]
    fn no_section_of_the_defaults_states_a_region_without_a_key_that_is_known_to_be_an_address() {
        fn walk(path: &str, section: &Dict, seen: &mut usize) {
            if !path.is_empty() && section.contains_key("region") {
                *seen += 1;
                assert!(section.keys().any(|name| is_address_key(name)), "{path}");
            }
            for (name, value) in section {
                if let Value::Dict(_, inner) = value {
                    walk(&format!("{path}.{name}"), inner, seen);
                }
            }
        }
        let defaults: Dict = Figment::from(Toml::string(crate::config::DEFAULTS)).extract().unwrap();
        let mut seen = 0;
        walk("", &defaults, &mut seen);
        assert!(seen >= 3);
    }
}
