use std::path::Path;

use bulkhead_chassis::config::RegionKeySource;
use bulkhead_chassis::{Role, region_key};
use bulkhead_rpc::RpcServer;
use tokio_util::sync::CancellationToken;

use super::node::Node;
use crate::Failure;
use crate::compose::StorageInProcess;

/// Runs the storage service until told to stop.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let (mut node, listener) = Node::start(Role::Storage, file).await?;
    let region = node.config.region;
    let key = match node.config.region_key.take() {
        Some(RegionKeySource::File(path)) => region_key::from_file(&path)?,
        Some(RegionKeySource::Environment(key)) => key,
        None => return Err(Failure::usage("storage.region_key_file: must be set")),
    };
    let (clock, entropy) = (node.clock.clone(), node.entropy.clone());
    let storage = StorageInProcess::open(region, &node.config.data_dir, key, clock, entropy).await?;

    node.ready(&listener)?;
    let stop_serving = CancellationToken::new();
    let server = RpcServer::storage(region, storage.store.clone(), stop_serving.clone());
    let mut serving = tokio::spawn(server.serve(listener));
    node.until_stopped(&mut serving).await?;
    node.drain(async {
        stop_serving.cancel();
        let _ = serving.await;
        storage.close().await;
    })
    .await
}
