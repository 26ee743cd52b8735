//! The token server: `[token_server]`, and the little that it reads of the other sections.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead_model::limits::ACCESS_TOKEN_LIFE_S_MAX;
use bulkhead_model::{AppId, AppKey, Region};
use serde::Deserialize;

use super::check::{Check, Raw, is_web_address};
use super::{ConfiguredAddress, Log, addresses, layers};
use crate::StartError;
use crate::tls::TlsFiles;

/// How a listen address begins that is a path.
const UNIX: &str = "unix:";

/// Below this a token may have ended before it is used.
const TOKEN_LIFE_S_MIN: u32 = 10;

/// The checked configuration of a token server.
pub struct TokenServerConfig {
    pub region: Region,
    pub log: Log,
    /// Where operators ask; `None` for nowhere.
    pub monitor: Option<SocketAddr>,
    pub drain_limit: Duration,
    pub configured: Vec<ConfiguredAddress>,
    pub listen: TokenServerListen,
    pub rest_url: String,
    /// `None` for the authorities that the system trusts.
    pub rest_ca_file: Option<PathBuf>,
    pub app_key: AppKey,
    pub app_id: AppId,
    pub app_certificate_file: PathBuf,
    pub app_certificate_secondary_file: Option<PathBuf>,
    pub map_dir: PathBuf,
    pub map_key_file: PathBuf,
    pub limits: TokenServerLimits,
}

/// Where the app's back end calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenServerListen {
    Unix(PathBuf),
    /// Whoever is on this machine.
    Loopback(SocketAddr),
    /// Whoever has a certificate of the authority with one of the names.
    Mutual {
        address: SocketAddr,
        files: TokenServerTlsFiles,
        client_names: Vec<String>,
    },
}

/// PEM files of mutual TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenServerTlsFiles {
    pub own: TlsFiles,
    pub client_authority: PathBuf,
}

/// The numbers of the section; units as in the names.
#[derive(Clone, Debug, Deserialize)]
pub struct TokenServerLimits {
    pub token_life_s: u32,
    pub token_life_s_min: u32,
    pub token_life_s_max: u32,
    pub caller_rate_per_s: u32,
    pub connections_max: usize,
    pub body_bytes_max: usize,
    pub request_limit_ms: u64,
}

/// The values as they stand in the files.
#[derive(Deserialize)]
pub(super) struct RawTokenServer {
    listen: String,
    tls_certificate_file: String,
    tls_key_file: String,
    client_ca_file: String,
    client_names: Vec<String>,
    rest_url: String,
    region: String,
    rest_plain_http: bool,
    rest_ca_file: String,
    app_key: String,
    app_id: String,
    app_certificate_file: String,
    app_certificate_secondary_file: String,
    map_dir: String,
    map_key_file: String,
    #[serde(flatten)]
    limits: TokenServerLimits,
}

impl TokenServerConfig {
    /// Reads the configuration from a file and the process's environment. `Io` when the file cannot be read, `Usage` with
    /// every problem that was found.
    pub fn load(file: &Path) -> Result<Self, StartError> {
        let text = std::fs::read_to_string(file).map_err(|error| StartError::file(file, &error))?;
        Self::read(&file.display().to_string(), &text, std::env::vars())
    }

    /// The same from given texts.
    pub fn read(
        file_name: &str,
        file: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StartError> {
        let mut problems = Vec::new();
        let merged = layers::merge(file_name, file, environment, &mut problems);
        let config = merged.and_then(|(raw, values)| {
            let mut config = Check { problems: &mut problems }.token_server(raw)?;
            config.configured = addresses::addresses_in(&values);
            Some(config)
        });
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(StartError::Usage(format!("the configuration is wrong:\n  {}", problems.join("\n  ")))),
        }
    }
}

