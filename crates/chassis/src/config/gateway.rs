use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use super::Role;
use super::check::{Check, is_web_address};
use crate::tls::TlsFiles;

/// Below this a client that keeps to its keep-alive could be taken for dead (msync.md §8).
const IDLE_LIMIT_MS_MIN: u64 = 90_000;

/// What the gateway's section says; units as in the names.
pub struct GatewayConfig {
    /// Empty when clients use the listen address.
    pub public_url: String,
    pub tls: Option<TlsFiles>,
    pub proxies: ProxiesConfig,
    pub limits: GatewayLimits,
}

/// The numbers of the gateway's section.
#[derive(Clone, Debug, Deserialize)]
pub struct GatewayLimits {
    pub idle_limit_ms: u64,
    pub login_limit_ms: u64,
    pub router_wait_ms: u64,
    pub connections_max: usize,
    pub body_bytes_max: usize,
    pub request_limit_ms: u64,
    pub attachment_bytes_max: u64,
    pub transfer_limit_ms: u64,
    pub app_rate_per_s: u32,
    pub address_rate_per_s: u32,
    pub frame_rate_per_s: u32,
    pub outbox_bytes_max: usize,
}

/// Who stands before a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxiesConfig {
    pub networks: Vec<IpNet>,
    pub client_address: ClientAddressSource,
}

/// Where the address of a client behind a proxy is learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAddressSource {
    /// Nowhere: the address is that of the connection.
    #[default]
    Connection,
    /// The header `Forwarded`.
    Forwarded,
    /// The header `X-Forwarded-For`.
    XForwardedFor,
    /// The PROXY protocol.
    ProxyProtocol,
}

#[derive(Deserialize)]
pub(super) struct RawGateway {
    listen: String,
    public_url: String,
    tls_certificate_file: String,
    tls_key_file: String,
    proxies: Vec<String>,
    client_address: ClientAddressSource,
    #[serde(flatten)]
    limits: GatewayLimits,
}

impl RawGateway {
    pub(super) fn listen(&self) -> &str {
        &self.listen
    }
}

impl Check<'_> {
    pub(super) fn gateway(
        &mut self,
        role: Role,
        raw: RawGateway,
        listen: Option<SocketAddr>,
    ) -> GatewayConfig {
        let tls = match (raw.tls_certificate_file.as_str(), raw.tls_key_file.as_str()) {
            ("", "") => None,
            ("", _) => {
                self.problem("gateway.tls_certificate_file", "must be set when tls_key_file is");
                None
            }
            (_, "") => {
                self.problem("gateway.tls_key_file", "must be set when tls_certificate_file is");
                None
            }
            (certificate, key) => {
                Some(TlsFiles { certificate: PathBuf::from(certificate), key: PathBuf::from(key) })
            }
        };
        let proxies = self.proxies(&raw.proxies, raw.client_address);
        if role == Role::Gateway {
            if tls.is_none()
                && proxies.networks.is_empty()
                && listen.is_some_and(|listen| !listen.ip().to_canonical().is_loopback())
            {
                let wrong = "takes clients in the clear from beyond this machine: set tls_certificate_file and tls_key_file, \
                             or name the proxies before it in gateway.proxies";
                self.problem("gateway.listen", wrong);
            }
            if raw.limits.idle_limit_ms < IDLE_LIMIT_MS_MIN {
                self.problem("gateway.idle_limit_ms", "must be at least 90000");
            }
            let limits = &raw.limits;
            self.all_above_zero(
                "gateway",
                &[
                    ("login_limit_ms", limits.login_limit_ms),
                    ("router_wait_ms", limits.router_wait_ms),
                    ("request_limit_ms", limits.request_limit_ms),
                    ("attachment_bytes_max", limits.attachment_bytes_max),
                    ("transfer_limit_ms", limits.transfer_limit_ms),
                    ("connections_max", limits.connections_max as u64),
                    ("body_bytes_max", limits.body_bytes_max as u64),
                    ("app_rate_per_s", limits.app_rate_per_s.into()),
                    ("address_rate_per_s", limits.address_rate_per_s.into()),
                    ("frame_rate_per_s", limits.frame_rate_per_s.into()),
                    ("outbox_bytes_max", limits.outbox_bytes_max as u64),
                ],
            );
            if !raw.public_url.is_empty() && !is_web_address(&raw.public_url) {
                let wrong = "must have the form https://host without a slash at the end";
                self.problem("gateway.public_url", wrong);
            }
        }
        GatewayConfig { public_url: raw.public_url, tls, proxies, limits: raw.limits }
    }

    fn proxies(&mut self, texts: &[String], client_address: ClientAddressSource) -> ProxiesConfig {
        let mut networks = Vec::with_capacity(texts.len());
        for text in texts {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            match text.parse().or_else(|_| address()) {
                Ok(network) => networks.push(network),
                Err(_) => {
                    let wrong = format!("{text} is neither an address nor a network like 10.0.0.0/8");
                    self.problem("gateway.proxies", &wrong);
                }
            }
        }
        if texts.is_empty() && client_address != ClientAddressSource::Connection {
            self.problem("gateway.client_address", "is told by a proxy; name those in gateway.proxies");
        }
        ProxiesConfig { networks, client_address }
    }
}
