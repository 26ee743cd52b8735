use std::path::Path;

use bulkhead_chassis::config::{ClientAddressSource, ProxiesConfig};
use bulkhead_chassis::{Config, Role, tls};
use bulkhead_gateway::{ALPN, ClientAddress, Dependencies, Front, Gateway, GatewaySettings, Proxies};
use tokio::net::TcpListener;

use super::node::Node;
use crate::Failure;
use crate::listen::address_of;

/// Runs the gateway until told to stop.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let (node, listener) = Node::start(Role::Gateway, file).await?;
    let region = node.config.region;
    let front = front(&node.config)?;
    let settings = settings(&node.config, &listener)?;
    let (auth, router, attachments) = (node.auth()?, node.routers()?, node.attachments()?);
    let gateway = node
        .with_peers(|| {
            let dependencies = Dependencies {
                region,
                auth: auth.clone(),
                router: router.clone(),
                attachments: attachments.clone(),
                clock: node.clock.clone(),
                entropy: node.entropy.clone(),
            };
            Gateway::start(dependencies, settings.clone())
        })
        .await?;

    node.ready(&listener).await?;
    let mut serving = tokio::spawn(gateway.clone().serve(listener, front));
    node.until_stopped(&mut serving).await?;
    node.drain(gateway.drain()).await
}

fn front(config: &Config) -> Result<Front, Failure> {
    let tls = config.gateway.tls.as_ref().map(|files| tls::server_config(files, &ALPN)).transpose()?;
    let tls = tls.map(|(tls, reloader)| {
        tokio::spawn(reloader.run());
        tls
    });
    let ProxiesConfig { networks, client_address } = config.gateway.proxies.clone();
    let client_address = match client_address {
        ClientAddressSource::Connection => ClientAddress::Connection,
        ClientAddressSource::Forwarded => ClientAddress::Forwarded,
        ClientAddressSource::XForwardedFor => ClientAddress::XForwardedFor,
        ClientAddressSource::ProxyProtocol => ClientAddress::ProxyProtocol,
    };
    Ok(Front { tls, proxies: Proxies { networks, client_address } })
}

fn settings(config: &Config, listener: &TcpListener) -> Result<GatewaySettings, Failure> {
    let (gateway, limits) = (&config.gateway, &config.gateway.limits);
    let public_url = if gateway.public_url.is_empty() {
        let scheme = if gateway.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", address_of(listener)?)
    } else {
        gateway.public_url.clone()
    };
    Ok(GatewaySettings {
        public_url,
        homes: config.homes.clone(),
        idle_limit_ms: limits.idle_limit_ms,
        login_limit_ms: limits.login_limit_ms,
        router_wait_ms: limits.router_wait_ms,
        connections_max: limits.connections_max,
        body_bytes_max: limits.body_bytes_max,
        request_limit_ms: limits.request_limit_ms,
        attachment_bytes_max: limits.attachment_bytes_max,
        transfer_limit_ms: limits.transfer_limit_ms,
        app_rate_per_s: limits.app_rate_per_s,
        address_rate_per_s: limits.address_rate_per_s,
        frame_rate_per_s: limits.frame_rate_per_s,
        outbox_bytes_max: limits.outbox_bytes_max,
    })
}
