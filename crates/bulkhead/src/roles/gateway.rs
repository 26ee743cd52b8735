use std::path::Path;

use bulkhead_chassis::{Config, Role, tls};
use bulkhead_gateway::GatewaySettings;
use tokio::net::TcpListener;

use super::node::Node;
use crate::Failure;
use crate::compose::start_gateway;
use crate::listen::address_of;

/// Runs the gateway until told to stop.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let (node, listener) = Node::start(Role::Gateway, file).await?;
    let region = node.config.region;
    let certificate = node.config.gateway.tls.as_ref().map(tls::server_config).transpose()?;
    let settings = settings(&node.config, &listener)?;
    let (auth, router) = (node.auth()?, node.router()?);
    let gateway = node
        .with_peers(|| {
            let (clock, entropy) = (node.clock.clone(), node.entropy.clone());
            start_gateway(region, auth.clone(), router.clone(), settings.clone(), clock, entropy)
        })
        .await?;

    node.ready(&listener)?;
    let mut serving = tokio::spawn(gateway.clone().serve(listener, certificate));
    node.until_stopped(&mut serving).await?;
    node.drain(gateway.drain()).await
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
        connections_max: limits.connections_max,
        body_bytes_max: limits.body_bytes_max,
        request_limit_ms: limits.request_limit_ms,
        app_rate_per_s: limits.app_rate_per_s,
        address_rate_per_s: limits.address_rate_per_s,
        frame_rate_per_s: limits.frame_rate_per_s,
        outbox_bytes_max: limits.outbox_bytes_max,
    })
}
