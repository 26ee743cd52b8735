//! The keys of the bus over gRPC.

use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_bus::{BusKey, BusKeys};
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::storage::{
    BusKey as WireKey, HourKeyRequest, NamingKeyRequest, bus_keys_client, bus_keys_server,
};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use crate::Peer;
use crate::guard::RegionChannel;
use crate::limits::CALL_LIMIT;
use crate::status_from_error;
use crate::unary::answer;

/// The gRPC server of the keys: any [`BusKeys`] behind it.
pub struct BusKeysServer {
    keys: Arc<dyn BusKeys>,
}

impl BusKeysServer {
    /// Wraps `keys` for [`crate::RpcServer`].
    pub(crate) fn service(keys: Arc<dyn BusKeys>) -> bus_keys_server::BusKeysServer<Self> {
        bus_keys_server::BusKeysServer::new(Self { keys })
    }
}

#[async_trait]
impl bus_keys_server::BusKeys for BusKeysServer {
    async fn hour_key(&self, request: Request<HourKeyRequest>) -> Result<Response<WireKey>, Status> {
        answered(self.keys.hour_key(request.into_inner().hour).await)
    }

    async fn naming_key(&self, _: Request<NamingKeyRequest>) -> Result<Response<WireKey>, Status> {
        answered(self.keys.naming_key().await)
    }
}

fn answered(key: Result<BusKey>) -> Result<Response<WireKey>, Status> {
    let key = key.map_err(|error| status_from_error(&error))?;
    Ok(Response::new(WireKey { key: key.bytes().to_vec().into() }))
}

/// The keys of the bus as the storage service of another process hands them out.
#[derive(Clone, Debug)]
pub struct BusKeysClient {
    grpc: bus_keys_client::BusKeysClient<RegionChannel>,
}

impl BusKeysClient {
    /// The storage service at `peer`.
    pub fn new(peer: Peer) -> Self {
        Self { grpc: bus_keys_client::BusKeysClient::new(peer.channel) }
    }
}

#[async_trait]
impl BusKeys for BusKeysClient {
    async fn hour_key(&self, hour: u64) -> Result<BusKey> {
        read(answer(CALL_LIMIT, self.grpc.clone().hour_key(HourKeyRequest { hour })).await?)
    }

    async fn naming_key(&self) -> Result<BusKey> {
        read(answer(CALL_LIMIT, self.grpc.clone().naming_key(NamingKeyRequest {})).await?)
    }
}

fn read(wire: WireKey) -> Result<BusKey> {
    let key = wire.key.as_ref().try_into();
    let key = key.map_err(|_| ErrorKind::Internal.with("the storage service answered no key of 32 bytes"))?;
    Ok(BusKey::new(Zeroizing::new(key)))
}
