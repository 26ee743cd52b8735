use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_model::Error;
use bulkhead_proto::storage::{
    CompareAndSetRequest, CompareAndSetResponse, Done, GetRequest, GetResponse, InsertRequest,
    InsertResponse, OptionalValue, ScanRequest, ScanResponse, WriteRequest, storage_server,
};
use bulkhead_store::{Mutation, Store, Table};
use tonic::{Request, Response, Status};

use super::NO_DEADLINE;
use super::convert::{key_from_wire, mutation_from_wire, put_from_wire, row_to_wire, scan_from_wire};
use crate::identity::Caller;
use crate::limits::STORAGE_MESSAGE_BYTES_MAX;
use crate::permissions::{Access, check_table};
use crate::status_from_error;

/// The storage service's gRPC server: any [`Store`] behind it.
pub struct StorageServer {
    store: Arc<dyn Store>,
}

impl StorageServer {
    /// Wraps `store` for [`crate::RpcServer`].
    pub(crate) fn service(store: Arc<dyn Store>) -> storage_server::StorageServer<Self> {
        storage_server::StorageServer::new(Self { store })
            .max_decoding_message_size(STORAGE_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(STORAGE_MESSAGE_BYTES_MAX)
    }
}

#[async_trait]
impl storage_server::Storage for StorageServer {
    async fn write(&self, request: Request<WriteRequest>) -> Result<Response<Done>, Status> {
        let caller = caller_of(&request);
        let WriteRequest { mutations, deadline_ms } = request.into_inner();
        let mutations = mutations.into_iter().map(mutation_from_wire);
        let mutations = mutations.collect::<Result<Vec<_>, Error>>().map_err(refused)?;
        for mutation in &mutations {
            check_table(caller, table_of(mutation), Access::Write)?;
        }
        let written = match deadline_ms {
            NO_DEADLINE => self.store.write(mutations).await,
            deadline_ms => self.store.write_before(mutations, deadline_ms).await,
        };
        written.map_err(refused)?;
        Ok(Response::new(Done {}))
    }

    async fn insert_if_absent(
        &self,
        request: Request<InsertRequest>,
    ) -> Result<Response<InsertResponse>, Status> {
        let caller = caller_of(&request);
        let row = put_from_wire(request.into_inner().row).map_err(refused)?;
        // What was there is answered, which is a read.
        check_table(caller, row.key.table, Access::Read)?;
        check_table(caller, row.key.table, Access::Write)?;
        let existing = self.store.insert_if_absent(row).await.map_err(refused)?;
        Ok(Response::new(InsertResponse { existing }))
    }

    async fn compare_and_set(
        &self,
        request: Request<CompareAndSetRequest>,
    ) -> Result<Response<CompareAndSetResponse>, Status> {
        let caller = caller_of(&request);
        let CompareAndSetRequest { key, expected, value } = request.into_inner();
        let key = key_from_wire(key).map_err(refused)?;
        check_table(caller, key.table, Access::Read)?;
        check_table(caller, key.table, Access::Write)?;
        let applied = self.store.compare_and_set(key, expected, value).await.map_err(refused)?;
        Ok(Response::new(CompareAndSetResponse { applied }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let caller = caller_of(&request);
        let keys = request.into_inner().keys.into_iter().map(|key| key_from_wire(Some(key)));
        let keys = keys.collect::<Result<Vec<_>, Error>>().map_err(refused)?;
        for key in &keys {
            check_table(caller, key.table, Access::Read)?;
        }
        let found = self.store.get_many(keys).await.map_err(refused)?;
        let values = found.into_iter().map(|value| OptionalValue { value }).collect();
        Ok(Response::new(GetResponse { values }))
    }

    async fn scan(&self, request: Request<ScanRequest>) -> Result<Response<ScanResponse>, Status> {
        let caller = caller_of(&request);
        let scan = scan_from_wire(request.into_inner()).map_err(refused)?;
        check_table(caller, scan.table, Access::Read)?;
        let rows = self.store.scan(scan).await.map_err(refused)?;
        Ok(Response::new(ScanResponse { rows: rows.into_iter().map(row_to_wire).collect() }))
    }
}

fn caller_of<T>(request: &Request<T>) -> Option<Caller> {
    request.extensions().get().copied()
}

fn table_of(mutation: &Mutation) -> &'static Table {
    match mutation {
        Mutation::Put(put) => put.key.table,
        Mutation::Delete(key) => key.table,
        Mutation::DeleteRange { table, .. } => table,
    }
}

fn refused(error: Error) -> Status {
    status_from_error(&error)
}
