use std::path::Path;

use bulkhead_chassis::Role;
use bulkhead_chassis::config::RouterLimits;
use bulkhead_router::{RouterDependencies, RouterService, RouterSettings};
use bulkhead_rpc::RpcServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::node::Node;
use crate::Failure;
use crate::listen::address_of;

/// Runs the router until told to stop.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let (node, listener) = Node::start(Role::Router, file).await?;
    let region = node.config.region;
    let (storage, auth) = (node.storage()?, node.auth()?);
    let address = address(&node, &listener)?;
    let router = node
        .with_peers(|| {
            RouterService::start(RouterDependencies {
                region,
                store: storage.clone(),
                auth: auth.clone(),
                clock: node.clock.clone(),
                entropy: node.entropy.clone(),
                address: address.clone(),
                alone: false,
                settings: settings(&node.config.router),
            })
        })
        .await?;

    node.ready(&listener)?;
    let stop_serving = CancellationToken::new();
    let server = RpcServer::router(region, router.clone(), stop_serving.clone());
    let mut serving = node.serve(server, listener);
    node.until_stopped(&mut serving).await?;
    node.drain(async {
        // The streams end only when what they carried is answered.
        router.drain().await;
        stop_serving.cancel();
        let _ = serving.await;
    })
    .await
}

/// Where gateways reach this router.
fn address(node: &Node, listener: &TcpListener) -> Result<String, Failure> {
    let advertised = &node.config.router.advertise_url;
    if !advertised.is_empty() {
        return Ok(advertised.clone());
    }
    let scheme = if node.identity.is_insecure() { "http" } else { "https" };
    Ok(format!("{scheme}://{}", address_of(listener)?))
}

fn settings(limits: &RouterLimits) -> RouterSettings {
    RouterSettings {
        lanes: limits.lanes,
        queue_messages_max: limits.queue_messages_max,
        batch_messages_max: limits.batch_messages_max,
        cached_conversations_max: limits.cached_conversations_max,
        cached_senders_max: limits.cached_senders_max,
        flush_interval_ms: limits.flush_interval_ms,
        call_timeout_ms: limits.call_timeout_ms,
        lease_ms: limits.lease_ms,
        ..RouterSettings::default()
    }
}
