//! The way to the writer: a bounded queue that can be closed.

use std::io;
use std::thread::JoinHandle;

use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{Insert, Mutation, RowKey, Table};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot};

use crate::writer::Writer;

/// Requests that may wait for the writer; further callers wait for a place.
const QUEUE_MAX: usize = 4096;

/// Where the answer to a request goes.
pub(crate) type Done<T> = oneshot::Sender<Result<T>>;

/// What callers ask of the writer.
pub(crate) enum Request {
    Write {
        mutations: Vec<Mutation>,
        /// Unix milliseconds from which on it is refused.
        deadline_ms: Option<u64>,
        done: Done<()>,
    },
    Insert {
        row: Insert,
        done: Done<Option<Bytes>>,
    },
    CompareAndSet {
        key: RowKey,
        expected: Option<Bytes>,
        value: Bytes,
        done: Done<bool>,
    },
    /// Removes rows whose keys were found outside the writer.
    Remove {
        table: &'static Table,
        keys: Vec<Vec<u8>>,
        done: Done<()>,
    },
    /// Removes a row if it has this value.
    DeleteUnchanged {
        key: RowKey,
        value: Bytes,
        done: Done<()>,
    },
    /// Removes entries of [`crate::due`] whose time has come, and the rows that they are about, if those have expired.
    Sweep {
        entries: Vec<Vec<u8>>,
        done: Done<usize>,
    },
}

/// The writer's thread and the queue in front of it.
pub(crate) struct Requests {
    sender: RwLock<Option<mpsc::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Requests {
    pub(crate) fn start(writer: Writer) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(receiver))?;
        Ok(Self { sender: RwLock::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Queues a request, waiting for a place, and waits for its answer. `Unavailable` once the queue is closed.
    pub(crate) async fn ask<T>(&self, request: impl FnOnce(Done<T>) -> Request) -> Result<T> {
        let sender = self.sender.read().clone().ok_or_else(closed)?;
        let (done, outcome) = oneshot::channel();
        sender.send(request(done)).await.map_err(|_| closed())?;
        // A caller that waits for its answer does not keep the queue open.
        drop(sender);
        outcome.await.map_err(|_| closed())?
    }

    /// Refuses what comes from now on and waits, on this thread, until the writer has committed what waits.
    pub(crate) fn stop(&self) {
        self.sender.write().take();
        if let Some(thread) = self.thread.lock().take() {
            // A writer that panicked has nothing left to commit; its callers were told that it is gone.
            let _ = thread.join();
        }
    }
}

/// The writer is gone: the store was closed.
pub(crate) fn closed() -> bulkhead_model::Error {
    ErrorKind::Unavailable.with("the store is closed")
}
