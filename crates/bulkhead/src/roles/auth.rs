use std::path::Path;

use bulkhead_auth::{AuthSettings, PasswordSettings};
use bulkhead_chassis::Role;
use bulkhead_chassis::config::AuthLimits;
use bulkhead_rpc::RpcServer;
use tokio_util::sync::CancellationToken;

use super::node::Node;
use crate::Failure;
use crate::compose::start_auth;

/// Runs the auth service until told to stop.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let (node, listener) = Node::start(Role::Auth, file).await?;
    let region = node.config.region;
    let auth = start_auth(
        region,
        node.storage()?,
        node.clock.clone(),
        node.entropy.clone(),
        settings(&node.config.auth),
    );

    node.ready(&listener).await?;
    let stop_serving = CancellationToken::new();
    let server = RpcServer::auth(region, auth, stop_serving.clone());
    let mut serving = node.serve(server, listener);
    node.until_stopped(&mut serving).await?;
    node.drain(async {
        stop_serving.cancel();
        let _ = serving.await;
    })
    .await
}

fn settings(limits: &AuthLimits) -> AuthSettings {
    AuthSettings {
        passwords: PasswordSettings {
            memory_kib: limits.password_memory_kib,
            iterations: limits.password_iterations,
            concurrent_max: limits.password_concurrent_max,
            waiting_max: limits.password_waiting_max,
            wait_ms_max: limits.password_wait_ms_max,
        },
        cache_ttl_ms: limits.cache_ttl_ms,
        apps_cached_max: limits.apps_cached_max,
        users_cached_max: limits.users_cached_max,
        tokens_cached_max: limits.tokens_cached_max,
    }
}