impl Check<'_> {
    fn token_server(&mut self, raw: Raw) -> Option<TokenServerConfig> {
        let region = self.region(&raw.region);
        let monitor = self.monitor(&raw.monitor);
        let own = raw.token_server;
        let listen = self.token_server_listen(&own);
        self.rest_address(region, &own);
        let app_key = self.parsed("app_key", &own.app_key, "must be the AppKey, like shop#chat");
        let app_id = self.parsed("app_id", &own.app_id, "must be the App ID, 32 hex digits");
        for (key, file) in [
            ("app_certificate_file", &own.app_certificate_file),
            ("map_dir", &own.map_dir),
            ("map_key_file", &own.map_key_file),
        ] {
            if file.is_empty() {
                self.problem(&format!("token_server.{key}"), "must be set");
            }
        }
        self.token_lives(&own.limits);
        self.all_above_zero(
            "token_server",
            &[
                ("caller_rate_per_s", own.limits.caller_rate_per_s.into()),
                ("connections_max", own.limits.connections_max as u64),
                ("body_bytes_max", own.limits.body_bytes_max as u64),
                ("request_limit_ms", own.limits.request_limit_ms),
            ],
        );
        Some(TokenServerConfig {
            region: region?,
            log: raw.log,
            monitor,
            drain_limit: Duration::from_millis(raw.lifecycle.drain_limit_ms),
            configured: Vec::new(),
            listen: listen?,
            rest_url: own.rest_url,
            rest_ca_file: given(own.rest_ca_file),
            app_key: app_key?,
            app_id: app_id?,
            app_certificate_file: PathBuf::from(own.app_certificate_file),
            app_certificate_secondary_file: given(own.app_certificate_secondary_file),
            map_dir: PathBuf::from(own.map_dir),
            map_key_file: PathBuf::from(own.map_key_file),
            limits: own.limits,
        })
    }

    /// Off this machine only callers with a certificate are heard.
    fn token_server_listen(&mut self, raw: &RawTokenServer) -> Option<TokenServerListen> {
        let settings = [
            ("tls_certificate_file", raw.tls_certificate_file.is_empty()),
            ("tls_key_file", raw.tls_key_file.is_empty()),
            ("client_ca_file", raw.client_ca_file.is_empty()),
            ("client_names", raw.client_names.is_empty()),
        ];
        let is_mutual = settings.iter().any(|(_, is_empty)| !is_empty);
        if let Some(path) = raw.listen.strip_prefix(UNIX) {
            if path.is_empty() {
                self.problem("token_server.listen", "must name a path behind unix:");
            }
            for (key, _) in settings.iter().filter(|(_, is_empty)| !is_empty) {
                self.problem(&format!("token_server.{key}"), "is set, and a Unix socket has no TLS");
            }
            return Some(TokenServerListen::Unix(PathBuf::from(path)));
        }
        let address = self.address("token_server.listen", &raw.listen)?;
        if !is_mutual && address.ip().is_loopback() {
            return Some(TokenServerListen::Loopback(address));
        }
        let reason = if is_mutual {
            "must be set, because another setting of mutual TLS is"
        } else {
            "must be set, because token_server.listen is not an address of this machine alone"
        };
        for (key, _) in settings.iter().filter(|(_, is_empty)| *is_empty) {
            self.problem(&format!("token_server.{key}"), reason);
        }
        if raw.client_names.iter().any(|name| name.is_empty() || name.contains(['*', ' '])) {
            let wrong = "must be whole names; there are no patterns";
            self.problem("token_server.client_names", wrong);
        }
        Some(TokenServerListen::Mutual {
            address,
            files: TokenServerTlsFiles {
                own: TlsFiles {
                    certificate: PathBuf::from(&raw.tls_certificate_file),
                    key: PathBuf::from(&raw.tls_key_file),
                },
                client_authority: PathBuf::from(&raw.client_ca_file),
            },
            client_names: raw.client_names.clone(),
        })
    }

    /// The region's REST API is an endpoint like any other (design: region pinning, layer 1).
    fn rest_address(&mut self, own: Option<Region>, raw: &RawTokenServer) {
        if !is_web_address(&raw.rest_url) {
            let wrong = "must have the form https://host without a slash at the end";
            self.problem("token_server.rest_url", wrong);
        } else if !raw.rest_plain_http && leaves_the_machine_in_clear(&raw.rest_url) {
            let wrong = "must begin with https://, unless token_server.rest_plain_http is set";
            self.problem("token_server.rest_url", wrong);
        }
        match raw.region.parse::<Region>() {
            Err(_) => self.problem("token_server.region", "must state the region of rest_url"),
            Ok(stated) if own.is_some_and(|own| own != stated) => {
                self.problem("token_server.region", "is another region than this node's");
            }
            Ok(_) => {}
        }
    }

    fn token_lives(&mut self, limits: &TokenServerLimits) {
        let (life, min, max) = (limits.token_life_s, limits.token_life_s_min, limits.token_life_s_max);
        if min < TOKEN_LIFE_S_MIN {
            self.problem("token_server.token_life_s_min", "must be at least 10");
        }
        if max > ACCESS_TOKEN_LIFE_S_MAX {
            self.problem("token_server.token_life_s_max", "must be at most 86400");
        }
        if !(min..=max).contains(&life) {
            let wrong = "must be from token_life_s_min to token_life_s_max";
            self.problem("token_server.token_life_s", wrong);
        }
    }

    fn parsed<T: std::str::FromStr>(&mut self, key: &str, text: &str, wrong: &str) -> Option<T> {
        let value = text.parse().ok();
        if value.is_none() {
            self.problem(&format!("token_server.{key}"), wrong);
        }
        value
    }
}

