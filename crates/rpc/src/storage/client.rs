use async_trait::async_trait;
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::storage::{
    CompareAndSetRequest, GetRequest, InsertRequest, WriteRequest, storage_client,
};
use bulkhead_store::{Insert, Mutation, Row, RowKey, SCAN_ROWS_MAX, Scan, Store, WRITE_MUTATIONS_MAX};
use bytes::Bytes;

use super::NO_DEADLINE;
use super::convert::{key_to_wire, mutation_to_wire, put_to_wire, row_from_wire, scan_to_wire};
use crate::Peer;
use crate::guard::RegionChannel;
use crate::limits::{CALL_LIMIT, STORAGE_MESSAGE_BYTES_MAX};
use crate::unary::answer;

/// The storage service of another process.
#[derive(Clone, Debug)]
pub struct StorageClient {
    grpc: storage_client::StorageClient<RegionChannel>,
}

impl StorageClient {
    /// The storage service at `peer`.
    pub fn new(peer: Peer) -> Self {
        let grpc = storage_client::StorageClient::new(peer.channel)
            .max_decoding_message_size(STORAGE_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(STORAGE_MESSAGE_BYTES_MAX);
        Self { grpc }
    }

    async fn send(&self, mutations: Vec<Mutation>, deadline_ms: u64) -> Result<()> {
        // Refused here already: converting and sending it would cost more than the refusal.
        if mutations.len() > WRITE_MUTATIONS_MAX {
            return Err(ErrorKind::InvalidArgument.with("too many mutations in one write"));
        }
        let mutations = mutations.into_iter().map(mutation_to_wire).collect();
        answer(CALL_LIMIT, self.grpc.clone().write(WriteRequest { mutations, deadline_ms })).await?;
        Ok(())
    }
}

#[async_trait]
impl Store for StorageClient {
    async fn write(&self, mutations: Vec<Mutation>) -> Result<()> {
        self.send(mutations, NO_DEADLINE).await
    }

    async fn write_before(&self, mutations: Vec<Mutation>, deadline_ms: u64) -> Result<()> {
        // A deadline of 0 is over in any case, but would be none on the wire.
        self.send(mutations, deadline_ms.max(1)).await
    }

    async fn insert_if_absent(&self, row: Insert) -> Result<Option<Bytes>> {
        let request = InsertRequest { row: Some(put_to_wire(row)) };
        Ok(answer(CALL_LIMIT, self.grpc.clone().insert_if_absent(request)).await?.existing)
    }

    async fn compare_and_set(&self, key: RowKey, expected: Option<Bytes>, value: Bytes) -> Result<bool> {
        let request = CompareAndSetRequest { key: Some(key_to_wire(key)), expected, value };
        Ok(answer(CALL_LIMIT, self.grpc.clone().compare_and_set(request)).await?.applied)
    }

    async fn get_many(&self, keys: Vec<RowKey>) -> Result<Vec<Option<Bytes>>> {
        if keys.len() > SCAN_ROWS_MAX {
            return Err(ErrorKind::InvalidArgument.with("too many keys in one read"));
        }
        let asked = keys.len();
        let request = GetRequest { keys: keys.into_iter().map(key_to_wire).collect() };
        let found = answer(CALL_LIMIT, self.grpc.clone().get(request)).await?.values;
        if found.len() != asked {
            return Err(ErrorKind::Internal.with("the storage service answered another number of rows"));
        }
        Ok(found.into_iter().map(|value| value.value).collect())
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Row>> {
        let found = answer(CALL_LIMIT, self.grpc.clone().scan(scan_to_wire(scan))).await?;
        Ok(found.rows.into_iter().map(row_from_wire).collect())
    }
}
