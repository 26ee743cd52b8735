use std::path::Path;
use std::sync::Arc;

use bulkhead_chassis::config::{EngineConfig, ObjectsConfig, ObjectsPlace, RegionKeySource, SecretKeySource};
use bulkhead_chassis::{Role, read_private_text, region_key};
use bulkhead_model::ErrorKind;
use bulkhead_rpc::RpcServer;
use bulkhead_storage::{AttachmentSettings, ObjectPlace, RetentionReports, S3Place};
use bulkhead_store::{RowKey, Scope, Store, tables};
use bulkhead_store_cql::{CqlSettings, CqlStore};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::node::Node;
use crate::compose::{StorageInProcess, open_folder};
use crate::{Failure, cql};

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
    let objects = node.config.objects.take().ok_or_else(|| Failure::usage("storage.objects: must be set"))?;
    let storage = match node.config.engine.take() {
        Some(EngineConfig::Cql(database)) => {
            let keyspace = keyspace(&node, cql::settings(region, database)?).await?;
            node.residency.add_source(cql::dialled(region, keyspace.clone()));
            StorageInProcess::on_keyspace(region, keyspace, key, clock.clone(), entropy.clone()).await?
        }
        Some(EngineConfig::Embedded) | None => {
            let folder = open_folder(region, &node.config.data_dir, clock.clone())
                .map_err(|failure| failure.of_setting("storage.data_dir"))?;
            StorageInProcess::on_folder(region, folder, key, clock.clone(), entropy.clone()).await?
        }
    };
    let bucket_at = match &objects.place {
        ObjectsPlace::Folder(_) => None,
        ObjectsPlace::S3 { endpoint, .. } => Some(endpoint.clone()),
    };
    let objects = settings(objects)?;
    let reports = RetentionReports::new(storage.store.clone(), clock.clone(), objects.retention_ms);
    let attachments = storage.start_attachments(objects, clock, entropy).await?;
    node.residency.add_marked("object store", bucket_at.as_slice());

    let store = storage.store.clone();
    node.readiness.depends_on("database", move || {
        let store = store.clone();
        async move { reads(&*store).await }
    });
    node.ready(&listener).await?;
    let stop_serving = CancellationToken::new();
    let server = RpcServer::storage(region, storage.store.clone(), stop_serving.clone())
        .with_attachments(attachments)
        .with_bus_keys(storage.bus_keys.clone())
        .with_retention(reports);
    let mut serving = node.serve(server, listener);
    node.until_stopped(&mut serving).await?;
    node.drain(async {
        stop_serving.cancel();
        let _ = serving.await;
        storage.close().await;
    })
    .await
}

/// Connects to the database, waiting for one that is not there yet; refuses one that does not fit at once.
async fn keyspace(node: &Node, settings: CqlSettings) -> Result<Arc<CqlStore>, Failure> {
    let connecting = node.with_peers(|| async {
        match CqlStore::connect(&settings, node.clock.clone()).await {
            Err(error) if error.is_outage() => {
                tracing::warn!(%error, "waiting for the database");
                Err(ErrorKind::Unavailable.with(error.to_string()))
            }
            decided => Ok(decided),
        }
    });
    connecting.await?.map_err(|error| cql::failure(&error))
}

/// Whether the engine answers: reads a row that is not there.
async fn reads(store: &dyn Store) -> bulkhead_model::Result<()> {
    let key = RowKey {
        table: &tables::ROUTERS,
        scope: Scope::Region,
        partition: Bytes::from_static(b"readiness"),
        clustering: Bytes::new(),
    };
    store.get_many(vec![key]).await.map(|_| ())
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn settings(objects: ObjectsConfig) -> Result<AttachmentSettings, Failure> {
    let place = match objects.place {
        ObjectsPlace::Folder(folder) => ObjectPlace::Folder(folder),
        ObjectsPlace::S3 { endpoint, bucket, signing_region, access_key, secret_key } => {
            let secret_key = match secret_key {
                SecretKeySource::File(path) => read_private_text(&path)?,
                SecretKeySource::Environment(secret) => secret,
            };
            ObjectPlace::S3(S3Place { endpoint, bucket, signing_region, access_key, secret_key })
        }
    };
    Ok(AttachmentSettings {
        place,
        retention_ms: (objects.retention_days > 0).then(|| u64::from(objects.retention_days) * DAY_MS),
        uploads_max: objects.uploads_max,
    })
}