fn given(file: String) -> Option<PathBuf> {
    (!file.is_empty()).then(|| PathBuf::from(file))
}

fn leaves_the_machine_in_clear(url: &str) -> bool {
    let Some(authority) = url.strip_prefix("http://") else { return false };
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    };
    host != "localhost" && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = r#"
        region = "singapore"
        [token_server]
        rest_url = "http://127.0.0.1:8080"
        region = "singapore"
        app_key = "shop#chat"
        app_id = "61000000000000000000000000000000"
        app_certificate_file = "certificate"
        map_dir = "map"
        map_key_file = "key"
    "#;

    const MUTUAL: &str = "tls_certificate_file = \"a\"\ntls_key_file = \"b\"\nclient_ca_file = \"c\"\nclient_names = [\"d\"]\n";

    fn read(more: &str) -> Result<TokenServerConfig, String> {
        let file = match more.strip_prefix('!') {
            Some(whole) => whole.to_owned(),
            None => format!("{RIGHT}\n{more}"),
        };
        TokenServerConfig::read("f", &file, Vec::new()).map_err(|error| error.to_string())
    }

    fn problems(more: &str) -> Vec<String> {
        let text = read(more).err().unwrap_or_default();
        text.lines().skip(1).map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_loopback_address_or_a_unix_socket_needs_nothing_more() {
        let config = read("").unwrap();
        assert_eq!(config.listen, TokenServerListen::Loopback("127.0.0.1:7180".parse().unwrap()));
        assert_eq!(config.limits.token_life_s, 86_400);
        assert_eq!(config.configured[0].setting, "token_server.rest_url");
        let config = read("listen = \"unix:/run/t.sock\"").unwrap();
        assert_eq!(config.listen, TokenServerListen::Unix("/run/t.sock".into()));
        assert_eq!(problems("listen = \"unix:\"").len(), 1);
        assert_eq!(problems(&format!("listen = \"unix:/t\"\n{MUTUAL}")).len(), 4);
    }

    #[test]
    fn any_other_address_needs_all_of_mutual_tls_and_each_missing_setting_is_named() {
        for listen in ["0.0.0.0:7180", "10.0.0.1:7180", "[::]:7180"] {
            let problems = problems(&format!("listen = \"{listen}\""));
            for key in ["tls_certificate_file", "tls_key_file", "client_ca_file", "client_names"] {
                let named = format!("token_server.{key}: must be set, because token_server.listen");
                assert!(problems.iter().any(|problem| problem.starts_with(&named)), "{listen}: {problems:?}");
            }
            let config = read(&format!("listen = \"{listen}\"\n{MUTUAL}")).unwrap();
            assert!(matches!(config.listen, TokenServerListen::Mutual { .. }));
        }
        for line in MUTUAL.lines() {
            assert_eq!(problems(line).len(), 3, "{line}");
        }
        let pattern = MUTUAL.replace("\"d\"", "\"*.shop.example\"");
        assert_eq!(problems(&pattern).len(), 1);
    }

    #[test]
    fn the_region_is_called_in_clear_on_this_machine_only_unless_a_setting_says_so() {
        let with = |url: &str, more: &str| {
            problems(&format!("!{}\n{more}", RIGHT.replace("http://127.0.0.1:8080", url)))
        };
        for right in ["https://chat.example", "http://localhost:1", "http://[::1]:1"] {
            assert!(with(right, "").is_empty(), "{right}");
        }
        for wrong in ["http://chat.example", "http://127.0.0.1.example", "chat.example", "https://a/b", ""] {
            assert_eq!(with(wrong, "").len(), 1, "{wrong}");
        }
        assert!(with("http://chat.example", "rest_plain_http = true").is_empty());
    }

    #[test]
    fn every_missing_or_wrong_setting_is_told() {
        let found = problems("!region = \"singapore\"");
        for key in
            ["rest_url", "region", "app_key", "app_id", "app_certificate_file", "map_dir", "map_key_file"]
        {
            let named = format!("token_server.{key}: ");
            assert_eq!(found.iter().filter(|problem| problem.starts_with(&named)).count(), 1, "{found:?}");
        }
        for (wrong, key) in [
            ("token_life_s_min = 9", "token_life_s_min"),
            ("token_life_s_max = 86401", "token_life_s_max"),
            ("token_life_s = 59", "token_life_s"),
            ("caller_rate_per_s = 0", "caller_rate_per_s"),
        ] {
            assert!(problems(wrong)[0].starts_with(&format!("token_server.{key}: ")), "{wrong}");
        }
        let elsewhere = RIGHT.replacen("singapore", "virginia", 1);
        assert_eq!(
            problems(&format!("!{elsewhere}")),
            ["token_server.region: is another region than this node's"]
        );
    }
}
