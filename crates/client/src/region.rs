use std::sync::Arc;

use rustls::ClientConfig;

use crate::{ClientError, Trust};

/// Where a region is and how its certificate is judged; cheap to clone.
#[derive(Clone, Debug)]
pub struct RegionAddress {
    rest_url: Arc<str>,
    ws_url: Arc<str>,
    tls: Arc<ClientConfig>,
}

impl RegionAddress {
    /// A region by its REST address, such as `https://chat.example`; its socket is at `/websocket` of the same host
    /// (msync.md §0). `Invalid` for an address without `http://` or `https://`, and as [`Trust::client_config`].
    pub fn new(rest_url: &str, trust: &Trust) -> Result<Self, ClientError> {
        let rest_url = rest_url.trim_end_matches('/');
        let after_http = rest_url.strip_prefix("http").filter(|rest| {
            rest.strip_prefix('s').unwrap_or(rest).strip_prefix("://").is_some_and(|host| !host.is_empty())
        });
        let after_http = after_http.ok_or_else(|| {
            ClientError::Invalid("a region's address starts with http:// or https://".to_owned())
        })?;
        Ok(Self {
            rest_url: rest_url.into(),
            ws_url: format!("ws{after_http}/websocket").into(),
            tls: trust.client_config()?,
        })
    }

    /// Without a trailing slash.
    pub fn rest_url(&self) -> &str {
        &self.rest_url
    }

    /// The socket's address.
    pub fn ws_url(&self) -> &str {
        &self.ws_url
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.rest_url.starts_with("https:")
    }

    /// Where connections go; a version 6 address is without brackets.
    pub(crate) fn host_and_port(&self) -> Result<(String, u16), ClientError> {
        let invalid = || ClientError::Invalid(format!("{} is no address", self.rest_url));
        let url = reqwest::Url::parse(&self.rest_url).map_err(|_| invalid())?;
        let host = url.host_str().ok_or_else(invalid)?.trim_matches(['[', ']']).to_owned();
        Ok((host, url.port_or_known_default().ok_or_else(invalid)?))
    }

    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_beside_the_rest_api() {
        for (rest, ws) in [
            ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/websocket"),
            ("https://chat.example/", "wss://chat.example/websocket"),
        ] {
            assert_eq!(RegionAddress::new(rest, &Trust::System).unwrap().ws_url(), ws);
        }
        for (rest, host, port) in [
            ("http://127.0.0.1:8080", "127.0.0.1", 8080),
            ("https://chat.example/", "chat.example", 443),
            ("https://[::1]:8443", "::1", 8443),
        ] {
            let address = RegionAddress::new(rest, &Trust::System).unwrap();
            assert_eq!(address.host_and_port().unwrap(), (host.to_owned(), port));
        }
        for wrong in ["127.0.0.1:8080", "ftp://x", "http://", "httpss://x"] {
            assert!(RegionAddress::new(wrong, &Trust::System).is_err(), "{wrong}");
        }
    }
}
