use std::path::Path;

use bulkhead_chassis::Role;
use bulkhead_rpc::RpcServer;
use tokio_util::sync::CancellationToken;

use super::node::Node;
use crate::Failure;
use crate::compose::start_auth;

/// Runs the auth service until told to stop.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let (node, listener) = Node::start(Role::Auth, file).await?;
    let region = node.config.region;
    let auth = start_auth(region, node.storage()?, node.clock.clone(), node.entropy.clone());

    node.ready(&listener)?;
    let stop_serving = CancellationToken::new();
    let mut serving = tokio::spawn(RpcServer::auth(region, auth, stop_serving.clone()).serve(listener));
    node.until_stopped(&mut serving).await?;
    node.drain(async {
        stop_serving.cancel();
        let _ = serving.await;
    })
    .await
}
