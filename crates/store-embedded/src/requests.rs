//! The way to the writer: a bounded queue that can be closed.

use std::io;
use std::thread::JoinHandle;

use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{Insert, Mutation, RowKey, Table};
use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::writer::Writer;

/// Requests that may wait for the writer; further callers wait for a place.
const QUEUE_MAX: usize = 4096;

/// What callers ask of the writer.
pub(crate) enum Request {
    Write {
        mutations: Vec<Mutation>,
        done: oneshot::Sender<Result<()>>,
    },
    Insert {
        row: Insert,
        done: oneshot::Sender<Result<Option<Bytes>>>,
    },
    CompareAndSet {
        key: RowKey,
        expected: Option<Bytes>,
        value: Bytes,
        done: oneshot::Sender<Result<bool>>,
    },
    /// Removes rows that have expired; their keys were found outside the writer and are looked at again there.
    Sweep {
        table: &'static Table,
        keys: Vec<Vec<u8>>,
        done: oneshot::Sender<Result<usize>>,
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

    /// Queues a request, waiting for a place. `Unavailable` once the queue is closed.
    pub(crate) async fn send(&self, request: Request) -> Result<()> {
        let sender = self.sender.read().clone();
        sender.ok_or_else(closed)?.send(request).await.map_err(|_| closed())
    }

    /// Refuses what comes from now on and waits until the writer has committed what waits.
    pub(crate) async fn close(&self) {
        self.sender.write().take();
        if let Some(thread) = self.thread.lock().await.take() {
            // A writer that panicked has nothing left to commit; its callers were told that it is gone.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// The writer is gone: the store was closed.
pub(crate) fn closed() -> bulkhead_model::Error {
    ErrorKind::Unavailable.with("the store is closed")
}
